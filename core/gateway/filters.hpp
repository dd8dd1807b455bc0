// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/backends.hpp"
#include "gateway/filter_config_parser.hpp"
#include "gateway/objects.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// A Filter object, judged once for all who refer to it.
struct FilterVerdict {
  std::string plugin;                 ///< spec.plugin.
  std::string config;                 ///< spec.config.
  std::vector<CalloutSpec> backends;  ///< spec.backendRefs.
  route::FilterBindingPtr binding;    ///< Null if refused.
  Verdict verdict;  ///< Accepted of the Filter: UnknownPlugin, NotPermitted or InvalidFilterConfig.
};
/// Judged Filters by key.
using FilterVerdicts = std::unordered_map<std::string, FilterVerdict>;

/// Judges a Filter object: is its plugin there, may its namespace use it, and does the plugin take
/// the configuration.
[[nodiscard]] FilterVerdict judgeFilter(const FilterObject& object, const TranslateOptions& options,
                                        FilterConfigParser& parser);

/// A list of filters, translated.
struct FilterList {
  std::vector<route::Filter>
      filters;  ///< In list order, a route's CORS first wherever it is listed; without mirrors.
  std::vector<route::Mirror> mirrors;  ///< In list order.
  std::vector<Verdict>
      unresolved;       ///< ResolvedRefs of the route: what a filter or mirror was refused for.
  std::string refused;  ///< A mirror that cannot run here, or similar: nobody may pass (500).
};

/// What translateFilters() works with; all borrowed.
struct FilterContext {
  const ObjectStore& store;                        ///< For mirrors and filters' own backends.
  const TranslateOptions& options;                 ///< Likewise.
  FilterConfigParser& parser;                      ///< For the Gateway API's own filters.
  const FilterVerdicts& verdicts;                  ///< For ExtensionRef.
  std::string_view name_space;                     ///< Of the object that has them.
  std::string owner;                               ///< That object: "HTTPRoute ns/name".
  RouteDependencies& dependencies;                 ///< Gets what the outcome depends on.
  route::RouteKind kind = route::RouteKind::Http;  ///< Of the route.
  /// Kind of what has the filters if it is no route but an object with listeners: these run in the
  /// order of the list, whatever they are.
  std::string_view of_listener = {};
};

/// Translates the filters of a rule or backend at `pointer`. A filter that is unknown or refused
/// stays in the list with `refused` set, so that its requests are answered 500 and never passed
/// without it (ARCHITECTURE 3.5).
[[nodiscard]] FilterList translateFilters(const std::vector<FilterSpec>& specs,
                                          const std::string& pointer, const FilterContext& context);

/// Why a list of filters cannot stand in one rule, however each of them is configured: redirect and
/// rewrite together, or one type twice. Empty if it can. Source: Gateway API,
/// HTTPRouteRule.filters.
[[nodiscard]] std::string incompatibleFilters(const std::vector<FilterSpec>& specs);

}  // namespace hyperway::gateway
