// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "world.hpp"

namespace hyperway::gateway {

TEST_CASE("A route on a Gateway of ours comes out as listener, route and upstream") {
  World world;
  world.addBasics();
  world.addRoute("web",
                 "{'name':'all','matches':[{'path':{'type':'PathPrefix','value':'/a'}}],"
                 "'backendRefs':[{'name':'web','port':80,'weight':3}]}",
                 "'hostnames':['WWW.Example.com']");
  REQUIRE(world.listeners.contains("default/gw/http"));
  const auto& listener = world.listeners.at("default/gw/http");
  CHECK(listener.port == 80);
  CHECK(listener.binds == std::vector<route::Bind>{{"0.0.0.0", 80}, {"::", 80}});
  REQUIRE(world.routes.contains("HTTPRoute/default/web"));
  const auto& route = world.routes.at("HTTPRoute/default/web");
  REQUIRE(route.attachments.size() == 1);
  CHECK(route.attachments[0].listener == "default/gw/http");
  CHECK(route.attachments[0].hostnames == std::vector<std::string>{"www.example.com"});
  REQUIRE(route.rules->size() == 1);
  const auto& rule = route.rules->front();
  CHECK(rule.id == "default/web/0");
  CHECK(rule.name == "all");
  REQUIRE(rule.matches.size() == 1);
  CHECK(rule.matches[0].path.value == "/a");
  REQUIRE(rule.backends.size() == 1);
  CHECK(rule.backends[0].upstream == "default/web:80");
  CHECK(rule.backends[0].weight == 3);
  REQUIRE(world.upstreams.contains("default/web:80"));
  CHECK(world.upstreams.at("default/web:80").endpoints ==
        std::vector<route::Endpoint>{{"10.0.0.1", 8080}});

  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(world.listener("gw", "http").attached_routes == 1);
  CHECK(world.route("web", "Accepted") == "True Accepted");
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(World::show(world.status("GatewayClass//hyperway").conditions, "Accepted") ==
        "True Accepted");
}

TEST_CASE("Every condition carries the generation that was looked at") {
  World world;
  world.addBasics();
  world.addRoute("web", kWeb);
  for (const ObjectStatus& status : world.translator.statuses()) {
    CAPTURE(status.key());
    const std::int64_t expected = status.kind == "Gateway" ? 7 : status.kind == "HTTPRoute" ? 3 : 0;
    std::vector<Condition> all = status.conditions;
    for (const auto& listener : status.listeners)
      all.insert(all.end(), listener.conditions.begin(), listener.conditions.end());
    for (const auto& parent : status.parents)
      all.insert(all.end(), parent.conditions.begin(), parent.conditions.end());
    CHECK_FALSE(all.empty());
    for (const Condition& condition : all) CHECK(condition.observed_generation == expected);
  }
}

TEST_CASE(
    "An object that does not decode is told and keeps its last good form; the rest of its batch "
    "goes on") {
  World world;
  world.addBasics();
  world.addRoute("web", kWeb);
  auto outcome = world.translator.apply(
      {World::change("HTTPRoute", "default", "web", "'spec':{'parentRefs':{}}", ""),
       World::change("HTTPRoute", "default", "more", "'spec':{'parentRefs':[{'name':'gw'}]}", "")});
  REQUIRE(outcome.rejected.size() == 1);
  CHECK(outcome.rejected[0] == "HTTPRoute default/web: /spec/parentRefs: must be an array");
  REQUIRE(outcome.model.routes.size() == 1);
  CHECK(outcome.model.routes[0].key == "HTTPRoute/default/more");
  world.take(std::move(outcome));
  CHECK(world.routes.contains("HTTPRoute/default/web"));
  const auto complaints = world.translator.diagnose();
  REQUIRE(complaints.size() == 1);
  CHECK(complaints[0].object == "HTTPRoute/default/web");
  CHECK(complaints[0].problem.pointer == "/spec/parentRefs");
  world.addRoute("web", kWeb);
  CHECK(world.translator.diagnose().empty());
}

TEST_CASE("Of several changes of one object in a batch the last counts") {
  World world;
  world.addBasics();
  ObjectChange gone = World::change("HTTPRoute", "default", "web", "", "");
  gone.json.clear();
  const auto route =
      World::change("HTTPRoute", "default", "web", "'spec':{'parentRefs':[{'name':'gw'}]}", "");
  world.take(world.translator.apply({route, gone}));
  CHECK(world.routes.empty());
  world.take(world.translator.apply({gone, route}));
  CHECK(world.routes.size() == 1);
}

TEST_CASE("An object that takes the place of an equal one is told its status as well") {
  World world;
  world.addBasics();
  world.addRoute("web", "{'backendRefs':[{'name':'web','port':80}]}");
  world.put("ListenerSet", "default", "set",
            "'spec':{'parentRef':{'name':'gw'},'listeners':[{'name':'a','port':81,'protocol':"
            "'HTTP'}]}");
  world.put("BackendTLSPolicy", "default", "policy",
            "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'web'}],'validation':{"
            "'hostname':'a.example','wellKnownCACertificates':'System'}}");
  const auto again = [&](ObjectChange change, bool replaced) {
    change.replaced = replaced;
    const auto outcome = world.translator.apply({change});
    CHECK(outcome.status.removed.empty());
    return !outcome.status.updated.empty() &&
           std::any_of(outcome.status.updated.begin(), outcome.status.updated.end(),
                       [&](const ObjectStatus& status) {
                         return status.kind == change.kind && status.name == change.name;
                       });
  };
  const std::vector<ObjectChange> changes = {
      World::change("GatewayClass", "", "hyperway",
                    "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller'}", ""),
      World::change("Gateway", "default", "gw",
                    "'spec':{'gatewayClassName':'hyperway','listeners':[{'name':'http','port':80,"
                    "'protocol':'HTTP'}]}",
                    "'generation':7"),
      World::change("HTTPRoute", "default", "web",
                    "'spec':{'parentRefs':[{'name':'gw'}],'rules':[{'backendRefs':[{'name':'web',"
                    "'port':80}]}]}",
                    "'generation':3"),
      World::change("ListenerSet", "default", "set",
                    "'spec':{'parentRef':{'name':'gw'},'listeners':[{'name':'a','port':81,"
                    "'protocol':'HTTP'}]}",
                    ""),
      World::change("BackendTLSPolicy", "default", "policy",
                    "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'web'}],"
                    "'validation':{'hostname':'a.example','wellKnownCACertificates':'System'}}",
                    ""),
  };
  for (const ObjectChange& change : changes) {
    CAPTURE(change.kind);
    CHECK_FALSE(again(change, false));
    CHECK(again(change, true));
    CHECK_FALSE(again(change, false));
  }
}

TEST_CASE("Programmed is unknown until the data plane reports, and follows its reports") {
  TranslateOptions options;
  options.report_programmed = false;
  World world(options);
  world.addBasics();
  world.addGateway(
      "gw", "{'name':'a','port':80,'protocol':'HTTP'},{'name':'b','port':81,'protocol':'HTTP'}");
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "Programmed") == "Unknown Pending");
  CHECK(world.listener("gw", "a", "Programmed") == "Unknown Pending");

  auto batch = world.translator.programmed(
      {{"default/gw/a", true, ""}, {"default/gw/x", true, ""}, {"no/such/one", true, ""}});
  CHECK(batch.updated.size() == 1);
  CHECK(world.listener("gw", "a", "Programmed") == "True Programmed");
  CHECK(world.gateway("gw", "Programmed") == "Unknown Pending");

  batch = world.translator.programmed(
      {{"default/gw/b", false, "port 81 is in use by another process"}});
  CHECK(world.listener("gw", "b", "Programmed") == "False Invalid");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  const auto& conditions = world.status("Gateway/default/gw").conditions;
  CHECK(conditions.at(1).message ==
        "served, but for listener b: port 81 is in use by another process");

  batch = world.translator.programmed(
      {{"default/gw/a", false, "port 80 is in use by another process"}});
  CHECK(world.gateway("gw", "Programmed") == "False Invalid");
  batch = world.translator.programmed(
      {{"default/gw/a", false, "port 80 is in use by another process"}});
  CHECK(batch.updated.empty());

  // A listener that did not change keeps what was reported; one that did waits again.
  world.addGateway(
      "gw", "{'name':'a','port':80,'protocol':'HTTP'},{'name':'b','port':82,'protocol':'HTTP'}");
  CHECK(world.listener("gw", "a", "Programmed") == "False Invalid");
  CHECK(world.listener("gw", "b", "Programmed") == "Unknown Pending");
}

TEST_CASE("After a re-list, what was not seen is gone") {
  World world;
  world.addBasics();
  world.addRoute("a", kWeb);
  world.addRoute("b", kWeb);
  world.put("HTTPRoute", "other", "c",
            "'spec':{'parentRefs':[{'name':'gw','namespace':'default'}]}");
  const auto exists = [&](std::string_view key) { return !world.status(key).name.empty(); };
  world.take(
      world.translator.retain("gateway.networking.k8s.io", "HTTPRoute", "default", {"default/b"}));
  CHECK_FALSE(exists("HTTPRoute/default/a"));
  CHECK(exists("HTTPRoute/default/b"));
  CHECK(exists("HTTPRoute/other/c"));
  world.take(world.translator.retain("gateway.networking.k8s.io", "HTTPRoute", "", {"default/b"}));
  CHECK_FALSE(exists("HTTPRoute/other/c"));
  CHECK(exists("Gateway/default/gw"));
  world.take(world.translator.retain("", "", "", {"GatewayClass//hyperway", "Gateway/default/gw"}));
  CHECK(exists("Gateway/default/gw"));
  CHECK_FALSE(exists("HTTPRoute/default/b"));
  CHECK(world.routes.empty());
  CHECK(world.upstreams.empty());
}

TEST_CASE("A complaint about an object that is gone is gone, too") {
  World world;
  world.put("HTTPRoute", "default", "bad", "'spec':7");
  CHECK(world.translator.diagnose().size() == 1);
  world.take(world.translator.retain("gateway.networking.k8s.io", "HTTPRoute", "", {}));
  CHECK(world.translator.diagnose().empty());
}

TEST_CASE("A live change of the options works everything out again") {
  World world;
  world.addBasics();
  world.addRoute("web", kWeb);
  TranslateOptions options;
  options.listen_map = {{80, {{"127.0.0.1", 8080}}}};
  world.take(world.translator.reconfigure(options));
  CHECK(world.listeners.at("default/gw/http").binds ==
        std::vector<route::Bind>{{"127.0.0.1", 8080}});
  CHECK(world.last.model.routes.empty());
  options.controller_name = "example.com/other";
  world.take(world.translator.reconfigure(options));
  CHECK(world.listeners.empty());
  CHECK(world.routes.empty());
  CHECK(world.translator.statuses().empty());
}

TEST_CASE("Everything that is wrong is listed with its place") {
  World world;
  world.addBasics();
  world.addGateway(
      "gw",
      "{'name':'http','port':80,'protocol':'HTTP'},{'name':'sctp','port':81,'protocol':'SCTP'}");
  world.addRoute("web",
                 "{'backendRefs':[{'name':'none','port':80}]},{'matches':[{'path':{'value':'x'}}]}",
                 "", "{'name':'gw'},{'name':'gw','sectionName':'nowhere'}");
  world.put("Filter", "default", "keys", "'spec':{'plugin':'api_key','config':{'refuse':1}}");
  std::vector<std::string> found;
  for (const auto& diagnosis : world.translator.diagnose())
    found.push_back(diagnosis.object + ' ' + diagnosis.problem.pointer);
  CHECK(found ==
        std::vector<std::string>{"Filter/default/keys /spec/config/key",
                                 "Gateway/default/gw /spec/listeners/1/protocol",
                                 "HTTPRoute/default/web /spec/parentRefs/1",
                                 "HTTPRoute/default/web /spec/rules/0/backendRefs/0",
                                 "HTTPRoute/default/web /spec/rules/1/matches/0/path/value"});
}

TEST_CASE(
    "Fields that a kind does not have are told where asked for, with the nearest that it has") {
  TranslateOptions options;
  options.find_unknown_fields = true;
  World world(options);
  world.addBasics();
  CHECK(world.translator.diagnose().empty());
  world.addRoute("web",
                 "{'match':[],'backendRefs':[{'name':'web','port':80,'wieght':1,'filters':[{'type':"
                 "'URLRewrite','urlRewrite':{'hostName':'a'}}]}],'timeouts':{'request':'1s'}}");
  world.put("Service", "default", "web", "'spec':{'ports':[{'port':80}],'selectors':{'a':'b'}}",
            "'label':{}");
  world.put("ConfigMap", "default", "map", "'data':{'anything':'x'},'zzzzzzzzz':1");
  std::vector<std::string> found;
  for (const auto& diagnosis : world.translator.diagnose()) {
    CHECK(diagnosis.problem.severity == Severity::Warning);
    found.push_back(diagnosis.object + ' ' + diagnosis.problem.pointer + ' ' +
                    diagnosis.problem.message);
  }
  CHECK(found ==
        std::vector<std::string>{
            "ConfigMap/default/map /zzzzzzzzz unknown field \"zzzzzzzzz\"",
            "HTTPRoute/default/web /spec/rules/0/backendRefs/0/filters/0/urlRewrite/hostName "
            "unknown field \"hostName\"; did you mean \"hostname\"?",
            "HTTPRoute/default/web /spec/rules/0/backendRefs/0/wieght unknown field \"wieght\"; "
            "did you mean \"weight\"?",
            "HTTPRoute/default/web /spec/rules/0/match unknown field \"match\"; did you mean "
            "\"matches\"?",
            "Service/default/web /metadata/label unknown field \"label\"; did you mean "
            "\"labels\"?",
            "Service/default/web /spec/selectors unknown field \"selectors\"; did you mean "
            "\"selector\"?"});
  world.remove("ConfigMap", "default", "map");
  world.addRoute("web", "{'backendRefs':[{'name':'web','port':80}]}");
  world.addService("default", "web");
  CHECK(world.translator.diagnose().empty());
}

TEST_CASE("A Gateway of nobody's class is complained about, one of another controller is not") {
  World world;
  const std::string spec =
      "'spec':{'gatewayClassName':'hyperway','listeners':[{'name':'a','port':80,'protocol':'HTTP'}]"
      "}";
  world.put("Gateway", "default", "gw", spec);
  REQUIRE(world.translator.diagnose().size() == 1);
  CHECK(world.translator.diagnose()[0].problem.pointer == "/spec/gatewayClassName");
  world.put("GatewayClass", "", "hyperway", "'spec':{'controllerName':'example.com/other'}");
  CHECK(world.translator.diagnose().empty());
}

TEST_CASE("Status is JSON in the schema of the Gateway API") {
  ObjectStatus gateway;
  gateway.kind = "Gateway";
  gateway.conditions = {{"Accepted", true, false, "Accepted", "say \"hi\"\n\\", 3}};
  gateway.addresses = {"10.0.0.1"};
  gateway.listeners = {{"http", {"HTTPRoute"}, 2, {{"Programmed", false, true, "Pending", "", 3}}}};
  CHECK(toJson(gateway) == json("{'conditions':[{'type':'Accepted','status':'True','reason':'"
                                "Accepted','message':'say \\'hi\\'\\u000a\\\\',"
                                "'observedGeneration':3}],'addresses':[{'type':'IPAddress','value':"
                                "'10.0.0.1'}],'listeners':[{'name':'http',"
                                "'supportedKinds':[{'group':'gateway.networking.k8s.io','kind':'"
                                "HTTPRoute'}],'attachedRoutes':2,"
                                "'conditions':[{'type':'Programmed','status':'Unknown','reason':'"
                                "Pending','message':'','observedGeneration':3}]}]}"));
  ObjectStatus route;
  route.kind = "HTTPRoute";
  route.parents = {
      {"", "", "", "gw", "http", 80, {{"Accepted", false, false, "NoMatchingParent", "m", 1}}}};
  CHECK(toJson(route, "a.b/c") ==
        json("{'parents':[{'parentRef':{'name':'gw','sectionName':'http','port':80},'"
             "controllerName':'a.b/c','conditions':["
             "{'type':'Accepted','status':'False','reason':'NoMatchingParent','message':'m','"
             "observedGeneration':1}]}]}"));
  ObjectStatus policy;
  policy.kind = "BackendTLSPolicy";
  policy.ancestors = {{"gateway.networking.k8s.io",
                       "Gateway",
                       "default",
                       "gw",
                       "",
                       0,
                       {{"Accepted", true, false, "Accepted", "", 1}}}};
  CHECK(toJson(policy, "a.b/c") ==
        json("{'ancestors':[{'ancestorRef':{'group':'gateway.networking.k8s.io','kind':'Gateway',"
             "'namespace':'default','name':'gw'},'controllerName':'a.b/c','conditions':["
             "{'type':'Accepted','status':'True','reason':'Accepted','message':'','"
             "observedGeneration':1}]}]}"));
}

TEST_CASE("Claimed features are sorted, unique, and only of what this version serves") {
  World world;
  world.addBasics();
  const auto features = world.status("GatewayClass//hyperway").supported_features;
  CHECK(std::is_sorted(features.begin(), features.end()));
  CHECK(std::adjacent_find(features.begin(), features.end()) == features.end());
  for (const std::string& feature : features)
    for (const char* later : {"Mesh", "ClusterTrustBundle", "Routability", "SessionPersistence"})
      CHECK_MESSAGE(feature.find(later) == std::string::npos, feature);
}

}  // namespace hyperway::gateway
