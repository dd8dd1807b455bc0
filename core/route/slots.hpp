// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "route/text_hash.hpp"

namespace hyperway::route {

/// Small numbers for long-lived keys (upstreams, listeners' TLS, rule statistics), so that workers
/// index arrays where they would look up text. A number is free again only when its last holder is
/// gone, that is when no table knows it any more; tables die on the control thread, so all of this
/// is [control].
class SlotMap {
 public:
  /// Holds one number for as long as anybody has the pointer.
  class Slot : public std::enable_shared_from_this<Slot> {
   public:
    /// Made by SlotMap::acquire only.
    Slot(SlotMap& owner, std::uint32_t number, std::string key);
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot();
    /// The number; dense, from 0.
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
    /// The key that it stands for.
    [[nodiscard]] const std::string& key() const noexcept { return key_; }

   private:
    SlotMap* owner_;
    std::uint32_t number_;
    std::string key_;
  };
  /// Shared holder of a number.
  using SlotPtr = std::shared_ptr<const Slot>;

  /// Called with a number that is about to stand for another key than before, on the control
  /// thread: nobody has it at that moment.
  using OnReuse = std::function<void(std::uint32_t number)>;
  /// Called with a number that nobody holds any more, on the control thread.
  using OnFree = std::function<void(std::uint32_t number)>;

  SlotMap() = default;
  SlotMap(const SlotMap&) = delete;
  SlotMap& operator=(const SlotMap&) = delete;

  /// Sets who is told of reuse; before the first acquire().
  void onReuse(OnReuse told) { on_reuse_ = std::move(told); }
  /// Sets who is told of what gets free; empty for nobody.
  void onFree(OnFree told) { on_free_ = std::move(told); }
  /// The slot of `key`, a new one if nobody holds it. The map must outlive all slots.
  [[nodiscard]] SlotPtr acquire(const std::string& key);
  /// The slot of `key` if somebody holds it, else null.
  [[nodiscard]] SlotPtr find(const std::string& key) const;
  /// All that are held, in no order; for metrics. Cost grows with their number.
  [[nodiscard]] std::vector<SlotPtr> list() const;
  /// One more than the largest number ever given out.
  [[nodiscard]] std::uint32_t capacity() const noexcept { return next_; }

 private:
  // A set of what is held, by key: the slot has the text already, and there is one for each rule.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return hashText(key); }
    std::size_t operator()(const Slot* slot) const noexcept { return hashText(slot->key()); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Slot* a, const Slot* b) const noexcept { return a == b; }
    bool operator()(std::string_view key, const Slot* slot) const noexcept {
      return key == slot->key();
    }
    bool operator()(const Slot* slot, std::string_view key) const noexcept {
      return key == slot->key();
    }
  };

  std::unordered_set<const Slot*, Hash, Equal> by_key_;
  std::vector<std::uint32_t> free_;
  OnReuse on_reuse_;
  OnFree on_free_;
  std::uint32_t next_ = 0;
};

}  // namespace hyperway::route
