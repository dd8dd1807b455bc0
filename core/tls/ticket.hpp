// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tls/openssl.hpp"

namespace hyperway::tls {

/// Fills the ticket keys with random bytes. False if OpenSSL has none.
[[nodiscard]] bool makeTicketKeys(ContextSettings& settings) noexcept;

/// Makes tickets of all sessions that start on `base` use the keys of the context that was chosen
/// for the name. OpenSSL alone would use those of `base`, which all names share: a session made
/// under one name, without client certificate, could then be resumed under another that asks for
/// one (as in CVE-2025-23419).
void useTicketKeysOfChosenContext(SSL_CTX* base) noexcept;

}  // namespace hyperway::tls
