// SPDX-License-Identifier: Apache-2.0
#include "tls/context.hpp"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>

#include "tls/key_pair.hpp"
#include "tls/openssl.hpp"
#include "tls/ticket.hpp"

namespace hyperway::tls {
namespace {

// Cheapest handshake first: X25519 and P-256 have fast code everywhere. P-384 is for those who
// must.
constexpr const char* kGroups = "X25519:P-256:P-384";

// TLS 1.2: forward secrecy and AEAD only. ECDSA before RSA (a tenth of the cost), AES-128 before
// AES-256 (SHA-256 has hardware help, SHA-384 has none).
constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kSuites13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

// No SHA-1, whatever the client says.
constexpr const char* kSignatures =
    "ECDSA+SHA256:ed25519:RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA384:"
    "RSA-PSS+SHA512:RSA+SHA384:RSA+SHA512";

// The server's order counts, but a client that puts ChaCha20 first has no AES in hardware.
constexpr std::uint64_t kOptions = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA;

// Keys and signatures of at least 112 bits: RSA from 2,048, no SHA-1.
constexpr int kSecurityLevel = 2;

// Without NO_AUTO_CHAIN OpenSSL looks for issuers in its trust store in every handshake.
constexpr std::uint64_t kModes =
    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;

void freeSettings(void* /*parent*/, void* settings, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                  long /*argl*/, void* /*argp*/) noexcept {
  const std::unique_ptr<ContextSettings> owned{static_cast<ContextSettings*>(settings)};
  if (!owned) return;
  OPENSSL_cleanse(owned->ticket_cipher, sizeof(owned->ticket_cipher));
  OPENSSL_cleanse(owned->ticket_mac, sizeof(owned->ticket_mac));
}

int settingsIndex() noexcept {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, freeSettings);
  return index;
}

// RFC 7301 §3.2: without overlap the handshake ends. Going on without a protocol is what lets one
// protocol's bytes be taken for another's (ALPACA).
int chooseProtocol(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned offered_size,
                   void* /*argument*/) noexcept {
  const ContextSettings* settings = settingsOf(SSL_get_SSL_CTX(ssl));
  if (settings == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  const std::string& ours = settings->alpn_wire;
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(
      &found, chosen_size, reinterpret_cast<const unsigned char*>(ours.data()),
      static_cast<unsigned>(ours.size()), offered, offered_size);
  if (outcome != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::string, std::string> alpnWire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) {
      return fail("an ALPN protocol has 1 to 255 bytes, not " + std::to_string(protocol.size()));
    }
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

const char* keyKind(const ParsedPair& pair) noexcept {
  const char* name = EVP_PKEY_get0_type_name(pair.key.get());
  return name != nullptr ? name : "unknown";
}

}  // namespace

std::string usePair(SSL_CTX* context, const ParsedPair& pair) {
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const Owned<X509>& certificate : pair.chain) sk_X509_push(chain, certificate.get());
  const int used = SSL_CTX_use_cert_and_key(context, pair.leaf.get(), pair.key.get(), chain, 0);
  sk_X509_free(chain);  // the certificates are counted by the context
  return used == 1 ? std::string{} : "OpenSSL refuses it: " + std::string(takeOpensslReason());
}

namespace {

bool bindSessions(SSL_CTX* context, const std::string& name) noexcept {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest);
  return SSL_CTX_set_session_id_context(context, digest, sizeof(digest)) == 1;
}

// Names of the anchors go to the client, which may have several certificates, but not so many that
// the request becomes a burden on each handshake.
constexpr int kMostNames = 64;

bool askClients(SSL_CTX* context, const TrustStore& trust) {
  auto* const store = static_cast<X509_STORE*>(trust.native());
  SSL_CTX_set1_cert_store(context, store);
  STACK_OF(X509)* const anchors = X509_STORE_get1_all_certs(store);
  if (anchors == nullptr) return false;
  bool fine = true;
  for (int i = 0; sk_X509_num(anchors) <= kMostNames && i < sk_X509_num(anchors); ++i)
    fine = fine && SSL_CTX_add_client_CA(context, sk_X509_value(anchors, i)) == 1;
  sk_X509_pop_free(anchors, X509_free);
  return fine;
}

bool applySettings(SSL_CTX* context, const ContextOptions& options, std::string alpn_wire) {
  auto settings = std::make_unique<ContextSettings>();
  settings->alpn_wire = std::move(alpn_wire);
  settings->min_tls13 = options.min_tls13;
  settings->tickets = options.tickets;
  if (options.tickets && !makeTicketKeys(*settings)) return false;
  if (options.client_trust) {
    settings->clients = options.client_required ? ClientCheck::Required : ClientCheck::Any;
    if (!askClients(context, *options.client_trust)) return false;
  }
  if (!settings->alpn_wire.empty()) SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nullptr);
  return attachSettings(context, std::move(settings)) &&
         bindSessions(context, options.session_id_context);
}

std::string numbered(std::size_t pair, std::size_t pairs, const std::string& reason) {
  return pairs == 1 ? reason : "certificate " + std::to_string(pair + 1) + ": " + reason;
}

}  // namespace

const ContextSettings* settingsOf(const SSL_CTX* context) noexcept {
  return static_cast<const ContextSettings*>(SSL_CTX_get_ex_data(context, settingsIndex()));
}

bool attachSettings(SSL_CTX* context, std::unique_ptr<ContextSettings> settings) {
  if (SSL_CTX_set_ex_data(context, settingsIndex(), settings.get()) != 1) return false;
  (void)settings.release();  // freeSettings() is the owner now
  return true;
}

namespace {

Owned<SSL_CTX> newContext(const SSL_METHOD* method) {
  Owned<SSL_CTX> context{SSL_CTX_new(method)};
  if (!context) return nullptr;
  // The machine's openssl.cnf may have set versions and options on the new context: ours win.
  SSL_CTX_clear_options(context.get(), SSL_CTX_get_options(context.get()));
  SSL_CTX_set_options(context.get(), kOptions | SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
  SSL_CTX_set_mode(context.get(), kModes);
  SSL_CTX_set_security_level(context.get(), kSecurityLevel);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  const bool configured = SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                          SSL_CTX_set_max_proto_version(context.get(), 0) == 1 &&
                          SSL_CTX_set_num_tickets(context.get(), 0) == 1 &&
                          SSL_CTX_set_cipher_list(context.get(), kSuites12) == 1 &&
                          SSL_CTX_set_ciphersuites(context.get(), kSuites13) == 1 &&
                          SSL_CTX_set1_groups_list(context.get(), kGroups) == 1 &&
                          SSL_CTX_set1_sigalgs_list(context.get(), kSignatures) == 1;
  return configured ? std::move(context) : nullptr;
}

}  // namespace

Owned<SSL_CTX> newServerContext() { return newContext(TLS_server_method()); }

Owned<SSL_CTX> newClientContext() { return newContext(TLS_client_method()); }

Result<std::shared_ptr<const Context>, std::string> Context::create(std::span<const KeyPair> pairs,
                                                                    const ContextOptions& options) {
  if (pairs.empty()) return fail(std::string("a TLS listener needs at least one certificate"));
  auto wire = alpnWire(options.alpn);
  if (!wire) return fail(wire.error());
  Owned<SSL_CTX> native = newServerContext();
  if (!native) return fail("OpenSSL gives no context: " + std::string(takeOpensslReason()));

  const std::shared_ptr<Context> context{new Context};
  std::vector<std::string> kinds;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    auto parsed = parseKeyPair(pairs[i]);
    if (!parsed) return fail(numbered(i, pairs.size(), parsed.error()));
    const std::string kind = keyKind(*parsed);
    // OpenSSL would silently serve the later one only.
    if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end()) {
      return fail(numbered(i, pairs.size(),
                           "there is another one with an " + kind +
                               " key; one of each kind "
                               "can serve the same names"));
    }
    const std::string reason = usePair(native.get(), *parsed);
    if (!reason.empty()) return fail(numbered(i, pairs.size(), reason));
    kinds.push_back(kind);
    context->certificates_.push_back(std::move(parsed->info));
  }
  if (!applySettings(native.get(), options, std::move(*wire))) {
    return fail("OpenSSL gives no context: " + std::string(takeOpensslReason()));
  }
  context->native_ = native.release();
  context->sessions_of_ = options.session_id_context;
  return std::shared_ptr<const Context>{context};
}

Context::~Context() { SSL_CTX_free(static_cast<SSL_CTX*>(native_)); }

Result<CertificateInfo, std::string> describe(const KeyPair& pair) {
  auto parsed = parseKeyPair(pair);
  if (!parsed) return fail(parsed.error());
  return std::move(parsed->info);
}

std::string checkKeyPair(const KeyPair& pair) {
  const auto parsed = parseKeyPair(pair);
  if (!parsed) return parsed.error();
  const Owned<SSL_CTX> context = newServerContext();
  if (!context) return "OpenSSL gives no context: " + std::string(takeOpensslReason());
  return usePair(context.get(), *parsed);
}

}  // namespace hyperway::tls
