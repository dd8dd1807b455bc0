// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "route/conditions.hpp"
#include "route/host_paths.hpp"
#include "route/model.hpp"
#include "route/packed_text.hpp"
#include "route/regex.hpp"
#include "route/slots.hpp"
#include "route/table.hpp"
#include "route/text_hash.hpp"

namespace hyperway::route {

/// Numbers for listener keys, so that a route names its listeners in a byte each. [control]
class ListenerNumbers {
 public:
  /// The number of `key`, which stays taken until as many release() calls.
  [[nodiscard]] std::uint32_t acquire(const std::string& key);
  /// Gives back one acquire().
  void release(std::uint32_t number);

 private:
  struct Entry {
    std::string key;
    std::size_t users = 0;
  };
  std::unordered_map<std::string, std::uint32_t> by_key_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
};

/// What compiling a route takes from, and gives back to, the compiler. [control]
struct RouteContext {
  SlotMap& upstream_slots;                            ///< Numbers of upstreams.
  SlotMap& stats_slots;                               ///< Numbers of rules' statistics.
  ListenerNumbers& listeners;                         ///< Numbers of listeners.
  RegexCache& regexes;                                ///< Compiled expressions.
  std::vector<SlotMap::SlotPtr>& new_upstream_slots;  ///< Out: slots that nobody had before.
  std::vector<std::pair<std::string, std::string>>& problems;  ///< Out: rule id and reason.
};

/// A compiled route: its rules, and in lean form what it takes to put them into tables and out
/// again. Immutable. The route of the model is not kept: for a plain route it would be half of all
/// memory.
class RouteRecord {
 public:
  /// What a match needs besides its path, if it needs anything.
  struct MatchExtras {
    Ref<Conditions> conditions;  ///< Null: none.
    RegexPtr path;               ///< For a path of kind Regex.
    bool unusable = false;       ///< Matches nothing: its path cannot be compiled.
  };

  /// Compiles `route`.
  [[nodiscard]] static std::shared_ptr<const RouteRecord> compile(const Route& route,
                                                                  const Fingerprint& fingerprint,
                                                                  RouteContext& context);
  /// Stands for every field of `route`.
  [[nodiscard]] static Fingerprint fingerprintOf(const Route& route);

  /// Route::key.
  [[nodiscard]] std::string_view key() const noexcept { return PackedReader(packed_).text(); }
  /// Route::kind.
  [[nodiscard]] RouteKind kind() const noexcept {
    PackedReader reader(packed_);
    (void)reader.text();
    return static_cast<RouteKind>(reader.number());
  }
  /// Of the route that this was compiled from.
  [[nodiscard]] const Fingerprint& fingerprint() const noexcept { return fingerprint_; }
  /// Number of rules.
  [[nodiscard]] std::size_t ruleCount() const noexcept { return rules_.size(); }
  /// The rules.
  [[nodiscard]] std::vector<const CompiledRule*> rules() const;
  /// Calls `visit(const SlotMap::SlotPtr&)` for each upstream of backends, mirrors and filters, as
  /// often as it is named.
  template <class Visit>
  void forEachUpstream(Visit&& visit) const {
    for (const RuleRecord& rule : rules_) {
      for (const CompiledBackend& backend : rule.compiled.backends)
        if (backend.upstream) visit(backend.upstream);
      for (const CompiledMirror& mirror : rule.compiled.mirrors) visit(mirror.upstream);
      if (rule.compiled.callouts)
        for (const CompiledCallouts& filter : *rule.compiled.callouts)
          for (const SlotMap::SlotPtr& upstream : filter.upstreams) visit(upstream);
      if (rule.compiled.session)
        for (const CompiledBackend& backend : rule.compiled.session->parked)
          visit(backend.upstream);
    }
  }

  /// Calls `visit(std::string_view)` for each hostname of a packed list.
  template <class Visit>
  static void forEachHost(std::string_view hosts, Visit&& visit) {
    for (PackedReader reader(hosts); !reader.done();) visit(reader.text());
  }
  /// Calls `visit(listener, hosts)` for each listener: its number, and the packed list of hostnames
  /// there (see forEachHost). Equal lists are equal texts.
  template <class Visit>
  void forEachAttachment(Visit&& visit) const {
    PackedReader lists(packed_);
    (void)lists.text();
    (void)lists.number();
    std::vector<std::string_view> hosts(lists.number());
    for (std::string_view& list : hosts) list = lists.text();
    for (std::uint64_t left = lists.number(); left > 0; --left) {
      const auto number = static_cast<std::uint32_t>(lists.number());
      visit(number, hosts[lists.number()]);
    }
  }
  /// Calls `visit(rule, match_index, place, extras)` for each match that can be put into a table; a
  /// flow's rule has one, of all paths.
  /// `rule` is the number of the rule; `extras` may be null.
  template <class Visit>
  void forEachMatch(Visit&& visit) const {
    PackedReader reader = attachments();
    for (std::uint64_t left = reader.number(); left > 0; --left) {
      (void)reader.number();
      (void)reader.number();
    }
    std::size_t at = 0;
    for (std::uint32_t rule = 0; rule < rules_.size(); ++rule) {
      const auto matches = static_cast<std::uint32_t>(reader.number());
      for (std::uint32_t match = 0; match < matches; ++match, ++at) {
        const auto kind = static_cast<MatchKind>(reader.number());
        const PathPlace place{kind, reader.text()};
        const MatchExtras* extras = extras_ ? &extras_[at] : nullptr;
        if (extras == nullptr || !extras->unusable) visit(rule, match, place, extras);
      }
    }
  }
  /// A rule that keeps `record`, which holds it, alive.
  [[nodiscard]] static std::shared_ptr<const CompiledRule> rule(
      const std::shared_ptr<const RouteRecord>& record, std::uint32_t index) {
    return {record, &record->rules_[index].compiled};
  }

 private:
  struct RuleRecord {
    CompiledRule compiled;
    RuleInfo info;
  };
  class Builder;

  /// Behind key, kind and host lists: number of attachments, then of each listener and host list.
  [[nodiscard]] PackedReader attachments() const noexcept;

  std::string packed_;  // key, kind, host lists, attachments, paths, names of unresolved backends
  Fingerprint fingerprint_;
  std::vector<RuleRecord> rules_;
  std::unique_ptr<MatchExtras[]> extras_;  // one for each match; null if no match needs any
};

}  // namespace hyperway::route
