// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "proxy/filter_chain.hpp"

namespace hyperway::proxy {

class Stream;

/// Filters that handed out wakers, by slot and serial: a waker that comes late finds another serial
/// and does nothing. [worker]
class WakeTable {
 public:
  /// Who is woken.
  struct Target {
    Stream* stream = nullptr;      ///< Null: free.
    FilterChain* chain = nullptr;  ///< Its chain.
    std::uint32_t filter = 0;      ///< Index in the chain.
    std::uint64_t serial = 0;      ///< Which use of this slot.
    std::uint32_t next = kNone;    ///< The stream's next slot.
  };
  /// End of a stream's list of slots.
  static constexpr std::uint32_t kNone = 0xffffffff;

  /// Registers a filter; the waker's `where` holds the slot in its low 32 bits. `list` is the head
  /// of the stream's list.
  [[nodiscard]] Waker add(Stream& stream, FilterChain& chain, std::uint32_t filter,
                          std::uint32_t worker, std::uint32_t& list) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(targets_.size());
      targets_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    targets_[slot] = {&stream, &chain, filter, ++serial_, list};
    list = slot;
    return {(std::uint64_t{worker} << 32) | slot, serial_};
  }
  /// Who the waker names, or null if that is gone.
  [[nodiscard]] const Target* find(Waker waker) const noexcept {
    const auto slot = static_cast<std::uint32_t>(waker.where);
    if (slot >= targets_.size() || targets_[slot].stream == nullptr ||
        targets_[slot].serial != waker.serial)
      return nullptr;
    return &targets_[slot];
  }
  /// Forgets the wakers of one chain of a stream: they would wake another filter at the same place.
  void forget(std::uint32_t list, const FilterChain& chain) {
    for (; list != kNone; list = targets_[list].next)
      if (targets_[list].chain == &chain) targets_[list].serial = 0;
  }
  /// Forgets all wakers of a stream, and empties its list.
  void drop(std::uint32_t& list) {
    while (list != kNone) {
      targets_[list].stream = nullptr;
      free_.push_back(list);
      list = targets_[list].next;
    }
  }

 private:
  std::vector<Target> targets_;
  std::vector<std::uint32_t> free_;
  std::uint64_t serial_ = 0;
};

}  // namespace hyperway::proxy
