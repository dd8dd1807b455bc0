// SPDX-License-Identifier: Apache-2.0
#include "net/udp_socket.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "net/socket.hpp"

namespace hyperway::net {
namespace {

Fd at(const char* ip, bool reuse_port = false, std::uint16_t port = 0) {
  auto made = bindUdp(*SocketAddress::parse(ip, port), reuse_port);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error()));
  return std::move(*made);
}

bool readable(int fd, int limit_ms = 5000) {
  pollfd poll_fd{fd, POLLIN, 0};
  return ::poll(&poll_fd, 1, limit_ms) == 1;
}

Datagram datagramOf(std::string_view text) { return {{text.data(), text.size()}, {}, {}}; }

std::string textOf(const Datagram& datagram) {
  return {datagram.bytes.data(), datagram.bytes.size()};
}

TEST_CASE("an answer leaves from the address that was asked, also on a socket for all addresses") {
  for (const auto& [any, asked] : {std::pair("0.0.0.0", "127.0.0.5"), std::pair("::", "::1")}) {
    CAPTURE(any);
    const Fd server = at(any);
    CHECK((::fcntl(server.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(server.get(), F_GETFD) & FD_CLOEXEC) != 0);
    const auto there = *SocketAddress::parse(asked, localAddress(server.get()).port());
    // Connected: it hears from no other address than the one that it sent to.
    auto client = connectUdp(there);
    REQUIRE(client.has_value());
    UdpBatch batch;
    const std::vector<Datagram> questions{datagramOf("one"), datagramOf(""), datagramOf("three")};
    CHECK(batch.send(client->get(), questions) == 3);
    REQUIRE(readable(server.get()));
    const auto came = batch.receive(server.get());
    REQUIRE(came.has_value());
    REQUIRE(came->size() == 3);
    CHECK(textOf((*came)[0]) == "one");
    CHECK((*came)[1].bytes.empty());
    CHECK(textOf((*came)[2]) == "three");
    for (const Datagram& each : *came) {
      CHECK(each.peer == localAddress(client->get()));
      CHECK(each.asked.ip() == asked);
    }
    // What came can be sent at once.
    CHECK(batch.sendTo(server.get(), *came, (*came)[0].peer, (*came)[0].asked) == 3);
    REQUIRE(readable(client->get()));
    const auto back = batch.receive(client->get());
    REQUIRE(back.has_value());
    CHECK(back->size() == 3);
    const auto nothing = batch.receive(client->get());
    REQUIRE_FALSE(nothing.has_value());
    CHECK(nothing.error() == EAGAIN);
  }
}

TEST_CASE("a connected socket learns that nobody is there, and the datagram that learns it stays") {
  SocketAddress gone;
  {
    const Fd once = at("127.0.0.1");
    gone = localAddress(once.get());
  }
  auto client = connectUdp(gone);
  REQUIRE(client.has_value());
  UdpBatch batch;
  const std::vector<Datagram> one{datagramOf("x")};
  CHECK(batch.send(client->get(), one) == 1);
  REQUIRE(readable(client->get()));
  const bool first_told = batch.send(client->get(), one) == 0;
  const int error = errno;
  CHECK(first_told);
  CHECK(isUnreachable(error));
  CHECK_FALSE(isUnreachable(EAGAIN));
  CHECK_FALSE(isUnreachable(EMSGSIZE));
}

TEST_CASE("a UDP port that another has is found busy, and named with what finds it") {
  const Fd first = at("127.0.0.1", true);
  const SocketAddress there = localAddress(first.get());
  const auto probed = probeUdp(there);
  REQUIRE_FALSE(probed.has_value());
  CHECK(probed.error().find("UDP port " + std::to_string(there.port()) +
                            " on 127.0.0.1 is in use") == 0);
  CHECK(probed.error().find("ss -lunp") != std::string::npos);
  CHECK_FALSE(bindUdp(there, false).has_value());
  CHECK(bindUdp(there, true).has_value());
}

TEST_CASE("the same number of UDP and of TCP are two ports") {
  // Somebody else may have one by chance, but not all of them.
  bool found = false;
  for (int tries = 0; tries < 20 && !found; ++tries) {
    const Fd udp = at("127.0.0.1", true);
    found = probeBind(localAddress(udp.get())).has_value();
  }
  CHECK(found);
}

TEST_CASE("what is longer than a datagram can be is refused, and what follows goes out") {
  const Fd server = at("127.0.0.1");
  auto client = connectUdp(localAddress(server.get()));
  REQUIRE(client.has_value());
  const std::string most(65507, 'x'), more(65508, 'x');
  UdpBatch batch;
  const std::vector<Datagram> all{datagramOf(most), datagramOf(more), datagramOf("after")};
  CHECK(batch.send(client->get(), all) == 1);
  const auto cannot = batch.send(client->get(), std::span(all).subspan(1));
  const int error = errno;
  CHECK(cannot == 0);
  CHECK(error == EMSGSIZE);
  CHECK(batch.send(client->get(), std::span(all).subspan(2)) == 1);
  REQUIRE(readable(server.get()));
  const auto came = batch.receive(server.get());
  REQUIRE(came.has_value());
  CHECK((*came)[0].bytes.size() == most.size());
}

}  // namespace
}  // namespace hyperway::net
