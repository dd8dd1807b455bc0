// SPDX-License-Identifier: Apache-2.0
#include "values.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

namespace hyperway::gateway_deployer {
namespace {

using sdk::ConfigNode;
using sdk::json::Member;
using sdk::json::Value;
using Type = Value::Type;

constexpr std::int64_t kMostReplicas = 10000;

Value valueOf(const ConfigNode& node) { return node.present() ? *node.value() : Value(); }

Value objectOf(const ConfigNode& node) {
  if (!node.present() || !node.isObject()) return {};
  return valueOf(node);
}

Value textsOf(const ConfigNode& node) {
  Value out = objectOf(node);
  for (const Member& member : out.members())
    if (member.value.type() != Type::String)
      node[member.name].error("must be a string: numbers and true or false need quotes");
  return out;
}

Value listOf(const ConfigNode& node, Type of) {
  if (!node.present()) return {};
  for (const ConfigNode& item : node.items())
    if (item.value() == nullptr || item.value()->type() != of)
      item.error(of == Type::String ? "must be a string" : "must be an object");
  return valueOf(node);
}

std::string oneOf(const ConfigNode& node, std::string fallback,
                  std::initializer_list<std::string_view> known) {
  std::string text = node.textOr(std::move(fallback));
  if (std::find(known.begin(), known.end(), text) == known.end()) {
    std::string all;
    for (const std::string_view one : known) (all += all.empty() ? "" : ", ") += one;
    node.error("must be one of " + all);
  }
  return text;
}

// A number of Pods, or a part of them.
Value countOf(const ConfigNode& node) {
  if (!node.present()) return {};
  Value value = valueOf(node);
  const std::string& text = value.text();
  unsigned percent = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), percent).ptr;
  const bool part = text.size() > 1 && end == text.data() + text.size() - 1 &&
                    text.ends_with('%') && percent <= 100;
  const bool number = value.type() == Type::Integer && value.integer() >= 0;
  if (!part && !number) node.error("must be a number, or \"N%\"");
  return value;
}

void readImage(const ConfigNode& node, Values::Image& out) {
  if (!node.present()) return;
  node.only({"repository", "tag", "digest", "pullPolicy", "pullSecrets"});
  out.repository = node["repository"].textOr(out.repository);
  if (out.repository.empty()) node["repository"].error("must name an image");
  out.tag = node["tag"].textOr(out.tag);
  out.digest = node["digest"].textOr(out.digest);
  if (!out.digest.empty() && !out.digest.starts_with("sha256:"))
    node["digest"].error("must begin with sha256:");
  out.pull_policy = oneOf(node["pullPolicy"], out.pull_policy, {"Always", "IfNotPresent", "Never"});
  out.pull_secrets = node["pullSecrets"].texts();
}

void readService(const ConfigNode& node, Values::Service& out) {
  if (!node.present()) return;
  node.only({"type", "annotations", "loadBalancerClass", "externalTrafficPolicy",
             "loadBalancerSourceRanges"});
  out.type = oneOf(node["type"], out.type, {"LoadBalancer", "ClusterIP", "NodePort"});
  out.annotations = textsOf(node["annotations"]);
  out.load_balancer_class = node["loadBalancerClass"].textOr("");
  if (node["externalTrafficPolicy"].present())
    out.external_traffic_policy =
        oneOf(node["externalTrafficPolicy"], "Cluster", {"Cluster", "Local"});
  out.source_ranges = listOf(node["loadBalancerSourceRanges"], Type::String);
  const bool balanced = out.type == "LoadBalancer";
  if (!balanced && !out.load_balancer_class.empty())
    node["loadBalancerClass"].error("belongs to type LoadBalancer");
  if (out.type == "ClusterIP" && !out.external_traffic_policy.empty())
    node["externalTrafficPolicy"].error("does not belong to type ClusterIP");
}

void readAutoscaling(const ConfigNode& node, Values::Autoscaling& out) {
  if (!node.present()) return;
  node.only({"enabled", "minReplicas", "maxReplicas", "targetCPUUtilizationPercentage",
             "targetMemoryUtilizationPercentage"});
  out.enabled = node["enabled"].booleanOr(out.enabled);
  out.least = node["minReplicas"].integerOr(out.least, 1, kMostReplicas);
  out.most = node["maxReplicas"].integerOr(std::max(out.most, out.least), 1, kMostReplicas);
  out.cpu = node["targetCPUUtilizationPercentage"].integerOr(out.cpu, 0, 1000);
  out.memory = node["targetMemoryUtilizationPercentage"].integerOr(out.memory, 0, 1000);
  if (out.most < out.least) node["maxReplicas"].error("is less than minReplicas");
  if (out.cpu == 0 && out.memory == 0)
    node.error("needs targetCPUUtilizationPercentage or targetMemoryUtilizationPercentage");
}

void readDisruptionBudget(const ConfigNode& node, Values::DisruptionBudget& out) {
  if (!node.present()) return;
  node.only({"enabled", "minAvailable", "maxUnavailable"});
  out.enabled = node["enabled"].booleanOr(out.enabled);
  out.available = countOf(node["minAvailable"]);
  out.unavailable = countOf(node["maxUnavailable"]);
  if (node["minAvailable"].present() && node["maxUnavailable"].present())
    node["maxUnavailable"].error("does not go with minAvailable");
}

void readResources(const ConfigNode& node, Value& out) {
  if (!node.present()) return;
  node.only({"requests", "limits"});
  std::vector<Member> parts;
  for (const std::string_view part : {"requests", "limits"}) {
    std::vector<Member> amounts = objectOf(node[part]).members();
    for (Member& member : amounts) {
      // As the API server gives it back.
      if (member.value.type() == Type::Integer)
        member.value = Value(std::to_string(member.value.integer()));
      if (member.value.type() != Type::String)
        node[part][member.name].error("must be an amount, as \"100m\" or 1");
    }
    if (!amounts.empty()) parts.push_back({std::string(part), Value(std::move(amounts))});
  }
  out = Value(std::move(parts));
}

// Remembers the first problem.
struct First {
  static void report(void* ctx, std::int32_t severity, hw_bytes pointer, hw_bytes message) {
    auto& text = *static_cast<std::string*>(ctx);
    if (severity != HW_SEVERITY_ERROR || !text.empty()) return;
    const std::string_view place = sdk::viewOf(pointer);
    text = (place.empty() ? std::string("/") : std::string(place)) + ": " +
           std::string(sdk::viewOf(message));
  }
};

}  // namespace

Value merged(const Value& base, const Value& over) {
  if (over.type() == Type::Null) return base;
  if (base.type() != Type::Object || over.type() != Type::Object) return over;
  std::vector<Member> members;
  for (const Member& member : base.members()) {
    const Value* other = over.find(member.name);
    members.push_back(
        {member.name, other != nullptr ? merged(member.value, *other) : member.value});
  }
  for (const Member& member : over.members())
    if (base.find(member.name) == nullptr) members.push_back(member);
  return Value(std::move(members));
}

Values readValues(const ConfigNode& node) {
  Values out;
  if (!node.present()) return out;
  node.only({"replicas", "image", "service", "autoscaling", "podDisruptionBudget", "resources",
             "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints",
             "podAnnotations", "podLabels", "priorityClassName", "workers", "drain", "logLevel",
             "accessLog"});
  out.replicas = node["replicas"].integerOr(out.replicas, 0, kMostReplicas);
  readImage(node["image"], out.image);
  readService(node["service"], out.service);
  readAutoscaling(node["autoscaling"], out.autoscaling);
  readDisruptionBudget(node["podDisruptionBudget"], out.disruption_budget);
  readResources(node["resources"], out.resources);
  out.node_selector = textsOf(node["nodeSelector"]);
  out.tolerations = listOf(node["tolerations"], Type::Object);
  out.affinity = objectOf(node["affinity"]);
  out.spread = listOf(node["topologySpreadConstraints"], Type::Object);
  out.pod_annotations = textsOf(node["podAnnotations"]);
  out.pod_labels = textsOf(node["podLabels"]);
  out.priority_class = node["priorityClassName"].textOr("");
  out.workers = node["workers"].integerOr(0, 0, 1024);
  if (const ConfigNode drain = node["drain"]; drain.present()) {
    drain.only({"delaySeconds", "deadlineSeconds"});
    out.drain_delay = drain["delaySeconds"].integerOr(out.drain_delay, 0, 3600);
    out.drain_deadline = drain["deadlineSeconds"].integerOr(out.drain_deadline, 0, 86400);
  }
  out.log_level = oneOf(node["logLevel"], out.log_level, {"debug", "info", "warning", "error"});
  out.access_log = oneOf(node["accessLog"], out.access_log, {"off", "text", "json"});
  return out;
}

std::optional<Values> readValues(const Value& tree, std::string& error) {
  std::string first;
  const hw_diag diag{sizeof(hw_diag), 0, &first, &First::report};
  sdk::Problems problems(&diag);
  const ConfigNode root(&tree, "", problems);
  if (root.present()) (void)root.isObject();
  Values out = readValues(root);
  if (!problems.failed()) return out;
  error = first;
  return std::nullopt;
}

}  // namespace hyperway::gateway_deployer
