// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace hyperway::http {

/// What a byte may be part of; bits of kCharClass.
enum CharClass : std::uint8_t {
  kToken = 1,  ///< tchar (RFC 9110 §5.6.2).
  kUnderscore =
      2,  ///< '_' alone: field names with it can be confused with '-' by CGI-like backends.
  kFieldText = 4,    ///< field-vchar, SP, HTAB (RFC 9110 §5.5); obs-text included.
  kHostName = 8,     ///< Letters, digits, '-', '_': what we allow in a label of a host name.
  kUpper = 16,       ///< 'A' to 'Z'.
  kPathPlain = 32,   ///< May stand in a path and needs no second look when a path is normalised.
  kQueryPlain = 64,  ///< May stand in a query and needs no second look.
  kDigit = 128,      ///< '0' to '9'.
};

namespace detail {

constexpr std::array<std::uint8_t, 256> makeCharClasses() noexcept {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&table](std::string_view bytes, unsigned bits) {
    for (const char c : bytes) {
      auto& entry = table[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  mark("abcdefghijklmnopqrstuvwxyz", kToken | kHostName);
  mark("ABCDEFGHIJKLMNOPQRSTUVWXYZ", kToken | kHostName | kUpper);
  mark("0123456789", kToken | kHostName | kDigit);
  mark("!#$%&'*+-.^_`|~", kToken);
  mark("-_", kHostName);
  mark("_", kUnderscore);
  for (unsigned c = 0; c < 256; ++c) {
    const bool visible = c > 0x20 && c < 0x7f;
    unsigned bits = table[c];
    if (visible || c >= 0x80 || c == ' ' || c == '\t') bits |= kFieldText;
    if (visible && c != '%' && c != '?' && c != '#' && c != '\\' && c != '.') bits |= kPathPlain;
    if (visible && c != '%' && c != '#') bits |= kQueryPlain;
    table[c] = static_cast<std::uint8_t>(bits);
  }
  return table;
}

constexpr std::array<std::uint8_t, 256> makeHexValues() noexcept {
  std::array<std::uint8_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    unsigned value = 0xff;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
    table[c] = static_cast<std::uint8_t>(value);
  }
  return table;
}

}  // namespace detail

/// Classes of each byte.
inline constexpr std::array<std::uint8_t, 256> kCharClass = detail::makeCharClasses();

/// Value of each hexadecimal digit; 0xff for other bytes.
inline constexpr std::array<std::uint8_t, 256> kHexValue = detail::makeHexValues();

/// Tells whether `c` belongs to one of the classes in `bits`.
[[nodiscard]] constexpr bool isClass(char c, unsigned bits) noexcept {
  return (kCharClass[static_cast<unsigned char>(c)] & bits) != 0;
}

/// Value of a hexadecimal digit; 0xff if `c` is none.
[[nodiscard]] constexpr unsigned hexValue(char c) noexcept {
  return kHexValue[static_cast<unsigned char>(c)];
}

}  // namespace hyperway::http
