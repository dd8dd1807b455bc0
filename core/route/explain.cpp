// SPDX-License-Identifier: Apache-2.0
// HostTable::explain: the slow twin of match(), which says why each candidate lost.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "route/host_table.hpp"

namespace hyperway::route {

namespace {

/// More would bury the answer.
constexpr std::size_t kMaxMisses = 64;

std::string pathText(const PathPlace& place) {
  switch (place.kind) {
    case MatchKind::Exact: return fmt::format("exact path \"{}\"", place.value);
    case MatchKind::Prefix:
      return fmt::format("path prefix \"{}\"", place.value.empty() ? "/" : place.value);
    case MatchKind::Regex: return fmt::format("path expression \"{}\"", place.value);
  }
  return {};
}

bool prefixCovers(std::string_view prefix, std::string_view path) {
  prefix = prefixKey(prefix);
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

class Explanation {
 public:
  Explanation(const http::RequestHead& head, std::string_view method, std::vector<NearMiss>& misses)
      : head_(head), method_(method), misses_(misses) {}

  /// One that was tried and did not fit.
  void lost(const Candidate& candidate, const PathPlace& place) {
    std::string why = candidate.conditions ? candidate.conditions->whyNot(head_, method_) : "";
    if (why.empty()) why = fmt::format("path \"{}\" does not match", head_.path);
    add(candidate, fmt::format("{}: {}", pathText(place), why));
  }

  /// One of the same hostname that was never tried, or not reached.
  void notTried(const PathPlace& place, const Candidate& candidate, const MatchResult& winner) {
    if (winner.rule != nullptr && candidate.rule.get() == winner.rule &&
        candidate.match_index == winner.match_index) {
      return;
    }
    if (known(candidate)) return;
    const bool path_fits = place.kind == MatchKind::Exact    ? place.value == head_.path
                           : place.kind == MatchKind::Prefix ? prefixCovers(place.value, head_.path)
                                                             : false;
    if (path_fits && winner.rule != nullptr) {
      add(candidate,
          fmt::format("{}: comes after {} in precedence", pathText(place), winner.rule->rule->id));
    } else if (!path_fits) {
      add(candidate, fmt::format("{} is not \"{}\"", pathText(place), head_.path));
    }
  }

 private:
  [[nodiscard]] bool known(const Candidate& candidate) const {
    return std::any_of(misses_.begin(), misses_.end(), [&](const NearMiss& miss) {
      return miss.match_index == candidate.match_index && miss.rule_id == candidate.rule->rule->id;
    });
  }
  void add(const Candidate& candidate, std::string reason) {
    if (misses_.size() >= kMaxMisses) return;
    misses_.push_back({candidate.rule->rule->id, candidate.match_index, std::move(reason)});
  }

  const http::RequestHead& head_;
  std::string_view method_;
  std::vector<NearMiss>& misses_;
};

}  // namespace

MatchResult HostTable::explain(const http::RequestHead& head, std::string_view method,
                               std::vector<NearMiss>& misses) const {
  MatchResult result;
  PathKey path{head.path, 0};
  Explanation explanation(head, method, misses);
  forHost(head.host, [&](const HostPaths& paths) {
    result = paths.match(head, method, path, [&](const Candidate& each, const PathPlace& place) {
      explanation.lost(each, place);
    });
    paths.forEach([&](const PathPlace& place, const Candidate& each) {
      explanation.notTried(place, each, result);
    });
    return result.rule != nullptr;
  });
  return result;
}

}  // namespace hyperway::route
