// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fixture.hpp"
#include "route/compile.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

/// A flow with a rule that has one backend.
Route flowOf(RouteKind kind, std::string name, std::vector<std::string> hostnames,
             std::int64_t created = 0, std::string at = "infra/gw/tls") {
  Route made = route(std::move(name), std::move(hostnames), {{}}, {std::move(at)}, created);
  made.kind = kind;
  made.key = std::string(kindText(kind)) + "/default/" + made.name;
  return made;
}

Listener listenerFor(Protocol protocol, std::string key = "infra/gw/tls",
                     std::uint16_t port = 8080) {
  Listener made = listener(std::move(key), "", port);
  made.protocol = protocol;
  made.passthrough = protocol == Protocol::Tls;
  return made;
}

std::string served(const CompiledListener& at, std::string_view name) {
  const auto* const holder = at.flow(name);
  return holder == nullptr ? std::string() : std::string((*holder)->route_key);
}

const CompiledListener& only(const Compiler& compiler) {
  REQUIRE(compiler.current()->groups().size() == 1);
  return *compiler.current()->groups()[0]->listeners()[0];
}

}  // namespace

TEST_CASE("A name is served by the most specific hostname, then the oldest route, then by key") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Tls)};
  batch.routes = {flowOf(RouteKind::Tls, "exact", {"a.example.com"}, 9),
                  flowOf(RouteKind::Tls, "wild", {"*.example.com"}, 1),
                  flowOf(RouteKind::Tls, "wilder", {"*.com"}, 1),
                  flowOf(RouteKind::Tls, "young", {"*.example.com", "b.org"}, 5),
                  flowOf(RouteKind::Tls, "b-key", {"b.org"}, 3),
                  flowOf(RouteKind::Tls, "a-key", {"b.org"}, 3)};
  (void)compiler.apply(batch);
  struct Row {
    std::string_view name, route;
  };
  for (const Row& row :
       {Row{"a.example.com", "exact"}, Row{"b.example.com", "wild"}, Row{"x.y.example.com", "wild"},
        Row{"example.com", "wilder"}, Row{"b.org", "a-key"}, Row{"c.org", ""}, Row{"", ""}}) {
    CAPTURE(row.name);
    CHECK(served(only(compiler), row.name) ==
          (row.route.empty() ? "" : "TLSRoute/default/" + std::string(row.route)));
  }
  batch.routes = {flowOf(RouteKind::Tls, "any", {""})};
  (void)compiler.apply(batch);
  CHECK(served(only(compiler), "c.org") == "TLSRoute/default/any");
  CHECK(served(only(compiler), "") == "TLSRoute/default/any");
  CHECK(served(only(compiler), "a.example.com") == "TLSRoute/default/exact");
}

TEST_CASE("Of a flow's rules the first serves, with its weights") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Tcp)};
  batch.routes = {flowOf(RouteKind::Tcp, "r", {""})};
  auto rules = *batch.routes[0].rules;
  rules[0].backends = {backend("a", 3), backend("b", 0), backend("c", 1)};
  rules.push_back(rules[0]);
  rules[1].id = "default/r/1";
  batch.routes[0].rules = std::make_shared<const std::vector<Rule>>(rules);
  (void)compiler.apply(batch);
  const auto* const holder = only(compiler).flow({});
  REQUIRE(holder != nullptr);
  CHECK((*holder)->rule_index == 0);
  CHECK((*holder)->totalWeight() == 4);
  // Its name says its kind, since an HTTPRoute may have the same.
  CHECK((*holder)->rule->id == "TCPRoute/default/r/0");
  CHECK((*holder)->stats->key() == "TCPRoute/default/r/0");
}

TEST_CASE("Flows and requests never meet, whatever a model attaches to one listener") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Http)};
  batch.routes = {flowOf(RouteKind::Tcp, "r", {"a.com"}),
                  route("r", {"b.com"}, {{matchOf(prefix("/"))}}, {"infra/gw/tls"})};
  (void)compiler.apply(batch);
  CHECK(answer(*compiler.current(), Request("a.com")).empty());
  CHECK(served(only(compiler), "b.com").empty());
  CHECK(answer(*compiler.current(), Request("b.com")) == "default/r/0");
  CHECK(served(only(compiler), "a.com") == "TCPRoute/default/r");
  // GRPCRoutes are requests.
  batch.routes = {route("g", {"c.com"}, {{matchOf(exact("/s/m"), "POST")}}, {"infra/gw/tls"})};
  batch.routes[0].kind = RouteKind::Grpc;
  batch.routes[0].key = "GRPCRoute/default/g";
  (void)compiler.apply(batch);
  CHECK(answer(*compiler.current(), Request("c.com", "/s/m", "POST")) == "GRPCRoute/default/g/0");
  CHECK(served(only(compiler), "c.com").empty());
}

TEST_CASE("A key whose kind changes leaves one table for the other") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Http)};
  batch.routes = {route("r", {"a.com"}, {{matchOf(prefix("/"))}}, {"infra/gw/tls"})};
  (void)compiler.apply(batch);
  const std::size_t rules = compiler.current()->ruleCount();
  for (const RouteKind kind : {RouteKind::Tcp, RouteKind::Udp, RouteKind::Http}) {
    batch.routes[0].kind = kind;
    (void)compiler.apply(batch);
    CHECK(answer(*compiler.current(), Request("a.com")).empty() == isFlow(kind));
    CHECK(served(only(compiler), "a.com").empty() != isFlow(kind));
    CHECK(compiler.current()->ruleCount() == rules);
  }
}

TEST_CASE("Flows come and go, and a rule lives on for as long as somebody holds it") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Udp)};
  batch.routes = {flowOf(RouteKind::Udp, "old", {""}, 1), flowOf(RouteKind::Udp, "new", {""}, 2)};
  (void)compiler.apply(batch);
  const std::shared_ptr<const CompiledRule> held = *only(compiler).flow({});
  CHECK(held->route_key == "UDPRoute/default/old");
  ModelBatch less;
  less.removed_routes = {"UDPRoute/default/old"};
  (void)compiler.apply(less);
  CHECK(served(only(compiler), "") == "UDPRoute/default/new");
  less.removed_routes = {"UDPRoute/default/new"};
  (void)compiler.apply(less);
  CHECK(served(only(compiler), "").empty());
  CHECK(held->route_key == "UDPRoute/default/old");
  CHECK(held->backends[0].name == "default/svc:80");
}

TEST_CASE("TCP and UDP of one number do not meet; HTTPS and TLS are one group") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listenerFor(Protocol::Tcp, "infra/gw/tcp", 53),
                     listenerFor(Protocol::Udp, "infra/gw/udp", 53),
                     listenerFor(Protocol::Tls, "infra/gw/through", 443),
                     listenerFor(Protocol::Https, "infra/gw/https", 443)};
  batch.listeners[3].hostname = "a.com";
  batch.listeners[3].certificates = {"infra/cert"};
  const auto outcome = compiler.apply(batch);
  REQUIRE(outcome.table);
  REQUIRE(outcome.table->groups().size() == 3);
  const auto protocolAt = [&](std::uint16_t port, bool udp) {
    const BindGroup* const group = outcome.table->group({"0.0.0.0", port, udp});
    REQUIRE(group != nullptr);
    CHECK(group->bind().udp == udp);
    return group->protocol();
  };
  CHECK(protocolAt(53, false) == Protocol::Tcp);
  CHECK(protocolAt(53, true) == Protocol::Udp);
  CHECK(protocolAt(443, false) == Protocol::Https);
  const BindGroup& shared = *outcome.table->group({"0.0.0.0", 443});
  CHECK(shared.listenerFor("b.com")->model().passthrough);
  CHECK(shared.listenerFor("a.com")->model().protocol == Protocol::Https);
  // Nothing ends at a listener that passes through.
  CHECK(outcome.tls_listeners == std::vector<std::string>{"infra/gw/https"});
  CHECK(shared.listenerFor("b.com")->tlsSlot() == nullptr);
  batch.listeners = {batch.listeners[2]};
  batch.listeners[0].passthrough = false;
  batch.listeners[0].certificates = {"infra/cert"};
  CHECK(compiler.apply(batch).tls_listeners == std::vector<std::string>{"infra/gw/through"});
}
