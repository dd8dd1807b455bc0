// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "json_text.hpp"
#include "k8s_client/json_text.hpp"
#include "k8s_client/yaml_text.hpp"
#include "naming.hpp"
#include "workload.hpp"

namespace hyperway::gateway_deployer {
namespace {

using sdk::json::Member;
using sdk::json::Value;

// What is compared: an element of a list has neither apiVersion nor kind.
Value comparable(const Value& content) {
  std::vector<Member> members;
  for (const Member& member : content.members())
    if (member.name != "apiVersion" && member.name != "kind") members.push_back(member);
  return object(std::move(members));
}

// With the uid, the API server refuses to apply to another object of the same name.
std::string bodyWithUid(const Value& content, const std::string& uid) {
  if (uid.empty()) return k8s_client::toText(content);
  std::vector<Member> members;
  for (const Member& member : content.members()) {
    if (member.name != "metadata") {
      members.push_back(member);
      continue;
    }
    std::vector<Member> metadata = member.value.members();
    metadata.push_back({"uid", text(uid)});
    members.push_back({"metadata", object(std::move(metadata))});
  }
  return k8s_client::toText(object(std::move(members)));
}

// Owned by the same Gateway: also one whose annotation somebody took away is ours to put right.
bool hasOwnerOf(const Value& actual, const Value& desired) {
  const Value* wanted = at(desired, {"metadata", "ownerReferences"});
  const Value* has = at(actual, {"metadata", "ownerReferences"});
  return wanted != nullptr && has != nullptr && covers(*has, *wanted, Lists::Contained);
}

class Planner {
 public:
  Planner(const World& world, const Common& common, const PortRange& range)
      : world_(world), common_(common), range_(range) {}

  Plan make() {
    std::vector<const Gateway*> active;
    for (const auto& [key, gateway] : world_.gateways)
      if (gateway.accepted && !gateway.ports.empty()) active.push_back(&gateway);
    std::map<std::string, Targets> recorded;
    for (const auto& [key, service] : world_.services)
      if (service.ours && !service.gateway.empty())
        recorded[service.gateway].merge(recordedTargets(service));
    const Allotment allotment = allot(active, recorded, range_);
    plan_.problems = allotment.problems;
    std::vector<const Actual*> pod_slices;
    for (const auto& [key, slice] : world_.pod_slices) pod_slices.push_back(&slice);
    pods_ = readPods(pod_slices);
    for (const Gateway* gateway : active)
      if (const Targets& targets = allotment.targets.at(gateway->key()); !targets.empty())
        plan(*gateway, targets);
    for (const auto& [key, gateway] : world_.gateways)
      if (!gateway.accepted || gateway.ports.empty()) keepAllOf(key);
    if (world_.believes) {
      removeOthers(ObjectKind::Service, world_.services);
      removeOthers(ObjectKind::EndpointSlice, world_.slices);
      for (const auto& [kind, objects] : world_.others) removeOthers(kind, objects);
    }
    return std::move(plan_);
  }

 private:
  void plan(const Gateway& gateway, const Targets& targets) {
    if (common_.deployed) return planWorkload(gateway, targets);
    const Desired service = serviceOf(gateway, targets, common_);
    keep_.insert("Service " + service.key());
    put(ObjectKind::Service, service, world_.services, Lists::Contained);
    const auto found = world_.services.find(service.key());
    const bool there = found != world_.services.end() && found->second.gateway == gateway.key();
    for (const Desired& slice : slicesOf(gateway, targets, pods_, common_)) {
      keep_.insert("EndpointSlice " + slice.key());
      if (there) put(ObjectKind::EndpointSlice, slice, world_.slices, Lists::Equal);
    }
  }

  void planWorkload(const Gateway& gateway, const Targets& targets) {
    std::string error;
    auto values = valuesOf(gateway, world_, common_, error);
    if (!error.empty()) plan_.parameters.emplace(gateway.key(), std::move(error));
    if (!values) return keepAllOf(gateway.key());
    if (values->autoscaling.enabled)
      values->replicas = scaledReplicas(gateway, values->autoscaling);
    for (const WorkloadObject& one : workloadOf(gateway, targets, *values, common_)) {
      keep_.insert(std::string(infoOf(one.kind).name) + ' ' + one.desired.key());
      if (!isDue(one)) continue;
      // A rule or a subject more is a right more.
      const bool rights = one.kind == ObjectKind::Role || one.kind == ObjectKind::RoleBinding;
      put(one.kind, one.desired, world_.of(one.kind), rights ? Lists::Equal : Lists::Contained);
    }
  }

  // What the autoscaler has come to. Left out, the field would fall back to 1 as soon as nobody
  // else has set it.
  [[nodiscard]] std::int64_t scaledReplicas(const Gateway& gateway,
                                            const Values::Autoscaling& limits) const {
    const Objects& deployments = world_.of(ObjectKind::Deployment);
    const auto found = deployments.find(gateway.name_space + '/' + serviceName(gateway.name));
    const Value* now =
        found != deployments.end() ? at(found->second.content, {"spec", "replicas"}) : nullptr;
    return std::clamp(now != nullptr ? now->integer() : 0, limits.least, limits.most);
  }

  // A Role is bound once it is there: the API server looks it up. Pods come when they may do what
  // they have to.
  [[nodiscard]] bool isDue(const WorkloadObject& one) const {
    const auto there = [&](ObjectKind kind) {
      const Objects& objects = world_.of(kind);
      const auto found = objects.find(one.desired.key());
      return found != objects.end() && found->second.applied;
    };
    if (one.kind == ObjectKind::RoleBinding) return there(ObjectKind::Role);
    if (one.kind != ObjectKind::Deployment) return true;
    return there(ObjectKind::ServiceAccount) && there(ObjectKind::RoleBinding) &&
           there(ObjectKind::ConfigMap);
  }

  void put(ObjectKind kind, const Desired& desired, const Objects& objects, Lists lists) {
    Write write;
    write.kind = kind;
    write.name_space = desired.name_space;
    write.name = desired.name;
    write.gateway = desired.gateway;
    write.hash = desired.hash;
    const auto found = objects.find(desired.key());
    if (found == objects.end()) {
      write.action = Write::Action::Create;
      write.body = desired.first;
      plan_.writes.push_back(std::move(write));
      return;
    }
    const Actual& actual = found->second;
    if (actual.deleting) return;  // Once it is gone it is made anew.
    if (actual.gateway != desired.gateway && !hasOwnerOf(actual.content, desired.content)) {
      plan_.problems.try_emplace(
          desired.gateway,
          write.subject() + " is there already, and was not made for this Gateway");
      return;
    }
    if (covers(actual.content, comparable(desired.content), lists)) return;
    write.uid = actual.uid;
    write.fresh = !actual.applied;
    write.body = bodyWithUid(desired.content, actual.uid);
    plan_.writes.push_back(std::move(write));
  }

  // Nothing new for a Gateway, and nothing is taken from it.
  void keepAllOf(const std::string& gateway) {
    const auto keep = [&](ObjectKind kind, const Objects& objects) {
      for (const auto& [name, one] : objects)
        if (one.gateway == gateway) keep_.insert(std::string(infoOf(kind).name) + ' ' + name);
    };
    keep(ObjectKind::Service, world_.services);
    keep(ObjectKind::EndpointSlice, world_.slices);
    for (const auto& [kind, objects] : world_.others) keep(kind, objects);
  }

  void removeOthers(ObjectKind kind, const Objects& objects) {
    for (const auto& [key, actual] : objects) {
      Write write;
      write.action = Write::Action::Remove;
      write.kind = kind;
      write.name_space = actual.name_space;
      write.name = actual.name;
      write.uid = actual.uid;
      write.gateway = actual.gateway;
      if (!actual.ours || actual.deleting || actual.pods != common_.pods_service ||
          keep_.contains(write.subject()))
        continue;
      plan_.writes.push_back(std::move(write));
    }
  }

  const World& world_;
  const Common& common_;
  const PortRange& range_;
  std::vector<Pod> pods_;
  std::set<std::string> keep_;
  Plan plan_;
};

}  // namespace

std::string Write::subject() const {
  return std::string(infoOf(kind).name) + ' ' + name_space + '/' + name;
}

Objects& World::of(ObjectKind kind) {
  return kind == ObjectKind::Service         ? services
         : kind == ObjectKind::EndpointSlice ? slices
                                             : others[kind];
}

const Objects& World::of(ObjectKind kind) const {
  static const Objects none;
  if (kind == ObjectKind::Service) return services;
  if (kind == ObjectKind::EndpointSlice) return slices;
  const auto found = others.find(kind);
  return found != others.end() ? found->second : none;
}

std::optional<Values> valuesOf(const Gateway& gateway, const World& world, const Common& common,
                               std::string& error) {
  Value tree = common.values;
  for (const Parameters& one : gateway.parameters) {
    const std::string place = one.owner.empty() ? "/spec/infrastructure/parametersRef: "
                                                : one.owner + ", /spec/parametersRef: ";
    if (!one.isConfigMap() || one.name_space.empty()) {
      error = place + (one.isConfigMap() ? "needs a namespace"
                                         : "must name a ConfigMap, not a " + one.kind);
      return std::nullopt;
    }
    const auto found = world.parameters.find(one.key());
    if (found == world.parameters.end()) return std::nullopt;
    const std::string config_map = place + "ConfigMap " + one.key();
    const auto actual = found->second->find(one.key());
    if (actual == found->second->end()) {
      error = config_map + " does not exist";
      return std::nullopt;
    }
    const Value* text = at(actual->second.content, {"data", kValuesKey});
    if (text == nullptr) {
      error = config_map + " has no key " + std::string(kValuesKey);
      return std::nullopt;
    }
    std::string wrong;
    const auto read = k8s_client::readYaml(text->text(), wrong);
    if (!read || !readValues(*read, wrong)) {
      error = config_map + ", " + std::string(kValuesKey) + ": " + wrong;
      return std::nullopt;
    }
    tree = merged(tree, *read);
  }
  std::string wrong;
  auto values = readValues(tree, wrong);
  if (!values) error = "all values together: " + wrong;
  return values;
}

Plan makePlan(const World& world, const Common& common, const PortRange& range) {
  return Planner(world, common, range).make();
}

}  // namespace hyperway::gateway_deployer
