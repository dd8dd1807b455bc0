// SPDX-License-Identifier: Apache-2.0
#include "base/arena.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>

using namespace hyperway;

namespace {

template <std::size_t N>
struct Lent {
  alignas(16) std::array<std::byte, N> bytes{};

  [[nodiscard]] bool holds(const void* at) const {
    const auto place = reinterpret_cast<std::uintptr_t>(at);
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    return place >= begin && place < begin + N;
  }
};

}  // namespace

TEST_CASE("An arena stays in the lent block while that has room") {
  Lent<256> lent;
  Arena arena(lent.bytes);
  CHECK(lent.holds(arena.allocate(100)));
  CHECK(lent.holds(arena.copy("text").data()));
  CHECK(arena.heapBytes() == 0);
}

TEST_CASE("Allocations are aligned as asked and do not overlap") {
  Lent<1024> lent;
  Arena arena(lent.bytes);
  std::uintptr_t last_end = 0;
  for (const std::size_t align : {1U, 2U, 4U, 8U, 16U}) {
    CAPTURE(align);
    (void)arena.allocate(1, 1);
    const auto at = reinterpret_cast<std::uintptr_t>(arena.allocate(3, align));
    CHECK(at % align == 0);
    CHECK(at >= last_end);
    last_end = at + 3;
  }
}

TEST_CASE("A full block is followed by heap blocks, also for what is larger than a block") {
  Lent<16> lent;
  Arena arena(lent.bytes);
  const auto small = arena.array<char>(17);
  CHECK_FALSE(lent.holds(small.data()));
  const std::size_t after_small = arena.heapBytes();
  CHECK(after_small > 0);
  const std::string text(100'000, 'x');
  CHECK(arena.copy(text) == text);
  CHECK(arena.heapBytes() >= after_small + text.size());
}

TEST_CASE("An arena without a lent block works") {
  Arena arena({});
  CHECK(arena.copy("abc") == "abc");
  CHECK(arena.copy("").empty());
}

TEST_CASE("reset gives heap blocks back and starts in the lent block again") {
  Lent<64> lent;
  Arena arena(lent.bytes);
  const void* first = arena.allocate(8);
  (void)arena.allocate(1000);
  CHECK(arena.heapBytes() > 0);
  arena.reset();
  CHECK(arena.heapBytes() == 0);
  CHECK(arena.allocate(8) == first);
}

TEST_CASE("rebase moves an arena to another lent block") {
  Lent<64> one;
  Lent<64> two;
  Arena arena(one.bytes);
  CHECK(one.holds(arena.allocate(8)));
  arena.rebase(two.bytes);
  CHECK(two.holds(arena.allocate(8)));
}

TEST_CASE("What was read into the free room is kept by take and by nothing else") {
  Lent<64> lent;
  Arena arena(lent.bytes);
  const auto room = arena.room();
  CHECK(room.size() == 64);
  room[0] = 'a';
  room[1] = 'b';
  arena.take(2);
  CHECK(arena.room().data() == room.data() + 2);
  CHECK(arena.copy("c").data() == room.data() + 2);
  CHECK(std::string_view(room.data(), 3) == "abc");
}

TEST_CASE("Room of a wanted size comes in a new block if the current one is too small") {
  Lent<64> lent;
  Arena arena(lent.bytes);
  CHECK(lent.holds(arena.room(64).data()));
  const auto large = arena.room(65);
  CHECK(large.size() >= 65);
  CHECK_FALSE(lent.holds(large.data()));
  const auto huge = arena.room(1'000'000);
  CHECK(huge.size() >= 1'000'000);
}
