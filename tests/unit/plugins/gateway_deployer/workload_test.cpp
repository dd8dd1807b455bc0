// SPDX-License-Identifier: Apache-2.0
// The deployed shape: what is made for a Gateway, when it changes, and when it goes.
#include "workload.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

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

Gateway gateway(std::string name) {
  Gateway out;
  out.name_space = "ns";
  out.name = std::move(name);
  out.uid = "uid-" + out.name;
  out.ports = {{80, "TCP"}};
  return out;
}

// The cluster: what is written takes effect.
struct Cluster {
  World world;
  Common common{"controller", "LoadBalancer", true, {}};
  Objects config_map;
  std::uint64_t version = 1;

  void add(const Gateway& gateway) { world.gateways[gateway.key()] = gateway; }
  // A Gateway with parameters, and their ConfigMap; without values there is none.
  void addWithValues(std::string_view values, bool exists = true) {
    Gateway made = gateway("a");
    made.parameters = {{"", "", "ConfigMap", "ns", "shape"}};
    add(made);
    config_map.clear();
    if (exists) {
      std::string text = R"({"metadata":{"namespace":"ns","name":"shape"},"data":{"values.yaml":)";
      k8s_client::appendText(text, values);
      config_map["ns/shape"] = *readActual(text + "}}");
    }
    world.parameters["ns/shape"] = &config_map;
  }
  [[nodiscard]] Plan plan() const { return makePlan(world, common, {10000, 10003}); }

  // Writes until nothing is left to write; what was written, one a line.
  std::string settle() {
    std::string story;
    for (int round = 0; round < 10; ++round) {
      const Plan now = plan();
      if (now.writes.empty()) return story;
      for (const Write& write : now.writes) {
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
  void apply(const Write& write) {
    Objects& objects = world.of(write.kind);
    const std::string key = write.name_space + '/' + write.name;
    if (write.action == Write::Action::Remove) {
      CHECK(objects.erase(key) == 1);
      return;
    }
    std::string body = write.body;
    const std::string uid = write.uid.empty() ? json("'uid':'made-" + write.name + "',") : "";
    body.insert(body.find(json("'metadata':{")) + 12,
                json("'resourceVersion':'" + std::to_string(version++) + "',") + uid);
    objects[key] = *readActual(body);
  }
  [[nodiscard]] const sdk::json::Value& content(ObjectKind kind, const std::string& name) const {
    return world.of(kind).at("ns/" + name).content;
  }
};

constexpr const char* kAll =
    "create ServiceAccount ns/hyperway-a\n"
    "create Role ns/hyperway-a\n"
    "create ConfigMap ns/hyperway-a\n"
    "create PodDisruptionBudget ns/hyperway-a\n"
    "create Service ns/hyperway-a\n"
    // Once its Role is there, and then who may do what it has to.
    "create RoleBinding ns/hyperway-a\n"
    "create Deployment ns/hyperway-a\n";

}  // namespace

TEST_CASE("A Gateway gets data planes of its own, and nothing is written twice") {
  Cluster cluster;
  cluster.add(gateway("a"));
  CHECK(cluster.settle() == kAll);
  CHECK(cluster.plan().problems.empty());

  SUBCASE("all that they may do is about their own snapshot") {
    const auto& role = cluster.content(ObjectKind::Role, "hyperway-a");
    CHECK(k8s_client::toText(*role.find("rules")) ==
          json("[{'apiGroups':['hyperway.arloor.dev'],'resources':['routesnapshots'],"
               "'verbs':['list','watch'],'resourceNames':['hyperway-a']},"
               "{'apiGroups':['hyperway.arloor.dev'],'resources':['routesnapshots'],"
               "'verbs':['get']},"
               "{'apiGroups':['hyperway.arloor.dev'],'resources':['routesnapshots/status'],"
               "'verbs':['patch'],'resourceNames':['hyperway-a']}]"));
  }
  SUBCASE("a right that somebody adds is taken away") {
    Actual& role = cluster.world.of(ObjectKind::Role).at("ns/hyperway-a");
    std::string text = k8s_client::toText(role.content);
    text.insert(text.find(json("'rules':[")) + 9,
                json("{'apiGroups':[''],'resources':['secrets'],'verbs':['get']},"));
    role = *readActual(text);
    CHECK(cluster.settle() == "apply Role ns/hyperway-a\n");
  }
  SUBCASE("Pods are of nobody in particular and may write nowhere; a roll takes none away first") {
    const auto& deployment = cluster.content(ObjectKind::Deployment, "hyperway-a");
    CHECK(at(deployment, {"spec", "strategy", "rollingUpdate", "maxUnavailable"})->integer() == 0);
    const auto& pod = *at(deployment, {"spec", "template", "spec"});
    CHECK(at(pod, {"securityContext", "runAsNonRoot"})->boolean());
    CHECK(textAt(pod, {"securityContext", "seccompProfile", "type"}) == "RuntimeDefault");
    const auto& container = pod.find("containers")->items().front();
    CHECK(at(container, {"securityContext", "readOnlyRootFilesystem"})->boolean());
    CHECK_FALSE(at(container, {"securityContext", "allowPrivilegeEscalation"})->boolean());
    CHECK(k8s_client::toText(*at(container, {"securityContext", "capabilities"})) ==
          json("{'drop':['ALL']}"));
    CHECK(at(pod, {"terminationGracePeriodSeconds"})->integer() > 35);
  }
  SUBCASE("the Service leads to these Pods alone") {
    const auto& service = cluster.content(ObjectKind::Service, "hyperway-a");
    const auto& deployment = cluster.content(ObjectKind::Deployment, "hyperway-a");
    const auto* selector = at(service, {"spec", "selector"});
    CHECK(textAt(*selector, {kGatewayNameLabel}) == "a");
    CHECK(covers(*at(deployment, {"spec", "template", "metadata", "labels"}), *selector,
                 Lists::Contained));
    CHECK(k8s_client::toText(*selector) ==
          k8s_client::toText(*at(deployment, {"spec", "selector", "matchLabels"})));
  }
  SUBCASE("all is owned by the Gateway, and goes with it") {
    for (const auto& [kind, objects] : cluster.world.others)
      for (const auto& [key, object] : objects)
        CHECK(textAt(object.content.find("metadata")->find("ownerReferences")->items().front(),
                     {"uid"}) == "uid-a");
    cluster.world.gateways.clear();
    const std::string story = cluster.settle();
    CHECK(std::count(story.begin(), story.end(), '\n') == 7);
    CHECK(story.find("create") == std::string::npos);
  }
  SUBCASE("one that is not accepted keeps what it has") {
    Gateway refused = gateway("a");
    refused.accepted = false;
    refused.labels = {{"x", "y"}};
    cluster.add(refused);
    CHECK(cluster.settle().empty());
  }
  SUBCASE("what snapshot_sink has made for the Gateway is not ours to remove") {
    cluster.world.of(ObjectKind::Role)["ns/hyperway-snapshot-1"] = *readActual(json(
        "{'metadata':{'namespace':'ns','name':'hyperway-snapshot-1','labels':{"
        "'app.kubernetes.io/managed-by':'hyperway'},'annotations':{"
        "'hyperway.arloor.dev/gateway':'ns/a','hyperway.arloor.dev/controller':'controller'}}}"));
    CHECK(cluster.settle().empty());
    cluster.world.gateways.clear();
    CHECK(cluster.settle().find("hyperway-snapshot-1") == std::string::npos);
  }
  SUBCASE("another installation's objects are left alone") {
    cluster.common.pods_service = "other";
    cluster.world.gateways.clear();
    CHECK(cluster.settle().empty());
  }
}

TEST_CASE("Labels and annotations of the Gateway are on all of it, and on Pods, under ours") {
  Cluster cluster;
  Gateway asked = gateway("a");
  asked.labels = {{"team", "shop"}, {std::string(kGatewayNameLabel), "stolen"}};
  asked.annotations = {{"note", "1"}};
  cluster.add(asked);
  (void)cluster.settle();
  const auto check = [](const sdk::json::Value& metadata) {
    CHECK(textAt(metadata, {"labels", "team"}) == "shop");
    CHECK(textAt(metadata, {"labels", kGatewayNameLabel}) == "a");
    CHECK(textAt(metadata, {"annotations", "note"}) == "1");
  };
  for (const auto& [kind, objects] : cluster.world.others)
    for (const auto& [key, object] : objects) check(*object.content.find("metadata"));
  check(*cluster.content(ObjectKind::Service, "hyperway-a").find("metadata"));
  check(
      *at(cluster.content(ObjectKind::Deployment, "hyperway-a"), {"spec", "template", "metadata"}));
}

TEST_CASE("A Gateway with a long name has objects with names and labels of 63 characters at most") {
  Cluster cluster;
  const std::string name(253, 'g');
  cluster.add(gateway(name));
  (void)cluster.settle();
  const std::string made = serviceName(name);
  CHECK(made.size() <= 63);
  const auto& deployment = cluster.content(ObjectKind::Deployment, made);
  CHECK(textAt(deployment, {"metadata", "annotations", kGatewayAnnotation}) == "ns/" + name);
  CHECK(textAt(deployment, {"spec", "selector", "matchLabels", kGatewayNameLabel}).size() <= 63);
}

TEST_CASE("Parameters shape the workload") {
  Cluster cluster;
  cluster.addWithValues(
      "replicas: 3\nservice: {type: ClusterIP, annotations: {a: b}}\nworkers: 2\n"
      "nodeSelector: {disk: fast}");
  CHECK(cluster.settle() == kAll);
  const auto& deployment = cluster.content(ObjectKind::Deployment, "hyperway-a");
  CHECK(at(deployment, {"spec", "replicas"})->integer() == 3);
  CHECK(textAt(deployment, {"spec", "template", "spec", "nodeSelector", "disk"}) == "fast");
  const auto& service = cluster.content(ObjectKind::Service, "hyperway-a");
  CHECK(textAt(service, {"spec", "type"}) == "ClusterIP");
  CHECK(textAt(service, {"metadata", "annotations", "a"}) == "b");
  const std::string configuration =
      textAt(cluster.content(ObjectKind::ConfigMap, "hyperway-a"), {"data", "hyperway.yaml"});
  CHECK(configuration.find("workers: 2\n") != std::string::npos);

  SUBCASE("another configuration makes new Pods") {
    cluster.addWithValues(
        "replicas: 3\nservice: {type: ClusterIP, annotations: {a: b}}\n"
        "workers: 3\nnodeSelector: {disk: fast}");
    CHECK(cluster.settle() == "apply ConfigMap ns/hyperway-a\napply Deployment ns/hyperway-a\n");
  }
  SUBCASE("an autoscaler comes and goes, and says how many there are") {
    cluster.addWithValues("autoscaling: {enabled: true}\npodDisruptionBudget: {enabled: false}");
    const std::string story = cluster.settle();
    CHECK(story.find("create HorizontalPodAutoscaler ns/hyperway-a\n") != std::string::npos);
    CHECK(story.find("remove PodDisruptionBudget ns/hyperway-a\n") != std::string::npos);
    const auto replicas = [&] {
      const auto& now = cluster.content(ObjectKind::Deployment, "hyperway-a");
      return at(now, {"spec", "replicas"})->integer();
    };
    CHECK(replicas() == 3);
    Actual& scaled = cluster.world.of(ObjectKind::Deployment).at("ns/hyperway-a");
    std::string text = k8s_client::toText(scaled.content);
    text.replace(text.find(json("'replicas':3")), 12, json("'replicas':7"));
    scaled = *readActual(text);
    (void)cluster.settle();
    CHECK(replicas() == 7);
    cluster.addWithValues("{}");
    CHECK(cluster.settle().find("remove HorizontalPodAutoscaler ns/hyperway-a\n") !=
          std::string::npos);
  }
  SUBCASE("wrong ones are told, and take nothing from it") {
    cluster.addWithValues("replicas: many");
    CHECK(cluster.settle().empty());
    CHECK(cluster.plan().parameters.at("ns/a") ==
          "/spec/infrastructure/parametersRef: ConfigMap ns/shape, values.yaml: "
          "/replicas: must be a whole number");
  }
  SUBCASE("so are missing ones") {
    cluster.addWithValues("", false);
    CHECK(cluster.settle().empty());
    CHECK(cluster.plan().parameters.at("ns/a") ==
          "/spec/infrastructure/parametersRef: ConfigMap ns/shape does not exist");
  }
  SUBCASE("before they are known nothing is done, and nothing said") {
    cluster.world.parameters.clear();
    CHECK(cluster.settle().empty());
    CHECK(cluster.plan().parameters.empty());
  }
}

TEST_CASE("Parameters of a Gateway go over those of its class, and those over the installation's") {
  Cluster cluster;
  std::string error;
  cluster.common.values = object({{"replicas", sdk::json::Value(std::int64_t{5})},
                                  {"priorityClassName", text("high")},
                                  {"workers", sdk::json::Value(std::int64_t{7})}});
  Objects of_class, own;
  const auto put = [](Objects& into, const std::string& name, const std::string& values) {
    into["ns/" + name] = *readActual(json("{'metadata':{'namespace':'ns','name':'" + name +
                                          "'},'data':{'values.yaml':'" + values + "'}}"));
  };
  put(of_class, "class", "{replicas: 6, workers: 8}");
  put(own, "own", "{workers: 9}");
  cluster.world.parameters = {{"ns/class", &of_class}, {"ns/own", &own}};
  Gateway asked = gateway("a");
  asked.parameters = {{"GatewayClass hyperway", "", "ConfigMap", "ns", "class"},
                      {"", "", "ConfigMap", "ns", "own"}};
  const auto values = valuesOf(asked, cluster.world, cluster.common, error);
  REQUIRE_MESSAGE(values.has_value(), error);
  CHECK(values->priority_class == "high");
  CHECK(values->replicas == 6);
  CHECK(values->workers == 9);

  SUBCASE("whose are wrong is told") {
    put(of_class, "class", "{workers: none}");
    CHECK_FALSE(valuesOf(asked, cluster.world, cluster.common, error).has_value());
    CHECK(
        error.starts_with("GatewayClass hyperway, /spec/parametersRef: ConfigMap ns/class, "
                          "values.yaml: /workers: "));
  }
  SUBCASE("no other kind counts") {
    asked.parameters = {{"", "example.com", "Shape", "ns", "own"}};
    CHECK_FALSE(valuesOf(asked, cluster.world, cluster.common, error).has_value());
    CHECK(error == "/spec/infrastructure/parametersRef: must name a ConfigMap, not a Shape");
  }
}

}  // namespace hyperway::gateway_deployer
