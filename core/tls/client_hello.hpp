// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace hyperway::tls {

/// The host name inside a server_name extension's body (RFC 6066 §3), a view into it; empty if it
/// holds none. Nothing if the body is malformed: lengths that do not fit, an empty name, two host
/// names, a NUL byte.
[[nodiscard]] std::optional<std::string_view> parseServerName(
    std::span<const unsigned char> extension) noexcept;

/// Bytes of records within which a ClientHello must end, for parseClientHello().
inline constexpr std::size_t kMaxClientHelloBytes = 16 * 1024;

/// What parseClientHello() found.
struct ClientHello {
  /// How far it got.
  enum class State : std::uint8_t {
    NeedMore,  ///< A good beginning: more bytes will tell.
    Complete,  ///< A well-formed ClientHello.
    Bad,       ///< It is none, or longer than kMaxClientHelloBytes.
  };
  State state = State::Bad;  ///< How far it got.
  /// The name asked for, as sent, a view into the bytes; empty if there is none. With Encrypted
  /// Client Hello it is the outer one's.
  std::string_view server_name = {};
};

/// Finds the server name in the first bytes of a connection: TLS records (RFC 8446 §5.1) with a
/// ClientHello (§4.1.2), which may be cut into any number of records. Takes what it does not know
/// (GREASE, new extensions and versions) for granted, and nothing that has two server names or
/// lengths that do not fit. Puts the pieces of a ClientHello of several records together where
/// they lie, so the bytes are worth nothing afterwards but for the view.
[[nodiscard]] ClientHello parseClientHello(std::span<unsigned char> bytes) noexcept;

}  // namespace hyperway::tls
