// SPDX-License-Identifier: Apache-2.0
#include "net/socket.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace hyperway::net {
namespace {

const SocketAddress kAnyPort = *SocketAddress::parse("127.0.0.1", 0);

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

Fd listenOn(const SocketAddress& at, bool reuse_port = false) {
  auto listener = listenTcp(at, reuse_port, 16);
  REQUIRE_MESSAGE(listener.has_value(), (listener ? "" : listener.error()));
  return std::move(*listener);
}

void waitFor(int fd, short events) {
  pollfd poll_fd{fd, events, 0};
  REQUIRE(::poll(&poll_fd, 1, 5000) == 1);
}

void checkFlags(int fd) {
  CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a connection has TCP_NODELAY on both sides and does not block or leak into children") {
  const Fd listener = listenOn(kAnyPort);
  const SocketAddress at = localAddress(listener.get());
  CHECK(at.ip() == "127.0.0.1");
  REQUIRE(at.port() != 0);

  auto client = connectTcp(at);
  REQUIRE(client.has_value());
  waitFor(client->get(), POLLOUT);
  CHECK(socketError(client->get()) == 0);
  waitFor(listener.get(), POLLIN);
  SocketAddress peer;
  auto accepted = acceptTcp(listener.get(), peer);
  REQUIRE(accepted.has_value());
  CHECK(peer == localAddress(client->get()));

  for (const int fd : {listener.get(), client->get(), accepted->get()}) checkFlags(fd);
  CHECK(option(client->get(), IPPROTO_TCP, TCP_NODELAY) != 0);
  CHECK(option(accepted->get(), IPPROTO_TCP, TCP_NODELAY) != 0);

  const auto none = acceptTcp(listener.get(), peer);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error() == EAGAIN);
}

TEST_CASE("a refused connection is seen in SO_ERROR or at once") {
  SocketAddress closed;
  {
    const Fd listener = listenOn(kAnyPort);
    closed = localAddress(listener.get());
  }
  auto client = connectTcp(closed);
  if (client.has_value()) {
    const Fd fd = std::move(*client);
    waitFor(fd.get(), POLLOUT);
    CHECK(socketError(fd.get()) == ECONNREFUSED);
  } else {
    CHECK(client.error() == ECONNREFUSED);
  }
}

TEST_CASE("several listeners share a port only if all of them ask for it") {
  const Fd first = listenOn(kAnyPort, true);
  const SocketAddress at = localAddress(first.get());
  const Fd second = listenOn(at, true);
  CHECK(second);
  const auto third = listenTcp(at, false, 16);
  CHECK_FALSE(third.has_value());
}

TEST_CASE("a port that SO_REUSEPORT would share is found busy by the probe") {
  const Fd listener = listenOn(kAnyPort, true);
  const SocketAddress at = localAddress(listener.get());
  const auto busy = probeBind(at);
  REQUIRE_FALSE(busy.has_value());
  const std::string expected =
      "port " + std::to_string(at.port()) +
      " on 127.0.0.1 is in use by another process: stop it or choose another port";
  CHECK(busy.error().substr(0, expected.size()) == expected);
  CHECK_FALSE(listenTcp(at, false, 16).has_value());
}

TEST_CASE("the probe leaves the port free") {
  SocketAddress at;
  {
    const Fd listener = listenOn(kAnyPort);
    at = localAddress(listener.get());
  }
  CHECK(probeBind(at).has_value());
  CHECK(probeBind(at).has_value());
  CHECK(listenOn(at));
}

TEST_CASE("an address of no interface is refused with what to do") {
  const auto refused = listenTcp(*SocketAddress::parse("203.0.113.7", 8080), false, 16);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().find("port 8080 on 203.0.113.7 cannot be bound") == 0);
  CHECK(refused.error().find("ip route add local 203.0.113.7 dev lo") != std::string::npos);
}

TEST_CASE("IPv4 and IPv6 wildcards of one port are separate listeners") {
  const auto v6 = listenTcp(*SocketAddress::parse("::", 0), false, 16);
  if (!v6.has_value()) {  // a host without IPv6 says so
    CHECK(v6.error().find("has no IPv6") != std::string::npos);
    return;
  }
  CHECK(option(v6->get(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  CHECK(listenOn(*SocketAddress::parse("0.0.0.0", localAddress(v6->get()).port())));
}

TEST_CASE("an owned descriptor is closed once and moves") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd reader{ends[0]};
  {
    Fd writer{ends[1]};
    Fd moved{std::move(writer)};
    CHECK(moved.get() == ends[1]);
    Fd assigned;
    CHECK_FALSE(assigned);
    assigned = std::move(moved);
    CHECK(assigned);
    const int released = assigned.release();
    CHECK_FALSE(assigned);
    assigned = Fd{released};
  }
  char byte;
  CHECK(::read(reader.get(), &byte, 1) == 0);  // no writer is left
}

}  // namespace
}  // namespace hyperway::net
