// SPDX-License-Identifier: Apache-2.0
#include "route/packed_route.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "fixture.hpp"
#include "random_model.hpp"
#include "route/route_record.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

class Bound final : public FilterBinding {};

Filter filterOf(const char* type, FilterBindingPtr binding) {
  Filter made;
  made.type = type;
  made.config = R"({"set":[{"name":"x","value":"1"}]})";
  made.owner = "HTTPRoute default/r";
  made.binding = std::move(binding);
  return made;
}

/// A route in which every field has a value of its own.
Route fullRoute() {
  Rule rule;
  rule.id = "default/r/0";
  rule.name = "first";
  rule.matches = {matchOf(exact("/a"), "GET", {{"x-a", "1", MatchKind::Exact}},
                          {{"q", "[0-9]+", MatchKind::Regex}}),
                  matchOf(regex("/b/.*\\.png"))};
  rule.filters = {filterOf("CORS", std::make_shared<Bound>()), filterOf("URLRewrite", nullptr)};
  rule.filters[1].refused = "no plugin of that name";
  rule.filters[1].refused_here = true;
  rule.filters[0].upstreams = {"infra/auth:80", "infra/auth:81+grpc"};
  rule.mirrors = {{"default/m:80", 1, 1}, {"default/n:81", 1, 3}};
  rule.backends = {backend("a", 3), backend("b", 0), backend("gone", 1'000'000)};
  rule.backends[1].filters = {filterOf("RequestHeaderModifier", std::make_shared<Bound>())};
  rule.backends[2].upstream.clear();
  rule.request_timeout = std::chrono::milliseconds(1500);
  rule.backend_timeout = std::chrono::milliseconds(0);
  rule.retry = Retry{2, {500, 503}, std::chrono::milliseconds(100)};
  rule.session = timedSession();
  Rule second;
  second.id = "default/r/2";  // 1 was dropped
  second.matches = {matchOf(prefix("/"))};
  second.session = Session{"x-session", true, "", false, {}, {}, "u1 HTTPRoute default/r/2"};
  Route made = route("r", {"a.example.com", "*.b.com"}, {}, {"infra/gw/http"}, -1);
  made.attachments.push_back({"infra/gw/https", {""}});
  made.rules = std::make_shared<const std::vector<Rule>>(std::vector<Rule>{rule, second});
  return made;
}

/// What a fingerprint says covers every field but for this.
std::vector<bool> refusedHere(const Route& route) {
  std::vector<bool> out;
  for (const Rule& rule : *route.rules)
    for (const Filter& filter : rule.filters) out.push_back(filter.refused_here);
  return out;
}

}  // namespace

TEST_CASE("A packed route is unpacked with every field and every binding that it had") {
  const Route full = fullRoute();
  const PackedRoute packed(full);
  CHECK(packed.hasFilters());
  const Route again = packed.unpack();
  CHECK(RouteRecord::fingerprintOf(again) == RouteRecord::fingerprintOf(full));
  CHECK(refusedHere(again) == refusedHere(full));
  CHECK((*again.rules)[0].filters[0].binding == (*full.rules)[0].filters[0].binding);
  // Twice is as once.
  CHECK(RouteRecord::fingerprintOf(PackedRoute(again).unpack()) ==
        RouteRecord::fingerprintOf(full));
}

TEST_CASE("Random routes are unpacked as they were, and so are routes with unusual keys") {
  random_model::SeededChoices choices(20261126);
  for (int i = 0; i < 2000; ++i) {
    Route made = random_model::route(choices);
    if (choices.below(8) == 0) made.key = "TLSRoute/x/y";
    if (choices.below(4) == 0) made.kind = RouteKind::Udp;
    if (choices.below(4) == 0) made.key = std::string(kindText(made.kind)) + "/default/x";
    const PackedRoute packed(made);
    CHECK_FALSE(packed.hasFilters());
    CHECK(RouteRecord::fingerprintOf(packed.unpack()) == RouteRecord::fingerprintOf(made));
  }
}
