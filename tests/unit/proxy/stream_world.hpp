// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "proxy/worker.hpp"
#include "route/compile.hpp"

namespace hyperway::proxy::stream_world {

/// One stream of the test codec: takes what its credits allow, queues the rest.
class CreditLink final : public codec::ServerLink {
 public:
  explicit CreditLink(std::size_t credits) : credits_(credits) { info_.bind = 0; }

  void grant(std::size_t credits) {
    credits_ += credits;
    const bool waited = blocked_ || !queue_.empty();
    blocked_ = false;
    move();
    if (waited && queue_.empty() && events != nullptr) events->onClientDrained();
  }

  void sendContinue() noexcept override {}
  void sendInterim(const http::ResponseHead&) noexcept override {}
  void sendHead(http::ResponseHead& head, bool end) noexcept override {
    status = head.status;
    framing = head.framing.kind;
    if (const http::Field* field = head.fields.find("set-cookie")) cookie = field->value();
    complete = end;
  }
  void sendBody(std::string_view data, bool end) noexcept override {
    queue_.append(data);
    most_queued = std::max(most_queued, queue_.size());
    ended_ = end;
    move();
  }
  void sendTrailers(const http::HeaderMap&) noexcept override { complete = true; }
  void abort() noexcept override { aborted = true; }
  void flush() noexcept override {
    move();
    blocked_ = !queue_.empty();  // as the codec of HTTP/1: nothing gathered, nobody waits
  }
  std::size_t queued() const noexcept override { return queue_.size(); }
  void setReading(bool on) noexcept override { reading = on; }
  void streamDone() noexcept override { events = nullptr; }
  const codec::ConnectionInfo& connection() const noexcept override { return info_; }
  bool canSpliceResponse() const noexcept override { return splices && queue_.empty(); }
  std::size_t spliceResponse(int pipe, std::size_t size, bool end) noexcept override {
    std::string bytes(std::min(size, credits_), '\0');
    CHECK(::read(pipe, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    received.append(bytes);
    credits_ -= bytes.size();
    blocked_ = bytes.size() < size;
    complete = end && !blocked_;
    return bytes.size();
  }
  std::uint64_t spliceableRequest() const noexcept override { return upload; }
  void beginSpliceRequest() noexcept override {}
  codec::SpliceResult spliceRequest(int pipe, std::size_t size) noexcept override {
    const std::string bytes(std::min<std::size_t>({size, upload, 64 * 1024}), 'x');
    CHECK(::write(pipe, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    upload -= bytes.size();
    return {bytes.size(), upload == 0};
  }

  codec::RequestEvents* events = nullptr;
  std::uint16_t status = 0;
  http::BodyKind framing = http::BodyKind::None;
  std::string cookie;  // the answer's Set-Cookie
  std::string received;
  std::size_t most_queued = 0;
  bool complete = false;
  bool aborted = false;
  bool reading = true;
  bool splices = false;    // takes what is spliced, as far as its credits go
  std::size_t upload = 0;  // bytes of the request body that can be spliced

 private:
  void move() {
    const std::size_t size = std::min(credits_, queue_.size());
    received.append(queue_, 0, size);
    queue_.erase(0, size);
    credits_ -= size;
    complete = ended_ && queue_.empty();
  }

  codec::ConnectionInfo info_;
  std::string queue_;
  std::size_t credits_;
  bool ended_ = false;
  bool blocked_ = false;
};

/// A worker without a thread, a table with one route, and a listening socket that stands for the
/// backend.
class World {
 public:
  /// `change` may put more into the model: the rule becomes that of its only route.
  explicit World(const std::function<void(route::ModelBatch&, route::Rule&)>& change = nullptr)
      : backend_(*net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), false, 8)) {
    environment_.settings = &settings_;
    environment_.reclaim = [](std::shared_ptr<const void>) {};
    worker_ = std::make_unique<Worker>(environment_, 0);
    net::Fd front = *net::listenTcp(*net::SocketAddress::parse("127.0.0.1", 0), false, 8);
    front_ = net::localAddress(front.get());
    const route::Bind bind{"127.0.0.1", front_.port()};
    route::ModelBatch batch;
    batch.full = true;
    batch.listeners.push_back(
        {"ns/gw/http", route::Protocol::Http, bind.port, {bind}, "", false, {}});
    route::Upstream upstream;
    upstream.key = "ns/b:80";
    upstream.endpoints = {{"127.0.0.1", net::localAddress(backend_.get()).port()}};
    batch.upstreams.push_back(upstream);
    route::Rule rule;
    rule.id = "ns/r/0";
    rule.matches.emplace_back();
    rule.backends.push_back({"ns/b:80", 1, {}, "ns", "b", 80});
    if (change) change(batch, rule);
    route::Route route;
    route.key = "HTTPRoute/ns/r";
    route.attachments.push_back({"ns/gw/http", {""}});
    route.rules = std::make_shared<const std::vector<route::Rule>>(std::vector<route::Rule>{rule});
    route_ = route;
    batch.routes.push_back(route);
    const route::Compiler::Outcome outcome = compiler_.apply(batch);
    for (const auto& [slot, model] : outcome.upstreams)
      worker_->adoptUpstream(slot->number(), model, nullptr);
    worker_->adoptTable(outcome.table);
    worker_->openListener(0, bind, {std::make_shared<const net::Fd>(std::move(front))});
  }

  Worker& worker() { return *worker_; }

  /// Another table with the same route; the one before dies at once if nobody has it pinned.
  void replaceTable() {
    route::ModelBatch batch;
    batch.routes.push_back(route_);
    batch.routes.back().created = ++edition_;
    worker_->adoptTable(compiler_.apply(batch).table);
  }

  /// A request that is complete with its head, or of which `length` bytes follow.
  void open(CreditLink& link, std::string_view path, std::string_view cookie = {},
            std::size_t length = 0) {
    link.events = worker_->openStream(link);
    http::RequestHead& head = link.events->requestHead();
    head.method = length == 0 ? "GET" : "POST";
    head.method_id = length == 0 ? http::Method::Get : http::Method::Post;
    head.authority = head.host = "a.test";
    head.path = path;
    if (length != 0) head.framing = {http::BodyKind::Length, length};
    if (!cookie.empty()) head.fields.add("cookie", cookie);
    link.events->onRequestHead(length == 0);
    if (link.events != nullptr) link.events->onRequestFlush();
  }

  /// Turns the loop until `done`; false if that takes too long.
  bool until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      worker_->loop.turn(10);
    }
    return true;
  }

  /// The backend's end of the next connection, with the request read.
  net::Fd accept(std::string& request) {
    net::Fd connection;
    CHECK(until([&] {
      connection = net::Fd(::accept4(backend_.get(), nullptr, nullptr, SOCK_NONBLOCK));
      return static_cast<bool>(connection);
    }));
    CHECK(until([&] {
      char bytes[4096];
      const ssize_t got = ::recv(connection.get(), bytes, sizeof bytes, 0);
      if (got > 0) request.append(bytes, static_cast<std::size_t>(got));
      return request.find("\r\n\r\n") != std::string::npos;
    }));
    return connection;
  }

  /// A client of the HTTP/1 codec.
  net::Fd connect() {
    net::Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::connect(client.get(), front_.data(), front_.size());
    return client;
  }

  /// Reads what is there now; false at the end.
  static bool read(const net::Fd& fd, std::string& to) {
    char bytes[64 * 1024];
    for (;;) {
      const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, 0);
      if (got <= 0) return got < 0 && errno == EAGAIN;
      to.append(bytes, static_cast<std::size_t>(got));
    }
  }

  /// Writes all that the socket takes now; returns how much.
  static std::size_t write(const net::Fd& fd, std::string_view bytes) {
    const ssize_t put = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return put > 0 ? static_cast<std::size_t>(put) : 0;
  }

 private:
  ProxySettings settings_;
  WorkerEnvironment environment_;
  route::Compiler compiler_;
  route::Route route_;
  std::int64_t edition_ = 0;
  net::Fd backend_;
  net::SocketAddress front_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace hyperway::proxy::stream_world
