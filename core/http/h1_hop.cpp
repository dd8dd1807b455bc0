// SPDX-License-Identifier: Apache-2.0
#include "http/h1_hop.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "http/char_class.hpp"

namespace hyperway::http::h1 {
namespace {

// Cuts the next element off a comma-separated list and trims it; false at the end.
bool nextElement(std::string_view& list, std::string_view& element) noexcept {
  if (list.data() == nullptr) return false;
  const std::size_t comma = list.find(',');
  element = trimOws(list.substr(0, comma));
  list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  return true;
}

bool isToken(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return isClass(c, kToken); });
}

bool startsWithIgnoreCase(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && equalsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

template <class List>
bool isListed(const List& list, std::string_view name) noexcept {
  return std::any_of(std::begin(list), std::end(list),
                     [name](std::string_view known) { return equalsIgnoreCase(known, name); });
}

// Fields of one hop: a Connection option may name them.
bool isHopName(FieldId id) noexcept {
  switch (id) {
    case FieldId::Connection:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::Te:
    case FieldId::Trailer:
    case FieldId::Upgrade:
    case FieldId::Http2Settings: return true;
    default: return false;
  }
}

// Fields for every recipient, beside those that have an id. A prefix ends with '-'.
constexpr std::string_view kProtectedNames[] = {
    "authorization", "forwarded",        "x-real-ip", "cache-control", "set-cookie",
    "via",           "www-authenticate", "range",     "vary",          "etag"};
constexpr std::string_view kProtectedPrefixes[] = {"x-forwarded-", "content-", "access-control-",
                                                   "sec-", "if-"};

// RFC 9110 §6.5.1: request modifiers, authentication, response control, content processing.
constexpr std::string_view kForbiddenTrailers[] = {"authorization",
                                                   "authentication-info",
                                                   "www-authenticate",
                                                   "set-cookie",
                                                   "cache-control",
                                                   "max-forwards",
                                                   "pragma",
                                                   "range",
                                                   "forwarded",
                                                   "x-real-ip",
                                                   "age",
                                                   "expires",
                                                   "retry-after",
                                                   "vary",
                                                   "via"};

// Every '_' as '-', in `room`; empty if the name is too long to be any of ours.
std::string_view hyphenated(std::string_view name, std::array<char, 64>& room) noexcept {
  if (name.size() > room.size()) return {};
  std::transform(name.begin(), name.end(), room.begin(), [](char c) { return c == '_' ? '-' : c; });
  return {room.data(), name.size()};
}

}  // namespace

bool HopFields::take(FieldId id, std::string_view value) noexcept {
  switch (id) {
    case FieldId::Host: host.note(value); return true;
    case FieldId::ContentLength: content_length.note(value); return true;
    case FieldId::TransferEncoding: transfer_encoding.note(value); return true;
    case FieldId::Expect: expect.note(value); return true;
    case FieldId::Upgrade: upgrade.note(value); return true;
    case FieldId::Connection:
      if (connection_count < kMaxConnectionLines) connection[connection_count] = value;
      ++connection_count;
      return true;
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::Te:
    case FieldId::Trailer:
    case FieldId::Http2Settings: return true;
    default: return false;
  }
}

Result<ConnectionOptions, HttpError> applyConnection(const HopFields& hop,
                                                     HeaderMap& fields) noexcept {
  if (hop.connection_count > HopFields::kMaxConnectionLines) return fail(HttpError::BadConnection);
  ConnectionOptions options;
  for (std::uint32_t i = 0; i < hop.connection_count; ++i) {
    std::string_view list = hop.connection[i];
    std::string_view option;
    while (nextElement(list, option)) {
      if (option.empty()) continue;  // RFC 9110 §5.6.1: empty elements are ignored.
      if (equalsIgnoreCase(option, "close")) {
        options.close = true;
      } else if (equalsIgnoreCase(option, "keep-alive")) {
        options.keep_alive = true;
      } else if (equalsIgnoreCase(option, "upgrade")) {
        ++options.upgrades;
      } else {
        if (!isToken(option) || isProtectedName(option) || isAliasOfProtected(option))
          return fail(HttpError::BadConnection);
        fields.remove(option);
      }
    }
  }
  return options;
}

bool isProtectedName(std::string_view name) noexcept {
  const FieldId id = fieldId(name);
  if (id != FieldId::Other) return !isHopName(id);
  if (isListed(kProtectedNames, name)) return true;
  return std::any_of(
      std::begin(kProtectedPrefixes), std::end(kProtectedPrefixes),
      [name](std::string_view prefix) { return startsWithIgnoreCase(name, prefix); });
}

bool isAliasOfProtected(std::string_view name) noexcept {
  if (name.find('_') == name.npos) return false;
  std::array<char, 64> room;
  const std::string_view plain = hyphenated(name.substr(0, room.size()), room);
  return fieldId(plain) != FieldId::Other || isProtectedName(plain);
}

bool isForbiddenTrailer(std::string_view name) noexcept {
  std::array<char, 64> room;
  const std::string_view plain = hyphenated(name.substr(0, room.size()), room);
  return fieldId(plain) != FieldId::Other || isListed(kForbiddenTrailers, plain) ||
         startsWithIgnoreCase(plain, "x-forwarded-") || startsWithIgnoreCase(plain, "if-") ||
         startsWithIgnoreCase(plain, "content-range") || startsWithIgnoreCase(plain, "proxy-");
}

Result<std::uint64_t, HttpError> parseContentLength(std::string_view text) noexcept {
  // 19 digits cannot overflow; the largest value stays below 2^63 with a first digit up to 9.
  if (text.empty() || text.size() > 19) return fail(HttpError::BadContentLength);
  std::uint64_t bytes = 0;
  for (const char c : text) {
    if (!isClass(c, kDigit)) return fail(HttpError::BadContentLength);
    bytes = bytes * 10 + static_cast<unsigned>(c - '0');
  }
  if (bytes > INT64_MAX) return fail(HttpError::BadContentLength);
  return bytes;
}

namespace {

// A list of codings that ends with its only `chunked` is legal, but we do not decode the others:
// 501. Whatever does not end so cannot be framed at all: 400 (RFC 9112 §6.3).
HttpError transferEncodingError(std::string_view value) noexcept {
  std::string_view coding;
  std::size_t codings = 0;
  bool chunked = false;
  while (nextElement(value, coding)) {
    const std::string_view name = trimOws(coding.substr(0, coding.find(';')));
    if (!isToken(name) || chunked) return HttpError::BadTransferEncoding;
    chunked = equalsIgnoreCase(name, "chunked");
    ++codings;
  }
  return chunked && codings > 1 ? HttpError::UnsupportedTransferEncoding
                                : HttpError::BadTransferEncoding;
}

}  // namespace

Result<StatedFraming, HttpError> statedFraming(const HopFields& hop, Version version) noexcept {
  const Single& coding = hop.transfer_encoding;
  const Single& length = hop.content_length;
  if (coding.count != 0) {
    if (length.count != 0) return fail(HttpError::ConflictingLength);
    if (version == Version::Http10 || coding.count > 1) return fail(HttpError::BadTransferEncoding);
    if (!equalsIgnoreCase(coding.value, "chunked"))
      return fail(transferEncodingError(coding.value));
    return StatedFraming{{BodyKind::Chunked, 0}, true};
  }
  if (length.count == 0) return StatedFraming{};
  if (length.count > 1) return fail(HttpError::ConflictingLength);
  const auto bytes = parseContentLength(length.value);
  if (!bytes) return fail(bytes.error());
  return StatedFraming{{*bytes == 0 ? BodyKind::None : BodyKind::Length, *bytes}, true};
}

Result<std::string_view, HttpError> upgradeToken(std::string_view value) noexcept {
  std::string_view token;
  std::string_view found;
  while (nextElement(value, token)) {
    if (token.empty()) continue;
    const std::size_t slash = token.find('/');
    if (!isToken(token.substr(0, slash)) ||
        (slash != token.npos && !isToken(token.substr(slash + 1))))
      return fail(HttpError::BadUpgrade);
    if (equalsIgnoreCase(token.substr(0, slash), "h2c")) continue;
    if (!found.empty()) return fail(HttpError::BadUpgrade);
    found = token;
  }
  return found;
}

}  // namespace hyperway::http::h1
