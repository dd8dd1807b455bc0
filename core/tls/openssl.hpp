// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

/// What the two halves of this layer, contexts and sessions, share. Not for other layers.
namespace hyperway::tls {

struct PeerName;

/// Frees OpenSSL objects.
struct OpensslFree {
  /// Gives back one reference, by the type's own function.
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }
  void operator()(BIO_METHOD* method) const noexcept { BIO_meth_free(method); }
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};

/// Owns one reference of an OpenSSL object.
template <class T>
using Owned = std::unique_ptr<T, OpensslFree>;

/// What a server-side context asks of clients.
enum class ClientCheck : std::uint8_t {
  None,      ///< No certificate is asked for.
  Required,  ///< One that its trust store finds good.
  Any,       ///< It is asked for; none, or a bad one, is fine too.
};

/// Settings that belong to one Context and that OpenSSL has no place for. Owned by the SSL_CTX, so
/// that a handshake that is under way does not need the Context.
struct ContextSettings {
  std::string alpn_wire;   ///< Protocols with length bytes, best first (RFC 7301 §3.1).
  bool min_tls13 = false;  ///< ContextOptions::min_tls13.
  bool tickets = false;    ///< ContextOptions::tickets.
  ClientCheck clients = ClientCheck::None;  ///< ContextOptions::client_trust, client_required.
  unsigned char ticket_name[16]{};          ///< Names the keys below inside tickets.
  unsigned char
      ticket_cipher[32]{};  ///< AES-256 key of tickets; random, lives as long as the context.
  unsigned char ticket_mac[32]{};  ///< HMAC-SHA-256 key of tickets.
};

/// A server-side SSL_CTX with everything that is the same for all of ours: versions, suites,
/// groups, signature algorithms, modes. Null if OpenSSL is out of memory or its configuration
/// forbids the suites.
[[nodiscard]] Owned<SSL_CTX> newServerContext();

/// The same for sessions that we begin.
[[nodiscard]] Owned<SSL_CTX> newClientContext();

/// Tells the verification of a session that we begin whom to find; `peer` outlives its handshake.
/// False if OpenSSL is out of memory.
[[nodiscard]] bool expectPeer(SSL* ssl, const PeerName& peer) noexcept;

/// Settings given to an SSL_CTX by attachSettings(); null if none.
[[nodiscard]] const ContextSettings* settingsOf(const SSL_CTX* context) noexcept;

/// Gives `settings` to the SSL_CTX, which owns them from then on. False if OpenSSL is out of
/// memory.
[[nodiscard]] bool attachSettings(SSL_CTX* context, std::unique_ptr<ContextSettings> settings);

/// The reason of the newest error in OpenSSL's queue, static text; empties the queue.
[[nodiscard]] const char* takeOpensslReason() noexcept;

}  // namespace hyperway::tls
