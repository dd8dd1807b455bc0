// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/listeners.hpp"
#include "gateway/object_store.hpp"
#include "gateway/objects.hpp"
#include "gateway/verdict.hpp"

namespace hyperway::gateway {

/// What of a route decides where it attaches.
struct RouteView {
  std::string_view kind;        ///< "HTTPRoute", …
  std::string_view name_space;  ///< Of the route.
  const std::vector<std::string>&
      hostnames;  ///< Lower case; empty: any. Ignored for kinds without hosts.
};

/// Where a parentRef leads.
struct ParentVerdict {
  Verdict accepted;  ///< NoMatchingParent, NotAllowedByListeners or NoMatchingListenerHostname.
  std::vector<std::size_t> listeners;  ///< Indices of the listeners that take the route.
};

/// Attaches a route to a Gateway of ours by one parentRef at `pointer`, which names the Gateway
/// itself or, where `set` is not empty, the ListenerSet of that key: the listeners of the one are
/// none of the other's. Listeners take part whether they are accepted or not (Gateway API,
/// ListenerStatus.attachedRoutes); the caller looks at `served` for the model.
[[nodiscard]] ParentVerdict attach(const ParentRef& ref, const std::string& pointer,
                                   const RouteView& route, const GatewayState& gateway,
                                   const std::string& set, const ObjectStore& store);

/// True if `labels` fulfil `selector` (metav1.LabelSelector; an empty one takes all).
[[nodiscard]] bool selects(const LabelSelector& selector, const Labels& labels);

/// True if an object in namespace `own` takes what is in `name_space`, where it says `from`.
[[nodiscard]] bool allowsNamespace(RoutesFrom from, const std::optional<LabelSelector>& selector,
                                   std::string_view name_space, std::string_view own,
                                   const ObjectStore& store);

/// True if `ref` names a ListenerSet.
[[nodiscard]] bool isSetRef(const ParentRef& ref);

/// True if `ref` names a Gateway (by default it does).
[[nodiscard]] bool isGatewayRef(const ParentRef& ref);

/// Key of the Gateway that a ListenerSet refers to; empty if it refers to something else.
[[nodiscard]] std::string gatewayOf(const ListenerSet& set);

/// Key of the object that `ref` names, for a route in `name_space`.
[[nodiscard]] std::string parentKey(const ParentRef& ref, const std::string& name_space);

}  // namespace hyperway::gateway
