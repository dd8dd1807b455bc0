// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "route/model_json.hpp"
#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kHttp = "{'name':'default/gw/http','port':80,'protocol':'HTTP'}";

// An entry of httpRoutesV1 for rule 0 of "default/NAME".
std::string entry(const std::string& name, const std::string& more = "",
                  const std::string& backend = "web") {
  return "{'id':'default/" + name + "/0:default:gw:http','routeNamespace':'default','routeName':'" +
         name +
         "','gatewayNamespace':'default','gatewayName':'gw','listenerName':'http',"
         "'listenerPort':80,'hostnames':['" +
         name + ".example.com'],'backends':[{'namespace':'default','name':'" + backend +
         "','port':80,'weight':1}]" + (more.empty() ? "" : "," + more) + "}";
}

std::string spec(const std::string& checksum, const std::string& listeners,
                 const std::string& routes, const std::string& more = "") {
  return "'spec':{'checksum':'" + checksum + "','listeners':[" + listeners + "],'httpRoutesV1':[" +
         routes + "]" + (more.empty() ? "" : "," + more) + "}";
}

ObjectChange part(const std::string& name, const std::string& routes) {
  return World::change("RouteSnapshot", "default", name, spec("c", "", routes, "'partOf':'snap'"),
                       "'generation':1");
}

ObjectChange gone(const std::string& name) {
  ObjectChange out = World::change("RouteSnapshot", "default", name, "", "");
  out.json.clear();
  return out;
}

// Lets the sinks have what changed last.
void serve(World& world, std::uint64_t generation) {
  (void)world.translator.handedOver(generation, generation);
}

std::vector<std::string> keys(const auto& list) {
  std::vector<std::string> out;
  for (const auto& item : list) out.push_back(item.key);
  return out;
}

TEST_CASE("A snapshot is served with the endpoints that the cluster has") {
  World world;
  world.put("RouteSnapshot", "default", "snap", spec("1", std::string(kHttp), entry("a")));
  CHECK(world.listeners.contains("default/gw/http"));
  REQUIRE(world.routes.contains("HTTPRoute/default/a"));
  REQUIRE(world.upstreams.contains("default/web:80"));
  CHECK(world.upstreams["default/web:80"].endpoints.empty());
  world.addService("default", "web");
  REQUIRE(world.upstreams["default/web:80"].endpoints.size() == 1);
  CHECK(world.upstreams["default/web:80"].endpoints[0] == route::Endpoint{"10.0.0.1", 8080});
  world.remove("RouteSnapshot", "default", "snap");
  CHECK(world.listeners.empty());
  CHECK(world.routes.empty());
  CHECK(world.upstreams.empty());
}

TEST_CASE("The listen map of a data plane says where a snapshot's ports are bound") {
  TranslateOptions options;
  options.listen_map[80] = {{"127.0.0.1", 8080}};
  World world(std::move(options));
  world.put("RouteSnapshot", "default", "snap", spec("1", std::string(kHttp), ""));
  CHECK(world.listeners["default/gw/http"].binds == std::vector<route::Bind>{{"127.0.0.1", 8080}});
}

TEST_CASE("A listener of a snapshot waits for its certificate, and others do not wait for it") {
  World world;
  world.put(
      "RouteSnapshot", "default", "snap",
      spec("1",
           std::string(kHttp) + ",{'name':'default/gw/https','port':443,'protocol':'HTTPS','tls':{"
                                "'certificateRefs':[{'namespace':'shop','name':'cert'}]}}",
           entry("a")));
  serve(world, 1);
  CHECK(world.listeners.contains("default/gw/http"));
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
  const auto status = world.status("RouteSnapshot/default/snap");
  REQUIRE(status.refused.size() == 1);
  CHECK(status.refused[0].name == "default/gw/https");
  CHECK(status.refused[0].reason == "Secret shop/cert does not exist");

  world.put(
      "Secret", "shop", "cert",
      "'type':'kubernetes.io/tls','stringData':{'tls.crt':'-----BEGIN CERTIFICATE-----YQ==-----"
      "END CERTIFICATE-----','tls.key':'-----BEGIN PRIVATE KEY-----YQ==-----END PRIVATE "
      "KEY-----'}");
  CHECK(world.listeners.contains("default/gw/https"));
  CHECK(world.certificates.contains("shop/cert"));
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
  world.remove("Secret", "shop", "cert");
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
}

TEST_CASE(
    "A listener of the ancestor that has its certificate inside is not served in plain text") {
  World world;
  world.put("RouteSnapshot", "default", "snap",
            spec("1",
                 "{'name':'default/gw/https','port':443,'tls':{'certPem':'x','keyPem':'y'}},"
                 "{'name':'default/gw/http','port':80,'tls':null}",
                 ""));
  serve(world, 1);
  CHECK(world.listeners.contains("default/gw/http"));
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
  const auto status = world.status("RouteSnapshot/default/snap");
  REQUIRE(status.refused.size() == 1);
  CHECK(status.refused[0].reason == "has no certificate");
}

TEST_CASE("A part that is replaced changes the routes that differ and no others") {
  World world;
  const auto index = World::change("RouteSnapshot", "default", "snap",
                                   spec("1", std::string(kHttp), "", "'parts':[]"), "");
  world.take(world.translator.apply(
      {index, part("snap-0-x", entry("a") + "," + entry("b")), part("snap-1-y", entry("c"))}));
  CHECK(world.routes.size() == 3);
  world.take(world.translator.apply(
      {gone("snap-0-x"), part("snap-0-z", entry("a") + "," + entry("b", "'requestTimeoutMs':5") +
                                              "," + entry("d"))}));
  CHECK(keys(world.last.model.routes) ==
        std::vector<std::string>{"HTTPRoute/default/b", "HTTPRoute/default/d"});
  CHECK(world.last.model.removed_routes.empty());
  // A route may move to another part.
  world.take(world.translator.apply(
      {gone("snap-0-z"), gone("snap-1-y"), part("snap-1-v", entry("a") + "," + entry("c"))}));
  CHECK(world.last.model.routes.empty());
  CHECK(world.last.model.removed_routes ==
        std::vector<std::string>{"HTTPRoute/default/b", "HTTPRoute/default/d"});
}

TEST_CASE("What does not read holds its whole snapshot back, and no other one") {
  World world;
  world.take(world.translator.apply({part("snap-0-x", entry("a"))}));
  world.take(world.translator.apply(
      {gone("snap-0-x"), part("snap-0-y", entry("a", "'requestTimeoutMs':'no'")),
       part("snap-1-z", entry("b")),
       World::change("RouteSnapshot", "other", "snap", spec("1", "", entry("c")), "")}));
  CHECK(world.routes.contains("HTTPRoute/default/a"));
  CHECK_FALSE(world.routes.contains("HTTPRoute/default/b"));
  CHECK(world.routes.contains("HTTPRoute/default/c"));
  REQUIRE(world.last.rejected.size() == 1);
  CHECK(world.last.rejected[0].find("RouteSnapshot default/snap-0-y: /spec/httpRoutesV1/0/") == 0);
  world.take(world.translator.apply({gone("snap-0-y"), part("snap-0-v", entry("d"))}));
  CHECK_FALSE(world.routes.contains("HTTPRoute/default/a"));
  CHECK(world.routes.contains("HTTPRoute/default/b"));
  CHECK(world.routes.contains("HTTPRoute/default/d"));
}

TEST_CASE("A data plane binds the filters of a snapshot, and reports those that it cannot run") {
  World world;
  const auto filters = [](const std::string& type, const std::string& config) {
    return "'filters':[{'type':'" + type + "','owner':'HTTPRoute default/a','config':" + config +
           "}]";
  };
  const auto put = [&](const std::string& more) {
    world.put("RouteSnapshot", "default", "snap", spec("1", std::string(kHttp), entry("a", more)));
    serve(world, ++world.parser.calls);
    return world.rules("a")->front().filters.front();
  };
  CHECK(put(filters("api_key", "{}")).binding != nullptr);
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
  CHECK(put(filters("unheard_of", "{}")).refused ==
        "no plugin for filter type unheard_of is loaded");
  CHECK(world.status("RouteSnapshot/default/snap").refused ==
        std::vector<Refusal>{{"default/a/0", "no plugin for filter type unheard_of is loaded"}});
  CHECK(put(filters("api_key", "{'refuse':1}")).refused == "api_key: /key: is refused");

  // A plugin that is loaded later, or replaced, changes that.
  put(filters("later", "{}"));
  world.parser.types.insert("later");
  world.take(world.translator.rebindFilters({"later"}));
  CHECK(world.rules("a")->front().filters.front().binding != nullptr);
  CHECK(world.rules("a")->front().filters.front().refused.empty());
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
  const auto before = world.rules("a")->front().filters.front().binding;
  world.parser.replace("later");
  world.take(world.translator.rebindFilters({"later"}));
  CHECK(world.rules("a")->front().filters.front().binding != before);
}

TEST_CASE(
    "A data plane binds the filters of a snapshot's listeners, and reports those that it cannot "
    "run") {
  World world;
  const auto put = [&](const std::string& type) {
    std::string listener(kHttp);
    listener.insert(listener.rfind('}'),
                    ",'filters':[{'type':'" + type + "','owner':'Filter default/f'}]");
    world.put("RouteSnapshot", "default", "snap", spec("1", listener, entry("a", "")));
    serve(world, ++world.parser.calls);
    return world.listeners.at("default/gw/http").filters.at(0);
  };
  CHECK(put("api_key").binding != nullptr);
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
  CHECK(put("later").refused == "no plugin for filter type later is loaded");
  CHECK(world.status("RouteSnapshot/default/snap").refused ==
        std::vector<Refusal>{{"default/gw/http", "no plugin for filter type later is loaded"}});
  world.parser.types.insert("later");
  world.take(world.translator.rebindFilters({"later"}));
  CHECK(world.listeners.at("default/gw/http").filters.at(0).binding != nullptr);
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
}

TEST_CASE("A data plane has the servers that a snapshot's listeners ask, with their endpoints") {
  World world;
  world.addService("default", "auth", "10.0.0.9");
  const auto put = [&](const std::string& backends) {
    std::string listener(kHttp);
    listener.insert(listener.rfind('}'),
                    ",'filters':[{'type':'api_key','owner':'Gateway default/gw','backends':[" +
                        backends + "]}]");
    world.put("RouteSnapshot", "default", "snap", spec("1", listener, entry("a", "")));
    serve(world, ++world.parser.calls);
  };
  put("{'namespace':'default','name':'auth','port':80,'weight':1}");
  CHECK(world.listeners.at("default/gw/http").filters.at(0).upstreams ==
        std::vector<std::string>{"default/auth:80"});
  REQUIRE(world.upstreams.contains("default/auth:80"));
  CHECK(world.upstreams.at("default/auth:80").endpoints ==
        std::vector<route::Endpoint>{{"10.0.0.9", 8080}});
  put("{'namespace':'default','name':'auth','port':80,'weight':1,'grpc':true,'protocol':'h2c'}");
  CHECK_FALSE(world.upstreams.contains("default/auth:80"));
  REQUIRE(world.upstreams.contains("default/auth:80+grpc"));
  CHECK(world.upstreams.at("default/auth:80+grpc").protocol == route::UpstreamProtocol::Http2);
  world.addService("default", "auth", "10.0.0.10");
  CHECK(world.upstreams.at("default/auth:80+grpc").endpoints ==
        std::vector<route::Endpoint>{{"10.0.0.10", 8080}});
  world.remove("RouteSnapshot", "default", "snap");
  CHECK_FALSE(world.upstreams.contains("default/auth:80+grpc"));
}

// One route that does not read would hold the snapshot back for all.
TEST_CASE("Whatever the translator makes of a route reads back as it was") {
  World world;
  world.addBasics();
  const std::string longest = "99999h99999h99999h99999h";
  const std::string web = "'backendRefs':[{'name':'web','port':80}]";
  world.addRoute("long", "{'timeouts':{'request':'" + longest + "','backendRequest':'" + longest +
                             "'},'retry':{'backoff':'" + longest + "'}," + web + "}");
  world.addRoute("names", "{'backendRefs':[{'name':'a/b','port':80},{'name':'web','port':80}]}");
  int number = 0;
  for (const std::string backend :
       {"'name':'a:b','namespace':'x/y:z'", "'name':'','port':80", "'name':'web'",
        "'name':'web','port':70000", "'name':'web','port':-1", "'name':'web','port':65536",
        "'group':'a/b','kind':'c:d','name':'web','port':80"})
    world.addRoute("backend-" + std::to_string(++number),
                   "{'backendRefs':[{" + backend +
                       "}],'filters':[{'type':'RequestMirror',"
                       "'requestMirror':{'backendRef':{" +
                       backend + "}}}]}");
  for (const std::string match :
       {"'path':{'value':'/a/%2F/../b//c d'}", "'path':{'type':'Exact','value':'/a%zz'}",
        "'path':{'value':'x'}", "'path':{'value':''}", "'method':'M:/'",
        "'headers':[{'name':'','value':'1'}]", "'headers':[{'name':'X:/','value':''}]",
        "'queryParams':[{'name':'','value':''}]", "'queryParams':[{'name':'/:','value':'/'}]"})
    world.addRoute("match-" + std::to_string(++number),
                   "{'name':'a/b:c','matches':[{" + match + "}]," + web + "}");
  for (const std::string host : {"A.b.", "a..b", "*", "*.a.b", "x/y:z", "", "a_b.c"})
    world.addRoute("host-" + std::to_string(++number), "{" + web + "}",
                   "'hostnames':['" + host + "']");
  REQUIRE(world.routes.contains("HTTPRoute/default/long"));
  REQUIRE(world.routes.contains("HTTPRoute/default/names"));

  route::ModelBatch model;
  model.full = true;
  for (const auto& [key, listener] : world.listeners) model.listeners.push_back(listener);
  for (const auto& [key, one] : world.routes) model.routes.push_back(one);
  for (const auto& [key, upstream] : world.upstreams) model.upstreams.push_back(upstream);
  const std::string written = route::snapshotSpec(model, {});
  Problems problems;
  const auto content = route::readSnapshot(written, problems);
  REQUIRE(content);
  for (const Problem& problem : problems.list())
    FAIL_CHECK((problem.pointer + ": " + problem.message));
  CHECK(route::snapshotSpec(content->model, {}) == written);
}

TEST_CASE("A filter that the writer of a snapshot refused stays refused") {
  World world;
  world.put("RouteSnapshot", "default", "snap",
            spec("1", std::string(kHttp),
                 entry("a", "'filters':[{'type':'api_key','config':{},'refused':'by decree'}]")));
  serve(world, 1);
  CHECK(world.rules("a")->front().filters.front().refused == "by decree");
  CHECK(world.status("RouteSnapshot/default/snap").refused.empty());
}

TEST_CASE("A snapshot counts as served once every sink has its generation") {
  World world;
  const auto put = [&](const std::string& checksum) {
    world.put("RouteSnapshot", "default", "snap",
              spec(checksum, std::string(kHttp), entry("a", "'requestTimeoutMs':" + checksum)),
              "'generation':" + checksum);
  };
  const auto served = [&] { return world.status("RouteSnapshot/default/snap").checksum; };
  put("1");
  CHECK(world.translator.handedOver(7, 6).updated.empty());
  CHECK(served().empty());
  REQUIRE(world.translator.programmed({}, {}, 7).updated.size() == 1);
  CHECK(served() == "1");
  CHECK(world.status("RouteSnapshot/default/snap").generation == 1);
  put("2");
  (void)world.translator.handedOver(8, 7);
  put("3");
  (void)world.translator.handedOver(9, 7);
  CHECK(world.translator.programmed({}, {}, 7).updated.empty());
  (void)world.translator.programmed({}, {}, 8);
  CHECK(served() == "2");
  const auto batch =
      world.translator.programmed({{"default/gw/http", false, "the port is busy"}}, {}, 9);
  REQUIRE(batch.updated.size() == 1);
  CHECK(batch.updated[0].checksum == "3");
  CHECK(batch.updated[0].refused == std::vector<Refusal>{{"default/gw/http", "the port is busy"}});
  CHECK(
      toJson(batch.updated[0]) ==
      json("{'checksum':'3','refused':[{'name':'default/gw/http','reason':'the port is busy'}]}"));
}

TEST_CASE("A report names 32 refusals, and says whether a listener may be among the others") {
  World world;
  std::string listeners;
  for (int i = 0; i < 40; ++i)
    listeners += std::string(i == 0 ? "" : ",") + "{'name':'default/gw/l" + std::to_string(i) +
                 "','port':443,'protocol':'HTTPS'}";
  const auto put = [&](const std::string& list) {
    world.put("RouteSnapshot", "default", "snap", spec("1", list, ""), "'generation':1");
    serve(world, 1);
    return world.status("RouteSnapshot/default/snap").refused;
  };
  const auto many = put(listeners);
  REQUIRE(many.size() == 32);
  CHECK(many.back() == Refusal{"*", "and 9 more"});
  CHECK(put(listeners.substr(0, listeners.find("','port':443,'protocol':'HTTPS'}") + 32)).size() ==
        1);
}

TEST_CASE("A status reads in a snapshot as the contract has it") {
  ObjectStatus route;
  route.kind = "HTTPRoute";
  route.name_space = "shop";
  route.name = "cart";
  ParentStatus parent;
  parent.name_space = "infra";
  parent.name = "gw";
  parent.section_name = "http";
  parent.port = 80;
  parent.conditions = {{"Accepted", true, false, "Accepted", "fine", 3},
                       {"ResolvedRefs", false, false, "BackendNotFound", "no \"x\"", 3}};
  route.parents = {parent};
  CHECK(
      toSnapshot(route) ==
      json("{'routeNamespace':'shop','routeName':'cart','parentGroup':'gateway.networking.k8s.io',"
           "'parentKind':'Gateway','parentName':'gw','parentNamespace':'infra',"
           "'parentSectionName':'http','parentPort':80,'accepted':true,'acceptedReason':'Accepted',"
           "'acceptedMessage':'fine','resolvedRefs':false,'resolvedRefsReason':'BackendNotFound',"
           "'resolvedRefsMessage':'no \\'x\\'','observedGeneration':3}"));
  route.kind = "TCPRoute";  // two kinds may share a name
  CHECK(toSnapshot(route).starts_with(json("{'routeKind':'TCPRoute','routeNamespace':'shop',")));
  ObjectStatus gateway;
  gateway.kind = "Gateway";
  gateway.name_space = "infra";
  gateway.name = "gw";
  gateway.listeners = {{"http", {"HTTPRoute"}, 2, {{"Accepted", false, true, "Pending", "", 1}}}};
  CHECK(toSnapshot(gateway) ==
        json("{'gatewayNamespace':'infra','gatewayName':'gw','listenerName':'http',"
             "'attachedRoutes':2,'supportedKinds':[{'group':'gateway.networking.k8s.io',"
             "'kind':'HTTPRoute'}],'accepted':false,'acceptedReason':'Pending',"
             "'acceptedMessage':'','observedGeneration':1}"));
  ObjectStatus of_class;
  of_class.kind = "GatewayClass";
  of_class.name = "hyperway";
  of_class.supported_features = {"Gateway", "HTTPRoute"};
  of_class.conditions = {{"Accepted", true, false, "Accepted", "ours", 2}};
  CHECK(toSnapshot(of_class) ==
        json("{'name':'hyperway','accepted':true,'acceptedReason':'Accepted','acceptedMessage':"
             "'ours','supportedFeatures':['Gateway','HTTPRoute'],'observedGeneration':2}"));
  ObjectStatus policy;
  policy.kind = "BackendTLSPolicy";
  CHECK(toSnapshot(policy).empty());
}

TEST_CASE("A sink that lost its place gets the routes of snapshots too") {
  World world;
  world.put("RouteSnapshot", "default", "snap", spec("1", std::string(kHttp), entry("a")));
  const route::ModelBatch whole = world.translator.wholeModel();
  CHECK(whole.full);
  CHECK(keys(whole.routes) == std::vector<std::string>{"HTTPRoute/default/a"});
  CHECK(keys(whole.listeners) == std::vector<std::string>{"default/gw/http"});
  // With the endpoints that they have now, and as the snapshot describes them.
  world.addService("default", "web");
  world.put("RouteSnapshot", "default", "snap",
            spec("2", std::string(kHttp),
                 entry("a").substr(0, entry("a").size() - 3) + ",'protocol':'h2c'}]}"));
  const std::vector<route::Upstream> upstreams = world.translator.wholeModel().upstreams;
  REQUIRE(keys(upstreams) == std::vector<std::string>{"default/web:80"});
  CHECK(upstreams[0].protocol == route::UpstreamProtocol::Http2);
  CHECK(upstreams[0].endpoints == std::vector<route::Endpoint>{{"10.0.0.1", 8080}});
}

TEST_CASE(
    "A route that moves between parts and changes keeps its backend, and lets it go at last") {
  World world;
  const auto put = [&](const std::string& name, const std::string& routes) {
    world.take(world.translator.apply({part(name, routes)}));
  };
  put("snap-0", entry("a") + "," + entry("b", "", "other"));
  CHECK(world.upstreams.size() == 2);
  // To another backend and another part at once.
  world.take(world.translator.apply(
      {part("snap-1", entry("a", "", "new")), part("snap-0", entry("b", "", "other"))}));
  CHECK(world.routes.size() == 2);
  CHECK(world.upstreams.contains("default/new:80"));
  CHECK_FALSE(world.upstreams.contains("default/web:80"));
  // The part that it left is not where it goes with.
  world.take(world.translator.apply({gone("snap-0")}));
  CHECK(world.routes.contains("HTTPRoute/default/a"));
  CHECK(world.upstreams.contains("default/new:80"));
  world.take(world.translator.apply({gone("snap-1")}));
  CHECK(world.routes.empty());
  CHECK(world.upstreams.empty());
}

}  // namespace
}  // namespace hyperway::gateway
