// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hyperway::k8s_source {

/// Which Secrets, ConfigMaps and ClusterTrustBundles are referred to by Gateways of our classes, by
/// ListenerSets that those may take, and by BackendTLSPolicies: those are read, and no others. Not
/// locked.
class References {
 public:
  /// One of them.
  struct Target {
    std::string kind;  ///< "Secret", "ConfigMap" or "ClusterTrustBundle".
    std::string key;   ///< "namespace/name", "/name" of a ClusterTrustBundle.
    /// By kind, then key.
    friend auto operator<=>(const Target&, const Target&) = default;
  };

  /// Classes whose spec.controllerName is this one are ours.
  explicit References(std::string controller_name) : controller_name_(std::move(controller_name)) {}

  /// Takes the `spec` of a GatewayClass, Gateway, ListenerSet or BackendTLSPolicy; of others
  /// nothing.
  void put(std::string_view kind, const std::string& key, std::string_view name_space,
           std::string_view spec);
  /// Forgets an object.
  void remove(std::string_view kind, const std::string& key);
  /// What is referred to now.
  [[nodiscard]] std::set<Target> wanted() const;
  /// True if something was put or removed since the last call.
  [[nodiscard]] bool takeChanged() noexcept { return std::exchange(changed_, false); }

 private:
  struct GatewayRefs {
    std::string class_name;
    std::string sets_from;  // spec.allowedListeners.namespaces.from
    std::vector<Target> targets;
    friend bool operator==(const GatewayRefs&, const GatewayRefs&) = default;
  };
  struct SetRefs {
    std::string gateway;  // key of its parent
    std::vector<Target> targets;
    friend bool operator==(const SetRefs&, const SetRefs&) = default;
  };

  void putGateway(const std::string& key, GatewayRefs refs);
  void putSet(const std::string& key, SetRefs refs);
  [[nodiscard]] bool mayTake(const std::string& set_key, const SetRefs& set) const;

  std::string controller_name_;
  std::set<std::string> classes_;  // names of ours
  std::map<std::string, GatewayRefs> gateways_;
  std::map<std::string, SetRefs> sets_;
  std::map<std::string, std::vector<Target>> policies_;
  bool changed_ = false;
};

}  // namespace hyperway::k8s_source
