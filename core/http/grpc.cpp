// SPDX-License-Identifier: Apache-2.0
#include "http/grpc.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace hyperway::http {
namespace {

constexpr std::string_view kType = "application/grpc";

bool isPlain(char c) noexcept { return c >= ' ' && c <= '~' && c != '%'; }

}  // namespace

bool isGrpcType(std::string_view content_type) noexcept {
  if (content_type.size() < kType.size() ||
      !equalsIgnoreCase(content_type.substr(0, kType.size()), kType))
    return false;
  const std::string_view rest = content_type.substr(kType.size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ' || rest[0] == '\t';
}

std::uint8_t grpcStatusOf(std::uint16_t http_status) noexcept {
  switch (http_status) {
    case 400:
    case 500: return 13;  // INTERNAL
    case 401: return 16;  // UNAUTHENTICATED
    case 403: return 7;   // PERMISSION_DENIED
    case 404: return 12;  // UNIMPLEMENTED
    case 408:
    case 504: return 4;  // DEADLINE_EXCEEDED
    case 413:
    case 431: return 8;  // RESOURCE_EXHAUSTED
    case 429:
    case 502:
    case 503: return 14;  // UNAVAILABLE
    default: return 2;    // UNKNOWN
  }
}

std::string_view grpcMessage(std::string_view text, Arena& arena) {
  if (std::all_of(text.begin(), text.end(), isPlain)) return text;
  auto* const encoded = static_cast<char*>(arena.allocate(text.size() * 3, 1));
  char* at = encoded;
  for (const char c : text) {
    if (isPlain(c)) {
      *at++ = c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    *at++ = '%';
    *at++ = "0123456789ABCDEF"[byte >> 4];
    *at++ = "0123456789ABCDEF"[byte & 15];
  }
  return {encoded, static_cast<std::size_t>(at - encoded)};
}

}  // namespace hyperway::http
