// SPDX-License-Identifier: Apache-2.0
#include "route/compile.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "route/route_record.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

class NoOperation : public FilterBinding {};

Filter filter(std::string type, FilterBindingPtr binding, std::string refused = {}) {
  Filter made;
  made.type = std::move(type);
  made.binding = std::move(binding);
  made.refused = std::move(refused);
  return made;
}

/// One route "default/r" with this rule, at one listener.
ModelBatch batchOf(Rule rule) {
  rule.id = "default/r/0";
  if (rule.matches.empty()) rule.matches.emplace_back();
  ModelBatch batch;
  batch.listeners = {listener()};
  batch.routes = {route("r", {""}, {})};
  batch.routes[0].rules = std::make_shared<const std::vector<Rule>>(1, std::move(rule));
  return batch;
}

const CompiledRule& onlyRule(const Compiler& compiler) {
  const Request request("h");
  const MatchResult result =
      listenerOf(*compiler.current(), "h")->match(request.head(), request.head().method);
  REQUIRE(result.rule != nullptr);
  return *result.rule;
}

Upstream upstream(std::string key, std::vector<Endpoint> endpoints) {
  Upstream made;
  made.key = std::move(key);
  made.endpoints = std::move(endpoints);
  return made;
}

std::vector<std::string> keysOf(const Compiler::Outcome& outcome) {
  std::vector<std::string> out;
  for (const auto& [slot, upstream] : outcome.upstreams) {
    out.push_back(slot->key());
    CHECK(upstream->key == slot->key());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("Routes in force are found by key, for reports") {
  Compiler compiler;
  ModelBatch batch = batchOf({});
  (void)compiler.apply(batch);
  CHECK(compiler.routeCount() == 1);
  const auto record = compiler.route("HTTPRoute/default/r");
  REQUIRE(record != nullptr);
  CHECK(record->ruleCount() == 1);
  CHECK(compiler.route("HTTPRoute/default/other") == nullptr);
  std::vector<std::string> keys;
  compiler.forEachRoute([&](const RouteRecord& one) { keys.emplace_back(one.key()); });
  CHECK(keys == std::vector<std::string>{"HTTPRoute/default/r"});
}

TEST_CASE("Weight zero gets nothing, an unresolved backend keeps its share") {
  Rule rule;
  rule.backends = {backend("a", 3), backend("zero", 0), backend("gone", 1'000'000),
                   backend("b", 1)};
  rule.backends[2].upstream.clear();
  Compiler compiler;
  (void)compiler.apply(batchOf(rule));
  const CompiledRule& compiled = onlyRule(compiler);
  REQUIRE(compiled.backends.size() == 3);
  CHECK(compiled.totalWeight() == 1'000'004);
  CHECK(compiled.backends[0].weight_end == 3);
  CHECK(compiled.backends[0].upstream->key() == "default/a:80");
  CHECK(compiled.backends[1].weight_end == 1'000'003);
  CHECK(compiled.backends[1].upstream == nullptr);
  CHECK(compiled.backends[1].name == "default/gone:80");
  CHECK(compiled.backends[2].weight_end == 1'000'004);
  CHECK(compiled.backends[2].name == "default/b:80");
}

TEST_CASE("A rule without backends, or with weights of zero only, has no weight") {
  Rule none, zero;
  zero.backends = {backend("a", 0)};
  for (const Rule& rule : {none, zero}) {
    Compiler compiler;
    (void)compiler.apply(batchOf(rule));
    CHECK(onlyRule(compiler).totalWeight() == 0);
    CHECK(onlyRule(compiler).backends.empty());
  }
}

TEST_CASE("A filter that is refused or not bound refuses its rule or backend, never just itself") {
  const auto bound = std::make_shared<const NoOperation>();
  struct Row {
    Filter filter;
    bool refused;
  };
  for (const Row& row : {Row{filter("A", bound), false}, Row{filter("A", bound, "broken"), true},
                         Row{filter("RequestRedirect", nullptr), true}}) {
    Rule rule;
    rule.filters = {filter("First", bound), row.filter};
    rule.backends = {backend("plain")};
    Compiler compiler;
    (void)compiler.apply(batchOf(rule));
    CHECK(onlyRule(compiler).refused == row.refused);
    CHECK(onlyRule(compiler).rule->filters.size() == 2);
    CHECK(onlyRule(compiler).rule->filters[1].refused == row.filter.refused);

    rule.filters.clear();
    rule.backends[0].filters = {row.filter};
    (void)compiler.apply(batchOf(rule));
    CHECK_FALSE(onlyRule(compiler).refused);
    CHECK(onlyRule(compiler).backends[0].refused == row.refused);
  }
}

TEST_CASE("Filters and mirrors keep their order; mirrors without upstream are left out") {
  const auto first = std::make_shared<const NoOperation>();
  const auto second = std::make_shared<const NoOperation>();
  Rule rule;
  rule.filters = {filter("A", first), filter("B", second)};
  rule.mirrors = {{"default/m:1", 1, 2}, {"", 1, 1}, {"default/n:1", 3, 0}};
  rule.name = "named";
  rule.request_timeout = std::chrono::milliseconds(0);
  rule.retry = Retry{3, {500}, std::chrono::milliseconds(7)};
  Compiler compiler;
  (void)compiler.apply(batchOf(rule));
  const CompiledRule& compiled = onlyRule(compiler);
  REQUIRE(compiled.filters.size() == 2);
  CHECK(compiled.filters[0] == first);
  CHECK(compiled.filters[1] == second);
  REQUIRE(compiled.mirrors.size() == 2);
  CHECK(compiled.mirrors[0].upstream->key() == "default/m:1");
  CHECK(compiled.mirrors[0].denominator == 2);
  CHECK(compiled.mirrors[1].denominator == 1);
  CHECK(compiled.rule->name == "named");
  CHECK(compiled.request_timeout == std::chrono::milliseconds(0));
  CHECK(compiled.backend_timeout == CompiledRule::kUnset);
  CHECK(compiled.retry->codes == std::vector<std::uint16_t>{500});
  CHECK(compiled.route_key == "HTTPRoute/default/r");
  CHECK(compiled.stats->key() == "default/r/0");
}

TEST_CASE("Backends of weight 0 are there for sessions, and never for a draw") {
  Rule rule;
  rule.backends = {backend("a", 0), backend("b", 2), backend("c", 0)};
  rule.backends[2].upstream.clear();
  Compiler plain;
  (void)plain.apply(batchOf(rule));
  CHECK_FALSE(onlyRule(plain).has_session);
  CHECK_FALSE(onlyRule(plain).session.has_value());
  rule.session = Session{"s", false, "/", false, {}, {}, "scope"};
  Compiler compiler;
  (void)compiler.apply(batchOf(rule));
  const CompiledRule& compiled = onlyRule(compiler);
  CHECK(compiled.has_session);
  CHECK(compiled.session->model.name == "s");
  REQUIRE(compiled.backends.size() == 1);
  CHECK(compiled.backends[0].name == "default/b:80");
  REQUIRE(compiled.session->parked.size() == 1);
  CHECK(compiled.session->parked[0].name == "default/a:80");
  CHECK(compiled.totalWeight() == 2);
  CHECK(compiled.isParked(compiled.session->parked[0]));
  CHECK_FALSE(compiled.isParked(compiled.backends[0]));
}

TEST_CASE("Filters of a backend of weight 0 find whom they may call, and its place leads to it") {
  Rule rule;
  rule.session = Session{"s", false, "/", false, {}, {}, "scope"};
  rule.backends = {backend("a", 0), backend("b"), backend("c", 0)};
  rule.backends[2].filters = {filter("A", std::make_shared<const NoOperation>())};
  rule.backends[2].filters[0].upstreams = {"default/x:1"};
  Compiler compiler;
  (void)compiler.apply(batchOf(rule));
  const CompiledRule& compiled = onlyRule(compiler);
  REQUIRE(compiled.session->parked.size() == 2);
  for (const auto* list : {&compiled.backends, &compiled.session->parked})
    for (const CompiledBackend& each : *list)
      CHECK(&compiled.backendAt(compiled.placeOf(each)) == &each);
  REQUIRE(compiled.callouts);
  CHECK(compiled.backendAt(compiled.callouts->front().backend).name == "default/c:80");
  const CompiledBackend& c = compiled.session->parked[1];
  REQUIRE(compiled.calloutsOf(compiled.placeOf(c), 0).size() == 1);
  CHECK(compiled.calloutsOf(0, 0).empty());
}

TEST_CASE("A rule lives on for as long as somebody holds it") {
  Compiler compiler;
  Rule rule;
  rule.backends = {backend("a")};
  rule.backends[0].upstream.clear();
  (void)compiler.apply(batchOf(rule));
  const Request request("h");
  const std::shared_ptr<const CompiledRule> held =
      *listenerOf(*compiler.current(), "h")->match(request.head(), "GET").holder;
  ModelBatch gone;
  gone.full = true;
  (void)compiler.apply(gone);
  CHECK(compiler.current()->groups().empty());
  CHECK(held->rule->id == "default/r/0");
  CHECK(held->route_key == "HTTPRoute/default/r");
  CHECK(held->backends[0].name == "default/a:80");
}

TEST_CASE("What is the same by value changes nothing") {
  Rule rule;
  rule.backends = {backend("a")};
  ModelBatch batch = batchOf(rule);
  batch.full = true;
  batch.upstreams = {upstream("default/a:80", {{"10.0.0.1", 80}})};
  batch.certificates = {{"default/cert", "chain", "key"}};
  batch.listeners.push_back(listener("infra/gw/https", "", 8443));
  batch.listeners[1].protocol = Protocol::Https;
  batch.listeners[1].certificates = {"default/cert"};
  Compiler compiler;
  const auto first = compiler.apply(batch);
  REQUIRE(first.table);
  CHECK(first.table == compiler.current());
  CHECK(keysOf(first) == std::vector<std::string>{"default/a:80"});
  CHECK(first.tls_listeners == std::vector<std::string>{"infra/gw/https"});
  batch.routes[0].rules = std::make_shared<const std::vector<Rule>>(*batch.routes[0].rules);
  for (const bool full : {true, false}) {
    batch.full = full;
    const auto again = compiler.apply(batch);
    CHECK(again.table == nullptr);
    CHECK(again.upstreams.empty());
    CHECK(again.tls_listeners.empty());
    CHECK(compiler.current() == first.table);
  }
}

TEST_CASE("A filter finds the upstreams that it may call, on its rule and on a backend") {
  const auto bound = std::make_shared<const NoOperation>();
  Rule rule;
  rule.filters = {filter("A", bound), filter("B", bound)};
  rule.filters[1].upstreams = {"default/x:1", "default/y:2+grpc"};
  rule.backends = {backend("none", 0), backend("one"), backend("two")};
  rule.backends[2].filters = {filter("Missing", nullptr, "no"), filter("C", bound)};
  rule.backends[2].filters[1].upstreams = {"default/x:1"};
  Compiler compiler;
  const Compiler::Outcome outcome = compiler.apply(batchOf(rule));
  const CompiledRule& compiled = onlyRule(compiler);
  CHECK(compiled.calloutsOf(CompiledCallouts::kRule, 0).empty());
  const auto own = compiled.calloutsOf(CompiledCallouts::kRule, 1);
  REQUIRE(own.size() == 2);
  CHECK(own[1]->key() == "default/y:2+grpc");
  CHECK(compiled.calloutsOf(0, 0).empty());
  // Counted as what runs: backends without weight and filters that cannot run are left out.
  REQUIRE(compiled.calloutsOf(1, 0).size() == 1);
  CHECK(compiled.calloutsOf(1, 0)[0] == own[0]);
  // Workers get to know them like those of backends.
  CHECK(std::any_of(outcome.upstreams.begin(), outcome.upstreams.end(),
                    [](const auto& each) { return each.first->key() == "default/y:2+grpc"; }));
}

TEST_CASE("A listener's filter finds the upstreams that it may call, and they are in use") {
  const auto bound = std::make_shared<const NoOperation>();
  Rule rule;
  rule.filters = {filter("C", bound)};
  rule.filters[0].upstreams = {"default/other:80"};
  rule.backends = {backend("a")};
  ModelBatch batch = batchOf(rule);
  batch.upstreams = {upstream("default/x:1", {{"10.0.0.1", 80}})};
  batch.listeners[0].filters = {filter("A", bound), filter("B", bound)};
  batch.listeners[0].filters[1].upstreams = {"default/x:1", "default/y:2+grpc"};
  Compiler compiler;
  const auto listenerFilters = [&] {
    return compiler.current()->groups()[0]->listeners()[0]->filters();
  };
  const std::vector<std::string> posted = keysOf(compiler.apply(batch));
  for (const char* key : {"default/x:1", "default/y:2+grpc", "default/other:80"})
    CHECK_MESSAGE(std::count(posted.begin(), posted.end(), key) == 1, key);
  auto filters = listenerFilters();
  REQUIRE(filters);
  CHECK(filters->bindings.size() == 2);
  CHECK_FALSE(filters->refused);
  CHECK(filters->calloutsOf(0).empty());
  REQUIRE(filters->calloutsOf(1).size() == 2);
  CHECK(filters->calloutsOf(1)[1]->key() == "default/y:2+grpc");
  CHECK(onlyRule(compiler).calloutsOf(CompiledCallouts::kRule, 0)[0]->key() == "default/other:80");
  // One that goes is told, as long as somebody names it.
  ModelBatch gone;
  gone.removed_upstreams = {"default/x:1"};
  CHECK(keysOf(compiler.apply(gone)) == std::vector<std::string>{"default/x:1"});
  ModelBatch back;
  back.upstreams = batch.upstreams;
  CHECK(keysOf(compiler.apply(back)) == std::vector<std::string>{"default/x:1"});
  ModelBatch other;
  other.listeners = batch.listeners;
  other.listeners[0].filters[1].upstreams = {"default/z:3"};
  CHECK(keysOf(compiler.apply(other)) == std::vector<std::string>{"default/z:3"});
  CHECK(listenerFilters()->calloutsOf(1)[0]->key() == "default/z:3");
  filters = nullptr;
  CHECK(keysOf(compiler.apply(gone)).empty());
  other.listeners[0].filters[1].refused = "no";
  (void)compiler.apply(other);
  CHECK(listenerFilters()->refused);
  CHECK(listenerFilters()->calloutsOf(1).empty());
  other.listeners[0].filters.clear();
  (void)compiler.apply(other);
  CHECK(listenerFilters() == nullptr);
}

TEST_CASE("A change of any field of a route is a change") {
  const auto bound = std::make_shared<const NoOperation>();
  const auto base = [&] {
    Rule rule;
    rule.matches = {
        matchOf(prefix("/"), "", {{"h", "v", MatchKind::Exact}}, {{"q", "v", MatchKind::Exact}})};
    rule.filters = {filter("A", bound)};
    rule.filters[0].config = "{}";
    rule.mirrors = {{"default/m:1", 1, 2}};
    rule.backends = {backend("a")};
    rule.retry = Retry{};
    rule.session = Session{"s", false, "/", false, std::chrono::milliseconds(5), {}, "scope"};
    return rule;
  };
  const std::vector<void (*)(Rule&)> edits = {
      [](Rule& r) { r.name = "n"; },
      [](Rule& r) { r.matches.emplace_back(); },
      [](Rule& r) { r.matches[0].path.value = "/a"; },
      [](Rule& r) { r.matches[0].path.kind = MatchKind::Exact; },
      [](Rule& r) { r.matches[0].method = "GET"; },
      [](Rule& r) { r.matches[0].headers[0].name = "g"; },
      [](Rule& r) { r.matches[0].headers[0].value = "w"; },
      [](Rule& r) { r.matches[0].headers[0].kind = MatchKind::Regex; },
      [](Rule& r) { r.matches[0].query[0].value = "w"; },
      [](Rule& r) { std::swap(r.matches[0].query, r.matches[0].headers); },
      [](Rule& r) { r.filters.clear(); },
      [](Rule& r) { r.filters[0].type = "B"; },
      [](Rule& r) { r.filters[0].config = "{ }"; },
      [](Rule& r) { r.filters[0].owner = "o"; },
      [](Rule& r) { r.filters[0].refused = "no"; },
      [](Rule& r) { r.filters[0].upstreams = {"default/auth:80"}; },
      [](Rule& r) { r.filters[0].binding = std::make_shared<const NoOperation>(); },
      [](Rule& r) { r.mirrors[0].numerator = 2; },
      [](Rule& r) { r.mirrors[0].denominator = 3; },
      [](Rule& r) { r.mirrors[0].upstream = "default/m:2"; },
      [](Rule& r) { r.backends[0].weight = 2; },
      [](Rule& r) { r.backends[0].port = 81; },
      [](Rule& r) { r.backends[0].upstream = ""; },
      [](Rule& r) { r.backends[0].filters = r.filters; },
      [](Rule& r) { r.backends.push_back(r.backends[0]); },
      [](Rule& r) { r.request_timeout = std::chrono::milliseconds(0); },
      [](Rule& r) { r.backend_timeout = std::chrono::milliseconds(0); },
      [](Rule& r) { r.session.reset(); },
      [](Rule& r) { r.session->name = "other"; },
      [](Rule& r) { r.session->header = true; },
      [](Rule& r) { r.session->path = "/a"; },
      [](Rule& r) { r.session->permanent = true; },
      [](Rule& r) { r.session->absolute_timeout.reset(); },
      [](Rule& r) { r.session->idle_timeout = std::chrono::milliseconds(1); },
      [](Rule& r) { r.session->scope = "other"; },
      [](Rule& r) { r.retry.reset(); },
      [](Rule& r) { r.retry->attempts = 2; },
      [](Rule& r) { r.retry->codes = {500}; },
      [](Rule& r) { r.retry->backoff = std::chrono::milliseconds(1); },
  };
  for (std::size_t i = 0; i < edits.size(); ++i) {
    CAPTURE(i);
    Compiler compiler;
    (void)compiler.apply(batchOf(base()));
    Rule edited = base();
    edits[i](edited);
    CHECK(compiler.apply(batchOf(edited)).table != nullptr);
    CHECK(compiler.apply(batchOf(edited)).table == nullptr);
  }
  Compiler compiler;
  ModelBatch batch = batchOf(base());
  (void)compiler.apply(batch);
  batch.routes[0].kind = RouteKind::Grpc;
  CHECK(compiler.apply(batch).table != nullptr);
}

TEST_CASE("Endpoints take the short way: no table for them, and only for upstreams in use") {
  Rule rule;
  rule.backends = {backend("a")};
  ModelBatch batch = batchOf(rule);
  Compiler compiler;
  // Known to no one yet: said to be empty, since the number may have been another's.
  const auto first = compiler.apply(batch);
  REQUIRE(first.upstreams.size() == 1);
  CHECK(first.upstreams[0].second->endpoints.empty());

  ModelBatch endpoints;
  endpoints.upstreams = {upstream("default/a:80", {{"10.0.0.1", 80}}),
                         upstream("default/unused:80", {{"10.0.0.2", 80}})};
  const auto second = compiler.apply(endpoints);
  CHECK(second.table == nullptr);
  CHECK(keysOf(second) == std::vector<std::string>{"default/a:80"});
  CHECK(second.upstreams[0].second->endpoints.size() == 1);
  CHECK(compiler.upstream("default/unused:80")->endpoints.size() == 1);

  // A route that starts to use what was known before has to post it.
  ModelBatch another;
  another.routes = {route("s", {""}, {{matchOf(prefix("/s"))}})};
  auto rules = std::make_shared<std::vector<Rule>>(*another.routes[0].rules);
  (*rules)[0].backends = {backend("unused"), backend("a")};
  another.routes[0].rules = rules;
  CHECK(keysOf(compiler.apply(another)) == std::vector<std::string>{"default/unused:80"});

  ModelBatch removal;
  removal.removed_upstreams = {"default/a:80"};
  const auto third = compiler.apply(removal);
  CHECK(third.table == nullptr);
  REQUIRE(keysOf(third) == std::vector<std::string>{"default/a:80"});
  CHECK(third.upstreams[0].second->endpoints.empty());
  CHECK(compiler.upstream("default/a:80") == nullptr);
}

TEST_CASE("An upstream goes with its number, not with the route that named it") {
  Compiler compiler;
  std::vector<std::uint32_t> freed;
  compiler.upstreamSlots().onFree([&](std::uint32_t number) { freed.push_back(number); });
  Rule rule;
  rule.backends = {backend("a")};
  ModelBatch batch = batchOf(rule);
  batch.upstreams = {upstream("default/a:80", {{"10.0.0.1", 80}})};
  (void)compiler.apply(batch);
  const std::uint32_t number = onlyRule(compiler).backends[0].upstream->number();
  std::shared_ptr<const RouteTable> held = compiler.current();  // a worker's, until it has the next
  rule.backends = {backend("b")};
  batch = batchOf(rule);
  batch.upstreams = {upstream("default/b:80", {{"10.0.0.2", 80}})};
  batch.removed_upstreams = {"default/a:80"};
  CHECK(keysOf(compiler.apply(batch)) == std::vector<std::string>{"default/b:80"});
  CHECK(freed.empty());
  held.reset();
  CHECK(freed == std::vector<std::uint32_t>{number});
  compiler.upstreamSlots().onFree({});
}

TEST_CASE("A number is given out again only when no table knows it") {
  Compiler compiler;
  Rule rule;
  rule.backends = {backend("a")};
  (void)compiler.apply(batchOf(rule));
  const std::uint32_t number = onlyRule(compiler).backends[0].upstream->number();
  std::shared_ptr<const RouteTable> held = compiler.current();
  rule.backends = {backend("b")};
  (void)compiler.apply(batchOf(rule));
  CHECK(onlyRule(compiler).backends[0].upstream->number() != number);
  CHECK(compiler.upstreamSlots().find("default/a:80") != nullptr);
  held.reset();
  CHECK(compiler.upstreamSlots().find("default/a:80") == nullptr);
  rule.backends = {backend("c")};
  (void)compiler.apply(batchOf(rule));
  CHECK(onlyRule(compiler).backends[0].upstream->number() == number);
  CHECK(compiler.upstreamSlots().capacity() == 2);
}

TEST_CASE("Statistics keep their number over edits of the rule") {
  Compiler compiler;
  Rule rule;
  (void)compiler.apply(batchOf(rule));
  const std::uint32_t number = onlyRule(compiler).stats->number();
  for (std::uint32_t weight = 1; weight < 5; ++weight) {
    rule.backends = {backend("a", weight)};
    (void)compiler.apply(batchOf(rule));
    CHECK(onlyRule(compiler).stats->number() == number);
  }
}

TEST_CASE("A certificate's change touches the listeners that name it and no table") {
  ModelBatch batch;
  for (const char* key : {"i/g/one", "i/g/two", "i/g/plain"}) {
    Listener made = listener(key);
    made.hostname = made.key.substr(4) + ".com";
    if (made.key != "i/g/plain") {
      made.protocol = Protocol::Https;
      made.binds = {{"0.0.0.0", 8443}};
      made.certificates = {made.key == "i/g/one" ? "n/a" : "n/b", "n/both"};
    }
    batch.listeners.push_back(made);
  }
  Compiler compiler;
  CHECK(compiler.apply(batch).tls_listeners == std::vector<std::string>{"i/g/one", "i/g/two"});
  CHECK(listenerOf(*compiler.current(), "one.com", 8443)->tlsSlot()->key() == "i/g/one");
  CHECK(listenerOf(*compiler.current(), "plain.com")->tlsSlot() == nullptr);
  const auto change = [&](const char* key, const char* chain) {
    ModelBatch edit;
    edit.certificates = {{key, chain, "private"}};
    const auto outcome = compiler.apply(edit);
    CHECK(outcome.table == nullptr);
    return outcome.tls_listeners;
  };
  CHECK(change("n/a", "1") == std::vector<std::string>{"i/g/one"});
  CHECK(change("n/a", "1").empty());
  CHECK(change("n/a", "2") == std::vector<std::string>{"i/g/one"});
  CHECK(change("n/both", "1") == std::vector<std::string>{"i/g/one", "i/g/two"});
  CHECK(change("n/none", "1").empty());
  CHECK(compiler.certificate("n/a")->chain_pem == "2");
  ModelBatch removal;
  removal.removed_certificates = {"n/a"};
  CHECK(compiler.apply(removal).tls_listeners == std::vector<std::string>{"i/g/one"});
  CHECK(compiler.certificate("n/a") == nullptr);

  batch.listeners[1].certificates = {"n/other"};
  const auto renamed = compiler.apply(batch);
  CHECK(renamed.table != nullptr);
  CHECK(renamed.tls_listeners == std::vector<std::string>{"i/g/two"});
  batch.listeners[1].hostname = "elsewhere.com";
  CHECK(compiler.apply(batch).tls_listeners.empty());
}

TEST_CASE("Listeners come and go with the routes that were attached to them all along") {
  Compiler compiler;
  ModelBatch routes;
  routes.routes = {route("r", {""}, {{matchOf(prefix("/"))}}, {"i/g/late", "i/g/never"})};
  (void)compiler.apply(routes);
  CHECK(compiler.current()->ruleCount() == 0);
  ModelBatch add;
  add.listeners = {listener("i/g/late")};
  (void)compiler.apply(add);
  CHECK(answer(*compiler.current(), Request("h")) == "default/r/0");
  CHECK(compiler.current()->ruleCount() == 1);
  ModelBatch edit = add;
  edit.listeners[0].hostname = "h";
  (void)compiler.apply(edit);
  CHECK(answer(*compiler.current(), Request("h")) == "default/r/0");
  CHECK(answer(*compiler.current(), Request("g")).empty());
  ModelBatch remove;
  remove.removed_listeners = {"i/g/late"};
  (void)compiler.apply(remove);
  CHECK(compiler.current()->groups().empty());
  CHECK(compiler.current()->ruleCount() == 0);
  (void)compiler.apply(add);
  CHECK(answer(*compiler.current(), Request("h")) == "default/r/0");
}

TEST_CASE("Generations rise by one with each table") {
  Compiler compiler;
  CHECK(compiler.current()->generation() == 0);
  for (std::uint64_t i = 1; i < 5; ++i) {
    ModelBatch edit;
    edit.listeners = {listener()};
    edit.routes = {route("r", {""}, {{matchOf(prefix("/"))}}, {"infra/gw/http"},
                         static_cast<std::int64_t>(i))};
    (void)compiler.apply(edit);
    CHECK(compiler.current()->generation() == i);
  }
}

TEST_CASE("A route that names a listener twice is there once") {
  ModelBatch batch;
  batch.listeners = {listener()};
  batch.routes = {
      route("r", {"a.com", "a.com"}, {{matchOf(prefix("/"))}}, {"infra/gw/http", "infra/gw/http"})};
  Compiler compiler;
  (void)compiler.apply(batch);
  CHECK(answer(*compiler.current(), Request("a.com")) == "default/r/0");
  CHECK(compiler.current()->ruleCount() == 1);
  ModelBatch remove;
  remove.removed_routes = {"HTTPRoute/default/r"};
  (void)compiler.apply(remove);
  CHECK(answer(*compiler.current(), Request("a.com")).empty());
}
