// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kPem =
    "-----BEGIN CERTIFICATE-----\\naGVsbG8=\\n-----END CERTIFICATE-----\\n";
constexpr std::string_view kKey =
    "-----BEGIN PRIVATE KEY-----\\naGVsbG8=\\n-----END PRIVATE KEY-----\\n";
constexpr std::string_view kAll = "'allowedListeners':{'namespaces':{'from':'All'}}";
constexpr std::string_view kOwn = "{'name':'http','port':80,'protocol':'HTTP','hostname':'gw.com'}";

std::string http(std::string_view name, std::string_view host, int port = 80,
                 std::string_view more = "") {
  return "{'name':'" + std::string(name) + "','port':" + std::to_string(port) +
         ",'protocol':'HTTP','hostname':'" + std::string(host) + "'" +
         (more.empty() ? "" : "," + std::string(more)) + "}";
}

std::string https(std::string_view name, std::string_view host, std::string_view ref) {
  return "{'name':'" + std::string(name) + "','port':443,'protocol':'HTTPS','hostname':'" +
         std::string(host) + "','tls':{'certificateRefs':[" + std::string(ref) + "]}}";
}

// A ListenerSet of the Gateway "default/GATEWAY"; `day` is its age, the older the smaller.
void addSet(World& world, std::string_view name_space, std::string_view name,
            std::string_view listeners, int day = 1, std::string_view gateway = "gw") {
  world.put("ListenerSet", name_space, name,
            "'spec':{'parentRef':{'name':'" + std::string(gateway) +
                "','namespace':'default'},'listeners':[" + std::string(listeners) + "]}",
            "'generation':4,'creationTimestamp':'2026-01-0" + std::to_string(day) + "T00:00:00Z'");
}

// A Gateway "default/gw" that takes all sets, with a listener for gw.com on port 80.
void addOpenGateway(World& world, std::string_view more = kAll) {
  world.addBasics();
  world.addGateway("gw", kOwn, more);
}

void addSecret(World& world, std::string_view name_space, std::string_view name) {
  world.put("Secret", name_space, name,
            "'type':'kubernetes.io/tls','stringData':{'tls.crt':'" + std::string(kPem) +
                "','tls.key':'" + std::string(kKey) + "'}");
}

std::string set(const World& world, std::string_view key, std::string_view type) {
  return World::show(world.status("ListenerSet/" + std::string(key)).conditions, type);
}

ListenerStatus entry(const World& world, std::string_view key, std::string_view name) {
  for (const ListenerStatus& listener : world.status("ListenerSet/" + std::string(key)).listeners)
    if (listener.name == name) return listener;
  return {};
}

std::string entry(const World& world, std::string_view key, std::string_view name,
                  std::string_view type) {
  return World::show(entry(world, key, name).conditions, type);
}

std::int32_t attachedSets(const World& world) {
  return world.status("Gateway/default/gw").attached_sets;
}

}  // namespace

TEST_CASE("A Gateway takes no ListenerSets unless it says so") {
  World world;
  for (const std::string_view says :
       {"", "'allowedListeners':{}", "'allowedListeners':{'namespaces':{}}",
        "'allowedListeners':{'namespaces':{'from':'None'}}"}) {
    CAPTURE(says);
    addOpenGateway(world, says);
    addSet(world, "default", "set", http("a", "a.com"));
    CHECK(set(world, "default/set", "Accepted") == "False NotAllowed");
    CHECK(set(world, "default/set", "Programmed") == "False NotAllowed");
    CHECK(world.status("ListenerSet/default/set").listeners.empty());
    CHECK(world.status("ListenerSet/default/set").conditions[0].observed_generation == 4);
    CHECK(attachedSets(world) == 0);
    CHECK(world.listeners.size() == 1);
    world.addRoute("web", kWeb, "", "{'name':'set','kind':'ListenerSet'}");
    CHECK(world.route("web", "Accepted") == "False NoMatchingParent");
    CHECK(world.message("web", "Accepted") ==
          "/spec/parentRefs/0: ListenerSet default/set is not taken by Gateway default/gw");
    CHECK(world.routes.empty());
  }
}

TEST_CASE("allowedListeners chooses namespaces, also when their labels change") {
  World world;
  const auto from = [](std::string_view what) {
    return "'allowedListeners':{'namespaces':{" + std::string(what) + "}}";
  };
  addOpenGateway(world, from("'from':'Same'"));
  addSet(world, "default", "near", http("a", "a.com"));
  addSet(world, "other", "far", http("a", "b.com"));
  CHECK(set(world, "default/near", "Accepted") == "True Accepted");
  CHECK(set(world, "other/far", "Accepted") == "False NotAllowed");
  CHECK(attachedSets(world) == 1);
  world.addGateway("gw", kOwn, from("'from':'All'"));
  CHECK(set(world, "other/far", "Accepted") == "True Accepted");
  CHECK(set(world, "other/far", "Programmed") == "True Programmed");
  CHECK(attachedSets(world) == 2);
  world.addGateway("gw", kOwn, from("'from':'Selector','selector':{'matchLabels':{'team':'x'}}"));
  CHECK(attachedSets(world) == 0);
  CHECK(world.listeners.size() == 1);
  world.put("Namespace", "", "other", "", "'labels':{'team':'x'}");
  CHECK(set(world, "other/far", "Accepted") == "True Accepted");
  CHECK(set(world, "default/near", "Accepted") == "False NotAllowed");
  CHECK(world.listeners.contains("default/gw/other/far/a"));
  world.put("Namespace", "", "other", "", "'labels':{'team':'y'}");
  CHECK(set(world, "other/far", "Accepted") == "False NotAllowed");
  CHECK(world.listeners.size() == 1);
}

TEST_CASE("A set's listeners are served as the Gateway's own are, whatever their names") {
  World world;
  addOpenGateway(world);
  addSet(world, "other", "set", http("http", "a.com") + ',' + http("b", "b.com", 81));
  REQUIRE(world.listeners.contains("default/gw/http"));
  REQUIRE(world.listeners.contains("default/gw/other/set/http"));
  REQUIRE(world.listeners.contains("default/gw/other/set/b"));
  CHECK(world.listeners["default/gw/other/set/http"].hostname == "a.com");
  CHECK(world.listeners["default/gw/other/set/b"].port == 81);
  CHECK(entry(world, "other/set", "http", "Accepted") == "True Accepted");
  CHECK(entry(world, "other/set", "http", "Programmed") == "True Programmed");
  CHECK(entry(world, "other/set", "http", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(entry(world, "other/set", "http", "Conflicted") == "False NoConflicts");
  CHECK(entry(world, "other/set", "http").conditions[0].observed_generation == 4);
  CHECK(world.status("Gateway/default/gw").listeners.size() == 1);
  CHECK(toJson(world.status("Gateway/default/gw")).find("\"attachedListenerSets\":1") !=
        std::string::npos);
  CHECK(toSnapshot(world.status("ListenerSet/other/set"))
            .starts_with("{\"gatewayNamespace\":\"default\",\"gatewayName\":\"gw\","
                         "\"listenerName\":\"other/set/http\","));
  world.remove("ListenerSet", "other", "set");
  CHECK(world.listeners.size() == 1);
  CHECK(world.status("ListenerSet/other/set").name.empty());
  CHECK(toJson(world.status("Gateway/default/gw")).find("attachedListenerSets") ==
        std::string::npos);
}

TEST_CASE("Routes attach to the set or to the Gateway, as they say, and never to both") {
  World world;
  addOpenGateway(world);
  addSet(world, "default", "set", http("a", "a.com") + ',' + http("b", "b.com", 81));
  const auto listeners = [&](std::string_view route) {
    std::string out;
    for (const auto& attachment :
         world.routes["HTTPRoute/default/" + std::string(route)].attachments)
      out += attachment.listener + ' ';
    return out;
  };
  world.addRoute("both", kWeb, "", "{'name':'gw'},{'name':'set','kind':'ListenerSet'}");
  CHECK(listeners("both") == "default/gw/http default/gw/default/set/a default/gw/default/set/b ");
  CHECK(world.status("HTTPRoute/default/both").parents[1].kind == "ListenerSet");
  world.addRoute("own", kWeb, "", "{'name':'gw'}");
  CHECK(listeners("own") == "default/gw/http ");
  world.addRoute("set", kWeb, "", "{'name':'set','kind':'ListenerSet'}");
  CHECK(listeners("set") == "default/gw/default/set/a default/gw/default/set/b ");
  world.addRoute("section", kWeb, "", "{'name':'set','kind':'ListenerSet','sectionName':'b'}");
  CHECK(listeners("section") == "default/gw/default/set/b ");
  world.addRoute("port", kWeb, "", "{'name':'set','kind':'ListenerSet','port':80}");
  CHECK(listeners("port") == "default/gw/default/set/a ");
  CHECK(entry(world, "default/set", "a").attached_routes == 3);
  CHECK(entry(world, "default/set", "b").attached_routes == 3);
  CHECK(world.listener("gw", "http").attached_routes == 2);
  CHECK(entry(world, "default/set", "a").supported_kinds ==
        world.listener("gw", "http").supported_kinds);

  // The Gateway has no listener of that name, nor has the set one of the Gateway's.
  world.addRoute("lost", kWeb, "",
                 "{'name':'gw','sectionName':'a'},"
                 "{'name':'set','kind':'ListenerSet','sectionName':'http'},"
                 "{'name':'none','kind':'ListenerSet'}");
  CHECK(world.route("lost", "Accepted", 0) == "False NoMatchingParent");
  CHECK(world.route("lost", "Accepted", 1) == "False NoMatchingParent");
  CHECK(world.route("lost", "Accepted", 2) == "no parent");
  CHECK(world.routes.count("HTTPRoute/default/lost") == 0);
  CHECK(toSnapshot(world.status("HTTPRoute/default/set"))
            .find("\"parentName\":\"set\",\"gatewayNamespace\":\"default\","
                  "\"gatewayName\":\"gw\",") != std::string::npos);

  // It follows the set.
  world.remove("ListenerSet", "default", "set");
  CHECK(listeners("both") == "default/gw/http ");
  CHECK(world.routes.count("HTTPRoute/default/set") == 0);
  addSet(world, "default", "set", http("a", "a.com"));
  CHECK(listeners("set") == "default/gw/default/set/a ");
  CHECK(entry(world, "default/set", "a").attached_routes == 3);
}

TEST_CASE("A set's listeners take routes of the set's namespace, not of the Gateway's") {
  World world;
  addOpenGateway(world);
  addSet(world, "other", "set", http("a", "a.com"));
  const std::string_view parent = "{'name':'set','namespace':'other','kind':'ListenerSet'}";
  world.addRoute("web", kWeb, "", parent);
  CHECK(world.route("web", "Accepted") == "False NotAllowedByListeners");
  world.put("HTTPRoute", "other", "web",
            "'spec':{'parentRefs':[" + std::string(parent) + "],'rules':[{}]}");
  CHECK(entry(world, "other/set", "a").attached_routes == 1);
  CHECK(world.routes.contains("HTTPRoute/other/web"));
  addSet(world, "other", "set",
         http("a", "a.com", 80, "'allowedRoutes':{'namespaces':{'from':'All'}}"));
  CHECK(world.route("web", "Accepted") == "True Accepted");
  CHECK(entry(world, "other/set", "a").attached_routes == 2);
}

TEST_CASE("The Gateway keeps a host name before its sets, and the oldest set before the others") {
  World world;
  addOpenGateway(world);
  addSet(world, "default", "young", http("c", "c.com") + ',' + http("b", "b.com"), 3);
  addSet(world, "default", "old",
         http("gw", "gw.com") + ',' + http("a", "a.com") + ',' + http("b", "b.com"), 2);
  addSet(world, "default", "only", http("gw", "GW.com"), 1);
  CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  CHECK(set(world, "default/old", "Accepted") == "True ListenersNotValid");
  CHECK(set(world, "default/old", "Programmed") == "True Programmed");
  CHECK(entry(world, "default/old", "gw", "Conflicted") == "True HostnameConflict");
  CHECK(entry(world, "default/old", "gw", "Accepted") == "False HostnameConflict");
  CHECK(entry(world, "default/old", "gw", "Programmed") == "False HostnameConflict");
  CHECK(entry(world, "default/old", "b", "Accepted") == "True Accepted");
  CHECK(entry(world, "default/young", "b", "Conflicted") == "True HostnameConflict");
  CHECK(entry(world, "default/young", "c", "Accepted") == "True Accepted");
  CHECK(set(world, "default/only", "Accepted") == "False ListenersNotValid");
  CHECK(set(world, "default/only", "Programmed") == "False ListenersNotValid");
  CHECK(attachedSets(world) == 2);
  CHECK(world.listeners.size() == 4);
  // Of one age: by name.
  addSet(world, "default", "also", http("b", "b.com"), 2);
  CHECK(entry(world, "default/also", "b", "Accepted") == "True Accepted");
  CHECK(entry(world, "default/old", "b", "Accepted") == "False HostnameConflict");
  world.remove("ListenerSet", "default", "also");
  world.remove("ListenerSet", "default", "old");
  CHECK(entry(world, "default/young", "b", "Accepted") == "True Accepted");
}

TEST_CASE("Protocols that do not go together: the Gateway first, then the oldest set") {
  World world;
  addOpenGateway(world);
  addSecret(world, "default", "cert");
  const auto tls = [](std::string_view name, int port) {
    return "{'name':'" + std::string(name) + "','port':" + std::to_string(port) +
           ",'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'cert'}]}}";
  };
  // What lost to the Gateway harms no neighbour in its own set.
  addSet(world, "default", "one", http("a", "a.com") + ',' + tls("odd", 80), 1);
  addSet(world, "default", "two", tls("odd", 80), 2);
  CHECK(entry(world, "default/one", "a", "Accepted") == "True Accepted");
  for (const char* type : {"Accepted", "Programmed"})
    CHECK(entry(world, "default/one", "odd", type) == "False ProtocolConflict");
  CHECK(entry(world, "default/one", "odd", "Conflicted") == "True ProtocolConflict");
  CHECK(set(world, "default/two", "Accepted") == "False ListenersNotValid");
  CHECK(attachedSets(world) == 1);
  // Within a set nobody is first.
  addSet(world, "default", "two", http("a", "z.com", 81) + ',' + tls("odd", 81), 2);
  CHECK(entry(world, "default/two", "a", "Accepted") == "False ProtocolConflict");
  CHECK(entry(world, "default/two", "odd", "Accepted") == "False ProtocolConflict");
}

TEST_CASE("A set never takes a listener away from another Gateway at the same address") {
  World world;
  addOpenGateway(world);
  addSet(world, "default", "set", http("a", "late.com"), 1);
  CHECK(entry(world, "default/set", "a", "Accepted") == "True Accepted");
  world.addGateway("second", http("http", "late.com"), "",
                   "'creationTimestamp':'2026-02-01T00:00:00Z'");
  CHECK(world.listener("second", "http", "Accepted") == "True Accepted");
  CHECK(entry(world, "default/set", "a", "Conflicted") == "True HostnameConflict");
}

TEST_CASE("A set's certificates need grants to ListenerSets; those to Gateways are not inherited") {
  World world;
  addOpenGateway(world);
  addSecret(world, "certs", "cert");
  const std::string listener = https("a", "a.com", "{'name':'cert','namespace':'certs'}");
  const auto grant = [&](std::string_view kind, std::string_view to) {
    world.put("ReferenceGrant", "certs", "grant",
              "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'" + std::string(kind) +
                  "','namespace':'" + std::string(to) + "'}],'to':[{'group':'','kind':'Secret'}]}");
  };
  addSet(world, "other", "set", listener);
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "False RefNotPermitted");
  CHECK(set(world, "other/set", "Accepted") == "False ListenersNotValid");
  CHECK(set(world, "other/set", "Programmed") == "False ListenersNotValid");
  CHECK(attachedSets(world) == 0);
  grant("Gateway", "other");
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "False RefNotPermitted");
  grant("ListenerSet", "default");
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "False RefNotPermitted");
  grant("ListenerSet", "other");
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(set(world, "other/set", "Accepted") == "True Accepted");
  CHECK(world.certificates.contains("certs/cert"));
  // Nor is what a set may use for the Gateway.
  CHECK(world.gateway("gw", "ResolvedRefs") == "True ResolvedRefs");
  world.addGateway(
      "gw",
      std::string(kOwn) + ',' + https("own", "own.com", "{'name':'cert','namespace':'certs'}"),
      kAll);
  CHECK(world.listener("gw", "own", "ResolvedRefs") == "False RefNotPermitted");
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "True ResolvedRefs");
  // One in its own namespace needs none.
  addSecret(world, "other", "mine");
  addSet(world, "other", "set", https("a", "a.com", "{'name':'mine'}"));
  CHECK(entry(world, "other/set", "a", "ResolvedRefs") == "True ResolvedRefs");
}

TEST_CASE("A set shares the fate of its Gateway") {
  World world;
  world.addBasics();
  addSet(world, "default", "set", http("a", "a.com"));
  world.remove("Gateway", "default", "gw");
  CHECK(world.status("ListenerSet/default/set").name.empty());
  addOpenGateway(world);
  CHECK(set(world, "default/set", "Accepted") == "True Accepted");
  world.addGateway("gw", kOwn,
                   std::string(kAll) +
                       ",'infrastructure':{'parametersRef':{'group':'','kind':'ConfigMap',"
                       "'name':'x'}}");
  CHECK(world.gateway("gw", "Accepted") == "False InvalidParameters");
  CHECK(set(world, "default/set", "Accepted") == "False ParentNotAccepted");
  CHECK(set(world, "default/set", "Programmed") == "False ParentNotProgrammed");
  CHECK(world.listeners.empty());
  world.put("Gateway", "default", "gw",
            "'spec':{'gatewayClassName':'foreign','listeners':[" + std::string(kOwn) + "]}");
  CHECK(world.status("ListenerSet/default/set").name.empty());
}

TEST_CASE("A set may go to another Gateway") {
  World world;
  addOpenGateway(world);
  world.addGateway("second", http("http", "second.com"), kAll);
  addSet(world, "default", "set", http("a", "a.com"));
  world.addRoute("web", kWeb, "", "{'name':'set','kind':'ListenerSet'}");
  CHECK(world.listeners.contains("default/gw/default/set/a"));
  addSet(world, "default", "set", http("a", "a.com"), 1, "second");
  CHECK_FALSE(world.listeners.contains("default/gw/default/set/a"));
  CHECK(world.listeners.contains("default/second/default/set/a"));
  CHECK(world.routes["HTTPRoute/default/web"].attachments[0].listener ==
        "default/second/default/set/a");
  CHECK(entry(world, "default/set", "a").attached_routes == 1);
  CHECK(attachedSets(world) == 0);
  CHECK(world.status("Gateway/default/second").attached_sets == 1);
  addSet(world, "default", "set", http("a", "a.com"), 1, "nobody");
  CHECK(world.status("ListenerSet/default/set").name.empty());
  CHECK(world.routes.empty());
  CHECK(world.status("HTTPRoute/default/web").name.empty());
}

TEST_CASE("What a set cannot have does not show at its Gateway") {
  TranslateOptions options;
  options.report_programmed = false;
  World world(options);
  addOpenGateway(world);
  (void)world.translator.programmed({{"default/gw/http", true, ""}});
  addSet(world, "default", "set", http("a", "a.com", 81) + ',' + http("b", "b.com"));
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(set(world, "default/set", "Accepted") == "True Accepted");
  CHECK(set(world, "default/set", "Programmed") == "Unknown Pending");
  CHECK(entry(world, "default/set", "a", "Programmed") == "Unknown Pending");
  (void)world.translator.programmed({{"default/gw/default/set/a", false, "port 81 is busy"},
                                     {"default/gw/default/set/b", true, ""}});
  CHECK(entry(world, "default/set", "a", "Programmed") == "False Invalid");
  CHECK(entry(world, "default/set", "b", "Programmed") == "True Programmed");
  CHECK(set(world, "default/set", "Programmed") == "True Programmed");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(world.status("Gateway/default/gw").conditions[1].message == "served");
  // A set that asks for what does not exist is not accepted, alone.
  addSet(world, "default", "set", "{'name':'a','port':0,'protocol':'HTTP'}");
  CHECK(set(world, "default/set", "Accepted") == "False ListenersNotValid");
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
}

TEST_CASE("A Gateway whose own listeners are no good serves those of its sets") {
  World world;
  world.addBasics();
  world.addGateway("gw", "{'name':'odd','port':0,'protocol':'HTTP'}", kAll);
  CHECK(world.gateway("gw", "Accepted") == "False ListenersNotValid");
  addSet(world, "default", "set", http("a", "a.com"));
  CHECK(world.gateway("gw", "Accepted") == "True ListenersNotValid");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(set(world, "default/set", "Programmed") == "True Programmed");
}

TEST_CASE("Kinds that do not fit a set's listener are named there") {
  World world;
  addOpenGateway(world);
  addSet(world, "default", "set",
         http("a", "a.com", 80, "'allowedRoutes':{'kinds':[{'kind':'TLSRoute'}]}"));
  CHECK(entry(world, "default/set", "a", "ResolvedRefs") == "False InvalidRouteKinds");
  CHECK(entry(world, "default/set", "a").supported_kinds.empty());
}

TEST_CASE("Clients of a set's listener are validated as its Gateway says for the port") {
  World world;
  addSecret(world, "default", "cert");
  world.put("ConfigMap", "default", "ca",
            "'data':{'ca.crt':'-----BEGIN CERTIFICATE-----YQ==-----END CERTIFICATE-----'}");
  addOpenGateway(
      world, std::string(kAll) +
                 ",'tls':{'backend':{'clientCertificateRef':{'name':'cert'}},'frontend':{'default':"
                 "{'validation':{'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'ca'}"
                 "]}}}}");
  addSecret(world, "other", "cert");
  addSet(world, "other", "set", https("a", "a.com", "{'name':'cert'}"));
  REQUIRE(world.listeners.contains("default/gw/other/set/a"));
  const route::Listener& made = world.listeners["default/gw/other/set/a"];
  REQUIRE(made.validation != nullptr);
  CHECK(made.validation->authorities.size() == 1);
  CHECK(made.backend_certificate == "default/cert");
  world.remove("ConfigMap", "default", "ca");
  CHECK(entry(world, "other/set", "a", "Accepted") == "False NoValidCACertificate");
}

TEST_CASE("What is made for a Gateway has the ports of its sets too") {
  TranslateOptions options;
  options.gateway_addresses = AddressSource::Services;
  World world(options);
  addOpenGateway(world);
  addSet(world, "default", "set", http("a", "a.com", 8443));
  const auto ports = [&] {
    std::string out;
    for (const auto& port : world.gateways["default/gw"].ports)
      out += std::to_string(port.port) + ' ';
    return out;
  };
  CHECK(ports() == "80 8443 ");
  CHECK(set(world, "default/set", "Accepted") == "True Accepted");
  CHECK(entry(world, "default/set", "a", "Programmed") == "False Pending");
  world.remove("ListenerSet", "default", "set");
  CHECK(ports() == "80 ");
}

TEST_CASE("What is wrong with a set is told of the set") {
  World world;
  addOpenGateway(world);
  const auto told = [&](std::string_view object) {
    std::string out;
    for (const auto& one : world.translator.diagnose())
      if (one.object == object) out += one.problem.pointer + ": " + one.problem.message + '\n';
    return out;
  };
  addSet(world, "default", "set", http("a", "a.com"));
  CHECK(world.translator.diagnose().empty());
  addSet(world, "default", "set", http("a", "gw.com"));
  CHECK(told("ListenerSet/default/set") ==
        "/spec/listeners/0: port 80 is also claimed by listener default/gw/http\n");
  CHECK(told("Gateway/default/gw").empty());
  addSet(world, "default", "set", http("a", "a.com"), 1, "nobody");
  CHECK(told("ListenerSet/default/set") == "/spec/parentRef: there is no Gateway default/nobody\n");
  world.addRoute("web", kWeb, "", "{'name':'none','kind':'ListenerSet'}");
  CHECK(told("HTTPRoute/default/web") ==
        "/spec/parentRefs/0: there is no ListenerSet default/none\n");
  addOpenGateway(world, "");
  addSet(world, "default", "set", http("a", "a.com"));
  CHECK(told("ListenerSet/default/set") ==
        "/spec/parentRef: Gateway default/gw does not take ListenerSets of namespace default "
        "(its allowedListeners)\n");
}

TEST_CASE("A set that cannot be read keeps its last good form, and says why") {
  World world;
  addOpenGateway(world);
  addSet(world, "default", "set", http("a", "a.com"));
  for (const std::string_view spec :
       {"'parentRef':{'name':'gw'}", "'parentRef':{'name':'gw'},'listeners':[]",
        "'listeners':[{'name':'a','port':80,'protocol':'HTTP'}]",
        "'parentRef':{'name':'gw'},'listeners':[{'name':'a','port':80,'protocol':'HTTP'},"
        "{'name':'a','port':81,'protocol':'HTTP'}]",
        "'parentRef':{'name':'gw'},'listeners':[{'name':'x/y','port':80,'protocol':'HTTP'}]"}) {
    CAPTURE(spec);
    world.put("ListenerSet", "default", "set", "'spec':{" + std::string(spec) + "}");
    CHECK(world.last.rejected.size() >= 1);
    CHECK(world.listeners.contains("default/gw/default/set/a"));
  }
  // Another kind of parent is none of our business.
  world.put("ListenerSet", "default", "set",
            "'spec':{'parentRef':{'name':'gw','kind':'Service','group':''},'listeners':[" +
                http("a", "a.com") + "]}");
  CHECK(world.status("ListenerSet/default/set").name.empty());
  CHECK(world.listeners.size() == 1);
}

}  // namespace hyperway::gateway
