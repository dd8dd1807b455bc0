// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace hyperway {

/// Bump allocator for everything that ends with one request. Starts in a block that its owner lends
/// (so a plain request never touches the heap) and grows by heap blocks, all freed by reset().
/// Objects placed in it are never destroyed: only trivially destructible things belong here.
/// Not thread-safe. Running out of memory ends the process.
class Arena {
 public:
  /// Uses `first` until it is full. `first` must outlive the arena or the next rebase().
  explicit Arena(std::span<std::byte> first) noexcept { rebase(first); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Returns `size` bytes aligned to `align` (a power of two, at most 16). Never null.
  [[nodiscard]] void* allocate(std::size_t size, std::size_t align = 8) {
    auto at = (reinterpret_cast<std::uintptr_t>(next_) + align - 1) & ~(align - 1);
    if (at + size > reinterpret_cast<std::uintptr_t>(end_)) return allocateSlow(size, align);
    next_ = reinterpret_cast<std::byte*>(at + size);
    return reinterpret_cast<void*>(at);
  }

  /// Copies `text` in; the view lives as long as the arena's content.
  [[nodiscard]] std::string_view copy(std::string_view text) {
    auto* bytes = static_cast<char*>(allocate(text.size(), 1));
    if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
    return {bytes, text.size()};
  }

  /// Room for `count` values of a trivial type, uninitialised.
  template <class T>
  [[nodiscard]] std::span<T> array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    return {static_cast<T*>(allocate(count * sizeof(T), alignof(T))), count};
  }

  /// The free rest of the current block, to read into; keep what was filled with take(). Valid
  /// until the next allocation.
  [[nodiscard]] std::span<char> room() noexcept {
    return {reinterpret_cast<char*>(next_), static_cast<std::size_t>(end_ - next_)};
  }

  /// Like room(), with at least `size` bytes, in a new block if need be.
  [[nodiscard]] std::span<char> room(std::size_t size) {
    if (static_cast<std::size_t>(end_ - next_) < size) addBlock(size);
    return room();
  }
  /// Keeps the first `size` bytes of what room() returned.
  void take(std::size_t size) noexcept { next_ += size; }

  /// Bytes taken from the heap beyond the lent block.
  [[nodiscard]] std::size_t heapBytes() const noexcept { return heap_bytes_; }

  /// Forgets all content, frees heap blocks and starts again in the lent block.
  void reset() noexcept;

  /// reset(), then uses `first` instead of the block lent before.
  void rebase(std::span<std::byte> first) noexcept;

 private:
  void addBlock(std::size_t size);
  void* allocateSlow(std::size_t size, std::size_t align);

  std::span<std::byte> first_;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
  std::size_t heap_bytes_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
};

}  // namespace hyperway
