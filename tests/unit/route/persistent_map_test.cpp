// SPDX-License-Identifier: Apache-2.0
#include "route/persistent_map.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace hyperway::route;

namespace {

/// An entry whose hash the test chooses.
class Entry : public RefCounted {
 public:
  Entry(std::uint64_t hash, std::string key, int initial)
      : value(initial), hash_(hash), key_(std::move(key)) {}
  static void destroy(Entry* self) noexcept { delete self; }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  [[nodiscard]] std::string_view key() const noexcept { return key_; }

  int value;

 private:
  std::uint64_t hash_;
  std::string key_;
};

using Map = PersistentMap<Entry>;
using Plain = std::map<std::string, int>;

/// From no two alike to all alike: what the trie does at each depth and where the hash is used up.
std::uint64_t hashOf(const std::string& key, int kind) {
  const std::uint64_t number = std::stoull(key);
  switch (kind) {
    case 0: return number * 0x9e3779b97f4a7c15;
    case 1: return number % 7;          // many share all bits
    case 2: return (number % 5) << 60;  // differ in the last level only
    case 3: return (number % 3) << 30 | number % 2;
    default: return 42;
  }
}

void set(Map& map, const std::string& key, int kind, int value) {
  const std::uint64_t hash = hashOf(key, kind);
  map.update(hash, key, [&](Ref<Entry>) { return Ref<Entry>(new Entry(hash, key, value)); });
}

void erase(Map& map, const std::string& key, int kind) {
  map.update(hashOf(key, kind), key, [](Ref<Entry>) { return Ref<Entry>(); });
}

Plain contentOf(const Map& map) {
  Plain out;
  map.forEach([&](const Entry& entry) { out[std::string(entry.key())] = entry.value; });
  return out;
}

std::size_t nodesOf(const Map& map) {
  std::size_t count = 0;
  map.forEachNode([&](const void*) { ++count; });
  return count;
}

}  // namespace

TEST_CASE(
    "A persistent map is a map, however its hashes collide, and old copies keep their content") {
  for (int kind = 0; kind < 5; ++kind) {
    CAPTURE(kind);
    std::mt19937 random(static_cast<unsigned>(kind));
    Map map;
    Plain plain;
    std::vector<std::pair<Map, Plain>> held;
    for (int step = 0; step < 3000; ++step) {
      const std::string key = std::to_string(random() % 60);
      if (random() % 3 == 0) {
        erase(map, key, kind);
        plain.erase(key);
      } else {
        set(map, key, kind, step);
        plain[key] = step;
      }
      if (step % 100 == 0) held.emplace_back(map, plain);
      const std::string asked = std::to_string(random() % 60);
      const Entry* found = map.find(hashOf(asked, kind), asked);
      REQUIRE((found != nullptr) == plain.contains(asked));
      if (found != nullptr) REQUIRE(found->value == plain[asked]);
      map.prefetchNode(hashOf(asked, kind));  // only asks: of any map, for any hash
      const Entry* const near = map.nearest(hashOf(asked, kind));
      if (found != nullptr && kind == 0) REQUIRE(near == found);
    }
    CHECK(contentOf(map) == plain);
    for (const auto& [copy, content] : held) REQUIRE(contentOf(copy) == content);
  }
}

TEST_CASE("A persistent map that lost its entries is as small as one that never had them") {
  for (int kind = 0; kind < 5; ++kind) {
    CAPTURE(kind);
    Map map, small;
    for (int i = 0; i < 200; ++i) set(map, std::to_string(i), kind, i);
    for (int i = 0; i < 3; ++i) set(small, std::to_string(i), kind, i);
    for (int i = 3; i < 200; ++i) erase(map, std::to_string(i), kind);
    CHECK(nodesOf(map) == nodesOf(small));
    for (int i = 0; i < 3; ++i) erase(map, std::to_string(i), kind);
    CHECK(map.empty());
  }
}

TEST_CASE("A change that finds nothing to change leaves the content alone") {
  Map map;
  set(map, "1", 0, 1);
  erase(map, "2", 0);
  CHECK(contentOf(map) == Plain{{"1", 1}});
  CHECK(map.find(hashOf("1", 0), "2") == nullptr);
}
