// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace hyperway::codec {

/// Blocks of 16 KiB that the busy connections of one worker take turns with. Keeps a few free ones
/// warm. [worker]
class BlockPool {
 public:
  /// Bytes of a block.
  static constexpr std::size_t kBlockBytes = 16 * 1024;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block, content undefined.
  [[nodiscard]] char* take();
  /// Gives a block back.
  void give(char* block) noexcept;

 private:
  std::vector<std::unique_ptr<char[]>> free_;
};

/// Bytes waiting in one direction of a connection. Owns memory only while it holds bytes: a block
/// of the pool, or the heap above a block's size. Callers bound what they put in (back-pressure);
/// the buffer itself does not. [worker]
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  /// True if no byte waits.
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  /// Bytes that wait.
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  /// What waits, contiguous; valid until the next change.
  [[nodiscard]] std::string_view view() const noexcept { return {data_ + begin_, size()}; }
  /// Room for `size` more bytes at the end; make them count with commit().
  [[nodiscard]] char* reserve(BlockPool& pool, std::size_t size) {
    if (capacity_ - end_ < size) grow(pool, size);
    return data_ + end_;
  }
  /// Counts `size` bytes written at reserve().
  void commit(std::size_t size) noexcept { end_ += static_cast<std::uint32_t>(size); }
  /// Copies bytes in.
  void append(BlockPool& pool, std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(pool, bytes.size()), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  /// Copies bytes in, in front of what waits.
  void prepend(BlockPool& pool, std::string_view bytes) {
    if (bytes.empty()) return;
    const std::size_t used = size();
    (void)reserve(pool, bytes.size());
    std::memmove(data_ + begin_ + bytes.size(), data_ + begin_, used);
    std::memcpy(data_ + begin_, bytes.data(), bytes.size());
    commit(bytes.size());
  }
  /// Drops the first `size` bytes; gives the memory back when nothing is left.
  void consume(BlockPool& pool, std::size_t size) noexcept {
    begin_ += static_cast<std::uint32_t>(size);
    if (begin_ == end_) clear(pool);
  }
  /// Drops everything and gives the memory back.
  void clear(BlockPool& pool) noexcept;

 private:
  void grow(BlockPool& pool, std::size_t size);

  char* data_ = nullptr;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t capacity_ = 0;
};

}  // namespace hyperway::codec
