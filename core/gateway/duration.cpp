// SPDX-License-Identifier: Apache-2.0
#include "gateway/duration.hpp"

#include <cstdint>

namespace hyperway::gateway {
namespace {

constexpr std::size_t kMostParts = 4;
constexpr std::size_t kMostDigits = 5;

constexpr bool isDigit(char c) noexcept { return c >= '0' && c <= '9'; }

// Takes a unit off the front of `text`; milliseconds in it, or 0 if there is none.
std::int64_t takeUnit(std::string_view& text) noexcept {
  struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
  };
  // "ms" comes before "m", which it begins with.
  static constexpr Unit kUnits[] = {{"ms", 1}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}};
  for (const Unit& unit : kUnits)
    if (text.starts_with(unit.name)) {
      text.remove_prefix(unit.name.size());
      return unit.milliseconds;
    }
  return 0;
}

}  // namespace

std::optional<std::chrono::milliseconds> parseDuration(std::string_view text) noexcept {
  std::int64_t total = 0;
  std::size_t parts = 0;
  while (!text.empty()) {
    std::int64_t number = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && isDigit(text[digits]); ++digits) {
      if (digits == kMostDigits) return std::nullopt;
      number = number * 10 + (text[digits] - '0');
    }
    text.remove_prefix(digits);
    const std::int64_t unit = takeUnit(text);
    if (digits == 0 || unit == 0 || ++parts > kMostParts) return std::nullopt;
    total += number * unit;
  }
  if (parts == 0) return std::nullopt;
  return std::chrono::milliseconds(total);
}

}  // namespace hyperway::gateway
