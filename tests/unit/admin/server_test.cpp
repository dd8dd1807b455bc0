// SPDX-License-Identifier: Apache-2.0
#include "admin/server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "admin/client.hpp"

using namespace hyperway::admin;

namespace {

std::string socketPath(const char* name) {
  return "/tmp/hw-admin-" + std::to_string(::getpid()) + '-' + name;
}

AdminAnswer echo(const AdminRequest& request) {
  if (request.path == "/throw") throw std::runtime_error("on purpose");
  return {200, "text/plain",
          request.method + ' ' + request.path + '?' + request.query + ' ' + request.body};
}

// What a server on loopback sends back to raw bytes.
std::string exchange(std::uint16_t port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
    out.append(buffer, static_cast<std::size_t>(got));
  ::close(fd);
  return out;
}

}  // namespace

TEST_CASE("A face answers on a port of its own, and closes") {
  const auto server = AdminServer::onAddress("127.0.0.1", 0, echo);
  REQUIRE(server->port() != 0);
  const std::string answer = exchange(server->port(), "GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.ends_with("\r\n\r\nGET /a b?c=d "));
  CHECK(exchange(server->port(), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("\r\n\r\n"));
  CHECK(exchange(server->port(), "GET /throw HTTP/1.1\r\nHost: x\r\n\r\n")
            .starts_with("HTTP/1.1 500 "));
}

TEST_CASE("A busy admin port is an error that names it") {
  const auto server = AdminServer::onAddress("127.0.0.1", 0, echo);
  try {
    const auto second = AdminServer::onAddress("127.0.0.1", server->port(), echo);
    FAIL("bound twice");
  } catch (const std::runtime_error& error) {
    CHECK(std::string(error.what()).find(std::to_string(server->port())) != std::string::npos);
  }
}

TEST_CASE("A face on loopback answers to local names only, whatever a browser was led to") {
  const auto server = AdminServer::onLoopback("127.0.0.1", 0, echo);
  const auto status = [&](const std::string& head) {
    const std::string answer = exchange(server->port(), "GET /config HTTP/1.1\r\n" + head + "\r\n");
    return answer.substr(9, 3);
  };
  for (const char* host : {"localhost", "localhost:9181", "LOCALHOST", "127.0.0.1:1", "127.9.9.9",
                           "[::1]", "[::1]:9181", "admin.localhost:80"}) {
    CAPTURE(host);
    CHECK(status("Host: " + std::string(host) + "\r\n") == "200");
    CHECK(status("Host: " + std::string(host) + "\r\nOrigin: http://" + host + "\r\n") == "200");
  }
  // Another port of this machine is another origin.
  for (const char* origin : {"http://localhost:9182", "https://localhost:9181",
                             "http://127.0.0.1:9181", "http://localhost"}) {
    CAPTURE(origin);
    CHECK(status("Host: localhost:9181\r\nOrigin: " + std::string(origin) + "\r\n") == "403");
  }
  CHECK(status("Host: localhost\r\nSec-Fetch-Site: same-site\r\n") == "403");
  CHECK(status("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n") == "200");
  for (const char* host :
       {"rebound.example", "rebound.example:9181", "localhost.example", "notlocalhost", "",
        "192.0.2.1", "127.0.0.1.example", "[::1", "[::1]x", "[2001:db8::1]", ".localhost"}) {
    CAPTURE(host);
    CHECK(status("Host: " + std::string(host) + "\r\n") == "403");
    if (*host != '\0')
      CHECK(status("Host: localhost\r\nOrigin: http://" + std::string(host) + "\r\n") == "403");
  }
  CHECK(status("Host: localhost\r\nOrigin: null\r\n") == "403");
  CHECK(status("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n") == "403");
  CHECK(exchange(server->port(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .find("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n") !=
        std::string::npos);
}

TEST_CASE("A page on loopback may do what its answer says") {
  const auto server = AdminServer::onLoopback("127.0.0.1", 0, [](const AdminRequest&) {
    return AdminAnswer{200, "text/html", "page", "script-src 'none'"};
  });
  CHECK(exchange(server->port(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .find("Content-Security-Policy: script-src 'none'\r\n") != std::string::npos);
}

TEST_CASE("A face on loopback is made on loopback addresses only") {
  for (const char* address : {"0.0.0.0", "::", "192.0.2.1", "localhost"}) {
    CAPTURE(address);
    CHECK_THROWS_AS((void)AdminServer::onLoopback(address, 0, echo), std::runtime_error);
  }
}

TEST_CASE("The socket belongs to its owner alone and goes with its server") {
  const std::string path = socketPath("own");
  {
    const auto server = AdminServer::onSocket(path, echo);
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    const auto answer = askSocket(path, "POST", "/x?y", "body");
    REQUIRE(answer.has_value());
    CHECK(answer->status == 200);
    CHECK(answer->body == "POST /x?y body");
    CHECK_THROWS_AS((void)AdminServer::onSocket(path, echo), std::runtime_error);
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
  const auto answer = askSocket(path, "GET", "/", "");
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error().find(path) != std::string::npos);
}

TEST_CASE("The file of an inherited socket is the other process's until this one begins") {
  const std::string path = socketPath("inherited");
  const auto old = AdminServer::onSocket(path, echo);
  const auto inherit = [&] {
    return AdminServer::onInherited(old->duplicateSocket(), path, Callers::Any, echo);
  };
  { const auto ended_early = inherit(); }
  CHECK(askSocket(path, "GET", "/", "").has_value());
  {
    const auto next = inherit();
    next->begin();
    old->letGo();
    CHECK(askSocket(path, "GET", "/", "").has_value());
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("A socket that its process left behind is replaced, another file is not") {
  const std::string path = socketPath("stale");
  {
    const auto server = AdminServer::onSocket(path, echo);
    REQUIRE(::rename(path.c_str(), (path + ".kept").c_str()) == 0);
  }
  REQUIRE(::rename((path + ".kept").c_str(), path.c_str()) == 0);
  CHECK(askSocket(path, "GET", "/", "").has_value() == false);
  {
    const auto server = AdminServer::onSocket(path, echo);
    CHECK(askSocket(path, "GET", "/", "").has_value());
  }
  CHECK_THROWS_AS((void)AdminServer::onSocket("/etc/hostname", echo), std::runtime_error);
  CHECK_THROWS_AS((void)AdminServer::onSocket(std::string(200, 'x'), echo), std::runtime_error);
}

TEST_CASE("A request body is bounded") {
  const std::string path = socketPath("body");
  const auto server = AdminServer::onSocket(path, echo);
  const auto answer = askSocket(path, "POST", "/", std::string(70'000, 'x'));
  REQUIRE(answer.has_value());
  CHECK(answer->status == 413);
}
