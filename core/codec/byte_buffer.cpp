// SPDX-License-Identifier: Apache-2.0
#include "codec/byte_buffer.hpp"

#include <algorithm>

namespace hyperway::codec {
namespace {
constexpr std::size_t kWarmBlocks = 64;
}

char* BlockPool::take() {
  if (free_.empty()) return std::make_unique_for_overwrite<char[]>(kBlockBytes).release();
  char* block = free_.back().release();
  free_.pop_back();
  return block;
}

void BlockPool::give(char* block) noexcept {
  std::unique_ptr<char[]> owned(block);
  if (free_.size() < kWarmBlocks) free_.push_back(std::move(owned));
}

void ByteBuffer::clear(BlockPool& pool) noexcept {
  if (data_ == nullptr) return;
  if (capacity_ == BlockPool::kBlockBytes)
    pool.give(data_);
  else
    std::unique_ptr<char[]>(data_).reset();
  data_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

void ByteBuffer::grow(BlockPool& pool, std::size_t size) {
  const std::size_t used = this->size();
  if (used + size <= capacity_) {  // enough room once the consumed front is taken back
    std::memmove(data_, data_ + begin_, used);
    begin_ = 0;
    end_ = static_cast<std::uint32_t>(used);
    return;
  }
  std::size_t capacity = BlockPool::kBlockBytes;
  while (capacity < used + size) capacity *= 2;
  char* bigger = capacity == BlockPool::kBlockBytes
                     ? pool.take()
                     : std::make_unique_for_overwrite<char[]>(capacity).release();
  if (used != 0) std::memcpy(bigger, data_ + begin_, used);
  clear(pool);
  data_ = bigger;
  end_ = static_cast<std::uint32_t>(used);
  capacity_ = static_cast<std::uint32_t>(capacity);
}

}  // namespace hyperway::codec
