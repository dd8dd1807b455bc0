// SPDX-License-Identifier: Apache-2.0
#include "route/precedence.hpp"

namespace hyperway::route {

namespace {

int place(MatchKind kind) noexcept {
  switch (kind) {
    case MatchKind::Exact: return 0;
    case MatchKind::Regex: return 1;
    case MatchKind::Prefix: return 2;
  }
  return 3;
}

}  // namespace

std::string_view rankedName(std::string_view route_key) noexcept {
  const std::size_t slash = route_key.find('/');
  return slash == std::string_view::npos ? route_key : route_key.substr(slash + 1);
}

bool precedes(const MatchRank& a, const MatchRank& b) noexcept {
  if (a.path_kind != b.path_kind) return place(a.path_kind) < place(b.path_kind);
  if (a.path_kind == MatchKind::Prefix && a.path_size != b.path_size) {
    return a.path_size > b.path_size;
  }
  if (a.has_method != b.has_method) return a.has_method;
  if (a.headers != b.headers) return a.headers > b.headers;
  if (a.query != b.query) return a.query > b.query;
  if (a.created != b.created) return a.created < b.created;
  if (const int order = rankedName(a.route_key).compare(rankedName(b.route_key)); order != 0) {
    return order < 0;
  }
  // Two kinds of route with one name: any order will do, as long as it is always the same.
  if (const int order = a.route_key.compare(b.route_key); order != 0) return order < 0;
  if (a.rule_index != b.rule_index) return a.rule_index < b.rule_index;
  return a.match_index < b.match_index;
}

}  // namespace hyperway::route
