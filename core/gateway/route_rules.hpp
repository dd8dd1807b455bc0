// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/filters.hpp"
#include "gateway/objects.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// The rules of a route, translated. They do not depend on where the route is attached.
struct RouteRules {
  std::shared_ptr<const std::vector<route::Rule>> rules;  ///< Those that take effect; never null.
  std::vector<std::string> hostnames;                     ///< The route's, lower case.
  std::vector<Verdict> unresolved;  ///< ResolvedRefs findings; empty: all resolved.
  std::vector<Verdict>
      dropped;  ///< Rules that are invalid in themselves: UnsupportedValue or IncompatibleFilters.
  Verdict accepted;  ///< Not fine if the route as a whole cannot be accepted anywhere.
  RouteDependencies dependencies;  ///< What the outcome depends on, beyond the route.
};

/// What translateRules() works with; all borrowed.
struct RuleContext {
  const ObjectStore& store;         ///< Services and grants.
  const TranslateOptions& options;  ///< Of the translator.
  FilterConfigParser& parser;       ///< Asked about each filter.
  const FilterVerdicts& filters;    ///< Judged Filter objects.
};

/// Translates the rules of `route`. Source: Gateway API v1.7, HTTPRouteRule, GRPCRouteRule,
/// TLSRouteRule, TCPRouteRule, UDPRouteRule; ARCHITECTURE 3.5 for bad rules.
[[nodiscard]] RouteRules translateRules(const RouteObject& route, const RuleContext& context);

/// True if two translations of one and the same route came to the same rules.
[[nodiscard]] bool sameRules(const std::vector<route::Rule>& a, const std::vector<route::Rule>& b);

}  // namespace hyperway::gateway
