// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/address.hpp"
#include "tls/token_cipher.hpp"

namespace hyperway::proxy {

/// What a client of a rule with session persistence brings back: where its session is. Sealed, so
/// that no client learns an address or asks for one that it was not given.
struct SessionToken {
  std::uint64_t backend = 0;    ///< fnv1a() of the upstream's key.
  net::SocketAddress endpoint;  ///< Of that upstream.
  std::uint64_t begun = 0;      ///< Milliseconds since the epoch; 0 where nothing depends on it.
  std::uint64_t seen = 0;       ///< The last request, likewise.
};

/// Length of a token's text.
inline constexpr std::size_t kSessionTokenSize = 80;

/// Writes the text of `token` for rules of `scope` (route::Session::scope) into `out`, which has
/// room for kSessionTokenSize bytes: letters, digits, '-' and '_'. False if it cannot be sealed.
[[nodiscard]] bool writeSessionToken(tls::TokenCipher& cipher, std::string_view scope,
                                     const SessionToken& token, char* out) noexcept;

/// Reads what writeSessionToken() wrote for the same scope; nothing for any other text.
[[nodiscard]] std::optional<SessionToken> readSessionToken(tls::TokenCipher& cipher,
                                                           std::string_view scope,
                                                           std::string_view text) noexcept;

}  // namespace hyperway::proxy
