// SPDX-License-Identifier: Apache-2.0
#include "proxy/udp_flows.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "udp_world.hpp"

namespace hyperway::proxy {
namespace {

using namespace std::chrono_literals;
using udp_world::Peer;
using udp_world::World;

/// One question and its answer; where the backend saw it come from.
net::SocketAddress exchange(World& world, const Peer& client, const Peer& backend,
                            const std::string& text) {
  CHECK(client.send(text, world.address()));
  net::SocketAddress from;
  CHECK(world.next(backend, &from) == text);
  CHECK(backend.send("re:" + text, from));
  net::SocketAddress asked;
  CHECK(world.next(client, &asked) == "re:" + text);
  CHECK(asked == world.address());
  return from;
}

TEST_CASE("A client's datagrams go to one backend from one address, and answers come back") {
  World world;
  Peer a, b, one, two;
  world.service("s", {&a, &b});
  world.route("r", {{"s", 1}});
  CHECK(one.send("1", world.address()));
  net::SocketAddress from;
  CHECK(world.until([&] { return world.counters().udp_sessions.get() == 1; }));
  Peer& first = a.take(&from) ? a : b;
  if (&first == &b) CHECK(b.take(&from).has_value());
  Peer& second = &first == &a ? b : a;
  for (int i = 0; i < 5; ++i)
    CHECK(exchange(world, one, first, "again " + std::to_string(i)) == from);
  // The next client has the next endpoint.
  CHECK_FALSE(exchange(world, two, second, "2") == from);
  CHECK(world.counters().udp_sessions.get() == 2);
  CHECK(world.counters().udp_received.get() == 7);
  CHECK(world.counters().udp_sent.get() == 6);
  CHECK(world.counters().udp_dropped.get() == 0);
}

TEST_CASE("What no rule, no weight or no endpoint takes is dropped and counted for its rule") {
  World world;
  Peer client, backend;
  const auto dropped = [&](std::uint64_t count) {
    CHECK(client.send("x", world.address()));
    CHECK(world.until([&] { return world.counters().udp_dropped.get() == count; }));
  };
  dropped(1);
  CHECK(world.counters().no_route.get() == 1);
  world.route("r", {{"s", 0}});
  dropped(2);
  world.route("r", {{"s", 1}});
  dropped(3);
  CHECK(world.rule("r").by_class[5].get() == 2);
  world.service("s", {&backend});
  exchange(world, client, backend, "x");
  CHECK(world.counters().udp_dropped.get() == 3);
}

TEST_CASE("A silent session ends, and counts as served") {
  ProxySettings settings;
  settings.udp_idle = 30ms;
  World world(settings);
  Peer client, backend;
  world.service("s", {&backend});
  world.route("r", {{"s", 1}});
  const auto from = exchange(world, client, backend, "x");
  CHECK(world.until([&] { return world.counters().udp_sessions.get() == 0; }));
  CHECK(world.rule("r").by_class[2].get() == 1);
  CHECK(world.rule("r").bytes_sent.get() == 4);
  CHECK_FALSE(exchange(world, client, backend, "y") == from);
}

TEST_CASE("The least recently used session makes room for a new one") {
  ProxySettings settings;
  settings.udp_sessions = 2;
  World world(settings);
  Peer a, b, c, backend;
  world.service("s", {&backend});
  world.route("r", {{"s", 1}});
  const auto from_a = exchange(world, a, backend, "a");
  const auto from_b = exchange(world, b, backend, "b");
  CHECK(exchange(world, a, backend, "a") == from_a);
  exchange(world, c, backend, "c");
  CHECK(world.counters().udp_sessions.get() == 2);
  CHECK(world.counters().udp_evicted.get() == 1);
  CHECK(exchange(world, a, backend, "a") == from_a);
  CHECK_FALSE(exchange(world, b, backend, "b") == from_b);
}

TEST_CASE("An endpoint that ICMP says is not there is passed over, and the next datagram arrives") {
  World world;
  Peer good, bad, client;
  world.service("s", {&bad});
  world.route("r", {{"s", 1}});
  const auto from = exchange(world, client, bad, "x");
  world.service("s", {&good, &bad});
  bad.close();
  CHECK(client.send("lost", world.address()));
  CHECK(world.until([&] { return world.counters().udp_sessions.get() == 0; }));
  CHECK(world.counters().ejections.get() == 1);
  CHECK_FALSE(exchange(world, client, good, "y") == from);
}

TEST_CASE("What ICMP said of an earlier datagram does not cost the one that learns of it") {
  World world;
  Peer good, bad, client;
  world.service("s", {&bad});
  world.route("r", {{"s", 1}});
  exchange(world, client, bad, "x");
  world.service("s", {&good, &bad});
  bad.close();
  // Both are there before the worker looks: the second send() is told of the first one's fate.
  CHECK(client.send("lost", world.address()));
  world.turn();
  CHECK(client.send("found", world.address()));
  CHECK(world.next(good) == "found");
}

TEST_CASE("A session keeps its endpoint while the Service lists it, and no longer") {
  World world;
  Peer a, b, client;
  world.service("s", {&a});
  world.route("r", {{"s", 1}});
  const auto from = exchange(world, client, a, "1");
  world.service("s", {&a, &b});
  for (int i = 0; i < 4; ++i) CHECK(exchange(world, client, a, "2") == from);
  world.service("s", {&b});
  exchange(world, client, b, "3");
  CHECK(world.counters().udp_begun.get() == 2);
  CHECK(world.counters().udp_sessions.get() == 1);
}

TEST_CASE("A route that changes keeps the sessions whose Service it still names") {
  World world;
  Peer a, b, client;
  world.service("a", {&a});
  world.service("b", {&b});
  world.route("r", {{"a", 1}});
  const auto from = exchange(world, client, a, "1");
  world.route("r", {{"a", 1}, {"b", 1000000}});
  CHECK(exchange(world, client, a, "2") == from);
  world.route("r", {{"a", 0}, {"b", 1}});
  exchange(world, client, b, "3");
  // An older route with another key wins.
  world.route("q", {{"a", 1}});
  exchange(world, client, a, "4");
  world.route("q", {});
  exchange(world, client, b, "5");
  world.route("r", {});
  CHECK(client.send("6", world.address()));
  CHECK(world.until([&] { return world.counters().udp_dropped.get() == 1; }));
  CHECK(world.counters().udp_sessions.get() == 0);
}

TEST_CASE("A listener that goes takes its sessions with it; in a drain they deliver answers") {
  World world;
  Peer backend, client;
  world.service("s", {&backend});
  world.route("r", {{"s", 1}});
  exchange(world, client, backend, "1");
  world.close();
  CHECK(world.counters().udp_sessions.get() == 0);
  CHECK(world.worker().busy() == 0);
  world.open();
  const auto from = exchange(world, client, backend, "2");
  world.worker().drain();
  world.close();
  CHECK(world.worker().busy() == 1);
  CHECK(backend.send("late", from));
  CHECK(world.next(client) == "late");
  world.worker().killAll();
  CHECK(world.worker().busy() == 0);
}

TEST_CASE("Datagrams of any size go through, the empty one too") {
  World world;
  Peer backend, client;
  world.service("s", {&backend});
  world.route("r", {{"s", 1}});
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1473}, std::size_t{65504}})
    exchange(world, client, backend, std::string(size, 'x'));
  // An answer that is longer than any datagram never came to be; one of the greatest length does.
  CHECK(world.counters().udp_dropped.get() == 0);
}

TEST_CASE(
    "Many datagrams of several clients in one turn stay in their order and with their client") {
  World world;
  Peer backend, one, two;
  world.service("s", {&backend});
  world.route("r", {{"s", 1}});
  for (int i = 0; i < 40; ++i)
    CHECK((i % 4 == 3 ? two : one).send(std::to_string(i), world.address()));
  std::vector<int> next(2, 0);
  net::SocketAddress from, first;
  for (int i = 0; i < 40; ++i) {
    const int number = std::stoi(world.next(backend, &from));
    if (i == 0) first = from;
    CHECK((number % 4 == 3) == !(from == first));
    int& least = next[number % 4 == 3];
    CHECK(number >= least);
    least = number + 1;
  }
}

}  // namespace
}  // namespace hyperway::proxy
