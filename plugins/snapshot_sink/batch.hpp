// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "settings.hpp"

namespace hyperway::snapshot_sink {

/// What a batch of the host says (abi/draft/sink.h), cut into texts: nothing in them is read.
struct Batch {
  /// A listener as it goes into a snapshot.
  struct Listener {
    std::string key;   ///< route::Listener::key; begins with that of its Gateway.
    std::string text;  ///< An element of `listeners`.
  };
  /// A route as it goes into a snapshot.
  struct Route {
    std::string key;                        ///< "HTTPRoute/namespace/name", or of another kind.
    std::string text;                       ///< Elements of its kind's list, comma-separated.
    std::size_t count = 0;                  ///< How many.
    std::set<std::string> namespaces = {};  ///< Of backends; filled in by routesByGateway().
  };
  /// What is said of an object.
  struct Status {
    std::string key;   ///< "Kind/namespace/name".
    std::string text;  ///< Elements of the list of its kind, comma-separated.
  };
  bool full = false;                           ///< What is not named is gone.
  bool statuses_only = false;                  ///< It says nothing of listeners and routes.
  std::vector<Status> statuses;                ///< New or changed.
  std::vector<std::string> removed_statuses;   ///< Keys.
  std::vector<Listener> listeners;             ///< New or changed.
  std::vector<std::string> removed_listeners;  ///< Keys.
  std::vector<Route> routes;                   ///< New or changed.
  std::vector<std::string> removed_routes;     ///< Keys.
  std::vector<Owner> gateways;                 ///< New or changed.
  std::vector<std::string> removed_gateways;   ///< Keys.

  /// True if nothing changes.
  [[nodiscard]] bool empty() const noexcept {
    return !full && listeners.empty() && removed_listeners.empty() && routes.empty() &&
           removed_routes.empty() && gateways.empty() && removed_gateways.empty();
  }
};

/// Namespaces of the backends that elements of a list of routes, or listeners, lead to.
[[nodiscard]] std::set<std::string> namespacesOf(std::string_view rules);

/// What of a status is for which Gateway: by its key, "namespace/name". For an empty one: all, if
/// it is the status of a GatewayClass.
[[nodiscard]] std::map<std::string, Batch::Status> statusesByGateway(const Batch::Status& status);

/// What of a route is for which Gateway: by its key, "namespace/name".
[[nodiscard]] std::map<std::string, Batch::Route> routesByGateway(const Batch::Route& route);

/// Reads a batch; nothing, with a sentence in `error`, if it is none.
[[nodiscard]] std::optional<Batch> readBatch(std::string_view json, std::string& error);

}  // namespace hyperway::snapshot_sink
