// SPDX-License-Identifier: Apache-2.0
#include "gateway/object_store.hpp"

#include <type_traits>

#include "gateway/attachment.hpp"
#include "gateway/translate.hpp"

namespace hyperway::gateway {
namespace {

void unlink(std::unordered_map<std::string, std::set<std::string>>& index,
            const std::string& target, const std::string& key) {
  const auto found = index.find(target);
  if (found == index.end()) return;
  found->second.erase(key);
  if (found->second.empty()) index.erase(found);
}

std::string serviceOf(const EndpointSlice& slice) {
  return slice.service.empty() ? std::string() : objectKey(slice.meta.name_space, slice.service);
}

const std::set<std::string>* lookUp(
    const std::unordered_map<std::string, std::set<std::string>>& index,
    const std::string& target) {
  const auto found = index.find(target);
  return found == index.end() ? nullptr : &found->second;
}

template <class T>
constexpr std::string_view kindName() {
  if constexpr (std::is_same_v<T, GatewayClass>) return "GatewayClass";
  if constexpr (std::is_same_v<T, Gateway>) return "Gateway";
  if constexpr (std::is_same_v<T, ListenerSet>) return "ListenerSet";
  if constexpr (std::is_same_v<T, BackendTlsPolicy>) return "BackendTLSPolicy";
  if constexpr (std::is_same_v<T, ReferenceGrant>) return "ReferenceGrant";
  if constexpr (std::is_same_v<T, Service>) return "Service";
  if constexpr (std::is_same_v<T, EndpointSlice>) return "EndpointSlice";
  if constexpr (std::is_same_v<T, Secret>) return "Secret";
  if constexpr (std::is_same_v<T, ConfigMap>) return "ConfigMap";
  if constexpr (std::is_same_v<T, ClusterTrustBundle>) return "ClusterTrustBundle";
  if constexpr (std::is_same_v<T, Namespace>) return "Namespace";
  return "Filter";
}

template <class T>
constexpr std::string_view groupOf() {
  if constexpr (std::is_same_v<T, FilterObject>) return kHyperwayGroup;
  if constexpr (std::is_same_v<T, EndpointSlice>) return "discovery.k8s.io";
  if constexpr (std::is_same_v<T, ClusterTrustBundle>) return kCertificatesGroup;
  if constexpr (std::is_same_v<T, Service> || std::is_same_v<T, Secret> ||
                std::is_same_v<T, ConfigMap> || std::is_same_v<T, Namespace>)
    return "";
  return kGatewayGroup;
}

}  // namespace

template <class T>
ObjectStore::Effect ObjectStore::put(const ObjectChange& change, std::string key, T object,
                                     Problems& problems) {
  auto& map = std::get<Map<T>>(maps_);
  const auto found = map.find(key);
  const bool gone = change.json.empty();
  if (gone && found == map.end()) return Effect::None;
  if (!gone) {
    object.meta.name_space = change.name_space;
    object.meta.name = change.name;
    if (!decoder_.decode(change.json, object, problems)) return Effect::Rejected;
    if (found != map.end() && found->second == object) return Effect::None;
  }
  if constexpr (std::is_same_v<T, EndpointSlice>) {
    if (found != map.end()) unlink(slices_, serviceOf(found->second), key);
    if (!gone && !object.service.empty()) slices_[serviceOf(object)].insert(key);
  }
  if constexpr (std::is_same_v<T, Service>) {
    if (found != map.end() && !found->second.gateway.empty())
      unlink(gateway_services_, found->second.gateway, key);
    if (!gone && !object.gateway.empty()) gateway_services_[object.gateway].insert(key);
  }
  if constexpr (std::is_same_v<T, ListenerSet>) {
    if (found != map.end()) unlink(gateway_sets_, gatewayOf(found->second), key);
    if (!gone && isGatewayRef(object.parent)) gateway_sets_[gatewayOf(object)].insert(key);
  }
  if constexpr (std::is_same_v<T, BackendTlsPolicy>) {
    if (found != map.end())
      for (const BackendTlsPolicy::Target& target : found->second.targets)
        unlink(tls_policies_, objectKey(change.name_space, target.service), key);
    for (const BackendTlsPolicy::Target& target : object.targets)
      tls_policies_[objectKey(change.name_space, target.service)].insert(key);
  }
  if constexpr (std::is_same_v<T, ReferenceGrant>) {
    if (gone)
      unlink(grants_, change.name_space, key);
    else
      grants_[change.name_space].insert(key);
  }
  if (gone) {
    map.erase(found);
    return Effect::Removed;
  }
  map.insert_or_assign(std::move(key), std::move(object));
  return Effect::Changed;
}

ObjectStore::Effect ObjectStore::apply(const ObjectChange& change, Problems& problems) {
  const auto kind = kindOf(change.group, change.kind);
  if (!kind) return Effect::None;
  std::string key = objectKey(change.name_space, change.name);
  switch (*kind) {
    case Kind::GatewayClass: return put(change, std::move(key), GatewayClass(), problems);
    case Kind::Gateway: return put(change, std::move(key), Gateway(), problems);
    case Kind::Route: {
      RouteObject route;
      for (const route::RouteKind one : route::kRouteKinds)
        if (route::kindText(one) == change.kind) route.kind = one;
      return put(change, change.kind + '/' + key, std::move(route), problems);
    }
    case Kind::ListenerSet: return put(change, std::move(key), ListenerSet(), problems);
    case Kind::BackendTlsPolicy: return put(change, std::move(key), BackendTlsPolicy(), problems);
    case Kind::ReferenceGrant: return put(change, std::move(key), ReferenceGrant(), problems);
    case Kind::Service: return put(change, std::move(key), Service(), problems);
    case Kind::EndpointSlice: return put(change, std::move(key), EndpointSlice(), problems);
    case Kind::Secret: return put(change, std::move(key), Secret(), problems);
    case Kind::ConfigMap: return put(change, std::move(key), ConfigMap(), problems);
    case Kind::ClusterTrustBundle:
      return put(change, std::move(key), ClusterTrustBundle(), problems);
    case Kind::Namespace: return put(change, std::move(key), Namespace(), problems);
    case Kind::Filter: return put(change, std::move(key), FilterObject(), problems);
    case Kind::RouteSnapshot: break;
  }
  return Effect::None;
}

const std::set<std::string>* ObjectStore::slicesOf(const std::string& service_key) const {
  return lookUp(slices_, service_key);
}

const Service* ObjectStore::serviceOfGateway(const std::string& gateway_key) const {
  const Service* oldest = nullptr;
  const auto* keys = lookUp(gateway_services_, gateway_key);
  if (keys == nullptr) return nullptr;
  for (const std::string& key : *keys) {
    const auto* service = find<Service>(key);
    if (oldest == nullptr || service->meta.created < oldest->meta.created) oldest = service;
  }
  return oldest;
}

const std::set<std::string>* ObjectStore::setsOf(const std::string& gateway_key) const {
  return lookUp(gateway_sets_, gateway_key);
}

const std::set<std::string>* ObjectStore::tlsPoliciesOf(const std::string& service_key) const {
  return lookUp(tls_policies_, service_key);
}

const std::set<std::string>* ObjectStore::grantsIn(const std::string& name_space) const {
  return lookUp(grants_, name_space);
}

std::vector<ObjectChange> ObjectStore::list(std::string_view group, std::string_view kind,
                                            std::string_view name_space) const {
  std::vector<ObjectChange> found;
  const auto add = [&]<class T>(const Map<T>& map) {
    for (const auto& [key, object] : map) {
      std::string_view name = kindName<T>();
      if constexpr (std::is_same_v<T, RouteObject>) name = object.kindName();
      if (!kind.empty() && (kind != name || group != groupOf<T>())) continue;
      if (!name_space.empty() && object.meta.name_space != name_space) continue;
      found.push_back({std::string(groupOf<T>()),
                       std::string(name),
                       object.meta.name_space,
                       object.meta.name,
                       {}});
    }
  };
  std::apply([&](const auto&... maps) { (add(maps), ...); }, maps_);
  return found;
}

}  // namespace hyperway::gateway
