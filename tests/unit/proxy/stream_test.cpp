// SPDX-License-Identifier: Apache-2.0
#include "proxy/stream.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "proxy/session_token.hpp"
#include "stream_world.hpp"

namespace hyperway::proxy {
namespace {

using stream_world::CreditLink;
using stream_world::World;

constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A filter that gives each request another path.
class PathSetter final : public FilterBinding {
 public:
  explicit PathSetter(std::string_view path) : FilterBinding(kRequestHead), path_(path) {}
  std::string_view pluginId() const noexcept override { return "path-setter"; }
  bool create(FilterContext&, void**) const noexcept override { return true; }
  Flow onRequestHead(void*, FilterContext& context, std::uint32_t) const noexcept override {
    context.requestHead().path = path_;
    return Flow::Continue;
  }
  Flow onRequestBody(void*, FilterContext&, BodyChunk&, std::uint32_t) const noexcept override {
    return Flow::Continue;
  }
  Flow onRequestTrailers(void*, FilterContext&) const noexcept override { return Flow::Continue; }
  Flow onResponseHead(void*, FilterContext&, std::uint32_t) const noexcept override {
    return Flow::Continue;
  }
  Flow onResponseBody(void*, FilterContext&, BodyChunk&, std::uint32_t) const noexcept override {
    return Flow::Continue;
  }
  Flow onResponseTrailers(void*, FilterContext&) const noexcept override { return Flow::Continue; }
  void onWake(void*, FilterContext&, std::uint32_t, std::uint64_t) const noexcept override {}
  void destroy(void*, StreamEnd) const noexcept override {}

 private:
  std::string_view path_;
};

route::Filter filterOf(std::string_view path) {
  route::Filter filter;
  filter.type = "test";
  filter.binding = std::make_shared<const PathSetter>(path);
  return filter;
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
      batch.listeners[0].filters.push_back(filterOf(path));
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

}  // namespace hyperway::proxy
