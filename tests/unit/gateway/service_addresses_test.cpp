// SPDX-License-Identifier: Apache-2.0
// Addresses out of Services: `gateways: {addresses: services}` and `merged`.
#include <doctest/doctest.h>

#include <algorithm>

#include "gateway/objects.hpp"
#include "world.hpp"

namespace hyperway::gateway {
namespace {

using Texts = std::vector<std::string>;

TranslateOptions services() {
  TranslateOptions options;
  options.gateway_addresses = AddressSource::Services;
  return options;
}

TranslateOptions merged() {
  TranslateOptions options;
  options.gateway_addresses = AddressSource::Merged;
  options.gateway_service = "infra/front";
  return options;
}

// The Service of a Gateway "default/NAME" as gateway_deployer makes it.
void addServiceOf(World& world, std::string_view gateway, std::string_view ports,
                  std::string_view ingress = "{'ip':'10.78.0.1'}",
                  std::string_view type = "LoadBalancer") {
  world.put("Service", "default", "hyperway-" + std::string(gateway),
            "'spec':{'type':'" + std::string(type) +
                "','clusterIPs':['10.96.0.9','fd00::9'],'ports':[" + std::string(ports) +
                "]},'status':{'loadBalancer':{'ingress':[" + std::string(ingress) + "]}}",
            "'labels':{'app.kubernetes.io/managed-by':'hyperway'},"
            "'annotations':{'hyperway.arloor.dev/gateway':'default/" +
                std::string(gateway) + "'}");
}

constexpr std::string_view k80 = "{'port':80,'targetPort':10000,'protocol':'TCP'}";

}  // namespace

TEST_CASE("A listener is bound to the target port that its Gateway's Service records") {
  World world(services());
  world.addBasics();
  world.addRoute("r", kWeb);
  CHECK(world.listeners.empty());
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "Programmed") == "False Pending");
  CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
  CHECK(world.listener("gw", "http", "Programmed") == "False Pending");
  CHECK(world.listener("gw", "http").attached_routes == 1);
  CHECK(world.status("Gateway/default/gw").addresses.empty());
  CHECK(world.rules("r") == nullptr);

  addServiceOf(world, "gw", k80);
  const route::Listener& listener = world.listeners.at("default/gw/http");
  CHECK(listener.port == 80);
  CHECK(listener.binds == std::vector<route::Bind>{{"0.0.0.0", 10000}, {"::", 10000}});
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(world.status("Gateway/default/gw").addresses == Texts{"10.78.0.1"});
  CHECK(world.rules("r") != nullptr);

  world.remove("Service", "default", "hyperway-gw");
  CHECK(world.listeners.empty());
  CHECK(world.gateway("gw", "Programmed") == "False Pending");
  CHECK(world.rules("r") == nullptr);
}

TEST_CASE("TCP and UDP of one port are two ports, with target ports of their own") {
  World world(services());
  world.addBasics();
  world.addGateway("dns",
                   "{'name':'tcp','port':53,'protocol':'TCP'},"
                   "{'name':'udp','port':53,'protocol':'UDP'}");
  const auto& gateways = world.last.model.gateways;
  const auto dns = std::find_if(gateways.begin(), gateways.end(),
                                [](const route::Gateway& each) { return each.name == "dns"; });
  REQUIRE(dns != gateways.end());
  CHECK(dns->ports == std::vector<route::Gateway::Port>{{53, "TCP"}, {53, "UDP"}});
  addServiceOf(world, "dns",
               "{'port':53,'targetPort':10053,'protocol':'TCP'},"
               "{'port':53,'targetPort':10054,'protocol':'UDP'}");
  CHECK(world.listener("dns", "tcp", "Conflicted") == "False NoConflicts");
  CHECK(world.listener("dns", "udp", "Conflicted") == "False NoConflicts");
  CHECK(world.listeners.at("default/dns/tcp").binds[0] == route::Bind{"0.0.0.0", 10053});
  CHECK(world.listeners.at("default/dns/udp").binds[0] == route::Bind{"0.0.0.0", 10054, true});
  // Without its own port in the Service it waits.
  addServiceOf(world, "dns", "{'port':53,'targetPort':10053,'protocol':'TCP'}");
  CHECK_FALSE(world.listeners.contains("default/dns/udp"));
  CHECK(world.listener("dns", "udp", "Programmed") == "False Pending");
}

TEST_CASE("Gateways with the same port never see each other's routes") {
  World world(services());
  world.addBasics();
  world.addGateway("b", "{'name':'http','port':80,'protocol':'HTTP'}");
  addServiceOf(world, "gw", k80);
  addServiceOf(world, "b", "{'port':80,'targetPort':10001}", "{'ip':'10.78.0.2'}");
  CHECK(world.listener("gw", "http", "Conflicted") == "False NoConflicts");
  CHECK(world.listener("b", "http", "Conflicted") == "False NoConflicts");
  CHECK(world.listeners.at("default/b/http").binds[0] == route::Bind{"0.0.0.0", 10001});
  CHECK(world.status("Gateway/default/b").addresses == Texts{"10.78.0.2"});
}

TEST_CASE("A change of a Service touches its Gateway only") {
  World world(services());
  world.addBasics();
  world.addGateway("b", "{'name':'http','port':80,'protocol':'HTTP'}");
  addServiceOf(world, "gw", k80);
  addServiceOf(world, "b", "{'port':80,'targetPort':10001}", "{'ip':'10.78.0.2'}");
  addServiceOf(world, "b", "{'port':80,'targetPort':10002}", "{'ip':'10.78.0.3'}");
  REQUIRE(world.last.model.listeners.size() == 1);
  CHECK(world.last.model.listeners[0].key == "default/b/http");
  REQUIRE(world.last.status.updated.size() == 1);
  CHECK(world.last.status.updated[0].name == "b");
  CHECK(world.last.model.gateways.empty());
}

TEST_CASE("The Service of a Gateway is that of its own namespace, made by hyperway") {
  struct Row {
    std::string_view name_space, labels, annotations;
    bool counts;
  };
  constexpr std::string_view kOurs = "'app.kubernetes.io/managed-by':'hyperway'";
  constexpr std::string_view kWhose = "'hyperway.arloor.dev/gateway':'default/gw'";
  for (const Row& row : {Row{"default", kOurs, kWhose, true}, Row{"default", "", kWhose, false},
                         Row{"default", "'app.kubernetes.io/managed-by':'Helm'", kWhose, false},
                         Row{"default", kOurs, "", false}, Row{"other", kOurs, kWhose, false},
                         Row{"default", kOurs, "'hyperway.arloor.dev/gateway':'gw'", false}}) {
    CAPTURE(row.name_space);
    CAPTURE(row.labels);
    World world(services());
    world.addBasics();
    world.put("Service", row.name_space, "s",
              "'spec':{'type':'LoadBalancer','ports':[" + std::string(k80) +
                  "]},'status':{'loadBalancer':{'ingress':[{'ip':'10.78.0.1'}]}}",
              "'labels':{" + std::string(row.labels) + "},'annotations':{" +
                  std::string(row.annotations) + "}");
    CHECK(world.listeners.contains("default/gw/http") == row.counts);
  }
}

TEST_CASE("The address of a Gateway is that of its Service") {
  struct Row {
    std::string_view type, ingress;
    Texts addresses;
    std::string_view programmed;
  };
  for (const Row& row :
       {Row{"LoadBalancer",
            "{'ip':'10.78.0.1'},{'ip':'2001:DB8:0::1'}",
            {"10.78.0.1", "2001:db8::1"},
            "True Programmed"},
        Row{"LoadBalancer", "{'hostname':'lb.example.com'}", {"lb.example.com"}, "True Programmed"},
        Row{"LoadBalancer", "", {}, "False AddressNotAssigned"},
        Row{"ClusterIP", "", {"10.96.0.9", "fd00::9"}, "True Programmed"}}) {
    CAPTURE(row.type);
    CAPTURE(row.ingress);
    World world(services());
    world.addBasics();
    addServiceOf(world, "gw", k80, row.ingress, row.type);
    CHECK(world.status("Gateway/default/gw").addresses == row.addresses);
    CHECK(world.gateway("gw", "Programmed") == row.programmed);
    CHECK(world.listeners.contains("default/gw/http"));
  }
  ObjectStatus status;
  status.kind = "Gateway";
  status.addresses = {"10.78.0.1", "lb.example.com"};
  CHECK(
      toJson(status).find(
          R"({"type":"IPAddress","value":"10.78.0.1"},{"type":"Hostname","value":"lb.example.com"})") !=
      std::string::npos);
}

TEST_CASE("Addresses that a Gateway asks for must be those that its Service has got") {
  struct Row {
    std::string_view wanted, ingress, accepted, programmed;
    Texts addresses;
  };
  for (const Row& row :
       {Row{"{'type':'test/fake','value':'x'},{'value':'10.1.1.1'},{'value':'10.78.0.5'}",
            "",
            "False UnsupportedAddress",
            "False Invalid",
            {}},
        Row{"{'value':'10.1.1.1'},{'value':'10.78.0.5'}",
            "",
            "True Accepted",
            "False AddressNotUsable",
            {}},
        Row{"{'value':'10.1.1.1'},{'value':'10.78.0.5'}",
            "{'ip':'10.78.0.5'}",
            "True Accepted",
            "False AddressNotUsable",
            {"10.78.0.5"}},
        Row{"{'value':'10.78.0.5'}",
            "{'ip':'10.78.0.5'}",
            "True Accepted",
            "True Programmed",
            {"10.78.0.5"}},
        Row{"{'value':'10.78.0.5'}",
            "{'ip':'10.78.0.5'},{'ip':'10.78.0.6'}",
            "True Accepted",
            "True Programmed",
            {"10.78.0.5"}},
        Row{"{'type':'IPAddress'}",
            "{'ip':'10.78.0.5'}",
            "True Accepted",
            "True Programmed",
            {"10.78.0.5"}},
        Row{"{'value':'nonsense'}",
            "{'ip':'10.78.0.5'}",
            "True Accepted",
            "False AddressNotUsable",
            {"10.78.0.5"}}}) {
    CAPTURE(row.wanted);
    CAPTURE(row.ingress);
    World world(services());
    world.addBasics();
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                     "'addresses':[" + std::string(row.wanted) + "]");
    addServiceOf(world, "gw", k80, row.ingress);
    CHECK(world.gateway("gw", "Accepted") == row.accepted);
    CHECK(world.gateway("gw", "Programmed") == row.programmed);
    CHECK(world.status("Gateway/default/gw").addresses == row.addresses);
  }
}

TEST_CASE("An address of routability Cluster is one of the Service within the cluster") {
  struct Row {
    std::string_view wanted, accepted, programmed;
    Texts addresses, cluster;
  };
  for (const Row& row : {Row{"{'routability':'Cluster'}",
                             "True Accepted",
                             "True Programmed",
                             {},
                             {"10.96.0.9", "fd00::9"}},
                         Row{"{'value':'10.96.0.9','routability':'Cluster'}",
                             "True Accepted",
                             "True Programmed",
                             {},
                             {"10.96.0.9"}},
                         Row{"{'routability':'Cluster'},{'type':'IPAddress'}",
                             "True Accepted",
                             "True Programmed",
                             {"10.78.0.5"},
                             {"10.96.0.9", "fd00::9"}},
                         Row{"{'value':'10.78.0.5','routability':''}",
                             "True Accepted",
                             "True Programmed",
                             {"10.78.0.5"},
                             {}},
                         Row{"{'value':'10.78.0.5','routability':'Cluster'}",
                             "True Accepted",
                             "False AddressNotUsable",
                             {},
                             {}},
                         Row{"{'routability':'example.com/Vpc'}",
                             "False UnsupportedAddress",
                             "False Invalid",
                             {},
                             {}},
                         Row{"{'type':'Hostname','routability':'Cluster'}",
                             "False UnsupportedAddress",
                             "False Invalid",
                             {},
                             {}}}) {
    CAPTURE(row.wanted);
    World world(services());
    world.addBasics();
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                     "'addresses':[" + std::string(row.wanted) + "]");
    addServiceOf(world, "gw", k80, "{'ip':'10.78.0.5'}");
    CHECK(world.gateway("gw", "Accepted") == row.accepted);
    CHECK(world.gateway("gw", "Programmed") == row.programmed);
    const ObjectStatus status = world.status("Gateway/default/gw");
    CHECK(status.addresses == row.addresses);
    CHECK(status.cluster_addresses == row.cluster);
    const std::string text = toJson(status, "a.b/c");
    CHECK((text.find(R"("routability":"Cluster")") != std::string::npos) == !row.cluster.empty());
  }
}

TEST_CASE("A Gateway that wants addresses of the cluster alone is not opened to others") {
  World world(services());
  world.addBasics();
  const auto only = [&](std::string_view wanted) {
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                     "'addresses':[" + std::string(wanted) + "]");
    return world.gateways.at("default/gw").cluster_only;
  };
  CHECK(only("{'routability':'Cluster'}"));
  CHECK(only("{'value':'10.96.0.9','routability':'Cluster'}"));
  CHECK(world.gateways.at("default/gw").addresses.empty());
  CHECK_FALSE(only("{'routability':'Cluster'},{'value':'10.78.0.5'}"));
  CHECK(world.gateways.at("default/gw").addresses == Texts{"10.78.0.5"});
  CHECK_FALSE(only(""));
}

TEST_CASE("A Gateway that wants any address waits for one as the standard says") {
  World world(services());
  world.addBasics();
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                   "'addresses':[{'type':'IPAddress'}]");
  CHECK(world.gateway("gw", "Programmed") == "False AddressNotAssigned");
}

TEST_CASE("A listener that is new waits for its target port; the others go on") {
  World world(services());
  world.addBasics();
  addServiceOf(world, "gw", k80);
  world.addGateway("gw",
                   "{'name':'http','port':80,'protocol':'HTTP'},"
                   "{'name':'more','port':8080,'protocol':'HTTP'}");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(world.listener("gw", "more", "Programmed") == "False Pending");
  addServiceOf(world, "gw", std::string(k80) + ",{'port':8080,'targetPort':10007}");
  CHECK(world.listener("gw", "more", "Programmed") == "True Programmed");
  CHECK(world.listeners.at("default/gw/more").binds[0].port == 10007);
}

TEST_CASE("Conflicts in a Gateway are found before its Service is there") {
  World world(services());
  world.addBasics();
  world.addGateway("gw",
                   "{'name':'a','port':80,'protocol':'HTTP'},{'name':'b','port':80,"
                   "'protocol':'HTTP'},{'name':'c','port':81,'protocol':'HTTP'}");
  world.addGateway("other", "{'name':'a','port':80,'protocol':'HTTP'}");
  CHECK(world.listener("gw", "a", "Conflicted") == "True HostnameConflict");
  CHECK(world.listener("gw", "b", "Conflicted") == "True HostnameConflict");
  CHECK(world.listener("gw", "c", "Conflicted") == "False NoConflicts");
  CHECK(world.listener("other", "a", "Conflicted") == "False NoConflicts");
}

TEST_CASE("Sinks are told what a Service for each Gateway needs") {
  World world(services());
  world.addBasics();
  world.addGateway("gw",
                   "{'name':'a','port':80,'protocol':'HTTP'},"
                   "{'name':'b','port':80,'protocol':'HTTP','hostname':'b.com'},"
                   "{'name':'c','port':443,'protocol':'HTTPS','tls':{'certificateRefs':[{'name':"
                   "'none'}]}},{'name':'d','port':90,'protocol':'nonsense'}",
                   "'addresses':[{'value':'10.78.0.5'},{'type':'IPAddress'},{'value':'nonsense'}],"
                   "'infrastructure':{'labels':{'key2':'v2'},'annotations':{'key1':'v1'}}",
                   "'generation':4,'uid':'u-1','creationTimestamp':'1970-01-01T00:00:09Z'");
  const route::Gateway& gateway = world.gateways.at("default/gw");
  CHECK(gateway.uid == "u-1");
  CHECK(gateway.generation == 4);
  CHECK(gateway.created == 9);
  CHECK(gateway.accepted);
  CHECK(gateway.labels == Labels{{"key2", "v2"}});
  CHECK(gateway.annotations == Labels{{"key1", "v1"}});
  CHECK(gateway.addresses == Texts{"10.78.0.5"});
  CHECK(gateway.ports == std::vector<route::Gateway::Port>{{80, "TCP"}, {443, "TCP"}});

  world.addGateway("gw", "{'name':'a','port':80,'protocol':'HTTP'}",
                   "'infrastructure':{'parametersRef':{'group':'g','kind':'K','name':'n'}}");
  CHECK_FALSE(world.gateways.at("default/gw").accepted);
  world.remove("Gateway", "default", "gw");
  CHECK(world.gateways.empty());
}

TEST_CASE("In the deployed shape sinks read parameters, and what they say of them is Accepted") {
  TranslateOptions options;
  options.gateway_addresses = AddressSource::Deployed;
  World world(options);
  world.addBasics();
  world.put("GatewayClass", "", "hyperway",
            "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller','parametersRef':{"
            "'group':'','kind':'ConfigMap','namespace':'infra','name':'all'}}");
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                   "'infrastructure':{'parametersRef':{'group':'','kind':'ConfigMap','name':'n'}}");
  addServiceOf(world, "gw", k80);
  CHECK(world.gateways.at("default/gw").parameters ==
        std::vector<route::Gateway::Parameters>{
            {"GatewayClass hyperway", "", "ConfigMap", "infra", "all"},
            {"", "", "ConfigMap", "default", "n"}});
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  (void)world.translator.programmed({}, {{"default/gw", "", "what is wrong"}});
  CHECK(world.gateway("gw", "Accepted") == "False InvalidParameters");
  // A slip of the pen takes nothing down.
  CHECK(world.gateways.at("default/gw").accepted);
  CHECK(world.listeners.contains("default/gw/http"));
  (void)world.translator.programmed({}, {{"default/gw", ""}});
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
}

TEST_CASE("GatewayInfrastructure is claimed where something is made for each Gateway") {
  const auto claims = [](TranslateOptions options) {
    World world(std::move(options));
    world.addBasics();
    const auto list = world.status("GatewayClass//hyperway").supported_features;
    CHECK(std::is_sorted(list.begin(), list.end()));
    return std::count(list.begin(), list.end(), "GatewayInfrastructure") == 1;
  };
  CHECK(claims(services()));
  TranslateOptions deployed;
  deployed.gateway_addresses = AddressSource::Deployed;
  CHECK(claims(deployed));
  CHECK_FALSE(claims(merged()));
  CHECK_FALSE(claims({}));
}

TEST_CASE("Without Services for Gateways sinks are told nothing of them") {
  World world;
  world.addBasics();
  CHECK(world.gateways.empty());
  world.take(world.translator.reconfigure(services()));
  CHECK(world.gateways.size() == 1);
  world.take(world.translator.reconfigure({}));
  CHECK(world.gateways.empty());
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
}

TEST_CASE("What a sink could not do for a Gateway is in its status until it could") {
  World world(services());
  world.addBasics();
  const auto message = [&] {
    for (const Condition& c : world.status("Gateway/default/gw").conditions)
      if (c.type == "Programmed") return c.message;
    return std::string();
  };
  const StatusBatch told = world.translator.programmed({}, {{"default/gw", "name taken"}});
  REQUIRE(told.updated.size() == 1);
  CHECK(world.gateway("gw", "Programmed") == "False Pending");
  CHECK(message() == "name taken");
  CHECK(world.translator.programmed({}, {{"default/gw", "name taken"}}).updated.empty());
  CHECK(world.translator.programmed({}, {{"default/none", "x"}}).updated.empty());
  addServiceOf(world, "gw", k80);
  CHECK(message() == "served; name taken");
  (void)world.translator.programmed({}, {{"default/gw", ""}});
  CHECK(message() == "served");
}

TEST_CASE("Who waits for a data plane is told what a sink could not do") {
  TranslateOptions options = services();
  options.report_programmed = false;
  World world(options);
  world.addBasics();
  addServiceOf(world, "gw", k80);
  CHECK(world.gateway("gw", "Programmed") == "Unknown Pending");
  (void)world.translator.programmed({}, {{"default/gw", "name taken"}});
  for (const Condition& c : world.status("Gateway/default/gw").conditions)
    if (c.type == "Programmed") CHECK(c.message == "name taken");
}

TEST_CASE("Merged: ports are bound as configured, the address is that of the user's Service") {
  TranslateOptions options = merged();
  options.listen_map = {{80, {{"0.0.0.0", 8080}}}};
  World world(options);
  world.addBasics();
  CHECK(world.gateway("gw", "Programmed") == "False AddressNotAssigned");
  CHECK(world.listeners.at("default/gw/http").binds == std::vector<route::Bind>{{"0.0.0.0", 8080}});
  const auto put = [&](std::string_view ingress) {
    world.put("Service", "infra", "front",
              "'spec':{'type':'LoadBalancer','ports':[{'port':80,'targetPort':8080}]},"
              "'status':{'loadBalancer':{'ingress':[" +
                  std::string(ingress) + "]}}");
  };
  put("");
  CHECK(world.gateway("gw", "Programmed") == "False AddressNotAssigned");
  put("{'ip':'192.0.2.1'}");
  CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  CHECK(world.status("Gateway/default/gw").addresses == Texts{"192.0.2.1"});
  CHECK(world.gateways.empty());
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                   "'addresses':[{'value':'192.0.2.2'}]");
  CHECK(world.gateway("gw", "Programmed") == "False AddressNotUsable");
  CHECK(world.listeners.contains("default/gw/http"));
}

TEST_CASE("A sink that lost its place gets the whole model") {
  World world(services());
  world.addBasics();
  world.addRoute("r", kWeb);
  addServiceOf(world, "gw", k80);
  const route::ModelBatch whole = world.translator.wholeModel();
  CHECK(whole.full);
  CHECK(whole.listeners.size() == 1);
  CHECK(whole.routes.size() == 1);
  CHECK(whole.routes[0].key == "HTTPRoute/default/r");
  CHECK(whole.upstreams.size() == 1);
  CHECK(whole.gateways.size() == 1);
}

}  // namespace hyperway::gateway
