// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "tls/trust_store.hpp"

namespace hyperway::tls {

/// A chain and its key, as PEM text. Views are needed during the call only.
struct KeyPair {
  std::string_view chain_pem;    ///< Leaf first.
  std::string_view private_pem;  ///< Its key.
};

/// What a certificate says about itself, for metrics, status and check.
struct CertificateInfo {
  std::string subject;                 ///< Common name or first SAN.
  std::vector<std::string> dns_names;  ///< SANs.
  std::int64_t not_after = 0;          ///< Seconds since the epoch.
  bool ecdsa = false;                  ///< Else RSA (or Ed25519).
};

/// Settings of a server-side context.
struct ContextOptions {
  /// Offered protocols, best first. A client whose list has none of them is refused
  /// (no_application_protocol, RFC 7301).
  std::vector<std::string> alpn = {"h2", "http/1.1", "http/1.0"};
  bool min_tls13 = false;          ///< Else TLS 1.2 is the least.
  std::string session_id_context;  ///< Sessions and tickets are bound to it (listener and
                                   ///< client-certificate settings).
  bool tickets = false;  ///< Session resumption; off by default: nothing can cross settings then.
  std::shared_ptr<const TrustStore> client_trust;  ///< Clients are asked for a certificate that
                                                   ///< this finds good; null: they are not asked.
  bool client_required = true;  ///< False: clients with none, or with a bad one, pass too.
};

/// An immutable server-side TLS configuration: RSA and ECDSA chains side by side, TLS 1.2 and 1.3,
/// strong suites, no renegotiation, no compression. Made on the control thread, used by all
/// workers.
class Context {
 public:
  /// Checks every pair (PEM parses, key fits certificate) and builds a context. Error: which pair
  /// and why, in the user's words, never key material.
  [[nodiscard]] static Result<std::shared_ptr<const Context>, std::string> create(
      std::span<const KeyPair> pairs, const ContextOptions& options);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  /// The leaf certificates, in the order of the pairs.
  [[nodiscard]] const std::vector<CertificateInfo>& certificates() const noexcept {
    return certificates_;
  }
  /// ContextOptions::session_id_context.
  [[nodiscard]] const std::string& sessionsOf() const noexcept { return sessions_of_; }
  /// OpenSSL's SSL_CTX, for this layer only.
  [[nodiscard]] void* native() const noexcept { return native_; }

 private:
  Context() = default;
  void* native_ = nullptr;
  std::string sessions_of_;
  std::vector<CertificateInfo> certificates_;
};

/// What a pair that can serve says about itself. Error: why it cannot.
[[nodiscard]] Result<CertificateInfo, std::string> describe(const KeyPair& pair);

/// Empty if the pair can serve; else why not. For translation and `hyperway check`.
[[nodiscard]] std::string checkKeyPair(const KeyPair& pair);

}  // namespace hyperway::tls
