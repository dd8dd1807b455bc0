// SPDX-License-Identifier: Apache-2.0
#include "http/uri.hpp"

#include <span>

#include "base/bytes.hpp"
#include "http/char_class.hpp"

namespace hyperway::http {
namespace {

constexpr std::size_t kLongestHost = 253;  // RFC 1035 §2.3.4, without the final dot.
constexpr std::size_t kLongestLabel = 63;

constexpr bool isUnreserved(unsigned byte) noexcept {
  const char c = static_cast<char>(byte);
  return (byte >= '0' && byte <= '9') || (toLower(c) >= 'a' && toLower(c) <= 'z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Builds the normal form of a path segment by segment in room as large as the path (no step of
// the normalisation makes text longer).
class PathBuilder {
 public:
  explicit PathBuilder(char* room) noexcept : begin_(room), end_(room) {}

  // Takes the segment that starts after a '/' at `text[0]`, up to the next '/' or the end. Returns
  // its length with the '/', or 0 if it is malformed.
  std::size_t take(std::string_view text) noexcept {
    char* const segment = end_ + 1;
    *end_++ = '/';
    std::size_t at = 1;
    while (at < text.size() && text[at] != '/') {
      const std::size_t used = takeByte(text.substr(at));
      if (used == 0) return 0;
      at += used;
    }
    return close(segment, at == text.size()) ? at : 0;
  }

  [[nodiscard]] std::string_view text() const noexcept {
    return {begin_, static_cast<std::size_t>(end_ - begin_)};
  }

 private:
  std::size_t takeByte(std::string_view text) noexcept {
    const char c = text[0];
    if (c != '%') {
      *end_++ = c;
      return isClass(c, kPathPlain) || c == '.' ? 1 : 0;
    }
    if (text.size() < 3) return 0;
    const unsigned high = hexValue(text[1]);
    const unsigned low = hexValue(text[2]);
    if (high > 15 || low > 15) return 0;
    const unsigned byte = high * 16 + low;
    if (byte == 0 || byte == '\\') return 0;
    if (isUnreserved(byte)) {
      *end_++ = static_cast<char>(byte);
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      *end_++ = '%';
      *end_++ = kHex[high];
      *end_++ = kHex[low];
    }
    return 3;
  }

  // Removes dot segments (RFC 3986 §5.2.4); false if the path rises above its root.
  bool close(char* segment, bool last) noexcept {
    const std::string_view text(segment, static_cast<std::size_t>(end_ - segment));
    if (text == ".") {
      end_ = last ? segment : segment - 1;
    } else if (text == "..") {
      char* slash = segment - 1;
      if (slash == begin_) return false;
      do {
        --slash;
      } while (*slash != '/');
      end_ = last ? slash + 1 : slash;
    } else if (text.starts_with(".;") || text.starts_with("..;")) {
      // Servlet containers cut path parameters off before they resolve dot segments.
      return false;
    }
    return true;
  }

  char* begin_;
  char* end_;
};

// True if `path` is its own normal form and valid; may say false of one that is.
bool isPlainPath(std::string_view path) noexcept {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (isClass(path[i], kPathPlain)) continue;
    if (path[i] != '.' || path[i - 1] == '/') return false;  // path[0] is '/', so i > 0 here.
  }
  return true;
}

bool isDottedQuad(std::string_view text) noexcept {
  int octets = 0;
  while (true) {
    std::size_t digits = 0;
    unsigned value = 0;
    while (digits < text.size() && isClass(text[digits], kDigit) && digits < 4)
      value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
    if (digits == 0 || digits > 3 || value > 255 || (digits > 1 && text[0] == '0')) return false;
    text.remove_prefix(digits);
    if (++octets == 4) return text.empty();
    if (text.empty() || text[0] != '.') return false;
    text.remove_prefix(1);
  }
}

// RFC 3986 §3.2.2 IPv6address; no zone (RFC 6874 §4 keeps zones out of what is sent).
bool isIpv6(std::string_view text) noexcept {
  int groups = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    std::size_t digits = 0;
    while (digits < text.size() && hexValue(text[digits]) < 16) ++digits;
    if (digits < text.size() && text[digits] == '.') {
      if (!isDottedQuad(text)) return false;
      groups += 2;
      text = {};
      break;
    }
    if (digits == 0 || digits > 4) return false;
    ++groups;
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text.starts_with("::")) {
      if (gap) return false;
      gap = true;
      text.remove_prefix(2);
    } else {
      if (text[0] != ':') return false;
      text.remove_prefix(1);
      if (text.empty()) return false;
    }
    if (groups > 8) return false;
  }
  return gap ? groups <= 7 : groups == 8;
}

bool isPort(std::string_view text, std::uint16_t& port) noexcept {
  if (text.empty() || text.size() > 5 || text[0] == '0') return false;
  unsigned value = 0;
  for (const char c : text) {
    if (!isClass(c, kDigit)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  port = static_cast<std::uint16_t>(value);
  return value <= 0xffff;
}

std::string_view loweredIn(Arena& arena, std::string_view text) {
  const std::span<char> room = arena.array<char>(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) room[i] = toLower(text[i]);
  return {room.data(), room.size()};
}

Result<Authority, HttpError> parseBracketed(std::string_view text, Arena& arena) {
  const std::size_t bracket = text.find(']');
  if (bracket == text.npos) return fail(HttpError::BadHost);
  const std::string_view address = text.substr(1, bracket - 1);
  const std::string_view rest = text.substr(bracket + 1);
  Authority out;
  if (!isIpv6(address)) return fail(HttpError::BadHost);
  if (!rest.empty() && (rest[0] != ':' || !isPort(rest.substr(1), out.port)))
    return fail(HttpError::BadHost);
  out.host = loweredIn(arena, address);
  return out;
}

}  // namespace

Result<std::string_view, HttpError> normalisePath(std::string_view path, Arena& arena) {
  if (path.empty() || path[0] != '/') return fail(HttpError::BadPath);
  if (isPlainPath(path)) return path;
  // One more than the path: a rejected path may write its '/' before it is found to be bad.
  PathBuilder builder(arena.array<char>(path.size() + 1).data());
  while (!path.empty()) {
    const std::size_t used = builder.take(path);
    if (used == 0) return fail(HttpError::BadPath);
    path.remove_prefix(used);
  }
  return builder.text();
}

Result<Authority, HttpError> parseAuthority(std::string_view text, Arena& arena) {
  if (text.starts_with('[')) return parseBracketed(text, arena);
  Authority out;
  bool upper = false;
  std::size_t label = 0;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (isClass(c, kHostName)) {
      upper = upper || isClass(c, kUpper);
      if (++label > kLongestLabel) return fail(HttpError::BadHost);
    } else if (c == '.') {
      if (label == 0) return fail(HttpError::BadHost);
      label = 0;
    } else {
      break;
    }
  }
  std::string_view host = text.substr(0, at);
  if (at < text.size() && (text[at] != ':' || !isPort(text.substr(at + 1), out.port)))
    return fail(HttpError::BadHost);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kLongestHost) return fail(HttpError::BadHost);
  out.host = upper ? loweredIn(arena, host) : host;
  return out;
}

bool isValidQuery(std::string_view query) noexcept {
  for (std::size_t i = 0; i < query.size(); ++i) {
    if (isClass(query[i], kQueryPlain)) continue;
    if (query[i] != '%' || query.size() - i < 3) return false;
    if (hexValue(query[i + 1]) > 15 || hexValue(query[i + 2]) > 15) return false;
    i += 2;
  }
  return true;
}

}  // namespace hyperway::http
