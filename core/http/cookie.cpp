// SPDX-License-Identifier: Apache-2.0
#include "http/cookie.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace hyperway::http {

bool isCookiePath(std::string_view path) noexcept {
  const auto ends = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte >= 0x7f || c == ';';
  };
  return path.starts_with('/') && path.size() <= kMaxCookiePath &&
         std::none_of(path.begin(), path.end(), ends);
}

std::string_view nextCookie(std::string_view& pairs, std::string_view name) noexcept {
  while (!pairs.empty()) {
    const std::size_t end = pairs.find(';');
    const std::string_view pair = trimOws(pairs.substr(0, end));
    pairs = end == std::string_view::npos ? std::string_view() : pairs.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || trimOws(pair.substr(0, equals)) != name) continue;
    std::string_view value = trimOws(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

}  // namespace hyperway::http
