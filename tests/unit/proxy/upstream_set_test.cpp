// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/upstream_set.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "net/socket.hpp"

namespace hyperway::proxy {
namespace {

/// Waits for an answer that never comes.
class Waiting final : public codec::ResponseEvents {
 public:
  Waiting() = default;
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {  // a link of HTTP/2 is in our memory
    if (link != nullptr) link->cancel();
  }
  http::ResponseHead& responseHead() noexcept override { return head_; }
  Arena& arena() noexcept override { return arena_; }
  http::HeaderMap& responseTrailers() noexcept override { return trailers_; }
  void onInterimResponse() noexcept override {}
  void onResponseHead(bool) noexcept override {}
  void onResponseBody(std::span<char>, bool) noexcept override {}
  void onResponseTrailers(http::HeaderMap&) noexcept override {}
  void onResponseFlush() noexcept override {}
  void onResponseBroken(codec::Broken, http::HttpError) noexcept override {
    broken = true;
    link = nullptr;
  }
  void onUpstreamDrained() noexcept override {}
  void onResponseRaw() noexcept override {}

  codec::ClientLink* link = nullptr;
  bool broken = false;

 private:
  std::array<std::byte, 4096> block_;
  Arena arena_{block_};
  http::ResponseHead head_{arena_};
  http::HeaderMap trailers_{arena_};
};

/// A set with one upstream, whose endpoint is a socket that listens and says nothing.
struct Fixture {
  Fixture(route::UpstreamProtocol protocol) {
    const auto any = net::SocketAddress::parse("127.0.0.1", 0);
    auto opened = net::listenTcp(*any, false, 64);
    REQUIRE(opened);
    listener = std::move(*opened);
    auto upstream = std::make_shared<route::Upstream>();
    upstream->protocol = protocol;
    upstream->endpoints = {{"127.0.0.1", net::localAddress(listener.get()).port()}};
    set.adopt(0, upstream, nullptr);
    model = upstream;
  }
  ~Fixture() {
    set.closeAll();
    loop.turn(0);
  }

  void connect(Waiting& waiting) {
    EndpointState* const endpoint = set.choose(0, 0, nullptr);
    REQUIRE(endpoint != nullptr);
    waiting.link = set.connect(*endpoint, waiting, false, {});
    REQUIRE(waiting.link != nullptr);
  }
  EndpointReport report() {
    std::vector<EndpointReport> out;
    set.report(0, 1, out);
    REQUIRE(out.size() == 1);
    return out[0];
  }

  net::EventLoop loop;
  codec::BlockPool pool;
  std::array<char, 4096> scratch;
  http::H1Limits limits;
  codec::ClientTimeouts timeouts;
  observe::WorkerCounters counters;
  tls::SharedBuffers tls;
  UpstreamSet set{loop, pool, scratch, limits, timeouts, counters, tls};
  net::Fd listener;
  std::shared_ptr<const route::Upstream> model;
};

}  // namespace

TEST_CASE("proxy: exchanges of HTTP/2 share a connection, those of HTTP/1 have one each") {
  for (const bool http2 : {true, false}) {
    CAPTURE(http2);
    Fixture fixture(http2 ? route::UpstreamProtocol::Http2 : route::UpstreamProtocol::Http1);
    Waiting one, two, three;
    for (Waiting* waiting : {&one, &two, &three}) fixture.connect(*waiting);
    CHECK(fixture.counters.upstream_connections.get() == (http2 ? 1 : 3));
    CHECK(fixture.report().active == 3);
    one.link->cancel();
    two.link->cancel();
    CHECK(fixture.report().active == 1);
    three.link->cancel();
    one.link = two.link = three.link = nullptr;
    CHECK(fixture.report().active == 0);
    CHECK(fixture.report().idle == (http2 ? 1 : 0));
  }
}

TEST_CASE("proxy: a connection of HTTP/2 that takes no more gets another one beside it") {
  Fixture fixture(route::UpstreamProtocol::Http2);
  std::vector<std::unique_ptr<Waiting>> many;
  for (int i = 0; i < 101; ++i) {  // 100 before the backend has said how many
    many.push_back(std::make_unique<Waiting>());
    fixture.connect(*many.back());
  }
  CHECK(fixture.counters.upstream_connections.get() == 2);
  CHECK(fixture.report().active == 101);
  fixture.set.closeAll();
  for (const auto& waiting : many) CHECK(waiting->broken);
  CHECK(fixture.counters.upstream_connections.get() == 0);
  CHECK(fixture.report().active == 0);
}

TEST_CASE(
    "proxy: a new connection of HTTP/2 is asked for no more than the backend allowed before") {
  Fixture fixture(route::UpstreamProtocol::Http2);
  std::array<Waiting, 5> all;
  fixture.connect(all[0]);
  fixture.loop.turn(1000);  // until it is up
  const net::Fd backend(::accept(fixture.listener.get(), nullptr, nullptr));
  constexpr std::string_view kTwoStreams("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\2", 15);
  REQUIRE(::send(backend.get(), kTwoStreams.data(), kTwoStreams.size(), MSG_NOSIGNAL) == 15);
  EndpointState& endpoint = *fixture.set.choose(0, 0, nullptr);
  for (int i = 0; i < 100 && endpoint.allowed == 0; ++i) fixture.loop.turn(10);
  CHECK(endpoint.allowed == 2);
  for (std::size_t i = 1; i < all.size(); ++i) fixture.connect(all[i]);
  CHECK(fixture.counters.upstream_connections.get() == 3);
}

TEST_CASE("proxy: an endpoint that leaves keeps its connections until their exchanges are over") {
  Fixture fixture(route::UpstreamProtocol::Http2);
  Waiting one;
  fixture.connect(one);
  auto gone = std::make_shared<route::Upstream>(*fixture.model);
  gone->endpoints.clear();
  fixture.set.adopt(0, gone, nullptr);
  CHECK_FALSE(one.broken);
  CHECK(fixture.counters.upstream_connections.get() == 1);
  std::exchange(one.link, nullptr)->cancel();
  CHECK(fixture.counters.upstream_connections.get() == 0);
}

TEST_CASE("proxy: an endpoint that leaves, is asked for by a session and leaves again goes once") {
  Fixture fixture(route::UpstreamProtocol::Http1);
  Waiting one;
  fixture.connect(one);
  EndpointState& endpoint = *fixture.set.choose(0, 0, nullptr);
  auto draining = std::make_shared<route::Upstream>(*fixture.model);
  draining->draining = std::exchange(draining->endpoints, {});
  auto gone = std::make_shared<route::Upstream>(*draining);
  gone->draining.clear();
  for (int round = 0; round < 2; ++round) {
    fixture.set.adopt(0, draining, nullptr);
    CHECK(fixture.set.find(0, 0, endpoint.address) == &endpoint);
    fixture.set.adopt(0, gone, nullptr);
    CHECK(fixture.set.leaving() == 1);
  }
  std::exchange(one.link, nullptr)->cancel();
  fixture.set.adopt(0, gone, nullptr);
  CHECK(fixture.set.leaving() == 0);
}

TEST_CASE("proxy: who gives up waiting for a connection says nothing of its endpoint") {
  for (const bool http2 : {true, false}) {
    CAPTURE(http2);
    Fixture fixture(http2 ? route::UpstreamProtocol::Http2 : route::UpstreamProtocol::Http1);
    EndpointState& endpoint = *fixture.set.choose(0, 0, nullptr);
    fixture.set.late(endpoint);
    fixture.set.late(endpoint);
    CHECK(endpoint.failures == 1);
    Waiting one;
    fixture.connect(one);
    CHECK_FALSE(one.link->connected());
    std::exchange(one.link, nullptr)->cancel();
    CHECK(endpoint.failures == 1);
    Waiting other;
    fixture.connect(other);
    for (int i = 0; i < 100 && !other.link->connected(); ++i) fixture.loop.turn(10);
    CHECK(other.link->connected());
    std::exchange(other.link, nullptr)->cancel();
    CHECK(endpoint.failures == 0);
  }
}

TEST_CASE("proxy: what is spoken to an address keeps its connections apart") {
  Fixture fixture(route::UpstreamProtocol::Http2);
  auto other = std::make_shared<route::Upstream>(*fixture.model);
  other->protocol = route::UpstreamProtocol::Http1;
  fixture.set.adopt(1, other, nullptr);
  CHECK(fixture.set.choose(0, 0, nullptr) != fixture.set.choose(1, 0, nullptr));
}

}  // namespace hyperway::proxy
