// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace hyperway {

/// How many bits of `value` are set. std::popcount without an instruction for it, which x86-64
/// processors of 2003 lack and Debian's baseline so cannot use, is a call and eight reads of a
/// table.
[[nodiscard]] constexpr unsigned countBits(std::uint64_t value) noexcept {
  value -= (value >> 1) & 0x5555555555555555ULL;
  value = (value & 0x3333333333333333ULL) + ((value >> 2) & 0x3333333333333333ULL);
  value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
  return static_cast<unsigned>((value * 0x0101010101010101ULL) >> 56);
}

}  // namespace hyperway
