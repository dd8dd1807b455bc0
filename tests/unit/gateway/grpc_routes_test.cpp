// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kKey = "GRPCRoute/default/rpc";

// "kind value" of the path by which a match, given by its members, is made.
std::string pathOf(std::string_view match) {
  World world;
  world.addBasics();
  world.addKind(
      "GRPCRoute", "rpc",
      "{'matches':[{" + std::string(match) + "}],'backendRefs':[{'name':'web','port':80}]}");
  const auto found = world.routes.find(std::string(kKey));
  if (found == world.routes.end()) return world.condition(kKey, "Accepted");
  const route::Match& made = found->second.rules->front().matches.front();
  CHECK(made.method == "POST");
  const char* const kind = made.path.kind == route::MatchKind::Exact    ? "exact "
                           : made.path.kind == route::MatchKind::Prefix ? "prefix "
                                                                        : "regex ";
  return kind + made.path.value;
}

}  // namespace

TEST_CASE("A method match is the path that calls it") {
  struct Row {
    std::string_view match, path;
  };
  for (const Row& row : {
           Row{"'method':{'service':'a.B','method':'Get'}", "exact /a.B/Get"},
           Row{"'method':{'service':'a.B'}", "prefix /a.B/"},
           Row{"'method':{'method':'Get'}", "regex /[^/]+/Get"},
           Row{"'headers':[{'name':'x','value':'y'}]", "prefix /"},
           Row{"'method':{'type':'RegularExpression','service':'a.*|b','method':'G.t'}",
               "regex /(?:a.*|b)/(?:G.t)"},
           Row{"'method':{'type':'RegularExpression','service':'a'}", "regex /(?:a)/[^/]+"},
           Row{"'method':{'type':'RegularExpression','method':'G'}", "regex /[^/]+/(?:G)"},
           Row{"'method':{}", "False UnsupportedValue"},
           Row{"'method':{'service':'a/b'}", "False UnsupportedValue"},
           Row{"'method':{'service':'a..b'}", "False UnsupportedValue"},
           Row{"'method':{'service':'1a'}", "False UnsupportedValue"},
           Row{"'method':{'method':'a.b'}", "False UnsupportedValue"},
           Row{"'method':{'type':'Else','method':'a'}", "False UnsupportedValue"},
           Row{"'method':{'type':'RegularExpression','method':'('}", "False UnsupportedValue"},
       }) {
    CAPTURE(row.match);
    CHECK(pathOf(row.match) == row.path);
  }
}

TEST_CASE("A GRPCRoute without rules or matches takes every call") {
  for (const char* rules : {"", "{'backendRefs':[{'name':'web','port':80}]}"}) {
    World world;
    world.addBasics();
    world.addKind("GRPCRoute", "rpc", rules);
    REQUIRE(world.routes.contains(std::string(kKey)));
    const route::Rule& rule = world.routes.at(std::string(kKey)).rules->front();
    REQUIRE(rule.matches.size() == 1);
    CHECK(rule.matches[0].path.kind == route::MatchKind::Prefix);
    CHECK(rule.matches[0].path.value == "/");
    CHECK(rule.matches[0].method == "POST");
    CHECK(rule.id == "default/rpc/0");
    CHECK(world.listener("gw", "http").attached_routes == 1);
  }
}

TEST_CASE("Backends of GRPCRoutes are spoken to by HTTP/2, and apart from those of HTTPRoutes") {
  struct Row {
    std::string_view protocol;
    bool resolves;
  };
  for (const Row& row :
       {Row{"", true}, Row{"http", true}, Row{"grpc", true}, Row{"kubernetes.io/h2c", true},
        Row{"https", false}, Row{"kubernetes.io/ws", false}, Row{"example.com/own", false}}) {
    CAPTURE(row.protocol);
    World world;
    world.addBasics();
    world.put(
        "Service", "default", "web",
        "'spec':{'ports':[{'name':'http','port':80" +
            (row.protocol.empty() ? "" : ",'appProtocol':'" + std::string(row.protocol) + "'") +
            "}]}");
    world.addKind("GRPCRoute", "rpc", kWeb, "'hostnames':['rpc.com']");
    CHECK(world.condition(kKey, "ResolvedRefs") ==
          (row.resolves ? "True ResolvedRefs" : "False UnsupportedProtocol"));
    CHECK(world.upstreams.contains("default/web:80+grpc") == row.resolves);
    if (!row.resolves) continue;
    CHECK(world.upstreams.at("default/web:80+grpc").protocol == route::UpstreamProtocol::Http2);
    CHECK(world.upstreams.at("default/web:80+grpc").endpoints.size() == 1);
    if (!row.protocol.empty()) continue;
    world.addRoute("web", kWeb, "'hostnames':['web.com']");
    CHECK(world.upstreams.at("default/web:80").protocol == route::UpstreamProtocol::Http1);
  }
}

TEST_CASE("A GRPCRoute has filters of its kinds") {
  World world;
  world.addBasics();
  world.addService("default", "mirror");
  world.addKind(
      "GRPCRoute", "rpc",
      "{'name':'named','filters':[{'type':'RequestHeaderModifier','requestHeaderModifier':{}},"
      "{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'mirror','port':80}}}],"
      "'backendRefs':[{'name':'web','port':80,'weight':7,'filters':"
      "[{'type':'ResponseHeaderModifier','responseHeaderModifier':{}}]}]}");
  const route::Rule& rule = world.routes.at(std::string(kKey)).rules->front();
  CHECK(rule.name == "named");
  REQUIRE(rule.filters.size() == 1);
  CHECK(rule.filters[0].refused.empty());
  CHECK(rule.filters[0].owner == "GRPCRoute default/rpc");
  REQUIRE(rule.mirrors.size() == 1);
  CHECK(rule.mirrors[0].upstream == "default/mirror:80+grpc");
  REQUIRE(rule.backends.size() == 1);
  CHECK(rule.backends[0].weight == 7);
  CHECK(rule.backends[0].filters.size() == 1);
  CHECK(world.condition(kKey, "ResolvedRefs") == "True ResolvedRefs");
  world.addKind("GRPCRoute", "rpc",
                "{'filters':[{'type':'URLRewrite','urlRewrite':{}}],"
                "'backendRefs':[{'name':'web','port':80}]}");
  CHECK(world.condition(kKey, "ResolvedRefs") == "False InvalidKind");
  CHECK_FALSE(world.routes.at(std::string(kKey)).rules->front().filters[0].refused.empty());
}

TEST_CASE("Headers of calls match as those of requests do, and what is no session is refused") {
  World world;
  world.addBasics();
  world.addKind("GRPCRoute", "rpc",
                "{'matches':[{'headers':[{'name':'X-One','value':'1'},"
                "{'name':'two','type':'RegularExpression','value':'2+'}]}],"
                "'backendRefs':[{'name':'web','port':80}]},"
                "{'sessionPersistence':{'sessionName':'a b'}}");
  const auto& rules = *world.routes.at(std::string(kKey)).rules;
  REQUIRE(rules.size() == 1);
  const auto& headers = rules[0].matches[0].headers;
  REQUIRE(headers.size() == 2);
  CHECK(headers[0].name == "x-one");
  CHECK(headers[1].kind == route::MatchKind::Regex);
  CHECK(world.condition(kKey, "PartiallyInvalid") == "True UnsupportedValue");
}

}  // namespace hyperway::gateway
