// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "fixture.hpp"
#include "random_model.hpp"
#include "route/host_table.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

/// All that a table holds, as text: hostname, path, rule, match.
std::multiset<std::string> contentOf(const RouteTable& table) {
  std::multiset<std::string> out;
  for (const auto& group : table.groups()) {
    for (const auto& listener : group->listeners()) {
      listener->hosts().forEachHost([&](std::string_view host, const HostPaths& paths) {
        paths.forEach([&](const PathPlace& place, const Candidate& candidate) {
          out.insert(listener->model().key + " " + std::string(host) + " " +
                     std::to_string(static_cast<int>(place.kind)) + std::string(place.value) + " " +
                     candidate.rule->rule->id + " " + std::to_string(candidate.match_index));
        });
      });
    }
  }
  return out;
}

std::set<const void*> nodesOf(const RouteTable& table) {
  std::set<const void*> out;
  for (const auto& group : table.groups())
    for (const auto& listener : group->listeners())
      listener->hosts().forEachNode([&](const void* node) { out.insert(node); });
  return out;
}

/// 4,000 routes at two listeners: one host each, or one prefix or exact path each of one host.
Route bulkRoute(int shape, std::size_t i, std::size_t edition) {
  const std::string number = std::to_string(i);
  const std::string host = shape == 0 ? "h" + number + ".example.com" : "www.example.com";
  const std::string path = shape == 0 ? "/" : "/service/" + number;
  Route made = route("r" + number, {host}, {{matchOf(shape == 2 ? exact(path) : prefix(path))}},
                     {"infra/gw/http", "infra/gw/https"}, static_cast<std::int64_t>(edition));
  return made;
}

ModelBatch bulk(int shape) {
  ModelBatch batch;
  batch.full = true;
  batch.listeners = {listener("infra/gw/http", "", 8080), listener("infra/gw/https", "", 8443)};
  for (std::size_t i = 0; i < 4000; ++i) batch.routes.push_back(bulkRoute(shape, i, 0));
  return batch;
}

}  // namespace

TEST_CASE("A table after many edits answers like a linear scan over the model") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    random_model::SeededChoices choices(seed);
    random_model::World world(choices);
    for (int step = 0; step < 30; ++step) {
      world.step();
      for (int i = 0; i < 15; ++i) {
        const auto asked = random_model::request(choices);
        CAPTURE(asked->head().host);
        CAPTURE(asked->head().path);
        REQUIRE(world.agrees(*asked));
      }
    }
  }
}

TEST_CASE("Edits one by one and a build in one go give the same table") {
  for (std::uint32_t seed = 100; seed < 140; ++seed) {
    CAPTURE(seed);
    random_model::SeededChoices choices(seed);
    random_model::World world(choices);
    for (int step = 0; step < 40; ++step) {
      world.step();
      Compiler rebuilt;
      world.rebuildIn(rebuilt);
      REQUIRE(contentOf(*world.compiler().current()) == contentOf(*rebuilt.current()));
      REQUIRE(world.compiler().current()->ruleCount() == rebuilt.current()->ruleCount());
    }
  }
}

TEST_CASE("A table that is in use does not change when the next one is made") {
  random_model::SeededChoices choices(7);
  random_model::World world(choices);
  for (int step = 0; step < 50; ++step) {
    world.step();
    const std::shared_ptr<const RouteTable> held = world.compiler().current();
    const auto before = contentOf(*held);
    world.step();
    REQUIRE(contentOf(*held) == before);
  }
}

TEST_CASE("An edit of one route among thousands copies only the way to it") {
  for (int shape = 0; shape < 3; ++shape) {
    CAPTURE(shape);
    Compiler compiler;
    (void)compiler.apply(bulk(shape));
    const auto before = nodesOf(*compiler.current());
    const std::shared_ptr<const RouteTable> held = compiler.current();
    ModelBatch edit;
    edit.routes = {bulkRoute(shape, 1234, 1)};
    const auto outcome = compiler.apply(edit);
    REQUIRE(outcome.table);
    const auto after = nodesOf(*outcome.table);
    std::size_t fresh = 0;
    for (const void* node : after) fresh += !before.contains(node);
    CHECK(before.size() > 4000);
    CHECK(fresh >= 2);
    CHECK(fresh <= 12);
  }
}

TEST_CASE("Listeners with the same routes share one table, also after edits") {
  Compiler compiler;
  (void)compiler.apply(bulk(0));
  for (std::size_t i = 0; i < 20; ++i) {
    ModelBatch edit;
    edit.routes = {bulkRoute(0, i * 7, i + 1)};
    if (i % 3 == 0) edit.removed_routes = {"HTTPRoute/default/r" + std::to_string(i * 7 + 1)};
    (void)compiler.apply(edit);
  }
  const RouteTable& table = *compiler.current();
  const CompiledListener* http = listenerOf(table, "h1.example.com", 8080);
  const CompiledListener* https = listenerOf(table, "h1.example.com", 8443);
  CHECK(&http->hosts() == &https->hosts());
}

TEST_CASE("Listeners that differ in one route share all others, also after edits") {
  Compiler compiler;
  ModelBatch batch = bulk(0);
  batch.routes.push_back(route("only-http", {""}, {{matchOf(prefix("/"))}}, {"infra/gw/http"}));
  (void)compiler.apply(batch);
  for (std::size_t i = 0; i < 200; ++i) {
    ModelBatch edit;
    edit.routes = {bulkRoute(0, i, i + 1)};
    (void)compiler.apply(edit);
  }
  // The hash tries differ along the edited ways; each host's paths and prefix tree are there once.
  std::map<std::string, std::set<const void*>> paths;
  for (const auto& group : compiler.current()->groups()) {
    for (const auto& listener : group->listeners()) {
      listener->hosts().forEachHost([&](std::string_view host, const HostPaths& each) {
        paths[std::string(host)].insert(&each);
      });
    }
  }
  CHECK(paths.size() == 4001);
  for (const auto& [host, copies] : paths) {
    CAPTURE(host);
    REQUIRE(copies.size() == 1);
  }
}

TEST_CASE("Thousands of matches on one path are built and taken away in linear time") {
  // Told apart by a header only: the table keeps one long list, which must not be copied for each.
  ModelBatch batch;
  batch.full = true;
  batch.listeners = {listener()};
  for (std::size_t i = 0; i < 5000; ++i) {
    const std::string number = std::to_string(100'000 + i);
    batch.routes.push_back(route(
        "r" + number, {""}, {{matchOf(prefix("/"), "", {{"x-n", number, MatchKind::Exact}})}}));
  }
  Compiler compiler;
  (void)compiler.apply(batch);
  CHECK(answer(*compiler.current(), Request("h").with("x-n", "102500")) == "default/r102500/0");
  ModelBatch removal;
  for (std::size_t i = 0; i < 4990; ++i) removal.removed_routes.push_back(batch.routes[i].key);
  (void)compiler.apply(removal);
  CHECK(contentOf(*compiler.current()).size() == 10);
  CHECK(answer(*compiler.current(), Request("h").with("x-n", "104995")) == "default/r104995/0");
  CHECK(answer(*compiler.current(), Request("h").with("x-n", "104000")).empty());
}
