// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "route/host_paths.hpp"
#include "route/text_hash.hpp"

namespace hyperway::route {

/// The longest host name that a wildcard is tried for: a DNS name has no more. Bounds the work on a
/// hostile Host.
inline constexpr std::size_t kMaxHostBytes = 253;

/// From route hostnames to paths, for the routes of one listener. Persistent: a copy costs three
/// references, and a changed copy shares all that the change does not touch. Listeners with the
/// same routes share one.
class HostTable {
 public:
  /// Computes the paths of a hostname from those before; null for none on both sides. The old ones
  /// are handed over: if their Ref is unique, they may be changed in place.
  using Change = std::function<Ref<HostPaths>(Ref<HostPaths>)>;
  /// A hostname as the table keeps it: ".suffix" for "*.suffix".
  [[nodiscard]] static std::string_view keyOf(std::string_view hostname) noexcept {
    return hostname.starts_with("*.") ? hostname.substr(1) : hostname;
  }

  /// Changes the paths of `hostname`: exact, "*.suffix", or empty for any. [control], before the
  /// table is published.
  void update(std::string_view hostname, const Change& change);

  /// Steps of prefetch().
  static constexpr std::size_t kPrefetchSteps = 4;
  /// Asks for what match() of a host will read; `hash` is hashText() of it. Where thousands of
  /// hosts are in use all of it is a miss, one behind the other: a step follows the pointers that
  /// the step before asked for, so that the steps of several requests, taken in turns, overlap.
  /// Changes nothing. Any thread.
  void prefetch(std::uint64_t hash, std::size_t step) const noexcept;
  /// See CompiledListener::match. Any thread.
  [[nodiscard]] MatchResult match(const http::RequestHead& head,
                                  std::string_view method) const noexcept;
  /// See CompiledListener::explain.
  [[nodiscard]] MatchResult explain(const http::RequestHead& head, std::string_view method,
                                    std::vector<NearMiss>& misses) const;
  /// Calls `visit` with hostname and paths of each.
  void forEachHost(const std::function<void(std::string_view, const HostPaths&)>& visit) const;
  /// Calls `visit` for each node, to see what two tables share.
  void forEachNode(const std::function<void(const void*)>& visit) const;

 private:
  /// Calls `use(const HostPaths&)` for those that serve `host`, the most specific first, until it
  /// returns true.
  template <class Use>
  void forHost(std::string_view host, Use&& use) const;

  PersistentMap<HostPaths> hosts_;  // wildcards under ".suffix", which no host begins with
  Ref<HostPaths> any_;
  std::size_t wildcards_ = 0;  // entries of hosts_ that are wildcards
};

template <class Use>
void HostTable::forHost(std::string_view host, Use&& use) const {
  if (!host.empty()) {
    // A host that begins with a dot would find a wildcard's key.
    const HostPaths* exact = host.front() == '.' ? nullptr : hosts_.find(hashText(host), host);
    if (exact != nullptr && use(*exact)) return;
    // "*.a.b" covers "x.a.b" and "x.y.a.b", but not "a.b": try ".y.a.b", ".a.b", ".b".
    if (wildcards_ != 0 && host.size() <= kMaxHostBytes) {
      for (std::size_t dot = host.find('.', 1); dot != std::string_view::npos;
           dot = host.find('.', dot + 1)) {
        const std::string_view suffix = host.substr(dot);
        if (const HostPaths* paths = hosts_.find(hashText(suffix), suffix))
          if (use(*paths)) return;
      }
    }
  }
  if (any_) use(*any_);
}

}  // namespace hyperway::route
