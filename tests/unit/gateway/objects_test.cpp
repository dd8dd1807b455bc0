// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "gateway/objects.hpp"
#include "world.hpp"

namespace hyperway::gateway {
namespace {

// Problems of a decode as "pointer: message" lines.
template <class T>
std::string problemsOf(std::string_view text, T object = {}) {
  ObjectDecoder decoder;
  Problems problems;
  const bool fine = decoder.decode(json(text), object, problems);
  std::string lines;
  for (const Problem& problem : problems.list())
    lines += problem.pointer + ": " + problem.message + '\n';
  CHECK(fine == lines.empty());
  return lines;
}

template <class T>
T decoded(std::string_view text) {
  ObjectDecoder decoder;
  Problems problems;
  T object;
  CHECK(decoder.decode(json(text), object, problems));
  for (const Problem& problem : problems.list())
    FAIL_CHECK(problem.pointer << ": " << problem.message);
  return object;
}

}  // namespace

TEST_CASE("What is no part of an object's meaning is skipped, wherever it stands") {
  const auto route = decoded<RouteObject>(
      "{'apiVersion':'gateway.networking.k8s.io/"
      "v1','kind':'HTTPRoute','metadata':{'managedFields':[{'f':{'a':[1,2]}}],"
      "'generation':4,'creationTimestamp':'2026-01-02T03:04:05Z','annotations':{'a':'{"
      "\\u0022x\\u0022:1}'}},"
      "'status':{'parents':[]},'spec':{'unknown':{'deep':[{}]},'rules':[{'name':null,'matches':"
      "null,"
      "'backendRefs':[{'name':'a','port':1,'weight':0}]}]}}");
  CHECK(route.meta.generation == 4);
  CHECK(route.meta.created == 1'767'323'045);
  REQUIRE(route.rules.size() == 1);
  CHECK(route.rules[0].matches.empty());
  CHECK(route.rules[0].backends.at(0).weight == 0);
}

TEST_CASE("Problems of the whole object carry their place and refuse it") {
  CHECK(problemsOf<GatewayClass>("{'spec':{}}") == "/spec: needs a controllerName\n");
  CHECK(problemsOf<GatewayClass>("{'spec':{'controllerName':5}}")
            .starts_with("/spec/controllerName: must be text"));
  CHECK(problemsOf<Gateway>("{'spec':[]}").starts_with("/spec: must be an object"));
  CHECK(problemsOf<Gateway>("{'spec':{'gatewayClassName':'x'}}") ==
        "/spec: needs at least one listener\n");
  CHECK(problemsOf<Gateway>("{'spec':{'gatewayClassName':'x','listeners':[{'port':80}]}}") ==
        "/spec/listeners/0: needs a name\n");
  CHECK(problemsOf<Gateway>(
            "{'spec':{'gatewayClassName':'x','listeners':[{'name':'a'},{'name':'a'}]}}") ==
        "/spec/listeners/1/name: 'a' is the name of another listener already\n");
  CHECK(problemsOf<RouteObject>("{'spec':{'parentRefs':[{'port':80}]}}") ==
        "/spec/parentRefs/0: needs a name\n");
  CHECK(problemsOf<RouteObject>("{'spec':{'parentRefs':[{'name':'a','port':0}]}}") ==
        "/spec/parentRefs/0/port: must be 1 to 65535\n");
  CHECK(problemsOf<RouteObject>("{'spec':{'hostnames':['a',7]}}") ==
        "/spec/hostnames/1: must be text\n");
  CHECK(problemsOf<FilterObject>("{'spec':{'config':{}}}") == "/spec: needs a plugin\n");
  CHECK(problemsOf<FilterObject>("{'spec':{'plugin':'p','config':[]}}") ==
        "/spec/config: must be an object\n");
}

TEST_CASE("Text that is not one JSON object is refused") {
  for (const std::string_view text :
       {"", "x", "[]", "7", "{", "{'spec':", "{'spec':{}", "{'spec':{}}}", "{'spec':{}} {}",
        "{'spec':{'hostnames':['a' 'b']}}", "{'spec':{'hostnames':['\\q']}}", "{'spec' {}}",
        "{'spec':{'rules':[{'name':'a' 'b'}]}}", "{'spec':{'rules':[{'name':'a'}", "\xff\xfe{}"}) {
    CAPTURE(text);
    CHECK_FALSE(problemsOf<RouteObject>(text).empty());
  }
}

TEST_CASE("A problem inside a rule or listener stays with it") {
  const auto route = decoded<RouteObject>(
      "{'spec':{'rules':[{'backendRefs':[{'name':'a','port':'80'}]},{'name':'good'}]}}");
  REQUIRE(route.rules.size() == 2);
  CHECK(route.rules[0].problems ==
        std::vector<std::string>{"/spec/rules/0/backendRefs/0/port: must be a whole number"});
  CHECK(route.rules[1].problems.empty());
  CHECK(route.rules[1].name == "good");

  const auto gateway = decoded<Gateway>(
      "{'spec':{'gatewayClassName':'x','listeners':[{'name':'a','port':'80'},"
      "{'name':'b','allowedRoutes':{'namespaces':{'from':'Nobody'}}},"
      "{'name':'c','allowedRoutes':{'namespaces':{'from':'Selector','selector':{'matchExpressions':"
      "[{'key':'k'}]}}}}]}}");
  REQUIRE(gateway.listeners.size() == 3);
  CHECK(gateway.listeners[0].problems ==
        std::vector<std::string>{"/spec/listeners/0/port: must be a whole number"});
  CHECK(
      gateway.listeners[1].problems ==
      std::vector<std::string>{
          "/spec/listeners/1/allowedRoutes/namespaces/from: must be Same, All, Selector or None"});
  CHECK(gateway.listeners[2].problems.size() == 1);
}

TEST_CASE("Filter bodies are kept as they are written, whatever the order of members") {
  const auto route = decoded<RouteObject>(
      "{'spec':{'rules':[{'filters':["
      "{'requestRedirect': { 'path' : {'type':'ReplacePrefixMatch','replacePrefixMatch':'/x'} } , "
      "'type':'RequestRedirect'},"
      "{'type':'CORS','cors':{}},"
      "{'type':'URLRewrite','requestRedirect':{'port':1}}]}]}}");
  const auto& filters = route.rules.at(0).filters;
  REQUIRE(filters.size() == 3);
  CHECK(filters[0].body ==
        json("{ 'path' : {'type':'ReplacePrefixMatch','replacePrefixMatch':'/x'} }"));
  CHECK(filters[0].replaces_prefix);
  CHECK(filters[1].body == "{}");
  CHECK(filters[2].body.empty());
}

TEST_CASE("Mirrors within mirrors are not followed, however deep they nest") {
  std::string text = "{'spec':{'rules':[{'filters':[", end;
  for (int i = 0; i < 100'000; ++i) {
    text += "{'requestMirror':{'backendRef':{'name':'a','filters':[";
    end += "]}}}";
  }
  const auto route = decoded<RouteObject>(text + end + "]}]}}");
  const auto& mirror = route.rules.at(0).filters.at(0).mirror;
  REQUIRE(mirror.size() == 1);
  CHECK(mirror[0].name == "a");
  CHECK(mirror[0].filters.empty());
}

TEST_CASE("A route without rules has the one that an API server fills in") {
  for (const char* text : {"{'spec':{}}", "{'spec':{'rules':[]}}", "{}"}) {
    CAPTURE(text);
    CHECK(decoded<RouteObject>(text).rules.size() == 1);
  }
}

TEST_CASE("A Secret's stringData wins over its data, and broken base64 is told") {
  const auto secret = decoded<Secret>(
      "{'type':'kubernetes.io/"
      "tls','stringData':{'tls.key':'plain'},'data':{'tls.crt':'YQ==','tls.key':'YQ=='}}");
  CHECK(secret.chain_pem == "a");
  CHECK(secret.private_pem == "plain");
  CHECK(decoded<Secret>("{'data':{'tls.crt':'*'}}").problem == "data of tls.crt is not base64");
}

TEST_CASE("Unknown conditions of endpoints are read as ready and serving") {
  const auto slice = decoded<EndpointSlice>(
      "{'metadata':{'labels':{'kubernetes.io/"
      "service-name':'web'}},'addressType':'IPv4','endpoints':["
      "{'addresses':['a'],'conditions':{'ready':null}},{'addresses':['b'],'conditions':{'ready':"
      "false}},"
      "{'addresses':['c'],'conditions':{'ready':false,'serving':true,'terminating':true}}]}");
  CHECK(slice.service == "web");
  CHECK(slice.endpoints.at(0).ready);
  CHECK_FALSE(slice.endpoints.at(1).ready);
  CHECK_FALSE(slice.endpoints.at(1).serving);
  CHECK(slice.endpoints.at(2).serving);
  CHECK(slice.endpoints.at(2).terminating);
}

}  // namespace hyperway::gateway
