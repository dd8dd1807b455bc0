// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::route {

/// From hostnames of a bind group's listeners to their places in its list. Immutable; any thread.
class ListenerIndex {
 public:
  /// No such listener.
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// Indexes hostnames (exact, "*.suffix" or empty); of equal ones the first counts.
  explicit ListenerIndex(const std::vector<std::string>& hostnames);
  /// Place of the listener for `host` (lower case): exact, then the longest wildcard, then the one
  /// without hostname. No allocation.
  [[nodiscard]] std::uint32_t find(std::string_view host) const noexcept;
  /// Place of the listener without hostname, or kNone.
  [[nodiscard]] std::uint32_t any() const noexcept { return any_; }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t place = kNone;
  };
  [[nodiscard]] std::uint32_t lookUp(std::string_view key) const noexcept;

  std::vector<std::string> keys_;  // by place; wildcards as ".suffix"
  std::vector<Slot> slots_;        // open addressing, a power of two, at most half full
  std::uint32_t any_ = kNone;
  bool has_wildcards_ = false;
};

}  // namespace hyperway::route
