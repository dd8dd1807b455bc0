// SPDX-License-Identifier: Apache-2.0
#include "gateway/ip_literal.hpp"

// inet_pton and inet_ntop only: text in, bytes out, no socket.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hyperway::gateway {
namespace {

constexpr std::size_t kLongest = INET6_ADDRSTRLEN;

struct Address {
  bool v4 = false, v6 = false;
  std::array<unsigned char, 16> bytes{};
};

Address parse(std::string_view text) noexcept {
  Address address;
  std::array<char, kLongest> copy{};
  if (text.empty() || text.size() >= copy.size() || text.find('\0') != std::string_view::npos)
    return address;
  std::memcpy(copy.data(), text.data(), text.size());
  address.v4 = inet_pton(AF_INET, copy.data(), address.bytes.data()) == 1;
  address.v6 = !address.v4 && inet_pton(AF_INET6, copy.data(), address.bytes.data()) == 1;
  return address;
}

bool isLocalV4(const unsigned char* b) noexcept {
  return b[0] == 0 || b[0] == 127 || (b[0] == 169 && b[1] == 254) || b[0] >= 224;
}

bool startsWith(const Address& address, std::initializer_list<unsigned char> prefix) noexcept {
  return std::equal(prefix.begin(), prefix.end(), address.bytes.begin());
}

}  // namespace

bool isIpLiteral(std::string_view text) noexcept {
  const Address address = parse(text);
  return address.v4 || address.v6;
}

std::string canonicalIp(std::string_view text) {
  const Address address = parse(text);
  if (!address.v4 && !address.v6) return {};
  std::array<char, kLongest> out{};
  inet_ntop(address.v4 ? AF_INET : AF_INET6, address.bytes.data(), out.data(), out.size());
  return out.data();
}

bool isWildcardIp(std::string_view canonical) noexcept {
  return canonical == "0.0.0.0" || canonical == "::";
}

bool isIpv6(std::string_view canonical) noexcept {
  return canonical.find(':') != std::string_view::npos;
}

bool isLocalIp(std::string_view text) noexcept {
  const Address a = parse(text);
  if (a.v4) return isLocalV4(a.bytes.data());
  if (!a.v6) return true;
  const unsigned char* const b = a.bytes.data();
  if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)) return true;
  // ::, ::1 and the IPv4-compatible block; ::ffff:a.b.c.d; 64:ff9b::a.b.c.d; 2002:aabb:ccdd::.
  if (startsWith(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return true;
  if (startsWith(a, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) return isLocalV4(b + 12);
  if (startsWith(a, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return isLocalV4(b + 12);
  return startsWith(a, {0x20, 0x02}) && isLocalV4(b + 2);
}

}  // namespace hyperway::gateway
