// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json_pointer.hpp"
#include "base/result.hpp"
#include "gateway/objects.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// Whose sessions they are: no two rules share any (GEP-1619, Edge Case Behavior).
struct SessionOwner {
  route::RouteKind kind;       ///< Of the route.
  std::string route;           ///< "namespace/name".
  std::string_view secret;     ///< The route's uid, which nobody outside of the cluster knows, or
                               ///< TranslateOptions::session_secret.
  std::string_view rule;       ///< Rule::id; counts where the rule has no name.
  std::string_view rule_name;  ///< Rule::name; with one, sessions outlive a change of order.
};

/// Translates a rule's session persistence; `matches` are the rule's. Errors name the field under
/// sessionPersistence. Source: Gateway API v1.7, SessionPersistence; GEP-1619 for the form before,
/// whose cookies have the path that all matches of the rule have in common.
[[nodiscard]] Result<route::Session, Problem> translateSession(
    const SessionSpec& spec, const SessionOwner& owner, const std::vector<route::Match>& matches);

}  // namespace hyperway::gateway
