// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hyperway::filters {

/// Lower case of an ASCII letter, any other byte unchanged.
[[nodiscard]] constexpr char toLower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// An ASCII lower-case copy of `text`.
[[nodiscard]] inline std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = toLower(c);
  return out;
}

/// Compares ASCII text, as names of headers are, without regard to case.
[[nodiscard]] inline bool sameName(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return toLower(x) == toLower(y); });
}

/// Value of a hexadecimal digit, or -1.
[[nodiscard]] constexpr int hexValue(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char low = toLower(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

}  // namespace hyperway::filters
