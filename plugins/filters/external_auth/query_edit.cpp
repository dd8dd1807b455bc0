// SPDX-License-Identifier: Apache-2.0
#include "query_edit.hpp"

#include <algorithm>

#include "../ascii.hpp"

namespace hyperway::external_auth {
namespace {

using filters::hexValue;

// As a form's reader sees it: '+' is a space.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hexValue(text[i + 1]) >= 0 &&
        hexValue(text[i + 2]) >= 0) {
      out += static_cast<char>(hexValue(text[i + 1]) * 16 + hexValue(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

void encode(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

}  // namespace

std::string editQuery(std::string_view query, const std::vector<std::string>& removed,
                      const std::vector<std::pair<std::string, std::string>>& set) {
  std::string out;
  const auto separate = [&] {
    if (!out.empty()) out += '&';
  };
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::string name = decoded(part.substr(0, part.find('=')));
    const bool gone =
        std::find(removed.begin(), removed.end(), name) != removed.end() ||
        std::any_of(set.begin(), set.end(), [&](const auto& pair) { return pair.first == name; });
    if (gone) continue;
    separate();
    out += part;
  }
  for (const auto& [name, value] : set) {
    separate();
    encode(out, name);
    out += '=';
    encode(out, value);
  }
  return out;
}

}  // namespace hyperway::external_auth
