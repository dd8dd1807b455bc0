// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "route/model.hpp"

namespace hyperway::route {

/// Everything about a match that decides which of several wins for one route hostname. Views belong
/// to the route.
struct MatchRank {
  MatchKind path_kind = MatchKind::Prefix;  ///< Exact before Regex before Prefix.
  std::size_t path_size = 0;  ///< Characters of a Prefix, without trailing slash: the longest wins.
  bool has_method = false;    ///< One that names a method wins.
  std::size_t headers = 0;    ///< Number of header conditions: the most win.
  std::size_t query = 0;      ///< Number of query conditions: the most win.
  std::int64_t created = 0;   ///< Of the route: the oldest wins.
  std::string_view route_key;     ///< Route::key, "Kind/namespace/name": alphabetically first wins.
  std::uint32_t rule_index = 0;   ///< The first rule wins.
  std::uint32_t match_index = 0;  ///< The first match of a rule wins.
};

/// True if `a` is tried before `b`. A strict total order for matches of different routes, rules or
/// places.
///
/// Source: Gateway API HTTPRouteRule.matches. It leaves the place of regular expressions open; ours
/// is between exact paths and prefixes, so that a catch-all prefix does not hide them. Among
/// themselves they follow the remaining criteria, since the length of a pattern says nothing about
/// how much it matches.
[[nodiscard]] bool precedes(const MatchRank& a, const MatchRank& b) noexcept;

/// "namespace/name" of a Route::key, which is what the alphabetical order is about; the whole key
/// if it has another form.
[[nodiscard]] std::string_view rankedName(std::string_view route_key) noexcept;

}  // namespace hyperway::route
