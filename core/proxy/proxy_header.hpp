// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/message_link.hpp"
#include "net/address.hpp"
#include "route/model.hpp"

/// The header with which a proxy tells whose connection it passes on: version 1, a line of text,
/// and version 2, binary. Source: "The PROXY protocol", haproxy.org, proxy-protocol.txt.
namespace hyperway::proxy {

/// Bytes within which a header must end; version 2 could have 64 KiB of extensions.
inline constexpr std::size_t kMaxProxyHeaderIn = 4096;
/// The longest header that we write: version 1 with two long IPv6 addresses.
inline constexpr std::size_t kMaxProxyHeaderOut = 107;

/// What parseProxyHeader() found.
struct ProxyHeaderIn {
  /// How far it got.
  enum class State : std::uint8_t {
    NeedMore,  ///< A good beginning: more bytes will tell.
    Complete,  ///< A well-formed header.
    Bad,       ///< It is none, or longer than kMaxProxyHeaderIn.
  };
  State state = State::Bad;             ///< How far it got.
  std::size_t size = 0;                 ///< Of a complete header; what follows is the client's.
  bool has_addresses = false;           ///< False: the proxy speaks for itself, or does not say.
  net::SocketAddress source = {};       ///< The client, if has_addresses.
  net::SocketAddress destination = {};  ///< What it connected to, if has_addresses.
};

/// Reads a header of either version at the beginning of `bytes`. Strict: single spaces, decimal
/// ports without leading zeros, TCP over IP or no address at all, extensions whose lengths fit, a
/// checksum that is right where there is one.
[[nodiscard]] ProxyHeaderIn parseProxyHeader(std::span<const unsigned char> bytes) noexcept;

/// Writes a header about a connection from `source` to `destination` into `to` of
/// kMaxProxyHeaderOut bytes, and returns its length; 0 for ProxyHeader::None.
[[nodiscard]] std::size_t writeProxyHeader(route::ProxyHeader version,
                                           const net::SocketAddress& source,
                                           const net::SocketAddress& destination,
                                           char* to) noexcept;

/// The same about a client's connection, whose destination is what a header said, else the address
/// of its socket.
[[nodiscard]] std::size_t writeProxyHeader(route::ProxyHeader version,
                                           const codec::ConnectionInfo& client, char* to) noexcept;

}  // namespace hyperway::proxy
