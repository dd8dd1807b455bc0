// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::gateway {

/// A metav1.Condition without its time, which the writer sets when status or reason change.
struct Condition {
  std::string type;                      ///< "Accepted", "ResolvedRefs", "Programmed", …
  bool status = false;                   ///< "True" or "False" …
  bool unknown = false;                  ///< … or "Unknown".
  std::string reason;                    ///< CamelCase.
  std::string message;                   ///< A sentence in the user's words.
  std::int64_t observed_generation = 0;  ///< metadata.generation that was looked at.

  /// Field-wise equality, to tell semantic changes.
  friend bool operator==(const Condition&, const Condition&) = default;
};

/// What a condition says about its object.
enum class Health : std::uint8_t {
  Good,     ///< All is well.
  Pending,  ///< Not in force yet, or served in part only.
  Failing,  ///< Somebody has to do something.
};

/// What a condition says: of most kinds False is bad, of those that name a fault True.
[[nodiscard]] Health healthOf(const Condition& condition);

/// Gateway API ListenerStatus.
struct ListenerStatus {
  std::string name;                          ///< Listener name.
  std::vector<std::string> supported_kinds;  ///< Kinds of group gateway.networking.k8s.io.
  std::int32_t attached_routes =
      0;  ///< Routes that are attached, whether their refs resolve or not.
  std::vector<Condition> conditions;  ///< Accepted, Programmed, ResolvedRefs, Conflicted …

  /// Field-wise equality.
  friend bool operator==(const ListenerStatus&, const ListenerStatus&) = default;
};

/// Gateway API RouteParentStatus or PolicyAncestorStatus, of our controller only.
struct ParentStatus {
  std::string group, kind, name_space, name,
      section_name;                   ///< The parentRef as the route wrote it; empty: absent.
  std::int32_t port = 0;              ///< 0: absent.
  std::vector<Condition> conditions;  ///< Accepted, ResolvedRefs, PartiallyInvalid …
  std::string gateway = {};           ///< Of a ListenerSet: key of its Gateway. Not in the status.

  /// Field-wise equality.
  friend bool operator==(const ParentStatus&, const ParentStatus&) = default;
};

/// Something of a RouteSnapshot that a data plane cannot do.
struct Refusal {
  std::string name;    ///< A listener ("namespace/gateway/listener") or rule
                       ///< ("namespace/route/ruleIndex").
  std::string reason;  ///< In the user's words.

  /// Field-wise equality.
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// Status of one object, as data: what to write back, and why.
struct ObjectStatus {
  std::string kind, name_space, name;  ///< The object; name_space empty for cluster-scoped kinds.
  std::int64_t generation = 0;         ///< metadata.generation that was looked at.
  std::vector<Condition> conditions;   ///< GatewayClass, Gateway, ListenerSet, Filter.
  std::vector<std::string> supported_features;  ///< GatewayClass only; sorted.
  std::vector<std::string> addresses;           ///< Gateway only; IP addresses or host names.
  std::vector<std::string> cluster_addresses;   ///< Likewise, of routability Cluster.
  std::vector<ListenerStatus> listeners;        ///< Gateway and ListenerSet.
  std::int32_t attached_sets = 0;               ///< Gateway only: ListenerSets that are accepted.
  std::string gateway;                          ///< ListenerSet only: key of its Gateway.
  std::vector<ParentStatus> parents;            ///< Routes only.
  std::vector<ParentStatus> ancestors;          ///< BackendTLSPolicy only.
  std::string checksum;                         ///< RouteSnapshot only: what is served.
  std::vector<Refusal> refused;                 ///< RouteSnapshot only: what of it is not.

  /// Field-wise equality.
  friend bool operator==(const ObjectStatus&, const ObjectStatus&) = default;
  /// "Kind/namespace/name".
  [[nodiscard]] std::string key() const { return kind + '/' + name_space + '/' + name; }
};

/// Calls `visit(place, condition)` for each condition of a status that is not Good; the place is
/// the listener's name, the parent's "namespace/name" with its section, or empty: the object
/// itself.
void forEachProblem(
    const ObjectStatus& status,
    const std::function<void(const std::string& place, const Condition& condition)>& visit);

/// The worst that a status says.
[[nodiscard]] Health healthOf(const ObjectStatus& status);

/// Statuses that changed, and objects that no longer have one of ours.
struct StatusBatch {
  std::vector<ObjectStatus> updated;  ///< By object, at most once each.
  std::vector<std::string>
      removed;  ///< ObjectStatus::key() of objects that are gone or no longer ours.
};

/// The status stanza as JSON in the Gateway API's schema (lastTransitionTime left out).
/// `controller_name` goes into the parents of routes and the ancestors of policies; empty: whoever
/// writes it adds it.
[[nodiscard]] std::string toJson(const ObjectStatus& status, std::string_view controller_name = {});

/// The same as the elements of a list in the spec of a RouteSnapshot, comma-separated (CONTRACT.md
/// has the fields): `routeDiagnostics` for routes, `gatewayListenerStatuses` for Gateways and
/// ListenerSets, `gatewayClassStatuses` for GatewayClasses; empty for other kinds.
[[nodiscard]] std::string toSnapshot(const ObjectStatus& status);

}  // namespace hyperway::gateway
