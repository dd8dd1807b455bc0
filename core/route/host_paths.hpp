// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prefetch.hpp"
#include "route/candidates.hpp"
#include "route/persistent_map.hpp"
#include "route/prefix_tree.hpp"
#include "route/ref.hpp"
#include "route/regex.hpp"
#include "route/table.hpp"
#include "route/text_hash.hpp"

namespace hyperway::route {

/// A path and its hash, so that one request hashes it once.
struct PathKey {
  std::string_view text;   ///< Normalised path.
  std::uint64_t hash = 0;  ///< hashText(text).
};

/// A match whose path is a regular expression.
struct RegexCandidate {
  RegexPtr path;        ///< Never null.
  Candidate candidate;  ///< The rest.
};

/// The regular expressions of a host, in precedence order. Immutable once shared.
struct RegexList : RefCounted {
  std::vector<RegexCandidate> items;  ///< At least one.
  /// All are of GRPCRoutes. These come after prefixes but the one of all paths: a call's service
  /// that is named counts more than a method that is (Gateway API, GRPCRouteRule.matches).
  bool calls = false;
  /// Frees it.
  static void destroy(RegexList* self) noexcept { delete self; }
};

/// Where a match is in a host's paths.
struct PathPlace {
  MatchKind kind = MatchKind::Prefix;  ///< Which structure.
  std::string_view value;              ///< Path, prefix or pattern, as in the model.
};

/// Candidates of one exact path.
class ExactPath : public RefCounted {
 public:
  /// A path with candidates.
  [[nodiscard]] static Ref<ExactPath> make(std::uint64_t hash, std::string_view path,
                                           Ref<CandidateList> candidates);
  /// Frees it.
  static void destroy(ExactPath* self) noexcept;
  /// hashText(key()).
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  /// The path.
  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), size_};
  }

 private:
  ExactPath(std::uint64_t hash, std::size_t size) noexcept
      : size_(static_cast<std::uint32_t>(size)), hash_(hash) {}
  ~ExactPath() = default;

  std::uint32_t size_;
  std::uint64_t hash_;

 public:
  Ref<CandidateList> candidates;  ///< Never null.
};

/// All paths of one route hostname: exact ones by hash, regular expressions in precedence order,
/// prefixes in a tree.
class HostPaths : public RefCounted {
 public:
  /// No paths yet.
  [[nodiscard]] static Ref<HostPaths> make(std::uint64_t hash, std::string_view key);
  /// A copy that shares everything below.
  [[nodiscard]] static Ref<HostPaths> copy(const HostPaths& other);
  /// Frees it.
  static void destroy(HostPaths* self) noexcept;
  /// hashText(key()).
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  /// The host, or ".suffix" for a wildcard.
  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), key_size_};
  }

  /// Adds a match; only while nobody shares this. `regex` is for places of kind Regex.
  void add(const PathPlace& place, const RegexPtr& regex, Candidate candidate);
  /// Takes away what leads to `rules` at a place; only while nobody shares this.
  void remove(const PathPlace& place, std::span<const CompiledRule* const> rules);
  /// True if no match is left.
  [[nodiscard]] bool empty() const noexcept {
    return exact_.empty() && prefixes_.empty() && !regexes_;
  }

  /// Asks for what the most likely match will read first: the prefixes' root, and its rule.
  void prefetchMatch() const noexcept {
    prefixes_.prefetchRoot();
    if (likely_ != nullptr) likely_->prefetch();
  }
  /// Asks for what comes behind that.
  void prefetchBehind() const noexcept {
    if (!sole_) prefixes_.prefetchCandidates();
    if (likely_ != nullptr) likely_->prefetchBehind();
  }
  /// The first match in precedence order that holds; `lost(candidate, place)` hears of those that
  /// were tried before. A place's value is a view into the table.
  template <class Lost>
  [[nodiscard]] MatchResult match(const http::RequestHead& head, std::string_view method,
                                  PathKey& path, Lost&& lost) const;
  /// Calls `visit(place, candidate)` for all, in no useful order.
  void forEach(const std::function<void(const PathPlace&, const Candidate&)>& visit) const;
  /// Calls `visit` for each node, to see what two tables share.
  void forEachNode(const std::function<void(const void*)>& visit) const;

 private:
  /// The first expression that holds.
  template <class Lost>
  [[nodiscard]] MatchResult matchRegex(const http::RequestHead& head, std::string_view method,
                                       std::string_view path, Lost&& lost) const;

  HostPaths(std::uint64_t hash, std::size_t key_size) noexcept
      : key_size_(static_cast<std::uint32_t>(key_size) & 0x7fffffff), hash_(hash) {}
  ~HostPaths() = default;

  std::uint32_t key_size_ : 31;
  // likely_ belongs to the only match, and a prefix is all that it asks for.
  std::uint32_t sole_ : 1 = 0;
  std::uint64_t hash_;
  // Of the last match that came, which for most hosts is the only one; null once one has gone.
  const CompiledRule* likely_ = nullptr;
  PersistentMap<ExactPath> exact_;
  PrefixTree prefixes_;
  // Copied as a whole by an edit of one of its own: a host with thousands of expressions is slow to
  // match anyway.
  Ref<RegexList> regexes_;
};

template <class Lost>
MatchResult HostPaths::matchRegex(const http::RequestHead& head, std::string_view method,
                                  std::string_view path, Lost&& lost) const {
  for (const RegexCandidate& each : regexes_->items) {
    // Conditions first: they are cheaper than an expression.
    if (each.candidate.holds(head, method) && each.path->matches(path))
      return each.candidate.result(static_cast<std::uint32_t>(path.size()));
    lost(each.candidate, PathPlace{MatchKind::Regex, each.path->pattern()});
  }
  return {};
}

template <class Lost>
MatchResult HostPaths::match(const http::RequestHead& head, std::string_view method, PathKey& path,
                             Lost&& lost) const {
  const auto whole = static_cast<std::uint32_t>(path.text.size());
  if (!exact_.empty()) {
    if (path.hash == 0) path.hash = hashText(path.text);
    if (const ExactPath* exact = exact_.find(path.hash, path.text)) {
      for (const Candidate& each : std::as_const(*exact->candidates).items()) {
        if (each.holds(head, method)) return each.result(whole);
        lost(each, PathPlace{MatchKind::Exact, exact->key()});
      }
    }
  }
  bool late = regexes_ && regexes_->calls;
  if (regexes_ && !late)
    if (const MatchResult found = matchRegex(head, method, path.text, lost); found.rule != nullptr)
      return found;
  PrefixTree::Hits found;
  for (std::size_t limit = std::numeric_limits<std::size_t>::max();;) {
    prefixes_.covering(path.text, limit, found);
    // Nothing to choose from: the list need not be read.
    if (sole_ && found.count != 0)
      return {likely_, found.hits[0].list->firstRule(), found.hits[0].size, 0};
    for (std::size_t i = found.count; i-- > 0;) {
      if (found.hits[i].size == 0 && std::exchange(late, false))
        if (const MatchResult call = matchRegex(head, method, path.text, lost);
            call.rule != nullptr)
          return call;
      for (const Candidate& each : found.hits[i].list->items()) {
        if (each.holds(head, method)) return each.result(found.hits[i].size);
        lost(each, PathPlace{MatchKind::Prefix, path.text.substr(0, found.hits[i].size)});
      }
    }
    if (!found.more) return late ? matchRegex(head, method, path.text, lost) : MatchResult();
    limit = found.hits[0].size;
  }
}

}  // namespace hyperway::route
