// SPDX-License-Identifier: Apache-2.0
#include "proxy/session_token.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace hyperway::proxy {
namespace {

// version, backend, address, family, port, begun, seen
constexpr std::size_t kPlainSize = 1 + 8 + 16 + 1 + 2 + 8 + 8;
constexpr std::size_t kSealedSize = kPlainSize + tls::TokenCipher::kOverhead;
constexpr std::uint8_t kVersion = 1;
static_assert(kSealedSize % 3 == 0 && kSealedSize / 3 * 4 == kSessionTokenSize);

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";  // RFC 4648 §5

constexpr std::array<std::int8_t, 256> kValues = [] {
  std::array<std::int8_t, 256> out{};
  out.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i)
    out[static_cast<unsigned char>(kDigits[i])] = static_cast<std::int8_t>(i);
  return out;
}();

void writeText(const std::array<std::byte, kSealedSize>& bytes, char* out) noexcept {
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const std::byte byte : bytes) {
    bits = bits << 8 | std::to_integer<std::uint32_t>(byte);
    for (held += 8; held >= 6; held -= 6) *out++ = kDigits[bits >> (held - 6) & 63];
  }
}

bool readText(std::string_view text, std::array<std::byte, kSealedSize>& out) noexcept {
  if (text.size() != kSessionTokenSize) return false;
  std::uint32_t bits = 0;
  unsigned held = 0;
  std::size_t at = 0;
  for (const char c : text) {
    const std::int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value < 0) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out[at++] = static_cast<std::byte>(bits >> held & 255);
  }
  return true;
}

/// Writes and reads numbers, most significant byte first.
class Cursor {
 public:
  explicit Cursor(std::byte* at) noexcept : at_(at) {}
  template <class Number>
  void put(Number value) noexcept {
    for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8)
      *at_++ = static_cast<std::byte>(value >> shift & 255);
  }
  template <class Number>
  [[nodiscard]] Number take() noexcept {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
      value = static_cast<Number>(value << (sizeof value > 1 ? 8 : 0) |
                                  std::to_integer<Number>(*at_++));
    return value;
  }
  std::byte* skip(std::size_t size) noexcept {
    at_ += size;
    return at_ - size;
  }

 private:
  std::byte* at_;
};

}  // namespace

bool writeSessionToken(tls::TokenCipher& cipher, std::string_view scope, const SessionToken& token,
                       char* out) noexcept {
  std::array<std::byte, kPlainSize> plain;
  Cursor to(plain.data());
  unsigned char address[16];
  token.endpoint.toBytes(address);
  to.put(kVersion);
  to.put(token.backend);
  std::memcpy(to.skip(16), address, 16);
  to.put(static_cast<std::uint8_t>(token.endpoint.family() == AF_INET ? 4 : 6));
  to.put(token.endpoint.port());
  to.put(token.begun);
  to.put(token.seen);
  std::array<std::byte, kSealedSize> sealed;
  if (!cipher.seal(scope, plain, sealed)) return false;
  writeText(sealed, out);
  return true;
}

std::optional<SessionToken> readSessionToken(tls::TokenCipher& cipher, std::string_view scope,
                                             std::string_view text) noexcept {
  std::array<std::byte, kSealedSize> sealed;
  std::array<std::byte, kPlainSize> plain;
  if (!readText(text, sealed) || !cipher.open(scope, sealed, plain)) return std::nullopt;
  Cursor from(plain.data());
  if (from.take<std::uint8_t>() != kVersion) return std::nullopt;
  SessionToken token;
  token.backend = from.take<std::uint64_t>();
  const std::byte* const address = from.skip(16);
  const bool v4 = from.take<std::uint8_t>() == 4;
  const auto port = from.take<std::uint16_t>();
  if (v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address + 12, 4);
    token.endpoint = net::SocketAddress::from(reinterpret_cast<const sockaddr*>(&in), sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address, 16);
    token.endpoint = net::SocketAddress::from(reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  token.begun = from.take<std::uint64_t>();
  token.seen = from.take<std::uint64_t>();
  return token;
}

}  // namespace hyperway::proxy
