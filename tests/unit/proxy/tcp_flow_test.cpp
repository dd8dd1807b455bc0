// SPDX-License-Identifier: Apache-2.0
// TCP flows between sockets of this test: a worker without a thread, a table with one TCPRoute, and
// listening sockets that stand for backends.
#include "proxy/tcp_flow.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "proxy/proxy_header.hpp"
#include "proxy/worker.hpp"
#include "route/compile.hpp"

namespace hyperway::proxy {
namespace {

net::Fd listening() {
  return *net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), false, 64);
}

/// What a peer sees of its connection.
struct Seen {
  std::string bytes;
  bool ended = false;
  bool reset = false;
};

class World {
 public:
  /// `weights` of backends, each with a listening socket of its own; `ready` of them in use.
  explicit World(std::vector<std::uint32_t> weights = {1}) {
    settings_.flow_idle = std::chrono::milliseconds(400);
    settings_.upstream.connect = std::chrono::milliseconds(300);
    environment_.settings = &settings_;
    environment_.reclaim = [](std::shared_ptr<const void>) {};
    worker_ = std::make_unique<Worker>(environment_, 0);
    net::Fd front = listening();
    bind_ = {"127.0.0.1", net::localAddress(front.get()).port()};
    route::Listener listener;
    listener.key = "ns/gw/tcp";
    listener.protocol = route::Protocol::Tcp;
    listener.port = bind_.port;
    listener.binds = {bind_};
    batch_.full = true;
    batch_.listeners.push_back(listener);
    route::Rule rule;
    rule.id = "ns/r/0";
    for (const std::uint32_t weight : weights) {
      backends.push_back(listening());
      const std::string name = "b" + std::to_string(backends.size());
      route::Upstream upstream;
      upstream.key = "ns/" + name + ":80";
      upstream.endpoints = {{"127.0.0.1", portOf(backends.size() - 1)}};
      batch_.upstreams.push_back(upstream);
      rule.backends.push_back({upstream.key, weight, {}, "ns", name, 80});
    }
    route::Route route;
    route.kind = route::RouteKind::Tcp;
    route.key = "TCPRoute/ns/r";
    route.attachments.push_back({"ns/gw/tcp", {""}});
    route.rules = std::make_shared<const std::vector<route::Rule>>(std::vector<route::Rule>{rule});
    batch_.routes.push_back(route);
    front_ = std::make_shared<const net::Fd>(std::move(front));
  }

  /// Puts the batch in force, and begins to accept.
  Worker& start() {
    adopt();
    worker_->openListener(0, bind_, {front_});
    return *worker_;
  }
  /// Puts the batch in force.
  void adopt() {
    const route::Compiler::Outcome outcome = compiler_.apply(batch_);
    for (const auto& [slot, model] : outcome.upstreams)
      worker_->adoptUpstream(slot->number(), model, nullptr);
    worker_->adoptTable(outcome.table);
  }
  std::uint16_t portOf(std::size_t backend) const {
    return net::localAddress(backends[backend].get()).port();
  }
  /// Turns the loop until `done`; false if that takes too long.
  bool until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      worker_->loop.turn(5);
    }
    return true;
  }
  net::Fd connect() {
    net::Fd client = *net::connectTcp(*net::SocketAddress::parse(bind_.address, bind_.port));
    const std::uint64_t before = worker_->counters().accepted.get();
    REQUIRE(until([&] { return worker_->counters().accepted.get() > before; }));
    return client;
  }
  net::Fd accept(std::size_t backend = 0) {
    net::Fd connection;
    net::SocketAddress peer;
    REQUIRE(until([&] {
      auto accepted = net::acceptTcp(backends[backend].get(), peer);
      if (accepted) connection = std::move(*accepted);
      return static_cast<bool>(accepted);
    }));
    return connection;
  }
  /// Takes what is there.
  static void look(const net::Fd& peer, Seen& seen) {
    std::array<char, 65536> part;
    for (;;) {
      const ssize_t got = ::recv(peer.get(), part.data(), part.size(), MSG_DONTWAIT);
      if (got < 0) {
        seen.reset = seen.reset || (errno != EAGAIN && errno != EWOULDBLOCK);
        return;
      }
      if (got == 0) {
        seen.ended = true;
        return;
      }
      seen.bytes.append(part.data(), static_cast<std::size_t>(got));
    }
  }
  void say(const net::Fd& peer, std::string_view bytes) {
    REQUIRE(until([&] {
      const ssize_t put = ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
      return bytes.empty();
    }));
  }
  /// True once the peer has seen exactly that.
  bool sees(const net::Fd& peer, Seen& seen, std::string_view bytes) {
    return until([&] {
             look(peer, seen);
             return seen.bytes == bytes || seen.reset || seen.ended;
           }) &&
           seen.bytes == bytes;
  }
  bool seesEnd(const net::Fd& peer, Seen& seen) {
    return until([&] { return look(peer, seen), seen.ended || seen.reset; }) && seen.ended;
  }
  bool seesReset(const net::Fd& peer, Seen& seen) {
    return until([&] { return look(peer, seen), seen.ended || seen.reset; }) && seen.reset;
  }
  bool idle() {
    return until([&] { return worker_->busy() == 0; }) &&
           worker_->counters().upstream_connections.get() == 0 &&
           worker_->counters().flows.get() == 0;
  }
  Worker& worker() { return *worker_; }
  route::ModelBatch& batch() { return batch_; }
  ProxySettings& settings() { return settings_; }

  std::vector<net::Fd> backends;

 private:
  ProxySettings settings_;
  WorkerEnvironment environment_;
  route::Compiler compiler_;
  std::unique_ptr<Worker> worker_;
  std::shared_ptr<const net::Fd> front_;
  route::Bind bind_;
  route::ModelBatch batch_;
};

void reset(net::Fd& peer) {
  const linger at_once{1, 0};
  REQUIRE(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  peer.reset();
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 2654435761U) >> 13);
  return out;
}

/// True if the kernel asks after `peer` when it is silent: whether our end of its connection has
/// SO_KEEPALIVE. Ours are in this process, too.
bool isAskedAfter(const net::Fd& peer) {
  const net::SocketAddress address = net::localAddress(peer.get());
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_storage other;
    socklen_t size = sizeof other;
    auto* const at = reinterpret_cast<sockaddr*>(&other);
    if (::getpeername(fd, at, &size) != 0) continue;
    if (!(net::SocketAddress::from(at, size) == address)) continue;
    int on = 0;
    socklen_t on_size = sizeof on;
    return ::getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &on_size) == 0 && on != 0;
  }
  return false;
}

TEST_CASE("both ends of a flow are asked after when they are silent") {
  World world;
  world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  Seen at_client;
  world.say(backend, "up");
  REQUIRE(world.sees(client, at_client, "up"));
  CHECK(isAskedAfter(client));
  CHECK(isAskedAfter(backend));
}

TEST_CASE("a backend may speak first, and both ends pass one after the other") {
  for (const bool client_ends_first : {true, false}) {
    CAPTURE(client_ends_first);
    World world;
    world.start();
    net::Fd client = world.connect();
    net::Fd backend = world.accept();
    Seen at_client, at_backend;
    world.say(backend, "220 hello\r\n");
    CHECK(world.sees(client, at_client, "220 hello\r\n"));
    world.say(client, "ping");
    CHECK(world.sees(backend, at_backend, "ping"));
    net::Fd& first = client_ends_first ? client : backend;
    net::Fd& second = client_ends_first ? backend : client;
    Seen& at_first = client_ends_first ? at_client : at_backend;
    Seen& at_second = client_ends_first ? at_backend : at_client;
    REQUIRE(::shutdown(first.get(), SHUT_WR) == 0);
    CHECK(world.seesEnd(second, at_second));
    at_first.bytes.clear();
    world.say(second, "after the other's end");
    CHECK(world.sees(first, at_first, "after the other's end"));
    REQUIRE(::shutdown(second.get(), SHUT_WR) == 0);
    CHECK(world.seesEnd(first, at_first));
    CHECK(world.idle());
    const auto& rule = *world.worker().counters().peek(0);
    CHECK(rule.by_class[2].get() == 1);
    CHECK(world.worker().counters().upstream_connects.get() == 1);
  }
}

TEST_CASE("bytes arrive as they were sent, however many, both ways at once") {
  World world;
  world.settings().flow_idle = std::chrono::minutes(1);
  world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  const std::string up = pattern(5'000'001);
  const std::string down = pattern(7'000'003);
  std::string_view up_left = up, down_left = down;
  Seen at_client, at_backend;
  const auto step = [](const net::Fd& peer, std::string_view& left) {
    if (left.empty()) return;
    const ssize_t put = ::send(peer.get(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) left.remove_prefix(static_cast<std::size_t>(put));
    if (left.empty()) ::shutdown(peer.get(), SHUT_WR);
  };
  CHECK(world.until([&] {
    step(client, up_left);
    step(backend, down_left);
    World::look(client, at_client);
    World::look(backend, at_backend);
    return at_client.ended && at_backend.ended;
  }));
  CHECK(at_client.bytes == down);
  CHECK(at_backend.bytes == up);
  CHECK(world.idle());
}

TEST_CASE("who reads slowly is waited for, and little is kept meanwhile") {
  World world;
  world.settings().flow_idle = std::chrono::minutes(1);
  world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  const std::string block = pattern(1 << 20);
  // As much as fits into the kernel's buffers and ours; then nothing more is taken.
  std::size_t sent = 0;
  int silent = 0;
  while (silent < 20) {
    const std::size_t at = sent % block.size();
    const ssize_t put =
        ::send(backend.get(), block.data() + at, block.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) sent += static_cast<std::size_t>(put);
    silent = put > 0 ? 0 : silent + 1;
    REQUIRE(sent < (64U << 20));
    world.worker().loop.turn(1);
  }
  Seen at_client;
  ::shutdown(backend.get(), SHUT_WR);
  CHECK(world.seesEnd(client, at_client));
  REQUIRE(at_client.bytes.size() == sent);
  bool same = true;
  for (std::size_t at = 0; at < sent; at += block.size())
    same = same && std::string_view(at_client.bytes).substr(at, block.size()) ==
                       std::string_view(block).substr(0, std::min(block.size(), sent - at));
  CHECK(same);
}

TEST_CASE("what comes for a target that takes nothing wakes nobody") {
  World world;
  world.settings().flow_idle = std::chrono::minutes(1);
  world.start();
  const net::Fd client = world.connect();
  const net::Fd backend = world.accept();
  const std::string block = pattern(256 * 1024);
  constexpr std::chrono::milliseconds kWait{5};
  std::size_t sent = 0;
  int unheard = 0;  // turns that slept through their wait, though bytes had come
  while (unheard < 5) {
    const ssize_t put =
        ::send(backend.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    REQUIRE_MESSAGE((put > 0 || sent == 0), "all is full, and each byte was told of");
    if (put > 0) sent += static_cast<std::size_t>(put);
    const auto before = std::chrono::steady_clock::now();
    world.worker().loop.turn(static_cast<int>(kWait.count()));
    if (put > 0 && std::chrono::steady_clock::now() - before >= kWait) ++unheard;
  }
  ::shutdown(backend.get(), SHUT_WR);
  Seen at_client;
  CHECK(world.seesEnd(client, at_client));
  CHECK(at_client.bytes.size() == sent);
}

TEST_CASE("a reset is passed on as a reset, from either side") {
  for (const bool by_client : {true, false}) {
    CAPTURE(by_client);
    World world;
    world.start();
    net::Fd client = world.connect();
    net::Fd backend = world.accept();
    Seen at_client, at_backend;
    world.say(client, "a");
    CHECK(world.sees(backend, at_backend, "a"));
    if (by_client) {
      reset(client);
      CHECK(world.seesReset(backend, at_backend));
    } else {
      reset(backend);
      CHECK(world.seesReset(client, at_client));
      CHECK(world.worker().counters().upstream_broken.get() == 1);
    }
    CHECK(world.idle());
  }
}

TEST_CASE("what a backend said before its reset still arrives") {
  World world;
  world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  Seen at_client;
  world.say(client, "unread");  // so that closing resets
  world.worker().loop.turn(50);
  REQUIRE(::send(backend.get(), "bye", 3, MSG_NOSIGNAL) == 3);
  backend.reset();
  CHECK(world.seesReset(client, at_client));
  CHECK(at_client.bytes == "bye");
}

TEST_CASE("a flow without a backend is reset at once, and counted for its rule") {
  enum class Lack { Weight, Backends, Endpoints, Route, Reference };
  for (const Lack lack :
       {Lack::Weight, Lack::Backends, Lack::Endpoints, Lack::Route, Lack::Reference}) {
    CAPTURE(static_cast<int>(lack));
    World world;
    auto& route = world.batch().routes.front();
    auto rules = *route.rules;
    switch (lack) {
      case Lack::Weight: rules[0].backends[0].weight = 0; break;
      case Lack::Backends: rules[0].backends.clear(); break;
      case Lack::Endpoints: world.batch().upstreams[0].endpoints.clear(); break;
      case Lack::Route: world.batch().routes.clear(); break;
      case Lack::Reference: rules[0].backends[0].upstream.clear(); break;
    }
    if (lack != Lack::Route) route.rules = std::make_shared<const std::vector<route::Rule>>(rules);
    Worker& worker = world.start();
    net::Fd client = world.connect();
    Seen at_client;
    CHECK(world.seesReset(client, at_client));
    CHECK(world.idle());
    if (lack == Lack::Route)
      CHECK(worker.counters().no_route.get() == 1);
    else
      CHECK(worker.counters().peek(0)->by_class[5].get() == 1);
  }
}

TEST_CASE("an endpoint that refuses is passed over, and ejected") {
  World world;
  net::Fd gone = listening();
  const std::uint16_t dead = net::localAddress(gone.get()).port();
  gone.reset();
  auto& endpoints = world.batch().upstreams[0].endpoints;
  endpoints.push_back({"127.0.0.1", dead});
  std::sort(endpoints.begin(), endpoints.end());
  Worker& worker = world.start();
  for (int i = 0; i < 4; ++i) {
    net::Fd client = world.connect();
    net::Fd backend = world.accept();
    Seen at_client;
    world.say(backend, "here");
    CHECK(world.sees(client, at_client, "here"));
  }
  CHECK(worker.counters().ejections.get() == 1);
  CHECK(worker.counters().upstream_failures.get() == 1);
  CHECK(worker.counters().peek(0)->retries.get() == 1);
}

TEST_CASE("where every endpoint refuses, the client is reset after three attempts") {
  World world;
  world.backends[0].reset();
  Worker& worker = world.start();
  net::Fd client = world.connect();
  Seen at_client;
  CHECK(world.seesReset(client, at_client));
  CHECK(worker.counters().upstream_connects.get() == 3);
  CHECK(world.idle());
}

TEST_CASE("weights decide over whole connections") {
  World world({3, 1, 0});
  world.start();
  std::array<int, 3> taken{};
  for (int i = 0; i < 60; ++i) {
    const net::Fd client = world.connect();
    net::SocketAddress peer;
    REQUIRE(world.until([&] {
      for (std::size_t b = 0; b < taken.size(); ++b)
        if (net::acceptTcp(world.backends[b].get(), peer)) return ++taken[b], true;
      return false;
    }));
  }
  CHECK(taken[0] > 30);
  CHECK(taken[1] > 3);
  CHECK(taken[2] == 0);
}

TEST_CASE("a silent flow ends, one with bytes in either direction lives") {
  World world;
  Worker& worker = world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  Seen at_client, at_backend;
  const auto begin = std::chrono::steady_clock::now();
  std::string said;
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(900)) {
    world.say(backend, "x");
    said += 'x';
    REQUIRE(world.sees(client, at_client, said));
    worker.loop.turn(100);
  }
  CHECK(world.seesReset(backend, at_backend));
  CHECK(world.seesReset(client, at_client));
  CHECK(worker.counters().peek(0)->by_class[0].get() == 1);
  CHECK(world.idle());
}

TEST_CASE("a flow outlives its table, its route and its listener, and ends with the drain") {
  World world;
  world.settings().flow_idle = std::chrono::minutes(1);
  Worker& worker = world.start();
  net::Fd client = world.connect();
  net::Fd backend = world.accept();
  Seen at_client, at_backend;
  world.batch().routes.clear();
  world.batch().upstreams.clear();
  world.batch().listeners.clear();
  world.adopt();
  worker.closeListener(0);
  // The pin on the old table is traded within a second or so.
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(1200))
    worker.loop.turn(100);
  world.say(client, "still");
  CHECK(world.sees(backend, at_backend, "still"));
  worker.drain();
  world.say(backend, "here");
  CHECK(world.sees(client, at_client, "here"));
  worker.killAll();
  CHECK(world.seesReset(client, at_client));
  CHECK(world.seesReset(backend, at_backend));
  CHECK(world.idle());
}

TEST_CASE("a backend that asks for it learns who the client is, before anything else") {
  for (const route::ProxyHeader version : {route::ProxyHeader::V1, route::ProxyHeader::V2}) {
    World world;
    world.batch().upstreams[0].proxy_header = version;
    world.start();
    net::Fd client = world.connect();
    world.say(client, "ping");
    net::Fd backend = world.accept();
    char header[107];
    const std::size_t size = writeProxyHeader(
        version, net::localAddress(client.get()),
        *net::SocketAddress::parse("127.0.0.1", world.batch().listeners[0].port), header);
    Seen at_backend;
    CHECK(world.sees(backend, at_backend, std::string(header, size) + "ping"));
  }
}

TEST_CASE("a client that goes while its backend is on the way costs the endpoint nothing") {
  World world;
  // A queue that is full: connections to it stay on the way.
  world.backends[0] = *net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), false, 0);
  world.batch().upstreams[0].endpoints = {{"127.0.0.1", world.portOf(0)}};
  std::vector<net::Fd> fillers;
  for (int i = 0; i < 4; ++i)
    fillers.push_back(*net::connectTcp(*net::SocketAddress::parse("127.0.0.1", world.portOf(0))));
  Worker& worker = world.start();
  net::Fd client = world.connect();
  reset(client);
  CHECK(world.idle());
  CHECK(worker.counters().ejections.get() == 0);
  CHECK(worker.counters().upstream_connects.get() == 1);
  CHECK(worker.counters().peek(0)->by_class[0].get() == 1);  // nor is it the rule's failure

  net::Fd other = world.connect();
  Seen at_other;
  CHECK(world.seesReset(other, at_other));  // after three times the time for connecting
  CHECK(worker.counters().upstream_connects.get() == 4);
  CHECK(worker.counters().ejections.get() == 3);
}

}  // namespace
}  // namespace hyperway::proxy
