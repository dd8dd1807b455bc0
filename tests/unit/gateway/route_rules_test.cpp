// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

// A rule with the given matches, and its outcome in the model.
const route::Match* matchOf(World& world, std::string_view match) {
  world.addBasics();
  world.addRoute(
      "web", "{'matches':[" + std::string(match) + "],'backendRefs':[{'name':'web','port':80}]}");
  const auto* rules = world.rules("web");
  return rules == nullptr || rules->empty() ? nullptr : &rules->front().matches.at(0);
}

}  // namespace

TEST_CASE("Paths are normalised as request paths are") {
  struct Row {
    std::string_view type, value;
    route::MatchKind kind;
    std::string_view normal;
  };
  for (const Row& row :
       {Row{"PathPrefix", "/", route::MatchKind::Prefix, "/"},
        Row{"Exact", "/a/%7Euser", route::MatchKind::Exact, "/a/~user"},
        Row{"PathPrefix", "/caf%c3%a9/", route::MatchKind::Prefix, "/caf%C3%A9/"},
        Row{"RegularExpression", "/a(b|c)+", route::MatchKind::Regex, "/a(b|c)+"}}) {
    CAPTURE(row.value);
    World world;
    const auto* match = matchOf(world, "{'path':{'type':'" + std::string(row.type) + "','value':'" +
                                           std::string(row.value) + "'}}");
    REQUIRE(match != nullptr);
    CHECK(match->path.kind == row.kind);
    CHECK(match->path.value == row.normal);
  }
  World world;
  const auto* match = matchOf(world, "{'method':'GET'}");
  REQUIRE(match != nullptr);
  CHECK(match->path.kind == route::MatchKind::Prefix);
  CHECK(match->path.value == "/");
  CHECK(match->method == "GET");
}

TEST_CASE("A header match on a field that never reaches the match is refused and says so") {
  for (const char* name : {"Connection", "content-length", "Expect", "HTTP2-Settings", "keep-alive",
                           "Proxy-Connection", "TE", "Trailer", "transfer-encoding", "Upgrade"}) {
    CAPTURE(name);
    World world;
    world.addBasics();
    world.addRoute(
        "web", std::string("{'matches':[{'headers':[{'name':'a','value':'1'},{'name':'") + name +
                   "','value':'x'}]}]}");
    CHECK(world.route("web", "Accepted") == "False UnsupportedValue");
    REQUIRE(world.translator.diagnose().size() == 1);
    const Problem problem = world.translator.diagnose()[0].problem;
    CHECK(problem.pointer == "/spec/rules/0/matches/0/headers/1/name");
    CHECK(problem.message.find("no request can be matched by it") != std::string::npos);
  }
  for (const char* name : {"Host", "Cookie", "X-Forwarded-For", "Content-Type", "Date"}) {
    CAPTURE(name);
    World world;
    world.addBasics();
    world.addRoute("web",
                   std::string("{'matches':[{'headers':[{'name':'") + name + "','value':'x'}]}]}");
    CHECK(world.route("web", "Accepted") == "True Accepted");
  }
}

TEST_CASE("Of matches with one name the first counts; header names have no case") {
  World world;
  const auto* match = matchOf(world,
                              "{'headers':[{'name':'X-A','value':'1'},{'name':'x-a','value':'2'},"
                              "{'name':'X-B','type':'RegularExpression','value':'v[0-9]'}],"
                              "'queryParams':[{'name':'q','value':'1'},{'name':'Q','value':'2'},{'"
                              "name':'q','value':'3'}]}");
  REQUIRE(match != nullptr);
  REQUIRE(match->headers.size() == 2);
  CHECK(match->headers[0].name == "x-a");
  CHECK(match->headers[0].value == "1");
  CHECK(match->headers[1].kind == route::MatchKind::Regex);
  REQUIRE(match->query.size() == 2);
  CHECK(match->query[1].name == "Q");
}

TEST_CASE("A rule that is invalid in itself is dropped and named; the others stay") {
  struct Row {
    std::string_view rule, pointer;
    std::string_view reason = "UnsupportedValue";
  };
  const std::string long_path =
      "{'matches':[{'path':{'value':'/" + std::string(1024, 'a') + "'}}]}";
  for (const Row& row : {
           Row{"{'matches':[{'path':{'value':'a'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a//b'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a/../b'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a/..'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a%2Fb'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a%zz'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a#b'}}]}", "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'value':'/a b'}}]}", "/matches/0/path/value"},
           Row{long_path, "/matches/0/path/value"},
           Row{"{'matches':[{},{'path':{'type':'Glob','value':'/'}}]}", "/matches/1/path/type"},
           Row{"{'matches':[{'path':{'type':'RegularExpression','value':'(a'}}]}",
               "/matches/0/path/value"},
           Row{"{'matches':[{'path':{'type':'RegularExpression','value':'(?=a)'}}]}",
               "/matches/0/path/value"},
           Row{"{'matches':[{'method':'get'}]}", "/matches/0/method"},
           Row{"{'matches':[{'headers':[{'name':'a b','value':'x'}]}]}",
               "/matches/0/headers/0/name"},
           Row{"{'matches':[{'headers':[{'name':'a','value':''}]}]}", "/matches/0/headers/0/value"},
           Row{"{'matches':[{'headers':[{'name':'a','type':'Prefix','value':'x'}]}]}",
               "/matches/0/headers/0/type"},
           Row{"{'matches':[{'headers':[{'name':'a','type':'RegularExpression','value':'['}]}]}",
               "/matches/0/headers/0/value"},
           Row{"{'matches':[{'queryParams':[{'value':'x'}]}]}", "/matches/0/queryParams/0/name"},
           Row{"{'timeouts':{'request':'10'}}", "/timeouts/request"},
           Row{"{'timeouts':{'backendRequest':'-1s'}}", "/timeouts/backendRequest"},
           Row{"{'timeouts':{'request':'1s','backendRequest':'2s'}}", "/timeouts/backendRequest"},
           Row{"{'retry':{'attempts':-1}}", "/retry/attempts"},
           Row{"{'retry':{'attempts':101}}", "/retry/attempts"},
           Row{"{'retry':{'codes':[500,399]}}", "/retry/codes/1"},
           Row{"{'retry':{'codes':[600]}}", "/retry/codes/0"},
           Row{"{'retry':{'backoff':'soon'}}", "/retry/backoff"},
           Row{"{'backendRefs':[{'name':'web','port':80,'weight':1000001}]}",
               "/backendRefs/0/weight"},
           Row{"{'backendRefs':[{'name':'web','port':80,'weight':-1}]}", "/backendRefs/0/weight"},
           Row{"{'backendRefs':[{'name':'web','port':'http'}]}", "/backendRefs/0/port"},
           Row{"{'backendRefs':[{'port':80}]}", "/backendRefs/0"},
           Row{"{'sessionPersistence':{'type':'IP'}}", "/sessionPersistence/type"},
           Row{"{'filters':[{'type':'URLRewrite','urlRewrite':{'path':{'type':'ReplacePrefixMatch',"
               "'replacePrefixMatch':'/x'}}}],'matches':[{'path':{'type':'Exact','value':'/a'}}]}",
               "/matches"},
           Row{"{'filters':[{'type':'RequestRedirect','requestRedirect':{'path':{'type':'"
               "ReplacePrefixMatch',"
               "'replacePrefixMatch':'/x'}}}],'matches':[{},{}]}",
               "/matches"},
           Row{"{'filters':[{'type':'RequestRedirect','requestRedirect':{}},{'type':'URLRewrite','"
               "urlRewrite':{}}]}",
               "/filters", "IncompatibleFilters"},
           Row{"{'filters':[{'type':'CORS','cors':{}},{'type':'CORS','cors':{}}]}", "/filters",
               "IncompatibleFilters"},
           Row{"{'filters':[{'type':'RequestRedirect','requestRedirect':{}}],'backendRefs':[{'name'"
               ":'web','port':80}]}",
               "/filters", "IncompatibleFilters"},
           Row{"{'backendRefs':[{'name':'web','port':80,'filters':[{'type':'URLRewrite','"
               "urlRewrite':{}},"
               "{'type':'URLRewrite','urlRewrite':{}}]}]}",
               "/backendRefs/0/filters", "IncompatibleFilters"},
       }) {
    CAPTURE(row.rule);
    World world;
    world.addBasics();
    world.addRoute("web", std::string(kWeb) + ',' + std::string(row.rule));
    CHECK(world.route("web", "Accepted") == "True Accepted");
    CHECK(world.route("web", "PartiallyInvalid") == "True " + std::string(row.reason));
    const std::string message = world.message("web", "PartiallyInvalid");
    CAPTURE(message);
    CHECK(message.starts_with("Dropped Rule /spec/rules/1" + std::string(row.pointer) + ": "));
    REQUIRE(world.rules("web") != nullptr);
    CHECK(world.rules("web")->size() == 1);
    CHECK(world.rules("web")->front().id == "default/web/0");
    CHECK(world.listener("gw", "http").attached_routes == 1);

    world.addRoute("web", row.rule);
    CHECK(world.route("web", "Accepted") == "False " + std::string(row.reason));
    CHECK(world.route("web", "PartiallyInvalid") == "");
    CHECK(world.routes.empty());
    CHECK(world.listener("gw", "http").attached_routes == 0);
  }
}

TEST_CASE("Timeouts, retries and weights come through") {
  World world;
  world.addBasics();
  world.addRoute(
      "web",
      "{'timeouts':{'request':'0s','backendRequest':'1m'},'retry':{'codes':[500,503],'attempts':0,"
      "'backoff':'150ms'},'backendRefs':[{'name':'web','port':80,'weight':1000000},"
      "{'name':'web','port':80,'weight':0}]},{'retry':{},'backendRefs':[]}");
  const auto* rules = world.rules("web");
  REQUIRE(rules != nullptr);
  REQUIRE(rules->size() == 2);
  const auto& rule = rules->front();
  CHECK(rule.request_timeout == std::chrono::milliseconds(0));
  CHECK(rule.backend_timeout == std::chrono::milliseconds(60'000));
  REQUIRE(rule.retry.has_value());
  CHECK(rule.retry->attempts == 0);
  CHECK(rule.retry->codes == std::vector<std::uint16_t>{500, 503});
  CHECK(rule.retry->backoff == std::chrono::milliseconds(150));
  CHECK(rule.backends.at(0).weight == 1'000'000);
  CHECK(rule.backends.at(1).weight == 0);
  CHECK((*rules)[1].retry->attempts == 1);
  CHECK_FALSE((*rules)[1].request_timeout.has_value());
}

TEST_CASE(
    "A backend that does not resolve keeps its share and is told with the standard's reason") {
  struct Row {
    std::string_view ref, reason;
  };
  for (const Row& row :
       {Row{"'name':'none','port':80", "BackendNotFound"},
        Row{"'name':'web','port':81", "BackendNotFound"}, Row{"'name':'web'", "BackendNotFound"},
        Row{"'name':'web','port':70000", "BackendNotFound"},
        Row{"'name':'web','port':80,'kind':'Else'", "InvalidKind"},
        Row{"'name':'web','port':80,'group':'example.com'", "InvalidKind"},
        Row{"'name':'web','port':80,'namespace':'other'", "RefNotPermitted"},
        Row{"'name':'none','port':80,'namespace':'other'", "RefNotPermitted"},
        Row{"'name':'own','port':80", "UnsupportedProtocol"},
        Row{"'name':'tls','port':80", "UnsupportedProtocol"},
        Row{"'name':'udp','port':80", "UnsupportedProtocol"}}) {
    CAPTURE(row.ref);
    World world;
    world.addBasics();
    world.addService("other", "web");
    world.put("Service", "default", "own",
              "'spec':{'ports':[{'port':80,'appProtocol':'example.com/own'}]}");
    world.put("Service", "default", "tls", "'spec':{'ports':[{'port':80,'appProtocol':'https'}]}");
    world.put("Service", "default", "udp", "'spec':{'ports':[{'port':80,'protocol':'UDP'}]}");
    world.addRoute("web", "{'backendRefs':[{'name':'web','port':80,'weight':9},{" +
                              std::string(row.ref) + ",'weight':1}]}");
    CHECK(world.route("web", "Accepted") == "True Accepted");
    CHECK(world.route("web", "ResolvedRefs") == "False " + std::string(row.reason));
    CHECK(world.message("web", "ResolvedRefs").starts_with("/spec/rules/0/backendRefs/1: "));
    const auto& backends = world.rules("web")->front().backends;
    REQUIRE(backends.size() == 2);
    CHECK(backends[0].upstream == "default/web:80");
    CHECK(backends[1].upstream.empty());
    CHECK(backends[1].weight == 1);
  }
}

TEST_CASE("A grant lets a route use another namespace's Service, until it is revoked") {
  World world;
  world.addBasics();
  world.addService("other", "web", "10.0.0.9");
  world.addRoute("web", "{'backendRefs':[{'name':'web','namespace':'other','port':80}]}");
  CHECK(world.upstreams.empty());
  world.put("ReferenceGrant", "other", "grant",
            "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'HTTPRoute','namespace':'"
            "default'}],"
            "'to':[{'group':'','kind':'Service'}]}");
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.upstreams.contains("other/web:80"));
  CHECK(world.rules("web")->front().backends.front().name_space == "other");
  world.remove("ReferenceGrant", "other", "grant");
  CHECK(world.route("web", "ResolvedRefs") == "False RefNotPermitted");
  CHECK(world.upstreams.empty());
  CHECK(world.rules("web")->front().backends.front().upstream.empty());
}

TEST_CASE("Whether a Service that may not be used exists makes no difference") {
  const auto messageOf = [](bool exists) {
    World world;
    world.addBasics();
    if (exists) world.addService("other", "web");
    world.addRoute("web", "{'backendRefs':[{'name':'web','namespace':'other','port':80}]}");
    return world.message("web", "ResolvedRefs");
  };
  CHECK(messageOf(true) == messageOf(false));
}

}  // namespace hyperway::gateway
