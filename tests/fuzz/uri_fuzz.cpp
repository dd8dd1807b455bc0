// SPDX-License-Identifier: Apache-2.0
// LINK: hw_http
// Normal forms are stable, free of what normalisation removes, and what a slow second reading
// gives.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/uri.hpp"

using namespace hyperway;
using namespace hyperway::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool isHex(char c) {
  return std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
}

// The documented rules once more, by splitting into segments: decode, then resolve.
std::optional<std::string> normaliseSlowly(const std::string& path) {
  if (path.empty() || path[0] != '/') return std::nullopt;
  std::string decoded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c < 0x21 || c > 0x7e || c == '\\' || c == '#' || c == '?') return std::nullopt;
    if (c != '%') {
      decoded += c;
      continue;
    }
    if (i + 2 >= path.size() || !isHex(path[i + 1]) || !isHex(path[i + 2])) return std::nullopt;
    const int byte = std::stoi(path.substr(i + 1, 2), nullptr, 16);
    const char value = static_cast<char>(byte);
    if (byte == 0 || value == '\\') return std::nullopt;
    constexpr std::string_view kUnreserved =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~";
    if (kUnreserved.find(value) != std::string_view::npos) {
      decoded += value;
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      decoded += '%';
      decoded += kHex[static_cast<std::size_t>(byte) / 16];
      decoded += kHex[static_cast<std::size_t>(byte) % 16];
    }
    i += 2;
  }
  std::vector<std::string> kept;
  bool slash_at_end = false;
  for (std::size_t at = 1; at <= decoded.size();) {
    const std::size_t end = std::min(decoded.find('/', at), decoded.size());
    const std::string segment = decoded.substr(at, end - at);
    slash_at_end = segment == "." || segment == "..";
    if (segment.starts_with(".;") || segment.starts_with("..;")) return std::nullopt;
    if (segment == "..") {
      if (kept.empty()) return std::nullopt;
      kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
    at = end + 1;
  }
  std::string out;
  for (const std::string& segment : kept) out.append("/").append(segment);
  if (slash_at_end) out += '/';
  return out;
}

void checkPath(const std::string& text) {
  Arena arena({});
  const auto path = normalisePath(text, arena);
  const auto expected = normaliseSlowly(text);
  require(path.has_value() == expected.has_value());
  if (!path) return;
  const std::string normal(*path);
  require(normal == *expected);
  require(normal.size() <= text.size());
  const auto again = normalisePath(normal, arena);
  require(again.has_value() && *again == normal);
  const std::string closed = normal + "/";
  require(closed.find("/./") == closed.npos && closed.find("/../") == closed.npos);
}

void checkAuthority(const std::string& text) {
  Arena arena({});
  const auto authority = parseAuthority(text, arena);
  if (!authority) return;
  const std::string host(authority->host);
  require(!host.empty() && host.size() <= text.size());
  for (const char c : host)
    require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
            c == ':');
  const bool brackets = host.find(':') != host.npos;
  require(brackets == (text[0] == '['));
  std::string rebuilt = brackets ? "[" + host + "]" : host;
  if (authority->port != 0) rebuilt += ":" + std::to_string(authority->port);
  const auto again = parseAuthority(rebuilt, arena);
  require(again.has_value() && again->host == host && again->port == authority->port);
}

void checkQuery(const std::string& text) {
  if (!isValidQuery(text)) return;
  for (std::size_t i = 0; i < text.size(); ++i) {
    require(text[i] > 0x20 && text[i] < 0x7f && text[i] != '#');
    if (text[i] == '%') require(i + 2 < text.size() && isHex(text[i + 1]) && isHex(text[i + 2]));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  checkPath(text);
  checkPath("/" + text);
  checkAuthority(text);
  checkQuery(text);
  return 0;
}
