// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/client.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>

using namespace hyperway::k8s_client;

namespace {

// A socket that takes connections and never says a word; or none, if it is closed.
struct Silent {
  Silent() {
    fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd, 8) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  ~Silent() { ::close(fd); }
  int fd = -1;
  std::uint16_t port = 0;
};

ClusterConfig configOf(std::uint16_t port) {
  ClusterConfig config;
  config.host = "127.0.0.1";
  config.port = port;
  config.insecure = true;
  return config;
}

}  // namespace

TEST_CASE("Nobody there: the error says so, and nothing hangs") {
  std::uint16_t port = 0;
  {
    const Silent gone;
    port = gone.port;
  }
  Client client(configOf(port), "test");
  client.start();
  const Reply reply = client.get("/version");
  CHECK(reply.error.kind == Error::Kind::Connect);
  CHECK(reply.error.message.find("refused") != std::string::npos);
}

TEST_CASE("A file that TLS needs and cannot be read is named") {
  ClusterConfig config = configOf(1);
  config.insecure = false;
  config.ca.file = "/nonexistent/ca.crt";
  Client client(config, "test");
  client.start();
  const Reply reply = client.get("/version");
  CHECK_FALSE(reply.ok());
  CHECK(reply.error.message.find("/nonexistent/ca.crt") != std::string::npos);
}

TEST_CASE("The time-out bounds everything, connecting too") {
  const Silent silent;
  Client client(configOf(silent.port), "test");
  client.start();
  Request request;
  request.path = "/version";
  request.timeout = std::chrono::milliseconds(50);
  CHECK(client.wait(request).error.kind == Error::Kind::Timeout);
}

TEST_CASE("A server that has a name is looked up, and one that is not found is named") {
  std::uint16_t port = 0;
  {
    const Silent gone;
    port = gone.port;
  }
  ClusterConfig config = configOf(port);
  config.host = "localhost";
  Client client(config, "test");
  client.start();
  CHECK(client.get("/version").error.message.find("refused") != std::string::npos);
  config.host = "api.example";
  Client lost(config, "test", [](const std::string& host, std::uint16_t, std::string& error) {
    error = host + ": nobody knows it";
    return Addresses();
  });
  lost.start();
  const Reply reply = lost.get("/version");
  CHECK(reply.error.kind == Error::Kind::Connect);
  CHECK(reply.error.message == "api.example: nobody knows it");
}

TEST_CASE("A resolver that hangs holds up nobody: no task, no time-out, no end; it is asked once") {
  // Shared with the resolver's thread, which outlives the client.
  struct Hanging {
    std::promise<void> asked, go, over;
    std::atomic<int> times{0};
  };
  const auto hanging = std::make_shared<Hanging>();
  ClusterConfig config = configOf(1);
  config.host = "api.example";
  {
    Client client(config, "test", [hanging](const auto&, auto port, std::string& error) {
      if (hanging->times++ == 0) hanging->asked.set_value();
      hanging->go.get_future().wait();
      Addresses out = systemResolve("127.0.0.1", port, error);
      hanging->over.set_value();
      return out;
    });
    client.start();
    Request request;
    request.path = "/version";
    request.timeout = std::chrono::milliseconds(50);
    CHECK(client.wait(request).error.kind == Error::Kind::Timeout);
    hanging->asked.get_future().wait();
    CHECK(client.wait(request).error.kind == Error::Kind::Timeout);
    client.stop();
  }
  CHECK(hanging->times == 1);
  hanging->go.set_value();
  hanging->over.get_future().wait();
}

TEST_CASE("Stopping ends what is under way, and what comes later") {
  const Silent silent;
  Client client(configOf(silent.port), "test");
  client.start();
  std::promise<Reply> first;
  Request request;
  request.path = "/version";
  client.call(request, [&](Reply reply) { first.set_value(std::move(reply)); });
  auto second = std::async(std::launch::async, [&] { return client.get("/version"); });
  client.stop();
  CHECK(first.get_future().get().error.kind == Error::Kind::Stopped);
  CHECK(second.get().error.kind == Error::Kind::Stopped);
  CHECK(client.get("/version").error.kind == Error::Kind::Stopped);
}
