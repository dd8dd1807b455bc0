// SPDX-License-Identifier: Apache-2.0
// From an object that changed to what depends on it.
#include <algorithm>
#include <utility>

#include "gateway/attachment.hpp"
#include "gateway/known_fields.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {

void Translator::State::touchRoutes(const ReverseIndex<RouteState>& index,
                                    const std::string& target, Redo redo, Work& work) const {
  index.forEach(target, [&](const RouteState& state) { work.route(state.key, redo); });
}

void Translator::State::touchUpstreams(const std::string& service_key, Work& work) const {
  const auto found = upstreams_by_service.find(service_key);
  if (found != upstreams_by_service.end())
    work.upstreams.insert(found->second.begin(), found->second.end());
}

void Translator::State::touchGateways(const std::vector<std::string> GatewayState::*list,
                                      const std::string& key, Work& work) const {
  for (const auto& [name, gateway] : gateways)
    if (std::count((gateway.*list).begin(), (gateway.*list).end(), key) > 0)
      work.gateways.insert(name);
}

void Translator::State::take(const ObjectChange& change, Work& work, Outcome& outcome) {
  const auto kind = kindOf(change.group, change.kind);
  if (!kind) return;
  const std::string key = objectKey(change.name_space, change.name);
  const std::string full_key = change.kind + '/' + key;
  if (change.replaced) book.replace(full_key);
  if (*kind == Kind::RouteSnapshot) return takeSnapshot(change, work, outcome);
  // A slice or policy may move from one Service to another, so the one it leaves counts too; so
  // may a Service or ListenerSet from one Gateway to another.
  if (*kind == Kind::EndpointSlice || *kind == Kind::BackendTlsPolicy || *kind == Kind::ListenerSet)
    touched(*kind, change, key, work);
  std::string old_gateway;
  if (*kind == Kind::Service)
    if (const auto* service = store.find<Service>(key)) old_gateway = service->gateway;
  Problems problems;
  const auto effect = store.apply(change, problems);
  if (options.find_unknown_fields) {
    unknown_fields.erase(full_key);
    if (!change.json.empty())
      if (auto found = unknownFields(change.group, change.kind, change.json); !found.empty())
        unknown_fields.emplace(full_key, std::move(found));
  }
  if (effect == ObjectStore::Effect::Rejected) return reject(change, problems, outcome);
  rejected.erase(full_key);
  if (effect == ObjectStore::Effect::None && !change.replaced) return;
  touched(*kind, change, key, work);
  if (!old_gateway.empty()) touchGateway(old_gateway, work);
}

void Translator::State::reject(const ObjectChange& change, const Problems& problems,
                               Outcome& outcome) {
  const std::string key = objectKey(change.name_space, change.name);
  const std::string& shown = change.name_space.empty() ? change.name : key;
  for (const Problem& problem : problems.list())
    outcome.rejected.push_back(change.kind + ' ' + shown + ": " + problem.pointer + ": " +
                               problem.message);
  rejected[change.kind + '/' + key] = problems.list();
}

void Translator::State::touchGateway(const std::string& key, Work& work) const {
  if (gateways.contains(key)) work.gateways.insert(key);
}

void Translator::State::touched(Kind kind, const ObjectChange& change, const std::string& key,
                                Work& work) {
  switch (kind) {
    case Kind::GatewayClass:
      work.classes.insert(key);
      for (const auto& [name, gateway] : store.all<Gateway>())
        if (gateway.class_name == change.name) work.gateways.insert(name);
      break;
    case Kind::Gateway: work.gateways.insert(key); break;
    case Kind::Route: work.route(change.kind + '/' + key, Redo::Everything); break;
    case Kind::ListenerSet:
      work.listener_sets.insert(key);
      touchRoutes(routes_by_parent, listenerSetTarget(key), Redo::Attachment, work);
      if (const auto* set = store.find<ListenerSet>(key)) touchGateway(gatewayOf(*set), work);
      break;
    case Kind::ReferenceGrant:
      touchRoutes(routes_by_grants, change.name_space, Redo::Rules, work);
      touchGateways(&GatewayState::namespaces, change.name_space, work);
      break;
    case Kind::Service:
      touchRoutes(routes_by_service, key, Redo::Rules, work);
      touchGateways(&GatewayState::services, key, work);
      touchUpstreams(key, work);
      if (const auto* service = store.find<Service>(key); service && !service->gateway.empty())
        touchGateway(service->gateway, work);
      if (options.gateway_addresses == AddressSource::Merged && key == options.gateway_service)
        for (const auto& [name, gateway] : gateways) work.gateways.insert(name);
      touchPolicies({key});
      break;
    case Kind::BackendTlsPolicy: touchTargets(key, work); break;
    case Kind::EndpointSlice:
      if (const auto* slice = store.find<EndpointSlice>(key))
        touchUpstreams(objectKey(change.name_space, slice->service), work);
      break;
    case Kind::Secret:
      certificates.refresh(store, key, options.check_certificate);
      touchGateways(&GatewayState::secrets, key, work);
      work.snapshots = work.snapshots || snapshots.secrets().contains(key);
      break;
    case Kind::Namespace:
      touchRoutes(routes_by_namespace, change.name, Redo::Attachment, work);
      for (const auto& [name, gateway] : gateways) {
        const auto* spec = store.find<Gateway>(name);
        if (spec != nullptr && spec->allowed_listeners.from == RoutesFrom::Selector &&
            std::any_of(gateway.sets.begin(), gateway.sets.end(),
                        [&](const SetState& set) { return set.meta.name_space == change.name; }))
          work.gateways.insert(name);
      }
      break;
    case Kind::Filter: work.filters.insert(key); break;
    case Kind::ConfigMap:
    case Kind::ClusterTrustBundle: touchRelying(key, work); break;
    case Kind::RouteSnapshot: work.snapshots = true; break;
  }
}

void Translator::State::touchPolicies(const std::vector<std::string>& services) {
  for (const std::string& service : services)
    if (const auto* keys = store.tlsPoliciesOf(service))
      touched_policies.insert(keys->begin(), keys->end());
}

void Translator::State::touchTargets(const std::string& policy_key, Work& work) {
  touched_policies.insert(policy_key);
  const auto* policy = store.find<BackendTlsPolicy>(policy_key);
  if (policy == nullptr) return;
  for (const BackendTlsPolicy::Target& target : policy->targets) {
    const std::string service = objectKey(policy->meta.name_space, target.service);
    // Whether a backend resolves may depend on there being a policy.
    touchRoutes(routes_by_service, service, Redo::Rules, work);
    touchGateways(&GatewayState::services, service, work);
    touchUpstreams(service, work);
    touchPolicies({service});
  }
}

void Translator::State::touchRelying(const std::string& config_map, Work& work) {
  authorities.forget(config_map);
  touchGateways(&GatewayState::config_maps, config_map, work);
  for (const auto& [key, policy] : store.all<BackendTlsPolicy>()) {
    const bool relies = std::any_of(
        policy.authorities.begin(), policy.authorities.end(),
        [&](const CaRef& ref) { return authorityKey(ref, policy.meta.name_space) == config_map; });
    if (!relies) continue;
    touched_policies.insert(key);
    for (const BackendTlsPolicy::Target& target : policy.targets)
      touchUpstreams(objectKey(policy.meta.name_space, target.service), work);
  }
}

void Translator::State::touchEverything(Work& work) {
  const auto keys = [](const auto& map, std::set<std::string>& out) {
    for (const auto& [key, value] : map) out.insert(key);
  };
  keys(store.all<GatewayClass>(), work.classes);
  keys(store.all<Gateway>(), work.gateways);
  keys(store.all<FilterObject>(), work.filters);
  keys(store.all<ListenerSet>(), work.listener_sets);
  keys(store.all<BackendTlsPolicy>(), touched_policies);
  keys(upstream_users, work.upstreams);
  for (const auto& [key, route] : store.all<RouteObject>()) work.route(key, Redo::Rules);
  for (const auto& [key, route] : snapshots.routes()) work.snapshot_routes.insert(key);
  work.snapshots = true;
}

}  // namespace hyperway::gateway
