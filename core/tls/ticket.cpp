// SPDX-License-Identifier: Apache-2.0
#include "tls/ticket.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace hyperway::tls {
namespace {

// What OpenSSL's callback returns (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).
constexpr int kBroken = -1;
constexpr int kNoTicket = 0;
constexpr int kUseTicket = 1;

bool keyMac(EVP_MAC_CTX* mac, const ContextSettings& settings) noexcept {
  char digest[] = "SHA256";
  unsigned char key[sizeof(settings.ticket_mac)];
  std::memcpy(key, settings.ticket_mac, sizeof(key));
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof(key)),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  const bool set = EVP_MAC_CTX_set_params(mac, params) == 1;
  OPENSSL_cleanse(key, sizeof(key));
  return set;
}

int keyTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac, int encrypting) noexcept {
  const ContextSettings* settings = settingsOf(SSL_get_SSL_CTX(ssl));
  if (settings == nullptr || !settings->tickets) return kNoTicket;
  const unsigned char(&own_name)[16] = settings->ticket_name;
  if (encrypting == 1) {
    std::memcpy(name, own_name, sizeof(own_name));
    if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) return kBroken;
  } else if (!std::equal(std::begin(own_name), std::end(own_name), name)) {
    return kNoTicket;  // another context's, or one from before a change: a full handshake
  }
  const bool keyed = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, settings->ticket_cipher,
                                       iv, encrypting) == 1 &&
                     keyMac(mac, *settings);
  return keyed ? kUseTicket : kBroken;
}

}  // namespace

bool makeTicketKeys(ContextSettings& settings) noexcept {
  return RAND_bytes(settings.ticket_name, sizeof(settings.ticket_name)) == 1 &&
         RAND_priv_bytes(settings.ticket_cipher, sizeof(settings.ticket_cipher)) == 1 &&
         RAND_priv_bytes(settings.ticket_mac, sizeof(settings.ticket_mac)) == 1;
}

void useTicketKeysOfChosenContext(SSL_CTX* base) noexcept {
  SSL_CTX_set_tlsext_ticket_key_evp_cb(base, keyTicket);
}

}  // namespace hyperway::tls
