// SPDX-License-Identifier: Apache-2.0
#include "base/arena.hpp"

#include <algorithm>

namespace hyperway {
namespace {
constexpr std::size_t kBlockBytes = 16 * 1024;
}

void Arena::addBlock(std::size_t size) {
  const std::size_t bytes = std::max(kBlockBytes, size);
  blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
  heap_bytes_ += bytes;
  next_ = blocks_.back().get();
  end_ = next_ + bytes;
}

void* Arena::allocateSlow(std::size_t size, std::size_t align) {
  addBlock(size + align);
  return allocate(size, align);
}

void Arena::reset() noexcept {
  if (!blocks_.empty()) blocks_.clear();
  heap_bytes_ = 0;
  next_ = first_.data();
  end_ = first_.data() + first_.size();
}

void Arena::rebase(std::span<std::byte> first) noexcept {
  first_ = first;
  reset();
}

}  // namespace hyperway
