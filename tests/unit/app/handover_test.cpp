// SPDX-License-Identifier: Apache-2.0
#include "app/handover.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "net/socket.hpp"
#include "net/udp_socket.hpp"

using namespace hyperway;
using namespace hyperway::app;
using namespace std::chrono_literals;

namespace {

std::size_t openDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

net::Fd listening() {
  auto socket = net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), true, 16);
  REQUIRE(socket.has_value());
  return std::move(*socket);
}

std::uint16_t portOf(const net::Fd& socket) { return net::localAddress(socket.get()).port(); }

// `count` sockets that share a port, as one listener.
proxy::HandedListener group(std::size_t count) {
  proxy::HandedListener out;
  out.sockets.push_back(listening());
  out.bind = {"127.0.0.1", portOf(out.sockets.front())};
  while (out.sockets.size() < count) {
    auto more = net::listenTcp(*net::SocketAddress::parse("127.0.0.1", out.bind.port), true, 16);
    REQUIRE(more.has_value());
    out.sockets.push_back(std::move(*more));
  }
  return out;
}

// A Unix socket without a name that listens.
net::Fd unixListening() {
  net::Fd out{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(::bind(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)) == 0);
  REQUIRE(::listen(out.get(), 1) == 0);
  return out;
}

// What receiveSockets() says to one message of this text and descriptor, and the end behind it.
std::string refusal(const std::string& text, const net::Fd& fd, const std::string& end = "end 1") {
  const auto [from, to] = net::MessageSocket::pair();
  REQUIRE(from.send(text, {fd.get()}).has_value());
  (void)from.send(end);
  const auto got = receiveSockets(to, 1s);
  return got ? std::string() : got.error();
}

}  // namespace

TEST_CASE("All sockets arrive, those of an address in as many messages as it takes") {
  const auto [from, to] = net::MessageSocket::pair();
  HandedSockets out;
  out.listeners.push_back(group(3));
  out.listeners.push_back(group(300));
  net::Fd probes = listening(), loopback = listening();
  out.probes = {{"127.0.0.1", portOf(probes)}, std::move(probes)};
  out.loopback = {{"127.0.0.1", portOf(loopback)}, std::move(loopback)};
  out.admin_path = "/run/a path with spaces/admin.sock";
  out.admin_socket = unixListening();
  // The queue of a Unix socket is short.
  std::thread sender([&out, &from = from] { CHECK(sendSockets(from, out).has_value()); });
  const auto got = receiveSockets(to, 5s);
  sender.join();
  REQUIRE(got.has_value());
  std::size_t small = 0, large = 0;
  for (const auto& listener : got->listeners) {
    CHECK((listener.bind == out.listeners[0].bind || listener.bind == out.listeners[1].bind));
    (listener.bind == out.listeners[0].bind ? small : large) += listener.sockets.size();
  }
  CHECK(small == 3);
  CHECK(large == 300);
  CHECK(got->probes.bind == out.probes.bind);
  CHECK(portOf(got->probes.socket) == out.probes.bind.port);
  CHECK(got->loopback.bind == out.loopback.bind);
  CHECK(got->admin_path == out.admin_path);
  CHECK(got->admin_socket.get() >= 0);
}

TEST_CASE("UDP sockets arrive as such, also beside TCP ones of the same port") {
  const auto [from, to] = net::MessageSocket::pair();
  HandedSockets out;
  out.listeners.push_back(group(1));
  const std::uint16_t port = out.listeners[0].bind.port;
  const auto address = *net::SocketAddress::parse("127.0.0.1", port);
  proxy::HandedListener udp{{"127.0.0.1", port, true}, {}};
  for (int i = 0; i < 2; ++i) udp.sockets.push_back(*net::bindUdp(address, true));
  out.listeners.push_back(std::move(udp));
  REQUIRE(sendSockets(from, out).has_value());
  const auto got = receiveSockets(to, 5s);
  REQUIRE(got.has_value());
  REQUIRE(got->listeners.size() == 2);
  CHECK(got->listeners[0].bind == out.listeners[0].bind);
  CHECK(got->listeners[0].sockets.size() == 1);
  CHECK(got->listeners[1].bind == out.listeners[1].bind);
  CHECK(got->listeners[1].sockets.size() == 2);
  // One is never taken for the other.
  const std::string text = std::to_string(port) + " 127.0.0.1";
  CHECK(refusal("udp " + text, out.listeners[1].sockets[0]).empty());
  CHECK_FALSE(refusal("udp " + text, out.listeners[0].sockets[0]).empty());
  CHECK_FALSE(refusal("listener " + text, out.listeners[1].sockets[0]).empty());
}

TEST_CASE("Sockets that are not what they are said to be are refused, and closed") {
  const net::Fd socket = listening();
  const net::Fd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const net::Fd idle{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const std::string port = std::to_string(portOf(socket));
  const std::size_t before = openDescriptors();
  CHECK(refusal("listener " + port + " 127.0.0.1", socket).empty());
  for (const std::string& text :
       {std::string("listener"), std::string("listener "), "listener " + port,
        "listener " + port + " example.com", "listener " + port + " 127.0.0.1 more",
        std::string("listener 1 127.0.0.1"), std::string("listener 99999 127.0.0.1"),
        std::string("listener -1 127.0.0.1"), std::string("probes 1 127.0.0.1"),
        std::string("loopback"), std::string("socket"), std::string("socket ")}) {
    CAPTURE(text);
    CHECK(refusal(text, socket).find("is not what it says") != std::string::npos);
  }
  for (const net::Fd* wrong : {&null, &idle}) {
    CHECK_FALSE(refusal("listener " + port + " 127.0.0.1", *wrong).empty());
    CHECK_FALSE(refusal("probes " + port + " 127.0.0.1", *wrong).empty());
    CHECK_FALSE(refusal("socket /run/x", *wrong).empty());
  }
  CHECK(openDescriptors() == before);
}

TEST_CASE("Sockets count as complete only if none was lost on the way") {
  const net::Fd socket = listening();
  const std::string good = "listener " + std::to_string(portOf(socket)) + " 127.0.0.1";
  for (const char* end : {"end 2", "end 0", "end", "end x"}) {
    CAPTURE(end);
    CHECK(refusal(good, socket, end).find("1 sockets came") != std::string::npos);
  }
  CHECK(refusal(good, socket, "cancel not today") == "not today");
  const auto [from, to] = net::MessageSocket::pair();
  REQUIRE(from.send(good, {socket.get()}).has_value());
  CHECK(receiveSockets(to, 10ms).error() == "the other process says nothing");
}

TEST_CASE("Kinds of sockets that a later version hands over are closed, and nothing else happens") {
  const net::Fd socket = listening();
  const std::size_t before = openDescriptors();
  CHECK(refusal("datagram 53 127.0.0.1", socket).empty());
  CHECK(openDescriptors() == before);
}

TEST_CASE(
    "A process that nobody upgrades has no predecessor, and a wrong environment is an error") {
  ::unsetenv(kHandoverVariable);
  auto none = Successor::ofEnvironment();
  REQUIRE(none.has_value());
  CHECK(*none == nullptr);
  for (const char* value : {"", "x", "-1", "2", "987654", "3 "}) {
    CAPTURE(value);
    ::setenv(kHandoverVariable, value, 1);
    CHECK_FALSE(Successor::ofEnvironment().has_value());
    CHECK(::getenv(kHandoverVariable) == nullptr);  // nobody we start inherits it
  }
}

TEST_CASE("A successor says who it is, waits for go, and knows when the upgrade is off") {
  auto [ours, theirs] = net::MessageSocket::pair();
  Successor successor(std::move(theirs));
  REQUIRE(sendSockets(ours, {}).has_value());
  REQUIRE(successor.takeSockets("1.2.3", 1s).has_value());
  CHECK(ours.wait(1s)->text == "hello 1 " + std::to_string(::getpid()) + " 1.2.3");
  CHECK(successor.next() == Successor::Word::Nothing);
  SUBCASE("it is told to go") {
    successor.tellReady();
    CHECK(ours.wait(1s)->text == "ready");
    REQUIRE(ours.send("go").has_value());
    CHECK(successor.next() == Successor::Word::Go);
    CHECK(successor.takeLate().empty());
    successor.tellServing();
    CHECK(ours.wait(1s)->text == "serving");
    SUBCASE("and the old process closes its sockets") { REQUIRE(ours.send("closed").has_value()); }
    SUBCASE("and the old process is gone, which closes them, too") {
      { const net::MessageSocket gone = std::move(ours); }
    }
    CHECK(successor.next() == Successor::Word::Closed);
  }
  SUBCASE("it gets listeners that were opened meanwhile, and closes what is none") {
    std::vector<proxy::HandedListener> late;
    late.push_back(group(2));
    REQUIRE(sendListeners(ours, late).has_value());
    REQUIRE(ours.send("listener 1 127.0.0.1", {late.front().sockets.front().get()}).has_value());
    REQUIRE(ours.send("go").has_value());
    CHECK(successor.next() == Successor::Word::Nothing);
    CHECK(successor.next() == Successor::Word::Nothing);
    CHECK(successor.next() == Successor::Word::Go);
    const auto got = successor.takeLate();
    REQUIRE(got.size() == 1);
    CHECK(got.front().bind == late.front().bind);
    CHECK(got.front().sockets.size() == 2);
  }
  SUBCASE("it is cancelled") {
    REQUIRE(ours.send("cancel not today").has_value());
    CHECK(successor.next() == Successor::Word::End);
  }
  SUBCASE("the old process ends before it said go") {
    { const net::MessageSocket gone = std::move(ours); }
    CHECK(successor.next() == Successor::Word::End);
    CHECK(successor.descriptor() == -1);
  }
  SUBCASE("what is not understood is passed over") {
    REQUIRE(ours.send("tea?").has_value());
    CHECK(successor.next() == Successor::Word::Nothing);
  }
}
