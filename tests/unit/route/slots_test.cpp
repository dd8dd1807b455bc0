// SPDX-License-Identifier: Apache-2.0
#include "route/slots.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace hyperway::route;

TEST_CASE("A number that comes to stand for another key is told before anybody has it") {
  SlotMap map;
  std::vector<std::uint32_t> reused;
  map.onReuse([&](std::uint32_t number) { reused.push_back(number); });
  auto a = map.acquire("a");
  const auto b = map.acquire("b");
  CHECK(map.acquire("a") == a);
  CHECK(reused.empty());
  const std::uint32_t number = a->number();
  a.reset();
  const auto c = map.acquire("c");
  CHECK(c->number() == number);
  CHECK(reused == std::vector<std::uint32_t>{number});
  CHECK(map.capacity() == 2);
}
