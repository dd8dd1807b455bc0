// SPDX-License-Identifier: Apache-2.0
#include "tls/token_cipher.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <string>

namespace hyperway::tls {
namespace {

// Keys for other purposes would be made of another beginning.
constexpr std::string_view kPurpose = "hyperway session token 1\n";
constexpr std::size_t kKeyBytes = 64;  // of AES-256-SIV: two keys; what SHA-512 makes
constexpr int kTag = static_cast<int>(TokenCipher::kOverhead);

unsigned char* bytes(std::byte* data) noexcept { return reinterpret_cast<unsigned char*>(data); }
const unsigned char* bytes(const std::byte* data) noexcept {
  return reinterpret_cast<const unsigned char*>(data);
}

struct Free {
  void operator()(EVP_CIPHER* cipher) const noexcept { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};

}  // namespace

struct TokenCipher::State {
  std::unique_ptr<EVP_CIPHER, Free> cipher;
  std::unique_ptr<EVP_CIPHER_CTX, Free> context;
  std::string text;
};

TokenCipher::TokenCipher() noexcept = default;
TokenCipher::~TokenCipher() = default;

bool TokenCipher::begin(std::string_view scope, bool sealing) noexcept {
  if (!state_) {
    state_ = std::make_unique<State>();
    state_->cipher.reset(EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr));
    state_->context.reset(EVP_CIPHER_CTX_new());
  }
  if (!state_->cipher || !state_->context) return false;
  unsigned char key[kKeyBytes];
  unsigned int size = 0;
  state_->text.assign(kPurpose).append(scope);
  EVP_CIPHER_CTX* const context = state_->context.get();
  // Anew each time: what a context of SIV was used for before is not forgotten by a new key alone.
  const bool fine = EVP_Digest(state_->text.data(), state_->text.size(), key, &size, EVP_sha512(),
                               nullptr) == 1 &&
                    EVP_CIPHER_CTX_reset(context) == 1 &&
                    EVP_CipherInit_ex2(context, state_->cipher.get(), key, nullptr, sealing ? 1 : 0,
                                       nullptr) == 1;
  OPENSSL_cleanse(key, sizeof key);
  return fine;
}

bool TokenCipher::seal(std::string_view scope, std::span<const std::byte> text,
                       std::span<std::byte> out) noexcept {
  int size = 0;
  const bool fine =
      out.size() == text.size() + kOverhead && begin(scope, true) &&
      EVP_EncryptUpdate(state_->context.get(), bytes(out.data()) + kTag, &size, bytes(text.data()),
                        static_cast<int>(text.size())) == 1 &&
      EVP_EncryptFinal_ex(state_->context.get(), bytes(out.data()) + kTag + size, &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_GET_TAG, kTag, out.data()) == 1;
  if (!fine) ERR_clear_error();
  return fine;
}

bool TokenCipher::open(std::string_view scope, std::span<const std::byte> sealed,
                       std::span<std::byte> out) noexcept {
  if (sealed.size() <= kOverhead || out.size() + kOverhead != sealed.size()) return false;
  unsigned char tag[kOverhead];
  std::copy_n(bytes(sealed.data()), kOverhead, tag);
  int size = 0;
  const bool fine =
      begin(scope, false) &&
      EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag) == 1 &&
      EVP_DecryptUpdate(state_->context.get(), bytes(out.data()), &size,
                        bytes(sealed.data()) + kTag, static_cast<int>(out.size())) == 1 &&
      EVP_DecryptFinal_ex(state_->context.get(), bytes(out.data()) + size, &size) == 1;
  if (!fine) ERR_clear_error();
  return fine;
}

}  // namespace hyperway::tls
