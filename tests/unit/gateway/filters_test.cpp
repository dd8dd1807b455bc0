// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

std::string rule(std::string_view filters) {
  return "{'filters':[" + std::string(filters) + "],'backendRefs':[{'name':'web','port':80}]}";
}

constexpr std::string_view kRef =
    "{'type':'ExtensionRef','extensionRef':{'group':'hyperway.arloor.dev','kind':'Filter','name':'"
    "keys'}}";

const std::vector<route::Filter>& filtersOf(const World& world) {
  REQUIRE(world.rules("web") != nullptr);
  return world.rules("web")->front().filters;
}

std::string filterAccepted(const World& world) {
  return World::show(world.status("Filter/default/keys").conditions, "Accepted");
}

}  // namespace

TEST_CASE("Filters come through in list order with their bodies as JSON; CORS comes first") {
  World world;
  world.addBasics();
  world.addRoute("web",
                 rule("{'type':'RequestHeaderModifier','requestHeaderModifier':{'remove':['x-a']}},"
                      "{'type':'ResponseHeaderModifier','responseHeaderModifier':{'set':[{'name':'"
                      "b','value':'c'}]}},"
                      "{'type':'CORS','cors':{'maxAge':5}},{'type':'URLRewrite','urlRewrite':{'"
                      "hostname':'h'}}"));
  const auto& filters = filtersOf(world);
  REQUIRE(filters.size() == 4);
  CHECK(filters[0].type == "CORS");
  CHECK(filters[1].type == "RequestHeaderModifier");
  CHECK(filters[1].config == json("{'remove':['x-a']}"));
  CHECK(filters[1].owner == "HTTPRoute default/web");
  CHECK(filters[2].type == "ResponseHeaderModifier");
  CHECK(filters[3].type == "URLRewrite");
  for (const auto& filter : filters) {
    CHECK(filter.binding != nullptr);
    CHECK(filter.refused.empty());
  }
}

TEST_CASE("A filter that cannot run stays in its rule, refused, and the route says why") {
  struct Row {
    std::string_view filter, reason, pointer;
  };
  for (const Row& row :
       {Row{"{'type':'ExternalAuth','externalAuth':{}}", "InvalidKind", "/type"},
        Row{"{'type':'Nonsense'}", "InvalidKind", "/type"},
        Row{"{'type':'RequestHeaderModifier'}", "InvalidFilterConfig", ""},
        Row{"{'type':'URLRewrite','urlRewrite':{'hostname':'refuse'}}", "InvalidFilterConfig",
            "/urlRewrite/key"},
        Row{"{'type':'ExtensionRef','extensionRef':{'group':'x.y','kind':'Filter','name':'keys'}}",
            "InvalidKind", "/extensionRef"},
        Row{"{'type':'ExtensionRef','extensionRef':{'group':'hyperway.arloor.dev','kind':'Else','"
            "name':'keys'}}",
            "InvalidKind", "/extensionRef"},
        Row{kRef, "BackendNotFound", "/extensionRef"},
        Row{"{'type':'RequestMirror'}", "InvalidFilterConfig", "/requestMirror"},
        Row{"{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'web','port':80},'"
            "percent':101}}",
            "InvalidFilterConfig", "/requestMirror"},
        Row{"{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'web','port':80},'"
            "percent':1,"
            "'fraction':{'numerator':1}}}",
            "InvalidFilterConfig", "/requestMirror"},
        Row{"{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'web','port':80},'"
            "fraction':{'numerator':5,"
            "'denominator':0}}}",
            "InvalidFilterConfig", "/requestMirror"}}) {
    CAPTURE(row.filter);
    World world;
    world.addBasics();
    world.addRoute("web", rule(row.filter));
    CHECK(world.route("web", "Accepted") == "True Accepted");
    CHECK(world.route("web", "ResolvedRefs") == "False " + std::string(row.reason));
    const std::string message = world.message("web", "ResolvedRefs");
    CAPTURE(message);
    CHECK(message.starts_with("/spec/rules/0/filters/0" + std::string(row.pointer) + ": "));
    REQUIRE(filtersOf(world).size() == 1);
    CHECK_FALSE(filtersOf(world)[0].refused.empty());
    CHECK(filtersOf(world)[0].binding == nullptr);
  }
}

TEST_CASE("ExternalAuth names its server's upstream, by HTTP or as gRPC, on rules and backends") {
  World world;
  world.parser.types.insert("ExternalAuth");
  world.addBasics();
  world.addService("default", "auth");
  const std::string_view kAuth =
      "{'type':'ExternalAuth','externalAuth':{'protocol':'PROTOCOL','backendRef':{'name':'auth','"
      "port':80}}}";
  const auto with = [&](std::string_view protocol) {
    std::string text(kAuth);
    return text.replace(text.find("PROTOCOL"), 8, protocol);
  };
  world.addRoute("web", "{'filters':[" + with("GRPC") +
                            "],'backendRefs':[{'name':'web','port':80,"
                            "'filters':[" +
                            with("HTTP") + "]}]}");
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  const auto& filter = filtersOf(world)[0];
  CHECK(filter.upstreams == std::vector<std::string>{"default/auth:80+grpc"});
  CHECK(filter.config == json("{'protocol':'GRPC','backendRef':{'name':'auth','port':80}}"));
  CHECK(world.rules("web")->front().backends[0].filters[0].upstreams ==
        std::vector<std::string>{"default/auth:80"});
  CHECK(world.upstreams.at("default/auth:80+grpc").protocol == route::UpstreamProtocol::Http2);
  CHECK(world.upstreams.at("default/auth:80").endpoints.size() == 1);
  world.remove("Service", "default", "auth");
  CHECK(world.route("web", "ResolvedRefs") == "False BackendNotFound");
  CHECK_FALSE(filtersOf(world)[0].refused.empty());
  CHECK(filtersOf(world)[0].upstreams.empty());
}

TEST_CASE("ExternalAuth without a server that it may use is refused, and the route says why") {
  struct Row {
    std::string_view body, reason, pointer;
  };
  for (const Row& row :
       {Row{"'protocol':'HTTP'", "InvalidFilterConfig", ""},
        Row{"'protocol':'SMTP','backendRef':{'name':'web','port':80}", "InvalidFilterConfig",
            "/backendRef"},
        Row{"'protocol':'HTTP','backendRef':{'name':'nobody','port':80}", "BackendNotFound",
            "/backendRef"},
        Row{"'protocol':'HTTP','backendRef':{'name':'web','port':81}", "BackendNotFound",
            "/backendRef"},
        Row{"'protocol':'GRPC','backendRef':{'kind':'Other','name':'web','port':80}", "InvalidKind",
            "/backendRef"},
        Row{"'protocol':'GRPC','backendRef':{'namespace':'infra','name':'auth','port':80}",
            "RefNotPermitted", "/backendRef"}}) {
    CAPTURE(row.body);
    World world;
    world.parser.types.insert("ExternalAuth");
    world.addBasics();
    world.addService("infra", "auth");
    world.addRoute("web",
                   rule("{'type':'ExternalAuth','externalAuth':{" + std::string(row.body) + "}}"));
    CHECK(world.route("web", "ResolvedRefs") == "False " + std::string(row.reason));
    CHECK(
        world.message("web", "ResolvedRefs")
            .starts_with("/spec/rules/0/filters/0/externalAuth" + std::string(row.pointer) + ":"));
    CHECK_FALSE(filtersOf(world)[0].refused.empty());
    if (row.reason != "RefNotPermitted") continue;
    // What is sent is gRPC, but it is an HTTPRoute that refers.
    world.put("ReferenceGrant", "infra", "g",
              "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'HTTPRoute','namespace':"
              "'default'}],'to':[{'group':'','kind':'Service'}]}");
    CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
    CHECK(filtersOf(world)[0].upstreams == std::vector<std::string>{"infra/auth:80+grpc"});
  }
}

TEST_CASE("ExternalAuth stands once in a list") {
  World world;
  world.parser.types.insert("ExternalAuth");
  world.addBasics();
  const std::string auth =
      "{'type':'ExternalAuth','externalAuth':{'protocol':'HTTP','backendRef':{'name':'web','port':"
      "80}}}";
  world.addRoute("web", rule(auth + "," + auth));
  CHECK(world.route("web", "Accepted") == "False IncompatibleFilters");
}

TEST_CASE("A Filter may name backends of its own, which its routes then depend on") {
  World world;
  world.addBasics();
  world.put("Filter", "default", "keys",
            "'spec':{'plugin':'api_key','backendRefs':[{'name':'ask','port':80},"
            "{'name':'web','port':80,'protocol':'GRPC'}]}");
  world.addRoute("web", rule(kRef));
  CHECK(filterAccepted(world).starts_with("True"));
  CHECK(world.route("web", "ResolvedRefs") == "False BackendNotFound");
  world.addService("default", "ask");
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(filtersOf(world)[0].upstreams ==
        std::vector<std::string>{"default/ask:80", "default/web:80+grpc"});
  world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key'}");
  CHECK(filtersOf(world)[0].upstreams.empty());
}

TEST_CASE("Without a plugin for it a filter of the standard is refused, too") {
  World world;
  world.parser.types.erase("CORS");
  world.addBasics();
  world.addRoute("web", rule("{'type':'CORS','cors':{}}"));
  CHECK(world.route("web", "ResolvedRefs") == "False InvalidKind");
  CHECK_FALSE(filtersOf(world)[0].refused.empty());
}

TEST_CASE("Filters of a backend are its own; one that cannot run there refuses the backend alone") {
  World world;
  world.addBasics();
  world.addRoute(
      "web",
      "{'backendRefs':[{'name':'web','port':80,'filters':[{'type':'URLRewrite','urlRewrite':{}}]},"
      "{'name':'web','port':80,'filters':[{'type':'RequestMirror','requestMirror':{'backendRef':{"
      "'name':'web','port':80}}}]}]}");
  const auto& rule = world.rules("web")->front();
  CHECK(rule.filters.empty());
  REQUIRE(rule.backends.at(0).filters.size() == 1);
  CHECK(rule.backends[0].filters[0].binding != nullptr);
  REQUIRE(rule.backends.at(1).filters.size() == 1);
  CHECK_FALSE(rule.backends[1].filters[0].refused.empty());
  CHECK(world.route("web", "ResolvedRefs") == "False InvalidFilterConfig");
}

TEST_CASE("Mirrors have a share, and one that does not resolve mirrors nothing") {
  struct Row {
    std::string_view share;
    std::uint32_t numerator, denominator;
  };
  for (const Row& row : {Row{"", 1, 1}, Row{",'percent':0", 0, 100}, Row{",'percent':20", 20, 100},
                         Row{",'fraction':{'numerator':5}", 5, 100},
                         Row{",'fraction':{'numerator':1,'denominator':1000}", 1, 1000}}) {
    CAPTURE(row.share);
    World world;
    world.addBasics();
    world.addRoute(
        "web",
        rule("{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'web','port':80}" +
             std::string(row.share) +
             "}},{'type':'RequestMirror','requestMirror':{'backendRef':{"
             "'name':'none','port':80}}}"));
    const auto& mirrors = world.rules("web")->front().mirrors;
    REQUIRE(mirrors.size() == 2);
    CHECK(mirrors[0].upstream == "default/web:80");
    CHECK(mirrors[0].numerator == row.numerator);
    CHECK(mirrors[0].denominator == row.denominator);
    CHECK(mirrors[1].upstream.empty());
    CHECK(world.route("web", "ResolvedRefs") == "False BackendNotFound");
    CHECK(filtersOf(world).empty());
  }
}

TEST_CASE(
    "A Filter object is judged once and found by all who refer to it, whichever comes first") {
  World world;
  world.addBasics();
  world.addRoute("web", rule(kRef));
  world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key','config':{'keys':['a']}}",
            "'generation':2");
  CHECK(filterAccepted(world) == "True Accepted");
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  REQUIRE(filtersOf(world).size() == 1);
  CHECK(filtersOf(world)[0].type == "api_key");
  CHECK(filtersOf(world)[0].config == json("{'keys':['a']}"));
  CHECK(filtersOf(world)[0].owner == "Filter default/keys");
  const auto binding = filtersOf(world)[0].binding;
  REQUIRE(binding != nullptr);

  world.addRoute("web", rule(kRef), "'hostnames':['a.com']");
  CHECK(filtersOf(world)[0].binding == binding);

  world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key','config':{'refuse':1}}");
  CHECK(filterAccepted(world) == "False InvalidFilterConfig");
  CHECK(world.route("web", "ResolvedRefs") == "False InvalidFilterConfig");
  CHECK_FALSE(filtersOf(world)[0].refused.empty());

  world.put("Filter", "default", "keys", "'spec':{'plugin':'unheard_of'}");
  CHECK(filterAccepted(world) == "False UnknownPlugin");
  CHECK(world.route("web", "ResolvedRefs") == "False InvalidKind");

  world.remove("Filter", "default", "keys");
  CHECK(world.status("Filter/default/keys").name.empty());
  CHECK(world.route("web", "ResolvedRefs") == "False BackendNotFound");
}

TEST_CASE("The configuration says which namespaces may use a plugin") {
  struct Row {
    std::vector<std::string> namespaces;
    bool permitted;
  };
  for (const Row& row :
       {Row{{"default"}, true}, Row{{"other", "*"}, true}, Row{{"other"}, false}, Row{{}, false}}) {
    TranslateOptions options;
    options.filter_namespaces["api_key"] = row.namespaces;
    World world(options);
    world.addBasics();
    world.addRoute("web", rule(kRef));
    world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key'}");
    CHECK(filterAccepted(world) == (row.permitted ? "True Accepted" : "False NotPermitted"));
    CHECK(filtersOf(world)[0].refused.empty() == row.permitted);
  }
}

TEST_CASE("Replacing a plugin binds the rules that use it anew, and no others") {
  World world;
  world.addBasics();
  world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key'}");
  world.addRoute("web", rule(kRef));
  world.addRoute("cors", rule("{'type':'CORS','cors':{}}"));
  world.addRoute("plain", kWeb);
  const auto before = filtersOf(world)[0].binding;
  world.parser.replace("api_key");
  world.take(world.translator.rebindFilters({"api_key"}));
  CHECK(filtersOf(world)[0].binding != before);
  REQUIRE(world.last.model.routes.size() == 1);
  CHECK(world.last.model.routes[0].key == "HTTPRoute/default/web");
  world.parser.replace("CORS");
  world.take(world.translator.rebindFilters({"CORS", "api_key"}));
  REQUIRE(world.last.model.routes.size() == 1);
  CHECK(world.last.model.routes[0].key == "HTTPRoute/default/cors");
}

}  // namespace hyperway::gateway
