// SPDX-License-Identifier: Apache-2.0
#include "route/query_text.hpp"

namespace hyperway::route {

namespace {

int hexDigit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Takes one decoded byte off the front of `encoded`, which is not empty.
char takeByte(std::string_view& encoded) noexcept {
  const char c = encoded.front();
  if (c == '%' && encoded.size() >= 3) {
    const int high = hexDigit(encoded[1]);
    const int low = hexDigit(encoded[2]);
    if (high >= 0 && low >= 0) {
      encoded.remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  encoded.remove_prefix(1);
  return c == '+' ? ' ' : c;
}

}  // namespace

std::optional<std::string_view> findQueryParameter(std::string_view query,
                                                   std::string_view name) noexcept {
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    const std::size_t equals = part.find('=');
    // An empty part ("a=1&&b=2") is no parameter at all.
    if (!part.empty() && queryTextEquals(part.substr(0, equals), name)) {
      return equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    }
    if (part.size() == query.size()) break;
    query.remove_prefix(part.size() + 1);
  }
  return std::nullopt;
}

bool queryTextEquals(std::string_view encoded, std::string_view plain) noexcept {
  // Decoding never makes a text longer.
  if (encoded.size() < plain.size()) return false;
  for (const char c : plain) {
    if (encoded.empty() || takeByte(encoded) != c) return false;
  }
  return encoded.empty();
}

std::string_view decodeQueryText(std::string_view encoded, char* buffer) noexcept {
  char* out = buffer;
  while (!encoded.empty()) *out++ = takeByte(encoded);
  return {buffer, static_cast<std::size_t>(out - buffer)};
}

}  // namespace hyperway::route
