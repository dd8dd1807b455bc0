// SPDX-License-Identifier: Apache-2.0
#include "base/bits.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>

using hyperway::countBits;

TEST_CASE("Set bits are counted as the standard library counts them") {
  CHECK(countBits(0) == 0);
  CHECK(countBits(~std::uint64_t{0}) == 64);
  std::uint64_t value = 1;
  for (int i = 0; i < 1000; ++i) {
    value = value * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::uint64_t shifted = value >> (i % 64);
    REQUIRE(countBits(shifted) == static_cast<unsigned>(std::popcount(shifted)));
  }
}
