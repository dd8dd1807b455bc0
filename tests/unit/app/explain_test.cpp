// SPDX-License-Identifier: Apache-2.0
#include "app/explain.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace hyperway;
using namespace hyperway::app;

namespace {

route::ModelBatch model() {
  route::ModelBatch batch;
  route::Listener listener;
  listener.key = "ns/gw/http";
  listener.port = 80;
  listener.binds = {{"127.0.0.1", 8080}};
  batch.listeners.push_back(listener);
  auto rules = std::make_shared<std::vector<route::Rule>>(2);
  (*rules)[0].id = "ns/shop/0";
  (*rules)[0].matches.resize(1);
  (*rules)[0].matches[0].path.value = "/cart";
  (*rules)[0].matches[0].method = "GET";
  (*rules)[0].backends.push_back({"ns/app:80", 3, {}, "ns", "app", 80});
  (*rules)[0].backends.push_back({"", 1, {}, "ns", "gone", 80});
  (*rules)[1].id = "ns/shop/1";
  (*rules)[1].matches.resize(1);
  (*rules)[1].matches[0].path.value = "/cart";
  (*rules)[1].matches[0].headers.push_back({"x-beta", "yes", route::MatchKind::Exact});
  route::Route shop;
  shop.key = "HTTPRoute/ns/shop";
  shop.name_space = "ns";
  shop.name = "shop";
  shop.attachments = {{"ns/gw/http", {"shop.example"}}};
  shop.rules = rules;
  batch.routes.push_back(shop);
  route::Upstream upstream;
  upstream.key = "ns/app:80";
  upstream.endpoints = {{"10.0.0.1", 8080}, {"fd00::1", 8080}};
  batch.upstreams.push_back(upstream);
  return batch;
}

std::string ask(route::Compiler& compiler, std::string_view method, std::string_view url,
                std::vector<std::pair<std::string, std::string>> headers = {}) {
  const auto question = makeQuestion(method, url, std::move(headers));
  REQUIRE(question.has_value());
  return explainText(compiler, *question);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("explain names listener, route, rule and backends") {
  route::Compiler compiler;
  (void)compiler.apply(model());  // The table is in the compiler.
  const std::string text = ask(compiler, "GET", "http://shop.example/cart/1?x=2");
  CAPTURE(text);
  CHECK(has(text, "request   GET http://shop.example/cart/1?x=2"));
  CHECK(has(text, "listener  ns/gw/http, port 80, bound on 127.0.0.1:8080, hostname any"));
  CHECK(has(text, "route     HTTPRoute ns/shop"));
  CHECK(has(text, "ns/app:80, weight 3 of 4, endpoints 10.0.0.1:8080 [fd00::1]:8080"));
  CHECK(has(text, "weight 1 of 4, answers 500: it does not resolve"));
  CHECK(has(text, "ns/shop/1, match 0: "));
}

TEST_CASE("explain says why nothing answers") {
  route::Compiler compiler;
  (void)compiler.apply(model());
  CHECK(has(ask(compiler, "POST", "http://shop.example/cart"),
            "404: no rule of this listener matches"));
  CHECK(has(ask(compiler, "POST", "http://shop.example/cart"), "method"));
  CHECK(has(ask(compiler, "GET", "http://other.example/cart"), "404"));
  CHECK(has(ask(compiler, "GET", "http://shop.example:81/"), "no HTTP listener has port 81"));
  CHECK(has(ask(compiler, "GET", "http://shop.example:81/"), "ns/gw/http, port 80"));
  CHECK(has(ask(compiler, "GET", "https://shop.example/"), "no HTTPS listener has port 443"));
  CHECK(
      has(ask(compiler, "GET", "http://shop.example/../x"), "400: the request itself is refused"));
  CHECK(has(ask(compiler, "GET", "http://shop.example/", {{"Bad Name", "x"}}), "400"));
  // The bound port is as good as the Gateway's.
  CHECK(has(ask(compiler, "GET", "http://shop.example:8080/cart"), "ns/shop"));
}

TEST_CASE("explain names what takes a flow, and says why nothing does") {
  route::ModelBatch batch = model();
  const auto listener = [&](const char* key, route::Protocol protocol, std::uint16_t port) {
    route::Listener made;
    made.key = key;
    made.protocol = protocol;
    made.port = port;
    made.passthrough = protocol == route::Protocol::Tls;
    made.binds = {{"127.0.0.1", port}};
    batch.listeners.push_back(made);
  };
  listener("ns/gw/tls", route::Protocol::Tls, 443);
  listener("ns/gw/tcp", route::Protocol::Tcp, 9000);
  auto rules = std::make_shared<std::vector<route::Rule>>(1);
  (*rules)[0].id = "ns/pass/0";
  (*rules)[0].backends.push_back({"ns/app:80", 1, {}, "ns", "app", 80});
  (*rules)[0].backends.push_back({"", 3, {}, "ns", "gone", 80});
  route::Route pass;
  pass.key = "TLSRoute/ns/pass";
  pass.kind = route::RouteKind::Tls;
  pass.name_space = "ns";
  pass.name = "pass";
  pass.attachments = {{"ns/gw/tls", {"*.a.example"}}};
  pass.rules = rules;
  batch.routes.push_back(pass);
  route::Compiler compiler;
  (void)compiler.apply(batch);
  const std::string text = ask(compiler, "", "tls://X.a.example:443");
  CAPTURE(text);
  CHECK(has(text, "flow      tls://X.a.example:443"));
  CHECK(has(text, "listener  ns/gw/tls, port 443, bound on 127.0.0.1:443, hostname any"));
  CHECK(has(text, "tls       passed on as it is"));
  CHECK(has(text, "route     TLSRoute ns/pass"));
  CHECK(has(text, "ns/app:80, weight 1 of 4, endpoints 10.0.0.1:8080"));
  CHECK(has(text, "weight 3 of 4, refused: it does not resolve"));
  CHECK(has(ask(compiler, "", "tls://b.example"), "none: no route of this listener takes it"));
  CHECK(has(ask(compiler, "", "tcp://:9000"),
            "listener  ns/gw/tcp, port 9000, bound on 127.0.0.1:9000\n"));
  CHECK(has(ask(compiler, "", "tcp://:9001"), "none: no TCP listener has port 9001"));
  // Who asks for a request where bytes are passed on is told so.
  CHECK(has(ask(compiler, "GET", "https://x.a.example/"), "route     TLSRoute ns/pass"));
}

TEST_CASE("A URL is taken apart or refused") {
  struct Row {
    std::string_view url, authority, target;
    std::uint16_t port;
    route::Protocol protocol;
  };
  using route::Protocol;
  for (const Row& row : {Row{"http://a", "a", "/", 80, Protocol::Http},
                         {"https://a:8443/x?y#z", "a:8443", "/x?y", 8443, Protocol::Https},
                         {"http://[::1]/", "[::1]", "/", 80, Protocol::Http},
                         {"http://[::1]:81", "[::1]:81", "/", 81, Protocol::Http},
                         {"http://a?b", "a", "/?b", 80, Protocol::Http},
                         {"tls://a", "a", "", 443, Protocol::Tls},
                         {"tcp://:9000", ":9000", "", 9000, Protocol::Tcp},
                         {"udp://a:53", "a:53", "", 53, Protocol::Udp}}) {
    CAPTURE(row.url);
    const auto question = makeQuestion(row.target.empty() ? "" : "GET", row.url, {});
    REQUIRE(question.has_value());
    CHECK(question->authority == row.authority);
    CHECK(question->target == row.target);
    CHECK(question->port == row.port);
    CHECK(question->protocol == row.protocol);
  }
  for (const char* url :
       {"", "a", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:x/"}) {
    CAPTURE(url);
    CHECK_FALSE(makeQuestion("GET", url, {}).has_value());
  }
}

TEST_CASE("A question survives its way over the socket") {
  const auto question =
      readQuestion(writeQuestion("GET", "http://a/b", {{"X", "y: z"}, {"E", ""}}));
  REQUIRE(question.has_value());
  CHECK(question->target == "/b");
  REQUIRE(question->headers.size() == 2);
  CHECK(question->headers[0].second == "y: z");
  CHECK_FALSE(readQuestion("").has_value());
  CHECK_FALSE(readQuestion("GET\nhttp://a/\nnope\n").has_value());
}
