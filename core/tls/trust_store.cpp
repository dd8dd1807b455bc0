// SPDX-License-Identifier: Apache-2.0
#include "tls/trust_store.hpp"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>

#include <cstdlib>

#include "tls/key_pair.hpp"
#include "tls/openssl.hpp"

namespace hyperway::tls {
namespace {

// Of the package ca-certificates.
constexpr const char* kSystemBundle = "/etc/ssl/certs/ca-certificates.crt";

// The user's choice, or null.
const char* namedBundle() noexcept { return ::secure_getenv(X509_get_default_cert_file_env()); }

// Null if OpenSSL is out of memory. Anchors need not be roots: whoever lists an intermediate or a
// leaf means that one, and not its issuer.
X509_STORE* newStore() noexcept {
  X509_STORE* const store = X509_STORE_new();
  if (store != nullptr) X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

std::string numbered(std::size_t bundle, std::size_t bundles, const std::string& reason) {
  return bundles == 1 ? reason : "bundle " + std::to_string(bundle + 1) + ": " + reason;
}

}  // namespace

Result<std::shared_ptr<const TrustStore>, std::string> TrustStore::create(
    std::span<const std::string_view> bundles) {
  if (bundles.empty()) return fail(std::string("there is no trust anchor"));
  const std::shared_ptr<TrustStore> made{new TrustStore};
  X509_STORE* const store = newStore();
  made->native_ = store;
  if (store == nullptr) return fail(std::string("OpenSSL is out of memory"));
  for (std::size_t i = 0; i < bundles.size(); ++i) {
    const auto certificates = parseCertificates(bundles[i], "the bundle");
    if (!certificates) return fail(numbered(i, bundles.size(), certificates.error()));
    for (const Owned<X509>& certificate : *certificates)
      if (X509_STORE_add_cert(store, certificate.get()) != 1)
        return fail(
            numbered(i, bundles.size(), "OpenSSL refuses it: " + std::string(takeOpensslReason())));
  }
  return std::shared_ptr<const TrustStore>{made};
}

Result<std::shared_ptr<const TrustStore>, std::string> TrustStore::system() {
  const std::shared_ptr<TrustStore> made{new TrustStore};
  X509_STORE* const store = newStore();
  made->native_ = store;
  if (store == nullptr) return fail(std::string("OpenSSL is out of memory"));
  // A whole file, read now, goes before a directory, which is read during handshakes.
  const char* const named = namedBundle();
  const bool loaded = X509_STORE_load_file(store, named != nullptr ? named : kSystemBundle) == 1 ||
                      (named == nullptr && X509_STORE_set_default_paths(store) == 1);
  const std::string reason = takeOpensslReason();
  if (!loaded) return fail("the machine's trust anchors cannot be read: " + reason);
  return std::shared_ptr<const TrustStore>{made};
}

std::string TrustStore::systemState() {
  const char* const named = namedBundle();
  struct stat found {};
  if (::stat(named != nullptr ? named : kSystemBundle, &found) != 0) return {};
  std::string out = std::to_string(found.st_dev);
  for (const auto part :
       {static_cast<long long>(found.st_ino), static_cast<long long>(found.st_size),
        static_cast<long long>(found.st_mtim.tv_sec),
        static_cast<long long>(found.st_mtim.tv_nsec)})
    out += ' ' + std::to_string(part);
  return out;
}

TrustStore::~TrustStore() { X509_STORE_free(static_cast<X509_STORE*>(native_)); }

std::string checkAuthorities(std::string_view bundle) {
  const auto store = TrustStore::create({&bundle, 1});
  return store ? std::string() : store.error();
}

}  // namespace hyperway::tls
