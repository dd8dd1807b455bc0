// SPDX-License-Identifier: Apache-2.0
#include "tls/client_context.hpp"

#include <openssl/x509v3.h>

#include <algorithm>

#include "tls/key_pair.hpp"
#include "tls/openssl.hpp"

namespace hyperway::tls {
namespace {

constexpr unsigned char kAlpn[] = "\x08http/1.1";

// The common name is no name of a host (RFC 9525 §2), and "w*.example.com" no wildcard (§6.3).
constexpr unsigned kHostFlags =
    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

int peerIndex() noexcept {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool namesHost(X509* leaf, const std::string& host) noexcept {
  return X509_check_host(leaf, host.data(), host.size(), kHostFlags, nullptr) == 1;
}

bool namesUri(const X509* leaf, const std::vector<std::string>& uris) noexcept {
  void* const extension = X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr);
  auto* const names = static_cast<GENERAL_NAMES*>(extension);
  bool found = false;
  for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_STRING* const text = name->d.uniformResourceIdentifier;
    const std::string_view uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                               static_cast<std::size_t>(ASN1_STRING_length(text)));
    found = std::find(uris.begin(), uris.end(), uri) != uris.end();
  }
  GENERAL_NAMES_free(names);
  return found;
}

// Gateway API, BackendTLSPolicyValidation: with subjectAltNames the host name is SNI only.
bool isPeer(X509* leaf, const PeerName& peer) noexcept {
  if (peer.dns_names.empty() && peer.uris.empty()) return namesHost(leaf, peer.hostname);
  return std::any_of(peer.dns_names.begin(), peer.dns_names.end(),
                     [&](const std::string& host) { return namesHost(leaf, host); }) ||
         namesUri(leaf, peer.uris);
}

int verifyPeer(X509_STORE_CTX* store, void* /*argument*/) noexcept {
  if (X509_verify_cert(store) <= 0) return 0;
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* const peer = static_cast<const PeerName*>(SSL_get_ex_data(ssl, peerIndex()));
  if (peer != nullptr && isPeer(X509_STORE_CTX_get0_cert(store), *peer)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

}  // namespace

bool expectPeer(SSL* ssl, const PeerName& peer) noexcept {
  return SSL_set_ex_data(ssl, peerIndex(), const_cast<PeerName*>(&peer)) == 1;
}

Result<std::shared_ptr<const ClientContext>, std::string> ClientContext::create(
    const TrustStore& trust, const KeyPair* own) {
  Owned<SSL_CTX> native = newClientContext();
  if (!native) return fail("OpenSSL gives no context: " + std::string(takeOpensslReason()));
  SSL_CTX_set1_cert_store(native.get(), static_cast<X509_STORE*>(trust.native()));
  SSL_CTX_set_verify(native.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(native.get(), verifyPeer, nullptr);
  if (SSL_CTX_set_alpn_protos(native.get(), kAlpn, sizeof(kAlpn) - 1) != 0)
    return fail(std::string("OpenSSL is out of memory"));
  if (own != nullptr) {
    const auto parsed = parseKeyPair(*own);
    if (!parsed) return fail(parsed.error());
    if (std::string reason = usePair(native.get(), *parsed); !reason.empty())
      return fail(std::move(reason));
  }
  const std::shared_ptr<ClientContext> made{new ClientContext};
  made->native_ = native.release();
  return std::shared_ptr<const ClientContext>{made};
}

ClientContext::~ClientContext() { SSL_CTX_free(static_cast<SSL_CTX*>(native_)); }

}  // namespace hyperway::tls
