// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::net {

/// An IPv4 or IPv6 address with a port. A value of 28 bytes.
class SocketAddress {
 public:
  /// The unspecified IPv4 address, port 0.
  SocketAddress() noexcept : v6_{} { v6_.sin6_family = AF_INET; }
  /// Parses an IP literal without brackets ("10.0.0.1", "::1", "fe80::1%2"); nothing if it is none.
  [[nodiscard]] static std::optional<SocketAddress> parse(std::string_view ip, std::uint16_t port);
  /// Takes what accept4() or getpeername() filled in; other families than IP read as unspecified.
  [[nodiscard]] static SocketAddress from(const sockaddr* address, socklen_t size) noexcept;

  /// For bind() and connect().
  [[nodiscard]] const sockaddr* data() const noexcept {
    return reinterpret_cast<const sockaddr*>(&v6_);
  }
  /// For bind() and connect().
  [[nodiscard]] socklen_t size() const noexcept {
    return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }
  /// AF_INET or AF_INET6.
  [[nodiscard]] int family() const noexcept { return v6_.sin6_family; }
  /// Port in host order.
  [[nodiscard]] std::uint16_t port() const noexcept { return ntohs(v6_.sin6_port); }
  /// The address as text without port; an IPv4-mapped IPv6 address reads as IPv4.
  [[nodiscard]] std::string ip() const;
  /// Writes ip() into `buffer` of at least 46 bytes and returns the length; no allocation.
  [[nodiscard]] std::size_t writeIp(char* buffer) const noexcept;
  /// "1.2.3.4:80" or "[::1]:80".
  [[nodiscard]] std::string text() const;
  /// True for 127/8, ::1 and their mapped forms.
  [[nodiscard]] bool isLoopback() const noexcept;
  /// 16 bytes in network order; IPv4 as IPv4-mapped. For CIDR tests and hashing.
  void toBytes(unsigned char (&out)[16]) const noexcept;
  /// Same family, address and port.
  friend bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept;

 private:
  sockaddr_in6 v6_;  // or a sockaddr_in at the same place; port and family share offsets
};

/// A set of networks, e.g. trusted proxies.
class CidrSet {
 public:
  /// Adds "10.0.0.0/8", "::1" or "2001:db8::/32". False if it is none.
  [[nodiscard]] bool add(std::string_view text);
  /// True if the address is in one of the networks.
  [[nodiscard]] bool contains(const SocketAddress& address) const noexcept;
  /// True if there is no network.
  [[nodiscard]] bool empty() const noexcept { return networks_.empty(); }

 private:
  struct Network {
    unsigned char bytes[16];
    unsigned bits;
  };
  std::vector<Network> networks_;
};

}  // namespace hyperway::net
