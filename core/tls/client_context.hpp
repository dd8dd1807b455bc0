// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tls/context.hpp"
#include "tls/trust_store.hpp"

namespace hyperway::tls {

/// Whom a session that we begin must find at the other end.
struct PeerName {
  std::string hostname;                ///< SNI. Must be in the certificate if no names are given:
  std::vector<std::string> dns_names;  ///< DNS names (or wildcards, letter by letter), or…
  std::vector<std::string> uris;       ///< …URIs, byte by byte; the certificate must have one.

  /// Field-wise order, so that connections can be kept apart.
  friend auto operator<=>(const PeerName&, const PeerName&) = default;
};

/// An immutable client-side TLS configuration: whom it trusts, and what it shows if it is asked for
/// a certificate. Offers http/1.1 (RFC 7301) and never resumes. Made on the control thread, used by
/// all workers.
class ClientContext {
 public:
  /// `own` is the certificate that is shown; null: none. Error: why not, in the user's words.
  [[nodiscard]] static Result<std::shared_ptr<const ClientContext>, std::string> create(
      const TrustStore& trust, const KeyPair* own);
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;
  ~ClientContext();

  /// OpenSSL's SSL_CTX, for this layer only.
  [[nodiscard]] void* native() const noexcept { return native_; }

 private:
  ClientContext() = default;
  void* native_ = nullptr;
};

}  // namespace hyperway::tls
