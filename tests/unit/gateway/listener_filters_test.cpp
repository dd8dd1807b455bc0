// SPDX-License-Identifier: Apache-2.0
// Filters of listeners (Gateway API v1.7, ListenerFilters).
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

std::string listener(std::string_view filters, std::string_view name = "http",
                     std::string_view port = "80") {
  return "{'name':'" + std::string(name) + "','port':" + std::string(port) +
         ",'protocol':'HTTP','filters':{'requests':[" + std::string(filters) + "]}}";
}

std::string extension(std::string_view name, std::string_view kind = "Filter") {
  return "{'type':'ExtensionRef','extensionRef':{'group':'hyperway.arloor.dev','kind':'" +
         std::string(kind) + "','name':'" + std::string(name) + "'}}";
}

void addFilter(World& world, std::string_view name, std::string_view plugin = "api_key",
               std::string_view config = "{'a':1}") {
  world.put("Filter", "default", name,
            "'spec':{'plugin':'" + std::string(plugin) + "','config':" + std::string(config) + "}");
}

const std::vector<route::Filter>& filters(const World& world) {
  return world.listeners.at("default/gw/http").filters;
}

}  // namespace

TEST_CASE(
    "Filters of a listener are bound in the order of the list, one twice if it is there twice") {
  World world;
  world.addBasics();
  addFilter(world, "first");
  addFilter(world, "second", "RequestHeaderModifier");
  world.addGateway(
      "gw", listener(extension("second") + ',' + extension("first") + ',' + extension("second")));
  REQUIRE(filters(world).size() == 3);
  CHECK(filters(world)[0].type == "RequestHeaderModifier");
  CHECK(filters(world)[0].owner == "Filter default/second");
  CHECK(filters(world)[1].type == "api_key");
  CHECK(filters(world)[2].type == "RequestHeaderModifier");
  for (const route::Filter& filter : filters(world)) CHECK(filter.binding != nullptr);
  CHECK(world.listener("gw", "http", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.listener("gw", "http", "Programmed") == "True Programmed");
  world.addGateway("gw", listener(""));
  CHECK(filters(world).empty());
}

TEST_CASE(
    "A filter of a listener that cannot run stays there, refused, and the listener says why") {
  struct Row {
    std::string_view filter, what;
  };
  for (const Row& row : {Row{"missing", "does not exist"}, Row{"unknown", "no plugin"},
                         Row{"refused", "is refused"}, Row{"asks", "has backendRefs"}}) {
    CAPTURE(row.filter);
    World world;
    world.addBasics();
    addFilter(world, "unknown", "unheard_of");
    addFilter(world, "refused", "api_key", "{'refuse':1}");
    addFilter(world, "asks", "api_key", "{},'backendRefs':[{'name':'web','port':80}]");
    world.addGateway("gw", listener(extension(row.filter)));
    CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "http", "ResolvedRefs") == "False InvalidListenerFilterRef");
    REQUIRE(filters(world).size() == 1);
    CHECK(filters(world)[0].binding == nullptr);
    CHECK(filters(world)[0].refused.find(row.what) != std::string::npos);
    CHECK(filters(world)[0].refused.find("/spec/listeners/0/filters/requests/0/extensionRef") == 0);
  }
  World world;
  world.addBasics();
  world.addGateway("gw", listener(extension("first", "Middleware")));
  CHECK(world.listener("gw", "http", "ResolvedRefs") == "False InvalidListenerFilterRef");
}

TEST_CASE("Filters of listeners are followed as they change") {
  World world;
  world.addBasics();
  world.addGateway("gw", listener(extension("late")) + ',' + listener("", "other", "81"));
  CHECK_FALSE(filters(world)[0].refused.empty());
  addFilter(world, "late");
  CHECK(filters(world)[0].binding != nullptr);
  CHECK(world.listener("gw", "http", "ResolvedRefs") == "True ResolvedRefs");
  const auto before = filters(world)[0].binding;
  addFilter(world, "late", "api_key", "{'a':2}");
  CHECK(filters(world)[0].binding != before);
  const auto edited = filters(world)[0].binding;
  world.parser.replace("api_key");
  world.take(world.translator.rebindFilters({"api_key"}));
  CHECK(filters(world)[0].binding != edited);
  world.remove("Filter", "default", "late");
  CHECK_FALSE(filters(world)[0].refused.empty());
}

TEST_CASE("A ListenerSet's filters are those of its own namespace") {
  World world;
  world.addBasics();
  world.put("Gateway", "default", "gw",
            "'spec':{'gatewayClassName':'hyperway','listeners':[{'name':'http','port':80,"
            "'protocol':'HTTP'}],'allowedListeners':{'namespaces':{'from':'All'}}}");
  addFilter(world, "key");
  world.put("ListenerSet", "team", "set",
            "'spec':{'parentRef':{'name':'gw','namespace':'default'},'listeners':[" +
                listener(extension("key"), "more", "81") + "]}");
  const std::string key = "default/gw/team/set/more";
  REQUIRE(world.listeners.contains(key));
  CHECK(world.listeners.at(key).filters.at(0).refused.find("Filter team/key does not exist") !=
        std::string::npos);
  world.put("Filter", "team", "key", "'spec':{'plugin':'api_key','config':{}}");
  CHECK(world.listeners.at(key).filters.at(0).refused.empty());
}

TEST_CASE("A listener whose filters changed is another listener, and one with the same is not") {
  World world;
  world.addBasics();
  addFilter(world, "key");
  world.addGateway("gw", listener(extension("key")));
  const auto before = filters(world)[0].binding;
  world.addGateway("gw", listener(extension("key")));
  CHECK(filters(world)[0].binding == before);
}

}  // namespace hyperway::gateway
