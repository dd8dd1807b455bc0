// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace hyperway {

/// Asks for the cache line that holds `at`: nothing is read. A plain __builtin_prefetch() has no
/// effect that GCC 12 knows of: a function that does nothing else it takes for one without any, and
/// drops calls of it.
inline void prefetchLine(const void* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(at)));
#else
  __builtin_prefetch(at);
  asm volatile("");
#endif
}

/// Asks for the cache lines that hold `size` bytes at `from`, which may be any address: nothing is
/// read. Worth it only where the bytes are used some hundred nanoseconds later.
inline void prefetchBytes(const void* from, std::size_t size) noexcept {
  constexpr std::uintptr_t kLine = 64;
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  for (std::uintptr_t at = begin & ~(kLine - 1); at < begin + size; at += kLine)
    prefetchLine(reinterpret_cast<const void*>(at));
}

}  // namespace hyperway
