// SPDX-License-Identifier: Apache-2.0
#include "proxy/stream.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "proxy/session_token.hpp"
#include "stream_world.hpp"

namespace hyperway::proxy {
namespace {

using stream_world::CreditLink;
using stream_world::World;

constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A filter whose hooks are scripted.
class ScriptedFilter final : public FilterBinding {
 public:
  explicit ScriptedFilter(std::uint32_t interest) : FilterBinding(interest) {}

  std::function<Flow(FilterContext&)> request_head, response_head;
  std::function<Flow(BodyChunk&, bool)> response_body;
  std::function<void(FilterContext&)> wake;

  std::string_view pluginId() const noexcept override { return "test"; }
  bool create(FilterContext&, void**) const noexcept override { return true; }
  Flow onRequestHead(void*, FilterContext& context, std::uint32_t) const noexcept override {
    return request_head ? request_head(context) : Flow::Continue;
  }
  Flow onRequestBody(void*, FilterContext&, BodyChunk&, std::uint32_t) const noexcept override {
    return Flow::Continue;
  }
  Flow onRequestTrailers(void*, FilterContext&) const noexcept override { return Flow::Continue; }
  Flow onResponseHead(void*, FilterContext& context, std::uint32_t) const noexcept override {
    return response_head ? response_head(context) : Flow::Continue;
  }
  Flow onResponseBody(void*, FilterContext&, BodyChunk& chunk,
                      std::uint32_t flags) const noexcept override {
    return response_body ? response_body(chunk, (flags & kEndOfStream) != 0) : Flow::Continue;
  }
  Flow onResponseTrailers(void*, FilterContext&) const noexcept override { return Flow::Continue; }
  void onWake(void*, FilterContext& context, std::uint32_t, std::uint64_t) const noexcept override {
    if (wake) wake(context);
  }
  void destroy(void*, StreamEnd) const noexcept override {}
};

route::Filter filterOf(std::shared_ptr<const ScriptedFilter> binding) {
  route::Filter filter;
  filter.type = "test";
  filter.binding = std::move(binding);
  return filter;
}

/// A filter that gives each request another path.
route::Filter pathSetter(std::string_view path) {
  auto filter = std::make_shared<ScriptedFilter>(kRequestHead);
  filter->request_head = [path](FilterContext& context) {
    context.requestHead().path = path;
    return Flow::Continue;
  };
  return filterOf(std::move(filter));
}

/// A World with one filter at its rule.
World worldOf(const std::shared_ptr<const ScriptedFilter>& filter,
              std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
  return World([&](route::ModelBatch&, route::Rule& rule) {
    rule.filters.push_back(filterOf(filter));
    rule.request_timeout = timeout;
  });
}

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw";

bool write(const net::Fd& fd, std::string_view bytes) {
  return World::write(fd, bytes) == bytes.size();
}

/// Asks for `/next` on a client's connection, which a new connection to the backend serves, and
/// ends both.
void goesOn(World& world, net::Fd client) {
  CHECK(write(client, "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  std::string request;
  const net::Fd connection = world.accept(request);
  CHECK(request.starts_with("GET /next HTTP/1.1\r\n"));
  CHECK(write(connection, kAnswer));
  std::string got;
  CHECK(world.until([&] { return !World::read(client, got) || got.ends_with("ok"); }));
  CHECK(got.starts_with("HTTP/1.1 200 OK\r\n"));
  client.reset();
  CHECK(world.until([&] { return world.worker().busy() == 0; }));
}

std::uint16_t portOf(const net::Fd& fd) { return net::localAddress(fd.get()).port(); }

}  // namespace

TEST_CASE("a backend of weight 0 whose endpoint refuses gets no new session at another one") {
  const auto any = *net::SocketAddress::parse("127.0.0.1", 0);
  const net::Fd open = *net::listenTcp(any, false, 8);
  std::uint16_t refusing = 0;
  {
    const net::Fd gone = *net::listenTcp(any, false, 8);
    refusing = portOf(gone);
  }
  World world([&](route::ModelBatch& batch, route::Rule& rule) {
    rule.session = route::Session{"s", false, "/", false, {}, {}, "scope"};
    rule.backends.push_back({"ns/old:80", 0, {}, "ns", "old", 80});
    route::Upstream old;
    old.key = "ns/old:80";
    old.endpoints = {{"127.0.0.1", refusing}, {"127.0.0.1", portOf(open)}};
    std::sort(old.endpoints.begin(), old.endpoints.end());
    batch.upstreams.push_back(old);
  });
  tls::TokenCipher cipher;
  SessionToken token;
  token.backend = fnv1a("ns/old:80");
  token.endpoint = *net::SocketAddress::parse("127.0.0.1", refusing);
  std::string text(kSessionTokenSize, ' ');
  REQUIRE(writeSessionToken(cipher, "scope", token, text.data()));
  CreditLink link(1000);
  world.open(link, "/", "s=" + text);
  std::string request;
  net::Fd connection = world.accept(request);  // of the backend that has weight
  CHECK(request.starts_with("GET / HTTP/1.1\r\n"));
  CHECK(World::write(connection, kAnswer) == kAnswer.size());
  CHECK(world.until([&] { return link.complete; }));
  REQUIRE(link.cookie.starts_with("s="));
  const auto given =
      readSessionToken(cipher, "scope", std::string_view(link.cookie).substr(2, kSessionTokenSize));
  REQUIRE(given.has_value());
  CHECK(given->backend == fnv1a("ns/b:80"));
}

TEST_CASE("what a listener's filter makes of the path is matched in the form of clients' paths") {
  const auto with = [](std::string_view path) {
    return [path](route::ModelBatch& batch, route::Rule& rule) {
      batch.listeners[0].filters.push_back(pathSetter(path));
      rule.matches[0].path.value = "/admin";
    };
  };
  World dots(with("/public/../%61dmin"));
  CreditLink link(1000);
  dots.open(link, "/x");
  std::string request;
  net::Fd connection = dots.accept(request);
  CHECK(request.starts_with("GET /admin HTTP/1.1\r\n"));
  CHECK(World::write(connection, kAnswer) == kAnswer.size());
  CHECK(dots.until([&] { return link.complete; }));
  World above(with("/admin/../../x"));
  CreditLink refused(1000);
  above.open(refused, "/x");
  CHECK(above.until([&] { return refused.complete; }));
  CHECK(refused.status == 400);
}

TEST_CASE("the answer of a backend's filter promises no length that one of the rule may change") {
  auto denies = std::make_shared<ScriptedFilter>(kRequestHead);
  denies->request_head = [](FilterContext& context) {
    CHECK(context.respond(403, {}, "who are you, and what do you want?"));
    return Flow::Responded;
  };
  auto masks = std::make_shared<ScriptedFilter>(kResponseBody | kResponseResize);
  masks->response_body = [](BodyChunk& chunk, bool) {
    chunk.replace("***");
    return Flow::Continue;
  };
  World world([&](route::ModelBatch&, route::Rule& rule) {
    rule.filters.push_back(filterOf(masks));
    rule.backends[0].filters.push_back(filterOf(denies));
  });
  CreditLink link(1000);
  world.open(link, "/");
  CHECK(world.until([&] { return link.complete; }));
  CHECK(link.status == 403);
  CHECK(link.received == "***");
  CHECK(link.framing == http::BodyKind::Chunked);
}

TEST_CASE("an answer that takes another's place comes alone, however long a filter waits with it") {
  for (const bool denied : {false, true}) {
    CAPTURE(denied);
    Waker waker;
    auto waits = std::make_shared<ScriptedFilter>(kResponseHead);
    waits->response_head = [&](FilterContext& context) {
      waker = context.waker();
      return Flow::Pause;
    };
    waits->wake = [](FilterContext& context) {
      CHECK(context.resume(kResponseHead, Flow::Continue));
    };
    auto replaces = std::make_shared<ScriptedFilter>(kResponseHead);
    replaces->response_head = [](FilterContext& context) {
      CHECK(context.respond(502, {}, "replaced"));
      return Flow::Responded;
    };
    auto behind = std::make_shared<ScriptedFilter>(kRequestHead | kResponseHead | kResponseBody);
    behind->request_head = [denied](FilterContext& context) {
      if (!denied) return Flow::Continue;
      CHECK(context.respond(403, {}, "denied"));
      return Flow::Responded;
    };
    behind->response_head = [](FilterContext&) { return Flow::Hold; };
    behind->response_body = [](BodyChunk&, bool end) { return end ? Flow::Continue : Flow::Hold; };
    World world([&](route::ModelBatch&, route::Rule& rule) {
      rule.filters.push_back(filterOf(waits));
      rule.filters.push_back(filterOf(replaces));
      rule.backends[0].filters.push_back(filterOf(behind));
    });
    CreditLink link(1000);
    world.open(link, "/");
    if (!denied) {
      std::string request;
      const net::Fd connection = world.accept(request);
      CHECK(write(connection, kAnswer));
    }
    CHECK(world.until([&] { return waker.serial != 0; }));
    CHECK(link.received.empty());
    world.worker().wake(waker, 0);
    CHECK(world.until([&] { return link.complete; }));
    CHECK(link.status == 502);
    CHECK(link.received == "replaced");
  }
}

TEST_CASE("a 101 in whose place a filter answers opens no tunnel, and the client goes on") {
  for (const std::string_view how : {"answer", "empty", "fault"}) {
    CAPTURE(how);
    auto refuses = std::make_shared<ScriptedFilter>(kResponseHead);
    refuses->response_head = [how](FilterContext& context) {
      if (context.responseHead()->status != 101) return Flow::Continue;
      if (how == "fault") return Flow::Fault;
      CHECK(context.respond(502, {}, how == "empty" ? "" : "refused"));
      return Flow::Responded;
    };
    World world = worldOf(refuses);
    net::Fd client = world.connect();
    CHECK(write(client, kUpgrade));
    std::string request;
    const net::Fd tunnel = world.accept(request);
    CHECK(write(tunnel, kSwitch));
    std::string ignored;
    CHECK(world.until([&] { return !World::read(tunnel, ignored); }));
    std::string got;
    CHECK(world.until([&] {
      return !World::read(client, got) || got.ends_with("\r\n\r\n") || got.ends_with("refused") ||
             got.ends_with("Error\n");
    }));
    CHECK(got.starts_with(how == "fault" ? "HTTP/1.1 500 " : "HTTP/1.1 502 "));
    CHECK(got.find("raw") == std::string::npos);
    goesOn(world, std::move(client));
  }
}

TEST_CASE("a 101 whose head a filter holds opens its tunnel at once") {
  auto holds = std::make_shared<ScriptedFilter>(kResponseHead | kResponseBody);
  holds->response_head = [](FilterContext&) { return Flow::Hold; };
  World world = worldOf(holds);
  net::Fd client = world.connect();
  CHECK(write(client, kUpgrade));
  std::string request;
  net::Fd tunnel = world.accept(request);
  CHECK(write(tunnel, kSwitch));
  std::string got;
  CHECK(world.until([&] { return !World::read(client, got) || got.ends_with("raw"); }));
  CHECK(got.starts_with("HTTP/1.1 101 "));
  CHECK(write(client, "back"));
  std::string back;
  CHECK(world.until([&] { return !World::read(tunnel, back) || back == "back"; }));
  client.reset();
  tunnel.reset();
  CHECK(world.until([&] { return world.worker().busy() == 0; }));
}

TEST_CASE("a 101 that a filter waits with is bounded in time, and a tunnel is not") {
  Waker waker;
  auto waits = std::make_shared<ScriptedFilter>(kResponseHead);
  waits->response_head = [&](FilterContext& context) {
    if (context.responseHead()->status != 101) return Flow::Continue;
    waker = context.waker();
    return Flow::Pause;
  };
  waits->wake = [](FilterContext& context) {
    CHECK(context.resume(kResponseHead, Flow::Continue));
  };
  World world = worldOf(waits, std::chrono::milliseconds(200));
  for (const bool woken : {true, false}) {
    CAPTURE(woken);
    net::Fd client = world.connect();
    CHECK(write(client, kUpgrade));
    std::string request;
    const net::Fd tunnel = world.accept(request);
    waker = {};
    CHECK(write(tunnel, kSwitch));
    CHECK(world.until([&] { return waker.serial != 0; }));
    if (woken) world.worker().wake(waker, 0);
    std::string got;
    CHECK(world.until([&] {
      return !World::read(client, got) || got.ends_with("raw") || got.ends_with("Timeout\n");
    }));
    CHECK(got.starts_with(woken ? "HTTP/1.1 101 " : "HTTP/1.1 504 "));
    if (!woken) {
      goesOn(world, std::move(client));
      break;
    }
    const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
    CHECK(world.until([&] { return std::chrono::steady_clock::now() > later; }));
    CHECK(write(tunnel, "still"));
    CHECK(world.until([&] { return !World::read(client, got) || got.ends_with("still"); }));
    CHECK(got.ends_with("rawstill"));
  }
}

/// A filter without body hooks that can be woken.
std::shared_ptr<ScriptedFilter> wakeable(Waker& waker) {
  auto filter = std::make_shared<ScriptedFilter>(kRequestHead);
  filter->request_head = [&waker](FilterContext& context) {
    waker = context.waker();
    return Flow::Continue;
  };
  return filter;
}

TEST_CASE("a filter that is woken while a response is spliced does not stop it") {
  Waker waker;
  World world = worldOf(wakeable(waker));
  CreditLink link(1000);
  link.splices = true;
  world.open(link, "/");
  std::string request;
  const net::Fd backend = world.accept(request);
  CHECK(write(backend, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"));
  CHECK(world.until([&] { return link.status == 200; }));
  const std::string body(300'000, 'x');
  std::size_t written = World::write(backend, body);
  CHECK(world.until([&] { return link.received.size() == 1000; }));
  CHECK(link.most_queued == 0);  // it is spliced
  world.worker().wake(waker, 0);
  CHECK(world.until([&] {
    written += World::write(backend, std::string_view(body).substr(written));
    return written == body.size();
  }));
  for (int i = 0; i < 10; ++i) world.worker().loop.turn(1);
  world.worker().wake(waker, 0);
  link.grant(300'000);  // nothing else sets it going again
  CHECK(world.until([&] { return link.complete; }));
  CHECK(link.received == body);
}

TEST_CASE("a filter that is woken while a request is spliced does not stop it") {
  constexpr std::size_t kSize = 32'000'000;
  Waker waker;
  World world = worldOf(wakeable(waker));
  CreditLink link(1000);
  std::string begin(128 * 1024, 'x');  // more than is kept for another attempt
  link.upload = kSize - begin.size();
  world.open(link, "/", {}, kSize);
  link.events->onRequestBody({begin.data(), begin.size()}, false);
  link.events->onRequestFlush();
  std::string request;
  const net::Fd backend = world.accept(request);
  const int room = 64 * 1024;
  ::setsockopt(backend.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  CHECK(world.until(
      [&] { return !World::read(backend, request) || link.upload < kSize - begin.size(); }));
  std::size_t left = 0;
  for (int same = 0; same < 20; same = left == link.upload ? same + 1 : 0) {
    left = link.upload;
    world.worker().loop.turn(1);
  }
  CHECK(left != 0);
  world.worker().wake(waker, 0);
  const auto whole = [&] { return request.size() >= request.find("\r\n\r\n") + 4 + kSize; };
  CHECK(world.until([&] { return !World::read(backend, request) || whole(); }));
  CHECK(whole());
  CHECK(write(backend, kAnswer));
  CHECK(world.until([&] { return link.complete; }));
}

}  // namespace hyperway::proxy
