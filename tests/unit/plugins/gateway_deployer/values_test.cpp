// SPDX-License-Identifier: Apache-2.0
#include "values.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "k8s_client/json_text.hpp"
#include "k8s_client/yaml_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

sdk::json::Value yaml(const std::string& text) {
  std::string error;
  const auto read = k8s_client::readYaml(text, error);
  REQUIRE_MESSAGE(read.has_value(), error);
  return *read;
}

std::string problemOf(const std::string& text) {
  std::string error;
  (void)readValues(yaml(text), error);
  return error;
}

Values valuesIn(const std::string& text) {
  std::string error;
  const auto values = readValues(yaml(text), error);
  REQUIRE_MESSAGE(values.has_value(), error);
  return *values;
}

}  // namespace

TEST_CASE("Nothing said: two data planes, a budget, no autoscaler") {
  for (const char* text : {"", "{}", "# nothing\n"}) {
    CAPTURE(text);
    const Values values = valuesIn(text);
    CHECK(values.replicas == 2);
    CHECK(values.disruption_budget.enabled);
    CHECK_FALSE(values.autoscaling.enabled);
    CHECK(values.service.type == "LoadBalancer");
  }
}

TEST_CASE("What operators ask for is read") {
  const Values values = valuesIn(
      "replicas: 3\n"
      "image: {repository: registry.example/hyperway, tag: '1.0', pullSecrets: [one]}\n"
      "service: {type: NodePort, annotations: {a: 'true'}, externalTrafficPolicy: Local}\n"
      "autoscaling: {enabled: true, minReplicas: 4}\n"
      "podDisruptionBudget: {minAvailable: 50%}\n"
      "resources: {limits: {cpu: 2, memory: 1Gi}}\n"
      "nodeSelector: {kubernetes.io/os: linux}\n"
      "tolerations: [{key: gateway, operator: Exists}]\n"
      "drain: {delaySeconds: 1, deadlineSeconds: 2}\n"
      "accessLog: off\n");
  CHECK(values.replicas == 3);
  CHECK(values.image.repository == "registry.example/hyperway");
  CHECK(values.image.tag == "1.0");
  CHECK(values.image.pull_secrets == std::vector<std::string>{"one"});
  CHECK(values.service.external_traffic_policy == "Local");
  CHECK(values.autoscaling.least == 4);
  CHECK(values.autoscaling.most == 10);
  CHECK(values.disruption_budget.available.text() == "50%");
  CHECK(k8s_client::toText(values.resources) == R"({"limits":{"cpu":"2","memory":"1Gi"}})");
  CHECK(values.drain_deadline == 2);
  CHECK(values.access_log == "off");
}

TEST_CASE("Anything else is refused, and the key is named") {
  const struct {
    const char *text, *problem;
  } cases[] = {
      {"replica: 2", "/replica: unknown field"},
      {"replicas: two", "/replicas: must be a whole number"},
      {"replicas: -1", "/replicas: -1 is outside 0..10000"},
      {"replicas: '2'", "/replicas: must be a whole number"},
      {"service: {type: ExternalName}",
       "/service/type: must be one of LoadBalancer, ClusterIP, NodePort"},
      {"service: {annotations: {a: true}}", "/service/annotations/a: must be a string"},
      {"service: {type: ClusterIP, externalTrafficPolicy: Local}",
       "/service/externalTrafficPolicy: does not belong"},
      {"nodeSelector: [a]", "/nodeSelector: must be an object"},
      {"tolerations: [a]", "/tolerations/0: must be an object"},
      {"resources: {requests: {cpu: [1]}}", "/resources/requests/cpu: must be an amount"},
      {"resources: {cpu: 1}", "/resources/cpu: unknown field"},
      {"autoscaling: {minReplicas: 5, maxReplicas: 4}",
       "/autoscaling/maxReplicas: is less than minReplicas"},
      {"podDisruptionBudget: {minAvailable: half}",
       "/podDisruptionBudget/minAvailable: must be a number"},
      {"podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}",
       "/podDisruptionBudget/maxUnavailable: does not go with minAvailable"},
      {"[replicas]", "/: must be an object"},
      {"podSecurityContext: {runAsUser: 0}", "/podSecurityContext: unknown field"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    CHECK_MESSAGE(problemOf(one.text).starts_with(one.problem), problemOf(one.text));
  }
}

TEST_CASE("A text that is no YAML, or a trap, is refused with a sentence") {
  std::string error;
  for (const std::string& text :
       {std::string("replicas: [1"), std::string("a: 1\na: 2\n"), std::string(100, '['),
        "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c "
        "[*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n" +
            std::string()}) {
    CAPTURE(text);
    error.clear();
    CHECK_FALSE(k8s_client::readYaml(text, error).has_value());
    CHECK_FALSE(error.empty());
  }
}

TEST_CASE("Values of a Gateway go over those of its class member by member, lists as a whole") {
  const auto base =
      yaml("replicas: 2\nservice: {type: NodePort, annotations: {a: b}}\ntolerations: [{key: a}]");
  const auto over = yaml("service: {annotations: {c: d}}\ntolerations: []\nreplicas:");
  CHECK(k8s_client::toText(merged(base, over)) ==
        R"({"replicas":2,"service":{"type":"NodePort","annotations":{"a":"b","c":"d"}},)"
        R"("tolerations":[]})");
}

}  // namespace hyperway::gateway_deployer
