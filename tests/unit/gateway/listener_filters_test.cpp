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

std::string auth(std::string_view protocol, std::string_view reference) {
  return "{'type':'ExternalAuth','externalAuth':{'protocol':'" + std::string(protocol) +
         "','backendRef':{" + std::string(reference) + "}}}";
}

std::string grant(std::string_view kind) {
  return "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'" + std::string(kind) +
         "','namespace':'default'}],'to':[{'group':'','kind':'Service'}]}";
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
                         Row{"refused", "is refused"}, Row{"asks", "does not exist"}}) {
    CAPTURE(row.filter);
    World world;
    world.addBasics();
    addFilter(world, "unknown", "unheard_of");
    addFilter(world, "refused", "api_key", "{'refuse':1}");
    addFilter(world, "asks", "api_key", "{},'backendRefs':[{'name':'nobody','port':80}]");
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

TEST_CASE("ExternalAuth of a listener has its server in the model, as long as it is served") {
  World world;
  world.parser.types.insert("ExternalAuth");
  world.addBasics();
  world.addService("default", "auth", "10.0.0.9");
  CHECK(world.upstreams.empty());
  world.addGateway("gw", listener(auth("HTTP", "'name':'auth','port':80") + ',' +
                                  auth("GRPC", "'name':'auth','port':80")));
  REQUIRE(filters(world).size() == 2);
  CHECK(filters(world)[0].type == "ExternalAuth");
  CHECK(filters(world)[0].owner == "Gateway default/gw");
  CHECK(filters(world)[0].binding != nullptr);
  CHECK(filters(world)[0].upstreams == std::vector<std::string>{"default/auth:80"});
  CHECK(filters(world)[1].upstreams == std::vector<std::string>{"default/auth:80+grpc"});
  CHECK(world.listener("gw", "http", "ResolvedRefs") == "True ResolvedRefs");
  REQUIRE(world.upstreams.size() == 2);
  CHECK(world.upstreams.at("default/auth:80").endpoints ==
        std::vector<route::Endpoint>{{"10.0.0.9", 8080}});
  CHECK(world.upstreams.at("default/auth:80+grpc").protocol == route::UpstreamProtocol::Http2);
  // Endpoints take the short way.
  world.addService("default", "auth", "10.0.0.10");
  CHECK(world.last.model.listeners.empty());
  CHECK(world.upstreams.at("default/auth:80").endpoints ==
        std::vector<route::Endpoint>{{"10.0.0.10", 8080}});
  // A route keeps what the listener leaves, and the other way round.
  world.addRoute("web", "{'backendRefs':[{'name':'auth','port':80}]}");
  world.addGateway("gw", listener(auth("GRPC", "'name':'auth','port':80")));
  CHECK(world.upstreams.size() == 2);
  world.remove("HTTPRoute", "default", "web");
  CHECK(world.upstreams.size() == 1);
  world.addGateway("gw", listener(auth("GRPC", "'name':'auth','port':80"), "http", "70000"));
  CHECK(world.upstreams.empty());
  world.addGateway("gw", listener(auth("GRPC", "'name':'auth','port':80")));
  CHECK(world.upstreams.size() == 1);
  world.remove("Gateway", "default", "gw");
  CHECK(world.upstreams.empty());
}

TEST_CASE("ExternalAuth of a listener without a server that it may use: refused, and told") {
  struct Row {
    std::string_view filter, reason, what;
  };
  for (const Row& row :
       {Row{"'name':'nobody','port':80", "InvalidListenerFilterRef", "does not exist"},
        Row{"'name':'web','port':81", "InvalidListenerFilterRef", "has no port 81"},
        Row{"'kind':'Other','name':'web','port':80", "InvalidListenerFilterRef", "only Services"},
        Row{"'namespace':'infra','name':'web','port':80", "RefNotPermitted",
            "permits Gateways of namespace default"}}) {
    CAPTURE(row.filter);
    World world;
    world.parser.types.insert("ExternalAuth");
    world.addBasics();
    world.addGateway("gw", listener(auth("HTTP", row.filter)));
    CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "http", "ResolvedRefs") == "False " + std::string(row.reason));
    REQUIRE(filters(world).size() == 1);
    CHECK(filters(world)[0].binding == nullptr);
    CHECK(filters(world)[0].upstreams.empty());
    CHECK(filters(world)[0].refused.find(row.what) != std::string::npos);
    CHECK(filters(world)[0].refused.starts_with(
        "/spec/listeners/0/filters/requests/0/externalAuth/backendRef: "));
    CHECK(world.upstreams.empty());
  }
  World world;
  world.addBasics();
  world.addGateway("gw", listener(auth("HTTP", "'name':'web','port':80")));
  CHECK(world.listener("gw", "http", "Accepted") == "False UnsupportedValue");
  CHECK_FALSE(world.listeners.contains("default/gw/http"));
  world.parser.types.insert("ExternalAuth");
  world.take(world.translator.rebindFilters({"ExternalAuth"}));
  CHECK(filters(world).at(0).refused.empty());
  world.addGateway("gw", listener(auth("SMTP", "'name':'web','port':80")));
  CHECK(world.listener("gw", "http", "ResolvedRefs") == "False InvalidListenerFilterRef");
  CHECK_FALSE(filters(world).at(0).refused.empty());
}

TEST_CASE("A listener's server is followed: its Service, grants by kind, and policies") {
  World world;
  world.parser.types.insert("ExternalAuth");
  world.addBasics();
  world.addGateway("gw", listener(auth("HTTP", "'name':'auth','port':80")));
  const auto refs = [&] { return world.listener("gw", "http", "ResolvedRefs"); };
  CHECK(refs() == "False InvalidListenerFilterRef");
  world.addService("default", "auth");
  CHECK(refs() == "True ResolvedRefs");
  world.remove("Service", "default", "auth");
  CHECK(refs() == "False InvalidListenerFilterRef");
  CHECK(world.upstreams.empty());
  world.addService("infra", "auth");
  world.addGateway("gw", listener(auth("HTTP", "'namespace':'infra','name':'auth','port':80")));
  world.put("ReferenceGrant", "infra", "g", grant("HTTPRoute"));
  CHECK(refs() == "False RefNotPermitted");
  world.put("ReferenceGrant", "infra", "g", grant("Gateway"));
  CHECK(refs() == "True ResolvedRefs");
  CHECK(filters(world)[0].upstreams == std::vector<std::string>{"infra/auth:80"});
  world.remove("ReferenceGrant", "infra", "g");
  CHECK(refs() == "False RefNotPermitted");
  world.put("ReferenceGrant", "infra", "g", grant("Gateway"));
  const auto policy = [&](std::string_view section) {
    world.put("BackendTLSPolicy", "infra", "policy",
              "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'auth'" +
                  std::string(section) +
                  "}],'validation':{'hostname':'auth.example',"
                  "'wellKnownCACertificates':'System'}}");
    return world.status("BackendTLSPolicy/infra/policy").ancestors;
  };
  REQUIRE(policy("").size() == 1);
  REQUIRE(world.upstreams.at("infra/auth:80").tls);
  CHECK(world.upstreams.at("infra/auth:80").tls->hostname == "auth.example");
  CHECK(World::show(policy(",'sectionName':'none'").at(0).conditions, "Accepted") ==
        "False TargetNotFound");
  CHECK(World::show(policy("").at(0).conditions, "Accepted") == "True Accepted");
  world.addGateway("gw", listener(""));
  CHECK(world.status("BackendTLSPolicy/infra/policy").ancestors.empty());
}

TEST_CASE("A ListenerSet's server needs a grant to ListenerSets") {
  World world;
  world.parser.types.insert("ExternalAuth");
  world.addBasics();
  world.put("Gateway", "default", "gw",
            "'spec':{'gatewayClassName':'hyperway','listeners':[{'name':'http','port':80,"
            "'protocol':'HTTP'}],'allowedListeners':{'namespaces':{'from':'All'}}}");
  world.addService("infra", "auth");
  world.put(
      "ListenerSet", "default", "set",
      "'spec':{'parentRef':{'name':'gw'},'listeners':[" +
          listener(auth("HTTP", "'namespace':'infra','name':'auth','port':80"), "more", "81") +
          "]}");
  const auto& refused = [&] {
    return world.listeners.at("default/gw/default/set/more").filters.at(0).refused;
  };
  CHECK_FALSE(refused().empty());
  world.put("ReferenceGrant", "infra", "g", grant("Gateway"));
  CHECK_FALSE(refused().empty());
  world.put("ReferenceGrant", "infra", "g", grant("ListenerSet"));
  CHECK(refused().empty());
  CHECK(world.upstreams.contains("infra/auth:80"));
}

TEST_CASE("Filters of a listener run in the order of the list, CORS too") {
  World world;
  world.addBasics();
  addFilter(world, "key");
  addFilter(world, "cors", "CORS");
  world.addGateway("gw", listener(extension("key") + ',' + extension("cors")));
  CHECK(filters(world).at(0).type == "api_key");
  CHECK(filters(world).at(1).type == "CORS");
}

TEST_CASE("A listener's Filter may name backends of its own") {
  World world;
  world.addBasics();
  addFilter(world, "asks", "api_key", "{},'backendRefs':[{'name':'web','port':80}]");
  world.addGateway("gw", listener(extension("asks")));
  CHECK(filters(world).at(0).upstreams == std::vector<std::string>{"default/web:80"});
  CHECK(world.upstreams.contains("default/web:80"));
}

}  // namespace hyperway::gateway
