// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "gateway/objects.hpp"

namespace hyperway::gateway {

struct ObjectChange;

/// The objects as they are now, by kind and key (objectKey(); for routes with the kind in
/// front). Pointers to an object stay valid until it is replaced or removed. [control]
class ObjectStore {
 public:
  /// What a change came to.
  enum class Effect : std::uint8_t {
    None,      ///< Foreign kind, or nothing that we use has changed.
    Changed,   ///< New or different.
    Removed,   ///< It was there and is gone.
    Rejected,  ///< Does not decode; the form that was there before stays.
  };

  /// Takes a change in. `problems` gets what is wrong with the object as a whole.
  [[nodiscard]] Effect apply(const ObjectChange& change, Problems& problems);

  /// The object with this key, or null.
  template <class T>
  [[nodiscard]] const T* find(const std::string& key) const {
    const auto& map = std::get<Map<T>>(maps_);
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
  }
  /// All objects of a kind, in no order.
  template <class T>
  [[nodiscard]] const std::unordered_map<std::string, T>& all() const {
    return std::get<Map<T>>(maps_);
  }
  /// Keys of the EndpointSlices of a Service, sorted; null if there is none.
  [[nodiscard]] const std::set<std::string>* slicesOf(const std::string& service_key) const;
  /// The Service that was made for a Gateway, the oldest if there are several; null if there is
  /// none.
  [[nodiscard]] const Service* serviceOfGateway(const std::string& gateway_key) const;
  /// Keys of the ListenerSets that refer to a Gateway, sorted; null if there is none.
  [[nodiscard]] const std::set<std::string>* setsOf(const std::string& gateway_key) const;
  /// Keys of the BackendTLSPolicies that target a Service, sorted; null if there is none.
  [[nodiscard]] const std::set<std::string>* tlsPoliciesOf(const std::string& service_key) const;
  /// Keys of the ReferenceGrants in a namespace, sorted; null if there is none.
  [[nodiscard]] const std::set<std::string>* grantsIn(const std::string& name_space) const;
  /// Identities of all objects of a kind in a namespace (empty: in all), as changes without
  /// content.
  [[nodiscard]] std::vector<ObjectChange> list(std::string_view group, std::string_view kind,
                                               std::string_view name_space) const;

 private:
  template <class T>
  using Map = std::unordered_map<std::string, T>;
  using Index = std::unordered_map<std::string, std::set<std::string>>;

  template <class T>
  Effect put(const ObjectChange& change, std::string key, T object, Problems& problems);

  ObjectDecoder decoder_;
  std::tuple<Map<GatewayClass>, Map<Gateway>, Map<RouteObject>, Map<ListenerSet>,
             Map<BackendTlsPolicy>, Map<ReferenceGrant>, Map<Service>, Map<EndpointSlice>,
             Map<Secret>, Map<ConfigMap>, Map<ClusterTrustBundle>, Map<Namespace>,
             Map<FilterObject>>
      maps_;
  Index slices_;
  Index gateway_services_;
  Index gateway_sets_;
  Index grants_;
  Index tls_policies_;
};

}  // namespace hyperway::gateway
