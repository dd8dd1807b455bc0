// SPDX-License-Identifier: Apache-2.0
#include "net/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hyperway::net {
namespace {

constexpr unsigned char kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

bool isMapped(const unsigned char (&bytes)[16]) noexcept {
  return std::memcmp(bytes, kMappedPrefix, sizeof(kMappedPrefix)) == 0;
}

// Decimal without sign, space or leading zero: "08" is read as octal by some and as 8 by others.
std::optional<std::uint32_t> parseNumber(std::string_view text) noexcept {
  std::uint32_t value = 0;
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

char* writeDecimal(char* to, unsigned char value) noexcept {
  if (value >= 100) *to++ = static_cast<char>('0' + value / 100);
  if (value >= 10) *to++ = static_cast<char>('0' + value / 10 % 10);
  *to++ = static_cast<char>('0' + value % 10);
  return to;
}

std::size_t writeIpv4(char* buffer, const unsigned char* bytes) noexcept {
  char* to = writeDecimal(buffer, bytes[0]);
  for (int i = 1; i < 4; ++i) {
    *to++ = '.';
    to = writeDecimal(to, bytes[i]);
  }
  *to = '\0';
  return static_cast<std::size_t>(to - buffer);
}

bool samePrefix(const unsigned char (&a)[16], const unsigned char (&b)[16],
                unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

}  // namespace

std::optional<SocketAddress> SocketAddress::parse(std::string_view ip, std::uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  SocketAddress out;
  const std::size_t percent = ip.find('%');
  const std::string_view literal = ip.substr(0, percent);
  if (literal.empty() || literal.size() >= sizeof(text)) return std::nullopt;
  // inet_pton() needs a terminator, so a NUL inside the text must not be taken for one.
  if (literal.find('\0') != std::string_view::npos) return std::nullopt;
  literal.copy(text, literal.size());
  text[literal.size()] = '\0';

  if (literal.find(':') == std::string_view::npos) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    if (percent != std::string_view::npos || ::inet_pton(AF_INET, text, &v4.sin_addr) != 1) {
      return std::nullopt;
    }
    std::memcpy(&out.v6_, &v4, sizeof(v4));
    return out;
  }
  out.v6_.sin6_family = AF_INET6;
  out.v6_.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, text, &out.v6_.sin6_addr) != 1) return std::nullopt;
  if (percent != std::string_view::npos) {
    const auto scope = parseNumber(ip.substr(percent + 1));
    if (!scope) return std::nullopt;
    out.v6_.sin6_scope_id = *scope;
  }
  return out;
}

SocketAddress SocketAddress::from(const sockaddr* address, socklen_t size) noexcept {
  SocketAddress out;
  if (address == nullptr || size < sizeof(sa_family_t)) return out;
  sa_family_t family = AF_UNSPEC;
  std::memcpy(&family, address, sizeof(family));
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    std::memcpy(&out.v6_, address, sizeof(sockaddr_in));
  } else if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    std::memcpy(&out.v6_, address, sizeof(sockaddr_in6));
  }
  return out;
}

void SocketAddress::toBytes(unsigned char (&out)[16]) const noexcept {
  if (family() == AF_INET6) {
    std::memcpy(out, &v6_.sin6_addr, sizeof(out));
    return;
  }
  sockaddr_in v4;
  std::memcpy(&v4, &v6_, sizeof(v4));
  std::memcpy(out, kMappedPrefix, sizeof(kMappedPrefix));
  std::memcpy(out + sizeof(kMappedPrefix), &v4.sin_addr, sizeof(v4.sin_addr));
}

std::size_t SocketAddress::writeIp(char* buffer) const noexcept {
  unsigned char bytes[16];
  toBytes(bytes);
  if (isMapped(bytes)) return writeIpv4(buffer, bytes + sizeof(kMappedPrefix));
  if (::inet_ntop(AF_INET6, bytes, buffer, INET6_ADDRSTRLEN) == nullptr) *buffer = '\0';
  return std::strlen(buffer);
}

std::string SocketAddress::ip() const {
  char buffer[INET6_ADDRSTRLEN];
  return {buffer, writeIp(buffer)};
}

std::string SocketAddress::text() const {
  std::string address = ip();
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  return address + ":" + std::to_string(port());
}

bool SocketAddress::isLoopback() const noexcept {
  static constexpr unsigned char kLoopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  unsigned char bytes[16];
  toBytes(bytes);
  if (isMapped(bytes)) return bytes[12] == 127;
  return std::memcmp(bytes, kLoopback, sizeof(bytes)) == 0;
}

bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept {
  if (a.family() != b.family() || a.port() != b.port()) return false;
  unsigned char left[16];
  unsigned char right[16];
  a.toBytes(left);
  b.toBytes(right);
  return std::memcmp(left, right, sizeof(left)) == 0 &&
         (a.family() == AF_INET || a.v6_.sin6_scope_id == b.v6_.sin6_scope_id);
}

bool CidrSet::add(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view literal = text.substr(0, slash);
  if (literal.find('%') != std::string_view::npos) return false;
  const auto address = SocketAddress::parse(literal, 0);
  if (!address) return false;

  const unsigned limit = address->family() == AF_INET ? 32 : 128;
  unsigned bits = limit;
  if (slash != std::string_view::npos) {
    const auto length = parseNumber(text.substr(slash + 1));
    if (!length || *length > limit) return false;
    bits = *length;
  }
  Network network{};
  address->toBytes(network.bytes);
  network.bits = bits + (128 - limit);
  networks_.push_back(network);
  return true;
}

bool CidrSet::contains(const SocketAddress& address) const noexcept {
  unsigned char bytes[16];
  address.toBytes(bytes);
  // "::/0" means every IPv6 address. IPv4 only lies inside it by the way we write it down, and
  // whoever trusts one family has not said that they trust the other.
  const unsigned least = isMapped(bytes) ? kMappedBits : 0;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    return network.bits >= least && samePrefix(network.bytes, bytes, network.bits);
  });
}

}  // namespace hyperway::net
