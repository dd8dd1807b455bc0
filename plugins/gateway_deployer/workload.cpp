// SPDX-License-Identifier: Apache-2.0
#include "workload.hpp"

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "json_text.hpp"
#include "k8s_client/json_text.hpp"
#include "naming.hpp"

namespace hyperway::gateway_deployer {
namespace {

using sdk::json::Member;
using sdk::json::Value;
using Pairs = std::map<std::string, std::string>;
using Type = Value::Type;

constexpr std::int64_t kUser = 65532;     // nobody in particular
constexpr std::int64_t kProbes = 9180;    // /healthz, /readyz and /metrics
constexpr std::int64_t kEndOfGrace = 10;  // seconds beside the drain
constexpr std::string_view kConfigurationAnnotation = "hyperway.arloor.dev/configuration";

Value number(std::int64_t value) { return Value(value); }

Value pairs(const Pairs& values) {
  std::vector<Member> members;
  for (const auto& [name, value] : values) members.push_back({name, text(value)});
  return object(std::move(members));
}

void add(Pairs& out, const Value& more) {
  for (const Member& member : more.members())
    out.insert_or_assign(member.name, member.value.text());
}

// What people look for, beside what all that we make is marked with.
Pairs nameLabels() {
  return {{"app.kubernetes.io/name", "hyperway"}, {"app.kubernetes.io/component", "gateway"}};
}

Pairs selectorOf(const Gateway& gateway) {
  return {{std::string(kManagedByLabel), std::string(kManagedBy)},
          {std::string(kGatewayNameLabel), labelValue(gateway.name)}};
}

Value probe(std::string_view path, std::int64_t period, std::int64_t failures) {
  return object({{"httpGet", object({{"path", text(path)}, {"port", text("probes")}})},
                 {"periodSeconds", number(period)},
                 {"failureThreshold", number(failures)}});
}

Value fromField(std::string_view name, std::string_view path) {
  return object({{"name", text(name)},
                 {"valueFrom", object({{"fieldRef", object({{"fieldPath", text(path)}})}})}});
}

Value rule(std::string_view group, std::string_view resource, std::vector<Value> verbs,
           const std::string& name = {}) {
  std::vector<Member> members{{"apiGroups", array({text(group)})},
                              {"resources", array({text(resource)})},
                              {"verbs", array(std::move(verbs))}};
  if (!name.empty()) members.push_back({"resourceNames", array({text(name)})});
  return object(std::move(members));
}

std::string imageOf(const Values::Image& image) {
  return image.digest.empty() ? image.repository + ':' + image.tag
                              : image.repository + '@' + image.digest;
}

class Workload {
 public:
  Workload(const Gateway& gateway, const Targets& targets, const Values& values,
           const Common& common)
      : gateway_(gateway),
        targets_(targets),
        values_(values),
        common_(common),
        name_(serviceName(gateway.name)) {}

  std::vector<WorkloadObject> make() {
    put(ObjectKind::ServiceAccount, {});
    put(ObjectKind::Role, {{"rules", rules()}});
    put(ObjectKind::RoleBinding,
        {{"roleRef", object({{"apiGroup", text("rbac.authorization.k8s.io")},
                             {"kind", text("Role")},
                             {"name", text(name_)}})},
         {"subjects", array({object({{"kind", text("ServiceAccount")},
                                     {"namespace", text(gateway_.name_space)},
                                     {"name", text(name_)}})})}});
    const std::string configuration = configurationOf(gateway_, values_);
    put(ObjectKind::ConfigMap, {{"data", object({{"hyperway.yaml", text(configuration)}})}});
    put(ObjectKind::Deployment, {{"spec", deployment(hashOf(configuration))}});
    if (values_.disruption_budget.enabled)
      put(ObjectKind::PodDisruptionBudget, {{"spec", disruptionBudget()}});
    if (values_.autoscaling.enabled)
      put(ObjectKind::HorizontalPodAutoscaler, {{"spec", autoscaler()}});
    putService();
    return std::move(out_);
  }

 private:
  void put(ObjectKind kind, std::vector<Member> rest) { put(gateway_, kind, std::move(rest)); }

  void put(const Gateway& gateway, ObjectKind kind, std::vector<Member> rest) {
    const KindInfo& info = infoOf(kind);
    out_.push_back({kind, makeDesired(gateway, name_, nameLabels(), common_, info.group_version,
                                      info.name, std::move(rest))});
  }

  void putService() {
    Gateway gateway = gateway_;
    for (const Member& one : values_.service.annotations.members())
      gateway.annotations.try_emplace(one.name, one.value.text());
    const Values::Service& service = values_.service;
    std::vector<Member> spec = serviceSpecOf(gateway_, targets_, service.type);
    spec.push_back({"selector", pairs(selectorOf(gateway_))});
    if (!service.load_balancer_class.empty())
      spec.push_back({"loadBalancerClass", text(service.load_balancer_class)});
    if (!service.external_traffic_policy.empty())
      spec.push_back({"externalTrafficPolicy", text(service.external_traffic_policy)});
    if (!service.source_ranges.items().empty())
      spec.push_back({"loadBalancerSourceRanges", service.source_ranges});
    put(gateway, ObjectKind::Service, {{"spec", object(std::move(spec))}});
  }

  // Its own snapshot; parts of it, whose names say what is in them and are not known beforehand;
  // and its own entry in the status. Where Secrets and backends are, snapshot_sink grants.
  [[nodiscard]] Value rules() const {
    constexpr std::string_view kGroup = "hyperway.arloor.dev";
    return array({rule(kGroup, "routesnapshots", {text("list"), text("watch")}, name_),
                  rule(kGroup, "routesnapshots", {text("get")}),
                  rule(kGroup, "routesnapshots/status", {text("patch")}, name_)});
  }

  [[nodiscard]] Value deployment(const std::string& configuration) const {
    std::vector<Member> spec{{"replicas", number(values_.replicas)}};
    spec.push_back({"strategy", object({{"type", text("RollingUpdate")},
                                        {"rollingUpdate", object({{"maxUnavailable", number(0)},
                                                                  {"maxSurge", number(1)}})}})});
    spec.push_back({"selector", object({{"matchLabels", pairs(selectorOf(gateway_))}})});
    spec.push_back({"template", pod(configuration)});
    return object(std::move(spec));
  }

  [[nodiscard]] Value pod(const std::string& configuration) const {
    Pairs labels = gateway_.labels, annotations;
    add(labels, values_.pod_labels);
    for (const auto& [name, value] : nameLabels()) labels[name] = value;
    for (const auto& [name, value] : selectorOf(gateway_)) labels[name] = value;
    annotations["prometheus.io/scrape"] = "true";
    annotations["prometheus.io/port"] = std::to_string(kProbes);
    for (const auto& [name, value] : gateway_.annotations) annotations[name] = value;
    add(annotations, values_.pod_annotations);
    // What a process reads at its start only makes new ones.
    annotations[std::string(kConfigurationAnnotation)] = configuration;
    return object(
        {{"metadata", object({{"labels", pairs(labels)}, {"annotations", pairs(annotations)}})},
         {"spec", podSpec()}});
  }

  [[nodiscard]] Value podSpec() const {
    std::vector<Member> spec{
        {"serviceAccountName", text(name_)},
        {"terminationGracePeriodSeconds",
         number(values_.drain_delay + values_.drain_deadline + kEndOfGrace)},
        {"securityContext",
         object({{"runAsNonRoot", Value(true)},
                 {"runAsUser", number(kUser)},
                 {"runAsGroup", number(kUser)},
                 {"seccompProfile", object({{"type", text("RuntimeDefault")}})}})},
        {"topologySpreadConstraints", spread()},
        {"containers", array({container()})},
        {"volumes", array({object({{"name", text("configuration")},
                                   {"configMap", object({{"name", text(name_)}})}}),
                           // Keys of certificates too: in memory, and gone with the Pod.
                           object({{"name", text("cache")},
                                   {"emptyDir", object({{"medium", text("Memory")},
                                                        {"sizeLimit", text("64Mi")}})}})})}};
    const auto pass = [&](std::string_view name, const Value& value) {
      if (!value.members().empty() || !value.items().empty())
        spec.push_back({std::string(name), value});
    };
    pass("nodeSelector", values_.node_selector);
    pass("tolerations", values_.tolerations);
    pass("affinity", values_.affinity);
    if (!values_.priority_class.empty())
      spec.push_back({"priorityClassName", text(values_.priority_class)});
    std::vector<Value> secrets;
    for (const std::string& name : values_.image.pull_secrets)
      secrets.push_back(object({{"name", text(name)}}));
    if (!secrets.empty()) spec.push_back({"imagePullSecrets", array(std::move(secrets))});
    return object(std::move(spec));
  }

  [[nodiscard]] Value spread() const {
    if (values_.spread.type() == Type::Array) return values_.spread;
    return array(
        {object({{"maxSkew", number(1)},
                 {"topologyKey", text("kubernetes.io/hostname")},
                 {"whenUnsatisfiable", text("ScheduleAnyway")},
                 {"labelSelector", object({{"matchLabels", pairs(selectorOf(gateway_))}})}})});
  }

  [[nodiscard]] Value container() const {
    return object(
        {{"name", text("hyperway")},
         {"image", text(imageOf(values_.image))},
         {"imagePullPolicy", text(values_.image.pull_policy)},
         {"command", array({text("/usr/bin/hyperway")})},
         {"args", array({text("run"), text("--config"), text("/etc/hyperway/hyperway.yaml")})},
         // Who it is in the status of the snapshot.
         {"env", array({fromField("POD_NAME", "metadata.name"),
                        fromField("POD_NAMESPACE", "metadata.namespace")})},
         {"ports", array({object({{"name", text("probes")}, {"containerPort", number(kProbes)}})})},
         {"startupProbe", probe("/healthz", 1, 30)},
         {"livenessProbe", probe("/healthz", 10, 3)},
         {"readinessProbe", probe("/readyz", 2, 2)},
         {"resources", resources()},
         {"securityContext", object({{"allowPrivilegeEscalation", Value(false)},
                                     {"readOnlyRootFilesystem", Value(true)},
                                     {"capabilities", object({{"drop", array({text("ALL")})}})}})},
         {"volumeMounts",
          array({object({{"name", text("configuration")},
                         {"mountPath", text("/etc/hyperway")},
                         {"readOnly", Value(true)}}),
                 object({{"name", text("cache")}, {"mountPath", text("/run/hyperway")}})})}});
  }

  [[nodiscard]] Value resources() const {
    if (values_.resources.type() == Type::Object) return values_.resources;
    return object({{"requests", object({{"cpu", text("100m")}, {"memory", text("64Mi")}})},
                   {"limits", object({{"memory", text("512Mi")}})}});
  }

  [[nodiscard]] Value disruptionBudget() const {
    const Values::DisruptionBudget& budget = values_.disruption_budget;
    const bool least = budget.available.type() != Type::Null;
    const bool most = budget.unavailable.type() != Type::Null;
    return object({{"selector", object({{"matchLabels", pairs(selectorOf(gateway_))}})},
                   {least ? "minAvailable" : "maxUnavailable", least  ? budget.available
                                                               : most ? budget.unavailable
                                                                      : number(1)}});
  }

  [[nodiscard]] Value autoscaler() const {
    std::vector<Value> metrics;
    const auto metric = [&](std::string_view resource, std::int64_t percent) {
      if (percent == 0) return;
      metrics.push_back(object(
          {{"type", text("Resource")},
           {"resource", object({{"name", text(resource)},
                                {"target", object({{"type", text("Utilization")},
                                                   {"averageUtilization", number(percent)}})}})}}));
    };
    metric("cpu", values_.autoscaling.cpu);
    metric("memory", values_.autoscaling.memory);
    return object({{"scaleTargetRef", object({{"apiVersion", text("apps/v1")},
                                              {"kind", text("Deployment")},
                                              {"name", text(name_)}})},
                   {"minReplicas", number(values_.autoscaling.least)},
                   {"maxReplicas", number(values_.autoscaling.most)},
                   {"metrics", array(std::move(metrics))}});
  }

  const Gateway& gateway_;
  const Targets& targets_;
  const Values& values_;
  const Common& common_;
  const std::string name_;
  std::vector<WorkloadObject> out_;
};

}  // namespace

std::vector<WorkloadObject> workloadOf(const Gateway& gateway, const Targets& targets,
                                       const Values& values, const Common& common) {
  return Workload(gateway, targets, values, common).make();
}

// Names of objects need no escapes; quotes keep "1" from being a number.
std::string configurationOf(const Gateway& gateway, const Values& values) {
  std::string out = "# Made by hyperway for Gateway " + gateway.key() +
                    "; what is changed here is changed back.\n";
  if (values.workers > 0) out += "workers: " + std::to_string(values.workers) + '\n';
  out += "sources:\n  - plugin: snapshot_source\n    config:\n      name: \"" +
         serviceName(gateway.name) + "\"\n      namespace: \"" + gateway.name_space +
         "\"\n      backends: snapshot\n      cache: /run/hyperway/cache\n";
  out += "admin:\n  address: 0.0.0.0:" + std::to_string(kProbes) + '\n';
  out += "drain:\n  delay: " + std::to_string(values.drain_delay) +
         "s\n  deadline: " + std::to_string(values.drain_deadline) + "s\n";
  out += "log:\n  level: \"" + values.log_level + "\"\n";
  return out + "access_log:\n  format: \"" + values.access_log + "\"\n";
}

}  // namespace hyperway::gateway_deployer
