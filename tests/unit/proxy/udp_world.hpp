// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "net/udp_socket.hpp"
#include "proxy/worker.hpp"
#include "route/compile.hpp"

/// A worker without a thread, that has a UDP listener; backends and clients are sockets of the
/// test.
namespace hyperway::proxy::udp_world {

/// A UDP socket of the test.
class Peer {
 public:
  /// On a port of its own.
  Peer() : fd_(*net::bindUdp(*net::SocketAddress::parse(ip(), 0), false)) {}

  /// Of this process alone: nobody else's socket gets a port of a peer that closed.
  static const std::string& ip() {
    static const std::string own = [] {
      const auto id = static_cast<unsigned>(::getpid());
      const auto byte = [id](unsigned shift) { return "." + std::to_string(id >> shift & 255); };
      return "127." + std::to_string(64 + (id >> 16 & 63)) + byte(8) + byte(0);
    }();
    return own;
  }
  [[nodiscard]] std::uint16_t port() const { return address_.port(); }
  [[nodiscard]] bool open() const { return static_cast<bool>(fd_); }
  /// Nobody is there any more.
  void close() { fd_.reset(); }
  /// Somebody is there again.
  void reopen() {
    if (!fd_) fd_ = *net::bindUdp(address_, false);
  }
  bool send(std::string_view bytes, const net::SocketAddress& to) const {
    return ::sendto(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL, to.data(), to.size()) ==
           static_cast<ssize_t>(bytes.size());
  }
  /// What has come, if anything has, and from whom.
  std::optional<std::string> take(net::SocketAddress* from = nullptr) const {
    char bytes[65536];
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    const ssize_t got = ::recvfrom(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT, address, &size);
    if (got < 0) return std::nullopt;
    if (from != nullptr) *from = net::SocketAddress::from(address, size);
    return std::string(bytes, static_cast<std::size_t>(got));
  }

 private:
  net::Fd fd_;
  net::SocketAddress address_ = net::localAddress(fd_.get());
};

/// The worker, with one listener and, unless told otherwise, one route to one Service.
class World {
 public:
  explicit World(ProxySettings settings = {}) : settings_(std::move(settings)) {
    environment_.settings = &settings_;
    environment_.reclaim = [](std::shared_ptr<const void>) {};
    worker_ = std::make_unique<Worker>(environment_, 0);
    auto socket = *net::bindUdp(*net::SocketAddress::parse("127.0.0.1", 0), true);
    address_ = net::localAddress(socket.get());
    socket_ = std::make_shared<const net::Fd>(std::move(socket));
    bind_ = {"127.0.0.1", address_.port(), true};
    route::Listener listener;
    listener.key = "ns/gw/udp";
    listener.protocol = route::Protocol::Udp;
    listener.port = 53;
    listener.binds = {bind_};
    route::ModelBatch batch;
    batch.listeners = {listener};
    apply(batch);
    open();
  }

  Worker& worker() { return *worker_; }
  observe::WorkerCounters& counters() { return worker_->counters(); }
  /// Where clients send to.
  [[nodiscard]] const net::SocketAddress& address() const { return address_; }
  void open() { worker_->openListener(0, bind_, {socket_}); }
  void close() { worker_->closeListener(0); }

  /// Service `name` has these backends.
  void service(const std::string& name, const std::vector<const Peer*>& backends) {
    route::Upstream upstream;
    upstream.key = "ns/" + name + ":53";
    for (const Peer* each : backends) upstream.endpoints.push_back({Peer::ip(), each->port()});
    route::ModelBatch batch;
    batch.upstreams = {upstream};
    apply(batch);
  }
  /// Route `name` leads to Services with weights; none: it goes.
  void route(const std::string& name,
             const std::vector<std::pair<std::string, std::uint32_t>>& services) {
    route::ModelBatch batch;
    if (services.empty()) batch.removed_routes = {"UDPRoute/ns/" + name};
    route::Rule rule;
    rule.id = "ns/" + name + "/0";
    for (const auto& [service, weight] : services)
      rule.backends.push_back({"ns/" + service + ":53", weight, {}, "ns", service, 53});
    route::Route made;
    made.kind = route::RouteKind::Udp;
    made.key = "UDPRoute/ns/" + name;
    made.attachments = {{"ns/gw/udp", {""}}};
    made.rules = std::make_shared<const std::vector<route::Rule>>(1, rule);
    if (!services.empty()) batch.routes = {made};
    apply(batch);
  }
  void apply(const route::ModelBatch& batch) {
    const route::Compiler::Outcome outcome = compiler_.apply(batch);
    for (const auto& [slot, model] : outcome.upstreams)
      worker_->adoptUpstream(slot->number(), model, nullptr);
    if (outcome.table) worker_->adoptTable(outcome.table);
  }
  /// Counters of the rule of a route.
  const observe::RuleCounters& rule(const std::string& name) {
    for (const auto& slot : compiler_.statsSlots().list())
      if (slot->key() == "UDPRoute/ns/" + name + "/0") return counters().rule(slot->number());
    return counters().other();
  }

  /// One turn, without waiting.
  void turn() { worker_->loop.turn(0); }
  /// Turns until `done`; false if that takes too long.
  bool until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      worker_->loop.turn(5);
    }
    return true;
  }
  /// What comes next to `peer`; "(nothing)" if that takes too long.
  std::string next(const Peer& peer, net::SocketAddress* from = nullptr) {
    std::optional<std::string> got;
    until([&] { return (got = peer.take(from)).has_value(); });
    return got.value_or("(nothing)");
  }

 private:
  ProxySettings settings_;
  WorkerEnvironment environment_;
  route::Compiler compiler_;
  net::SocketAddress address_;
  route::Bind bind_;
  ListeningSocket socket_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace hyperway::proxy::udp_world
