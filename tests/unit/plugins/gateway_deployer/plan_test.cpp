// SPDX-License-Identifier: Apache-2.0
// The pure parts: names, target ports, objects, and what is to be written.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "json_text.hpp"
#include "k8s_client/json_text.hpp"
#include "naming.hpp"
#include "plan.hpp"

namespace hyperway::gateway_deployer {
namespace {

std::string json(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '\'', '"');
  return out;
}

Gateway gateway(std::string name, std::vector<std::uint16_t> ports = {80}, std::int64_t age = 0) {
  Gateway out;
  out.name_space = "ns";
  out.name = std::move(name);
  out.uid = "uid-" + out.name;
  out.created = age;
  for (const std::uint16_t port : ports) out.ports.push_back({port, "TCP"});
  return out;
}

// The cluster: what is written takes effect as an API server would have it, with a status and a
// field of somebody else's.
struct Cluster {
  World world;
  Common common{"infra/pods", "LoadBalancer"};
  PortRange range{10000, 10003};
  std::uint64_t version = 1;

  void add(const Gateway& gateway) { world.gateways[gateway.key()] = gateway; }
  void addPods(std::string_view name, std::string_view family, std::string_view endpoints) {
    const auto slice = readActual(json(
        "{'metadata':{'namespace':'infra','name':'" + std::string(name) + "'},'addressType':'" +
        std::string(family) + "','endpoints':[" + std::string(endpoints) + "]}"));
    world.pod_slices[slice->key()] = *slice;
  }
  [[nodiscard]] Plan plan() const { return makePlan(world, common, range); }

  void apply(const Write& write) {
    Objects& objects = write.kind == ObjectKind::Service ? world.services : world.slices;
    const std::string key = write.name_space + '/' + write.name;
    if (write.action == Write::Action::Remove) {
      CHECK(objects.erase(key) == 1);
      return;
    }
    std::string body = write.body;
    const std::string extra =
        json("'resourceVersion':'" + std::to_string(version++) +
             "','managedFields':[{'manager':'hyperway'}],'finalizers':['x'],");
    const std::string uid = write.uid.empty() ? json("'uid':'made-" + write.name + "',") : "";
    body.insert(body.find(json("'metadata':{")) + 12, extra + uid);
    const auto actual = readActual(body);
    REQUIRE(actual.has_value());
    CHECK_MESSAGE(at(actual->content, {"metadata", "managedFields"}) == nullptr, "not kept");
    objects[key] = *actual;
  }
  // Writes until nothing is left to write; what was written, one a line.
  std::string settle() {
    std::string story;
    for (int round = 0; round < 5; ++round) {
      const Plan now = plan();
      if (now.writes.empty()) return story;
      for (const Write& write : now.writes) {
        // The first apply to what was made is a part of making it.
        if (!write.fresh)
          story += (write.action == Write::Action::Create   ? "create "
                    : write.action == Write::Action::Remove ? "remove "
                                                            : "apply ") +
                   write.subject() + '\n';
        apply(write);
      }
    }
    return story + "and so on";
  }
  [[nodiscard]] Targets targets(const std::string& service) const {
    return recordedTargets(world.services.at("ns/" + service));
  }
};

}  // namespace

TEST_CASE("A Service's name is a DNS-1035 label, readable, and another one for each Gateway") {
  const std::string longest(253, 'a');
  CHECK(serviceName("gw") == "hyperway-gw");
  CHECK(serviceName(std::string(54, 'b')) == "hyperway-" + std::string(54, 'b'));
  CHECK(serviceName("a.b") == "hyperway-a-b-" + hashOf("a.b").substr(0, 10));
  std::set<std::string> seen;
  for (const std::string& name :
       {std::string("gw"), std::string("1"), std::string("a.b"), std::string("a-b"),
        std::string("a..b"), std::string(54, 'b'), std::string(55, 'b'), std::string(56, 'b'),
        longest, longest.substr(1) + 'b', std::string(52, 'c') + "-d",
        std::string(52, 'c') + ".d"}) {
    CAPTURE(name);
    const std::string made = serviceName(name);
    CAPTURE(made);
    CHECK(made.size() <= 63);
    CHECK(made.starts_with("hyperway-"));
    CHECK(made.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
    CHECK(made.back() != '-');
    CHECK(seen.insert(made).second);
    CHECK(sliceName(made, "IPv4", 0) == made + "-ipv4");
    CHECK(sliceName(made, "IPv6", 1) == made + "-ipv6-2");
  }
}

TEST_CASE("A Gateway's name is its label's value as far as a label can hold it") {
  CHECK(labelValue("gw") == "gw");
  CHECK(labelValue(std::string(63, 'a')) == std::string(63, 'a'));
  const std::string longer = labelValue(std::string(253, 'a'));
  CHECK(longer.size() == 63);
  CHECK(longer.starts_with(std::string(52, 'a') + '-'));
  CHECK(longer != labelValue(std::string(252, 'a')));
  CHECK(labelValue(std::string(51, 'a') + "." + std::string(20, 'b')).find(".-") ==
        std::string::npos);
}

TEST_CASE("Target ports are kept if recorded, else the lowest free, the oldest Gateway first") {
  struct Row {
    std::string_view name;
    std::vector<Gateway> gateways;
    std::map<std::string, Targets> recorded;
    std::map<std::string, Targets> expected;
    std::size_t problems = 0;
  };
  const Port p80{80, "TCP"}, p81{81, "TCP"}, p82{82, "TCP"};
  for (const Row& row : {
           Row{"new ones, the oldest first",
               {gateway("a", {80, 81}, 2), gateway("b", {80}, 1)},
               {},
               {{"ns/a", {{p80, 10001}, {p81, 10002}}}, {"ns/b", {{p80, 10000}}}}},
           Row{"of one age: by name",
               {gateway("b", {80}), gateway("a", {80})},
               {},
               {{"ns/a", {{p80, 10000}}}, {"ns/b", {{p80, 10001}}}}},
           Row{"kept",
               {gateway("a", {80, 81}, 1)},
               {{"ns/a", {{p80, 10003}}}},
               {{"ns/a", {{p80, 10003}, {p81, 10000}}}}},
           Row{"a gap is filled",
               {gateway("a", {80}, 1), gateway("b", {80}, 2)},
               {{"ns/a", {{p80, 10001}}}},
               {{"ns/a", {{p80, 10001}}}, {"ns/b", {{p80, 10000}}}}},
           Row{"two records with one target: the older keeps it",
               {gateway("young", {80}, 9), gateway("old", {80}, 1)},
               {{"ns/young", {{p80, 10002}}}, {"ns/old", {{p80, 10002}}}},
               {{"ns/old", {{p80, 10002}}}, {"ns/young", {{p80, 10000}}}}},
           Row{"outside of the range: another",
               {gateway("a", {80})},
               {{"ns/a", {{p80, 9180}}}},
               {{"ns/a", {{p80, 10000}}}}},
           Row{"what is still recorded is not free",
               {gateway("a", {81}, 1)},
               {{"ns/a", {{p80, 10000}}}, {"ns/gone", {{p80, 10001}}}},
               {{"ns/a", {{p81, 10002}}}}},
           Row{"TCP and UDP are two ports",
               {[] {
                 Gateway both = gateway("a", {53});
                 both.ports.push_back({53, "UDP"});
                 return both;
               }()},
               {},
               {{"ns/a", {{{53, "TCP"}, 10000}, {{53, "UDP"}, 10001}}}}},
           Row{"exhausted",
               {gateway("a", {80, 81, 82}, 1), gateway("b", {80, 81}, 2), gateway("c", {80}, 3)},
               {},
               {{"ns/a", {{p80, 10000}, {p81, 10001}, {p82, 10002}}},
                {"ns/b", {{p80, 10003}}},
                {"ns/c", {}}},
               2},
       }) {
    CAPTURE(row.name);
    std::vector<const Gateway*> list;
    for (const Gateway& one : row.gateways) list.push_back(&one);
    const Allotment made = allot(list, row.recorded, {10000, 10003});
    CHECK(made.targets == row.expected);
    CHECK(made.problems.size() == row.problems);
  }
  const Gateway one = gateway("a", {80, 81});
  const Allotment made = allot({&one}, {}, {65535, 65535});
  CHECK(made.targets.at("ns/a").size() == 1);
  CHECK(made.problems.at("ns/a") ==
        "no target port is free for port 81: all of 65535 to 65535 are taken; give "
        "gateway_deployer more target_ports");
}

TEST_CASE("A Service is without selector, owned by its Gateway, and says whose it is") {
  Gateway one = gateway("gw", {80, 443});
  one.labels = {{"key2", "v2"}, {"app.kubernetes.io/managed-by", "somebody"}};
  one.annotations = {{"key1", "v1"}, {"hyperway.arloor.dev/gateway", "other/one"}};
  one.addresses = {"10.78.0.5", "10.78.0.6"};
  const Desired made =
      serviceOf(one, {{{80, "TCP"}, 10000}, {{443, "TCP"}, 10001}}, {"infra/pods", "LoadBalancer"});
  CHECK(
      k8s_client::toText(made.content) ==
      json("{'apiVersion':'v1','kind':'Service','metadata':{'name':'hyperway-gw','namespace':'ns',"
           "'labels':{'app.kubernetes.io/managed-by':'hyperway',"
           "'gateway.networking.k8s.io/gateway-name':'gw','key2':'v2'},"
           "'annotations':{'hyperway.arloor.dev/applied':'" +
           made.hash +
           "','hyperway.arloor.dev/gateway':'ns/gw','hyperway.arloor.dev/pods':'infra/pods',"
           "'key1':'v1'},'ownerReferences':[{'apiVersion':'gateway.networking.k8s.io/v1','kind':"
           "'Gateway','name':'gw','uid':'uid-gw','controller':true}]},'spec':{'type':"
           "'LoadBalancer','ports':[{'name':'tcp-80','port':80,"
           "'protocol':'TCP','targetPort':10000},{'name':'tcp-443','port':443,'protocol':'TCP',"
           "'targetPort':10001}],'ipFamilyPolicy':'SingleStack','ipFamilies':['IPv4'],"
           "'loadBalancerIP':'10.78.0.5'}}"));
  one.addresses = {"fd00::5"};
  CHECK(k8s_client::toText(serviceOf(one, {{{80, "TCP"}, 1}}, {"a/b", "LoadBalancer"}).content)
            .find(json("'ipFamilies':['IPv6'],'loadBalancerIP':'fd00::5'")) != std::string::npos);
  one.addresses.clear();
  const Desired changed = serviceOf(one, {{{80, "TCP"}, 10000}}, {"infra/pods", "ClusterIP"});
  CHECK(changed.hash != made.hash);
  CHECK(k8s_client::toText(changed.content).find("loadBalancerIP") == std::string::npos);
  CHECK(k8s_client::toText(changed.content).find(json("'ipFamilyPolicy':'PreferDualStack'")) !=
        std::string::npos);
  one.uid.clear();
  CHECK(k8s_client::toText(serviceOf(one, {{{80, "TCP"}, 1}}, {"a/b", "ClusterIP"}).content)
            .find("ownerReferences") == std::string::npos);
}

TEST_CASE("A Gateway that wants addresses of the cluster alone gets a Service of that type") {
  Gateway one = gateway("gw");
  for (const bool inside : {false, true}) {
    one.cluster_only = inside;
    const Desired made = serviceOf(one, {{{80, "TCP"}, 10000}}, {"infra/pods", "LoadBalancer"});
    const std::string type = inside ? "'type':'ClusterIP'" : "'type':'LoadBalancer'";
    CHECK(k8s_client::toText(made.content).find(json(type)) != std::string::npos);
  }
}

TEST_CASE("EndpointSlices name our Pods, with the mapped ports, for each address family") {
  Cluster cluster;
  cluster.addPods(
      "v4-b", "IPv4",
      "{'addresses':['10.77.0.6'],'conditions':{'ready':false,'serving':true,"
      "'terminating':true},'nodeName':'n1','zone':'z','targetRef':{'name':'p'},'hints':{}}");
  cluster.addPods("v4-a", "IPv4", "{'addresses':['10.77.0.5']},{'addresses':['10.77.0.6']}");
  cluster.addPods("v6", "IPv6", "{'addresses':['fd00::5'],'conditions':{'ready':true}}");
  cluster.addPods("names", "FQDN", "{'addresses':['example.com']}");
  std::vector<const Actual*> list;
  for (const auto& [key, slice] : cluster.world.pod_slices) list.push_back(&slice);
  const auto slices =
      slicesOf(gateway("gw"), {{{80, "TCP"}, 10000}}, readPods(list), cluster.common);
  REQUIRE(slices.size() == 2);
  CHECK(slices[0].name == "hyperway-gw-ipv4");
  const std::string text = k8s_client::toText(slices[0].content);
  CAPTURE(text);
  CHECK(text.find(json("'endpointslice.kubernetes.io/managed-by':'hyperway.arloor.dev'")) !=
        std::string::npos);
  CHECK(text.find(json("'kubernetes.io/service-name':'hyperway-gw'")) != std::string::npos);
  CHECK(
      text.find(json("'addressType':'IPv4','endpoints':[{'addresses':['10.77.0.5']},{'addresses':["
                     "'10.77.0.6']}],'ports':[{'name':'tcp-80','port':10000,'protocol':'TCP'}]")) !=
      std::string::npos);
  CHECK(k8s_client::toText(slices[1].content)
            .find(json("'endpoints':[{'addresses':['fd00::5'],'conditions':{'ready':true}}]")) !=
        std::string::npos);

  std::vector<Pod> many;
  for (std::size_t i = 0; i < 2 * kMostEndpoints + 1; ++i)
    many.push_back({"IPv4", std::to_string(i), {}});
  CHECK(slicesOf(gateway("gw"), {{{80, "TCP"}, 1}}, many, cluster.common).size() == 3);
}

TEST_CASE("Conditions of Pods that end are handed on, so that their connections are drained") {
  Cluster cluster;
  cluster.addPods("a", "IPv4",
                  "{'addresses':['10.77.0.6'],'conditions':{'ready':false,'serving':true,"
                  "'terminating':true},'nodeName':'n1','targetRef':{'name':'p'}}");
  const auto pods = readPods({&cluster.world.pod_slices.begin()->second});
  REQUIRE(pods.size() == 1);
  CHECK(k8s_client::toText(pods[0].endpoint) ==
        json("{'addresses':['10.77.0.6'],'conditions':{'ready':false,'serving':true,'terminating':"
             "true},'nodeName':'n1'}"));
}

TEST_CASE("Each Gateway gets its Service, then its EndpointSlices; then nothing is written") {
  Cluster cluster;
  cluster.add(gateway("a", {80}, 1));
  cluster.add(gateway("b", {80}, 2));
  cluster.addPods("v4", "IPv4", "{'addresses':['10.77.0.5']}");
  CHECK(cluster.settle() ==
        "create Service ns/hyperway-a\ncreate Service ns/hyperway-b\n"
        "create EndpointSlice ns/hyperway-a-ipv4\ncreate EndpointSlice ns/hyperway-b-ipv4\n");
  CHECK(cluster.targets("hyperway-a") == Targets{{{80, "TCP"}, 10000}});
  CHECK(cluster.targets("hyperway-b") == Targets{{{80, "TCP"}, 10001}});

  SUBCASE("a port more is one write each") {
    cluster.add(gateway("a", {80, 8080}, 1));
    CHECK(cluster.settle() ==
          "apply Service ns/hyperway-a\napply EndpointSlice ns/hyperway-a-ipv4\n");
    CHECK(cluster.targets("hyperway-a").at({8080, "TCP"}) == 10002);
  }
  SUBCASE("a Pod more changes the slices") {
    cluster.addPods("v4", "IPv4", "{'addresses':['10.77.0.5']},{'addresses':['10.77.0.6']}");
    CHECK(cluster.settle() ==
          "apply EndpointSlice ns/hyperway-a-ipv4\napply EndpointSlice ns/hyperway-b-ipv4\n");
  }
  SUBCASE("the last Pod of a family gone: its slice goes") {
    cluster.world.pod_slices.clear();
    CHECK(cluster.settle() ==
          "remove EndpointSlice ns/hyperway-a-ipv4\nremove EndpointSlice ns/hyperway-b-ipv4\n");
  }
  SUBCASE("a Gateway that is gone loses its objects") {
    cluster.world.gateways.erase("ns/b");
    CHECK(cluster.settle() ==
          "remove Service ns/hyperway-b\nremove EndpointSlice ns/hyperway-b-ipv4\n");
  }
  SUBCASE("one that is not accepted, or has no valid port, keeps what it has") {
    Gateway refused = gateway("a", {80}, 1);
    refused.accepted = false;
    cluster.add(refused);
    cluster.add(gateway("b", {}, 2));
    CHECK(cluster.settle().empty());
    cluster.add(refused = gateway("c", {80}, 3));
    CHECK(cluster.settle() ==
          "create Service ns/hyperway-c\ncreate EndpointSlice ns/hyperway-c-ipv4\n");
    CHECK(cluster.targets("hyperway-c").at({80, "TCP"}) == 10002);
  }
  SUBCASE("a label that is wanted no more is taken away") {
    Gateway labelled = gateway("a", {80}, 1);
    labelled.labels = {{"x", "y"}};
    cluster.add(labelled);
    CHECK(cluster.settle() ==
          "apply Service ns/hyperway-a\napply EndpointSlice ns/hyperway-a-ipv4\n");
    cluster.add(gateway("a", {80}, 1));
    CHECK(cluster.settle() ==
          "apply Service ns/hyperway-a\napply EndpointSlice ns/hyperway-a-ipv4\n");
  }
  SUBCASE("what another one did to our fields is put right, to other fields left") {
    Actual& service = cluster.world.services.at("ns/hyperway-a");
    std::string text = k8s_client::toText(service.content);
    text.insert(text.find(json("'spec':{")) + 8, json("'externalTrafficPolicy':'Local',"));
    service = *readActual(text);
    CHECK(cluster.settle().empty());
    text.replace(text.find("LoadBalancer"), 12, "NodePort");
    service = *readActual(text);
    CHECK(cluster.settle() == "apply Service ns/hyperway-a\n");
  }
  SUBCASE("another installation's objects are not touched") {
    cluster.common.pods_service = "infra/others";
    cluster.world.gateways.clear();
    CHECK(cluster.settle().empty());
  }
  SUBCASE("what is on its way out is waited for") {
    cluster.world.services.at("ns/hyperway-a").deleting = true;
    CHECK(cluster.plan().writes.empty());
    cluster.world.services.erase("ns/hyperway-a");
    REQUIRE(cluster.plan().writes.size() == 1);
    CHECK(cluster.plan().writes[0].action == Write::Action::Create);
  }
}

TEST_CASE("An applied body names the object by its uid, a created one does not") {
  Cluster cluster;
  cluster.add(gateway("a"));
  const Plan first = cluster.plan();
  REQUIRE(first.writes.size() == 1);
  CHECK(first.writes[0].uid.empty());
  cluster.apply(first.writes[0]);
  cluster.add(gateway("a", {81}));
  const Plan second = cluster.plan();
  REQUIRE(second.writes.size() == 1);
  CHECK(second.writes[0].uid == "made-hyperway-a");
  CHECK(second.writes[0].body.find(json("'uid':'made-hyperway-a'")) != std::string::npos);
}

TEST_CASE("A Service with our label that was made for another is not taken over") {
  Cluster cluster;
  cluster.add(gateway("a"));
  cluster.add(gateway("b"));
  cluster.world.services["ns/hyperway-a"] =
      *readActual(json("{'metadata':{'namespace':'ns','name':'hyperway-a','labels':{"
                       "'app.kubernetes.io/managed-by':'hyperway'}},'spec':{}}"));
  const Plan plan = cluster.plan();
  REQUIRE(plan.writes.size() == 1);
  CHECK(plan.writes[0].gateway == "ns/b");
  CHECK(plan.problems.at("ns/a") ==
        "Service ns/hyperway-a is there already, and was not made for this Gateway");
}

TEST_CASE("A batch is read as the host writes it") {
  std::string error;
  const auto batch = readBatch(
      json("{'listeners':[{}],'gateways':[{'namespace':'ns','name':'gw','uid':'u','generation':3,"
           "'created':9,'accepted':false,'labels':{'a':'b'},'annotations':{'c':'d'},'addresses':["
           "'10.0.0.1'],'ports':[{'port':80,'protocol':'TCP'},{'port':0,'protocol':'TCP'}],'"
           "parameters':[{"
           "'owner':'GatewayClass c','group':'','kind':'ConfigMap','namespace':'n','name':'p'}]}],"
           "'removedGateways':['ns/old']}"),
      error);
  REQUIRE(batch.has_value());
  REQUIRE(batch->gateways.size() == 1);
  const Gateway& one = batch->gateways[0];
  CHECK(one.key() == "ns/gw");
  CHECK(one.uid == "u");
  CHECK(one.created == 9);
  CHECK_FALSE(one.accepted);
  CHECK(one.labels.at("a") == "b");
  CHECK(one.annotations.at("c") == "d");
  CHECK(one.addresses == std::vector<std::string>{"10.0.0.1"});
  CHECK(one.ports == std::vector<Port>{{80, "TCP"}});
  REQUIRE(one.parameters.size() == 1);
  CHECK(one.parameters[0].key() == "n/p");
  CHECK(one.parameters[0].isConfigMap());
  CHECK(one.parameters[0].owner == "GatewayClass c");
  CHECK(batch->removed == std::vector<std::string>{"ns/old"});
  CHECK_FALSE(readBatch("nonsense", error).has_value());
  CHECK(error.starts_with("the batch is no JSON"));
}

}  // namespace hyperway::gateway_deployer
