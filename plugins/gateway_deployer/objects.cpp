// SPDX-License-Identifier: Apache-2.0
#include "objects.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "json_text.hpp"
#include "k8s_client/api.hpp"
#include "k8s_client/json_text.hpp"
#include "naming.hpp"

namespace hyperway::gateway_deployer {
namespace {

namespace json = sdk::json;
using json::Member;
using json::Value;
using Pairs = std::map<std::string, std::string>;

Value pairs(const Pairs& values) {
  std::vector<Member> members;
  for (const auto& [name, value] : values) members.push_back({name, text(value)});
  return object(std::move(members));
}

Value number(std::int64_t value) { return Value(value); }

// Everything but managedFields, which are as large as the rest and of no use to us.
Value withoutManagedFields(const Value& root) {
  std::vector<Member> members;
  for (const Member& member : root.members()) {
    if (member.name != "metadata") {
      members.push_back(member);
      continue;
    }
    std::vector<Member> metadata;
    for (const Member& entry : member.value.members())
      if (entry.name != "managedFields") metadata.push_back(entry);
    members.push_back({"metadata", object(std::move(metadata))});
  }
  return object(std::move(members));
}

Value ownerOf(const Gateway& gateway) {
  return array({object({{"apiVersion", text("gateway.networking.k8s.io/v1")},
                        {"kind", text("Gateway")},
                        {"name", text(gateway.name)},
                        {"uid", text(gateway.uid)},
                        {"controller", Value(true)}})});
}

// An element of endpoints, with what a load balancer goes by. targetRef would name a Pod of another
// namespace, and hints are for the Service that they were made for.
Value endpointOf(const Value& from, const std::string& address) {
  std::vector<Member> members{{"addresses", array({text(address)})}};
  for (const std::string_view name : {"conditions", "nodeName", "zone"})
    if (const Value* found = from.find(name)) members.push_back({std::string(name), *found});
  return object(std::move(members));
}

}  // namespace

const KindInfo& infoOf(ObjectKind kind) {
  static constexpr KindInfo kKinds[kObjectKinds] = {
      {"ServiceAccount", "v1", "serviceaccounts"},
      {"Role", "rbac.authorization.k8s.io/v1", "roles"},
      {"RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"},
      {"ConfigMap", "v1", "configmaps"},
      {"Deployment", "apps/v1", "deployments"},
      {"PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"},
      {"HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"},
      {"Service", "v1", "services"},
      {"EndpointSlice", "discovery.k8s.io/v1", "endpointslices"},
  };
  return kKinds[static_cast<std::size_t>(kind)];
}

std::string pathOf(ObjectKind kind, std::string_view name_space, std::string_view name) {
  const KindInfo& info = infoOf(kind);
  return k8s_client::path(info.group_version, name_space, info.resource, name);
}

std::optional<Actual> readActual(std::string_view json_text) {
  const auto parsed = json::Parser::parse(json_text);
  const auto* root = std::get_if<Value>(&parsed);
  return root != nullptr ? readActual(*root) : std::nullopt;
}

std::optional<Actual> readActual(const Value& root) {
  if (root.type() != Value::Type::Object) return std::nullopt;
  Actual out;
  out.name_space = textAt(root, {"metadata", "namespace"});
  out.name = textAt(root, {"metadata", "name"});
  if (out.name.empty()) return std::nullopt;
  out.uid = textAt(root, {"metadata", "uid"});
  const std::string version = textAt(root, {"metadata", "resourceVersion"});
  std::from_chars(version.data(), version.data() + version.size(), out.version);
  if (const Value* generation = at(root, {"metadata", "generation"}))
    out.generation = static_cast<std::uint64_t>(generation->integer());
  out.gateway = textAt(root, {"metadata", "annotations", kGatewayAnnotation});
  out.pods = textAt(root, {"metadata", "annotations", kPodsAnnotation});
  out.ours = textAt(root, {"metadata", "labels", kManagedByLabel}) == kManagedBy;
  out.applied = !textAt(root, {"metadata", "annotations", kAppliedAnnotation}).empty();
  out.deleting = !textAt(root, {"metadata", "deletionTimestamp"}).empty();
  out.content = withoutManagedFields(root);
  return out;
}

std::optional<std::string> adoption(std::string_view json_text) {
  const auto parsed = json::Parser::parse(json_text);
  const auto* root = std::get_if<Value>(&parsed);
  const Value* fields = root != nullptr ? at(*root, {"metadata", "managedFields"}) : nullptr;
  if (fields == nullptr) return std::nullopt;
  const auto is_ours = [](const Value& entry, std::string_view operation) {
    return textAt(entry, {"manager"}) == k8s_client::kFieldManager &&
           textAt(entry, {"operation"}) == operation && textAt(entry, {"subresource"}).empty();
  };
  bool changed = false;
  std::vector<Value> entries;
  for (const Value& entry : fields->items()) {
    if (is_ours(entry, "Apply")) return std::nullopt;
    std::vector<Member> members = entry.members();
    if (is_ours(entry, "Update"))
      for (Member& member : members)
        if (member.name == "operation") {
          member.value = text("Apply");
          changed = true;
        }
    entries.push_back(object(std::move(members)));
  }
  if (!changed) return std::nullopt;
  return k8s_client::toText(
      object({{"metadata",
               object({{"resourceVersion", text(textAt(*root, {"metadata", "resourceVersion"}))},
                       {"managedFields", array(std::move(entries))}})}}));
}

Targets recordedTargets(const Actual& service) {
  Targets out;
  const Value* ports = at(service.content, {"spec", "ports"});
  if (ports == nullptr) return out;
  for (const Value& port : ports->items()) {
    const Value* from = port.find("port");
    const Value* to = port.find("targetPort");
    if (from == nullptr || to == nullptr) continue;
    const auto valid = [](std::int64_t value) { return value >= 1 && value <= 65535; };
    if (!valid(from->integer()) || !valid(to->integer())) continue;
    std::string protocol = textAt(port, {"protocol"});
    if (protocol.empty()) protocol = "TCP";
    out.emplace(Port{static_cast<std::uint16_t>(from->integer()), std::move(protocol)},
                static_cast<std::uint16_t>(to->integer()));
  }
  return out;
}

std::vector<Pod> readPods(const std::vector<const Actual*>& slices) {
  std::vector<Pod> out;
  for (const Actual* slice : slices) {
    const std::string family = textAt(slice->content, {"addressType"});
    const Value* endpoints = slice->content.find("endpoints");
    if (endpoints == nullptr || (family != "IPv4" && family != "IPv6")) continue;
    for (const Value& endpoint : endpoints->items()) {
      const Value* addresses = endpoint.find("addresses");
      if (addresses == nullptr || addresses->items().empty()) continue;
      const std::string& address = addresses->items().front().text();
      out.push_back({family, address, endpointOf(endpoint, address)});
    }
  }
  const auto order = [](const Pod& a, const Pod& b) {
    return std::tie(a.family, a.address) < std::tie(b.family, b.address);
  };
  std::stable_sort(out.begin(), out.end(), order);
  out.erase(std::unique(out.begin(), out.end(),
                        [](const Pod& a, const Pod& b) {
                          return a.family == b.family && a.address == b.address;
                        }),
            out.end());
  return out;
}

Desired makeDesired(const Gateway& gateway, std::string name, const Pairs& labels,
                    const Common& common, std::string_view api_version, std::string_view kind,
                    std::vector<Member> rest) {
  Desired out;
  out.name_space = gateway.name_space;
  out.name = std::move(name);
  out.gateway = gateway.key();
  Pairs all = gateway.labels, annotations = gateway.annotations;
  for (const auto& [key, value] : labels) all[key] = value;
  all[std::string(kGatewayNameLabel)] = labelValue(gateway.name);
  all[std::string(kManagedByLabel)] = kManagedBy;
  annotations[std::string(kGatewayAnnotation)] = gateway.key();
  annotations[std::string(kPodsAnnotation)] = common.pods_service;
  annotations.erase(std::string(kAppliedAnnotation));
  const auto make = [&] {
    std::vector<Member> metadata{{"name", text(out.name)},
                                 {"namespace", text(out.name_space)},
                                 {"labels", pairs(all)},
                                 {"annotations", pairs(annotations)}};
    if (!gateway.uid.empty()) metadata.push_back({"ownerReferences", ownerOf(gateway)});
    std::vector<Member> members{{"apiVersion", text(api_version)},
                                {"kind", text(kind)},
                                {"metadata", object(std::move(metadata))}};
    members.insert(members.end(), rest.begin(), rest.end());
    return object(std::move(members));
  };
  out.first = k8s_client::toText(make());
  out.hash = hashOf(out.first);
  annotations[std::string(kAppliedAnnotation)] = out.hash;
  out.content = make();
  return out;
}

std::vector<Member> serviceSpecOf(const Gateway& gateway, const Targets& targets,
                                  const std::string& type) {
  std::vector<Value> ports;
  for (const auto& [port, target] : targets)
    ports.push_back(object({{"name", text(portName(port.number, port.protocol))},
                            {"port", number(port.number)},
                            {"protocol", text(port.protocol)},
                            {"targetPort", number(target)}}));
  std::vector<Member> spec{{"type", text(type)}, {"ports", array(std::move(ports))}};
  if (gateway.addresses.empty() || type != "LoadBalancer") {
    spec.push_back({"ipFamilyPolicy", text("PreferDualStack")});
  } else {
    // A Service can ask for one address; others that the Gateway asks for are not to be had. Nor is
    // one of the other family wanted.
    const std::string& address = gateway.addresses.front();
    const bool six = address.find(':') != std::string::npos;
    spec.push_back({"ipFamilyPolicy", text("SingleStack")});
    spec.push_back({"ipFamilies", array({text(six ? "IPv6" : "IPv4")})});
    spec.push_back({"loadBalancerIP", text(address)});
  }
  return spec;
}

Desired serviceOf(const Gateway& gateway, const Targets& targets, const Common& common) {
  // Gateway API, GatewayAddressRoutabilityCluster: it is not to be reached from outside.
  const std::string type = gateway.cluster_only ? "ClusterIP" : common.type;
  return makeDesired(gateway, serviceName(gateway.name), {}, common, "v1", "Service",
                     {{"spec", object(serviceSpecOf(gateway, targets, type))}});
}

std::vector<Desired> slicesOf(const Gateway& gateway, const Targets& targets,
                              const std::vector<Pod>& pods, const Common& common) {
  std::vector<Value> ports;
  for (const auto& [port, target] : targets)
    ports.push_back(object({{"name", text(portName(port.number, port.protocol))},
                            {"port", number(target)},
                            {"protocol", text(port.protocol)}}));
  const std::string service = serviceName(gateway.name);
  const Pairs labels{{std::string(kServiceNameLabel), service},
                     {std::string(kSliceManagedByLabel), std::string(kSliceManagedBy)}};
  std::vector<Desired> out;
  for (const std::string_view family : {"IPv4", "IPv6"}) {
    std::vector<Value> endpoints;
    std::size_t part = 0;
    const auto close = [&] {
      if (endpoints.empty()) return;
      out.push_back(makeDesired(gateway, sliceName(service, family, part++), labels, common,
                                "discovery.k8s.io/v1", "EndpointSlice",
                                {{"addressType", text(family)},
                                 {"endpoints", array(std::exchange(endpoints, {}))},
                                 {"ports", array(ports)}}));
    };
    for (const Pod& pod : pods) {
      if (pod.family != family) continue;
      endpoints.push_back(pod.endpoint);
      if (endpoints.size() == kMostEndpoints) close();
    }
    close();
  }
  return out;
}

}  // namespace hyperway::gateway_deployer
