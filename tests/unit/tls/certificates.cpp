// SPDX-License-Identifier: Apache-2.0
#include "certificates.hpp"

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "tls/openssl.hpp"

namespace hyperway::tls::testing {
namespace {

Owned<EVP_PKEY> makeKey(const std::string& kind) {
  EVP_PKEY* key = nullptr;
  if (kind.starts_with("RSA-")) {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA",
                            static_cast<std::size_t>(std::stoul(kind.substr(4))));
  } else if (kind.starts_with("ED")) {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str());
  } else {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  }
  REQUIRE(key != nullptr);
  return Owned<EVP_PKEY>{key};
}

void addExtension(X509* certificate, int kind, const std::string& text) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, text.c_str());
  REQUIRE(extension != nullptr);
  REQUIRE(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void addNames(X509* certificate, const std::vector<std::string>& names,
              const std::vector<std::string>& uris, std::string common_name) {
  if (common_name.empty() && !names.empty()) common_name = names.front();
  if (!common_name.empty()) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    const auto* common = reinterpret_cast<const unsigned char*>(common_name.c_str());
    REQUIRE(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, common, -1, -1, 0) == 1);
    REQUIRE(X509_set_issuer_name(certificate, subject) == 1);
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& uri : uris) text += (text.empty() ? "URI:" : ",URI:") + uri;
  if (!text.empty()) addExtension(certificate, NID_subject_alt_name, text);
}

// The issuer's key, once its name is in the certificate.
Owned<EVP_PKEY> useIssuer(X509* certificate, const MadeCertificate& issuer) {
  const Owned<BIO> chain{
      BIO_new_mem_buf(issuer.chain.data(), static_cast<int>(issuer.chain.size()))};
  const Owned<X509> parent{PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)};
  REQUIRE(parent != nullptr);
  REQUIRE(X509_set_issuer_name(certificate, X509_get_subject_name(parent.get())) == 1);
  const Owned<BIO> text{BIO_new_mem_buf(issuer.key.data(), static_cast<int>(issuer.key.size()))};
  Owned<EVP_PKEY> key{PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr)};
  REQUIRE(key != nullptr);
  return key;
}

template <class Write>
std::string pemOf(Write write) {
  const Owned<BIO> out{BIO_new(BIO_s_mem())};
  if (write(out.get()) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

MadeCertificate makeCertificate(const CertificateRequest& request) {
  const Owned<EVP_PKEY> key = makeKey(request.kind);
  const Owned<X509> certificate{X509_new()};
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7 * 24 * 3600L);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), request.not_after_seconds);
  X509_set_pubkey(certificate.get(), key.get());
  addNames(certificate.get(), request.names, request.uris, request.common_name);
  if (request.authority) addExtension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  const Owned<EVP_PKEY> signer =
      request.issuer != nullptr ? useIssuer(certificate.get(), *request.issuer) : nullptr;
  if (request.sha1) {
    // The digest of a self-signed certificate protects nothing, and nobody looks at it.
    const std::unique_ptr<X509_NAME, decltype(&X509_NAME_free)> issuer{X509_NAME_new(),
                                                                       X509_NAME_free};
    const unsigned char name[] = "old authority";
    X509_NAME_add_entry_by_txt(issuer.get(), "CN", MBSTRING_UTF8, name, -1, -1, 0);
    X509_set_issuer_name(certificate.get(), issuer.get());
  }
  const EVP_MD* digest = request.sha1 ? EVP_sha1() : EVP_sha256();
  if (request.kind.starts_with("ED")) digest = nullptr;
  REQUIRE(X509_sign(certificate.get(), signer ? signer.get() : key.get(), digest) != 0);

  const char* passphrase = "secret";
  auto* pass_bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(passphrase));
  MadeCertificate made;
  made.chain = pemOf([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); });
  made.key = pemOf([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  made.traditional = pemOf([&](BIO* out) {
    return PEM_write_bio_PrivateKey_traditional(out, key.get(), nullptr, nullptr, 0, nullptr,
                                                nullptr);
  });
  made.encrypted = pemOf([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(), EVP_aes_256_cbc(), passphrase, 6, nullptr,
                                         nullptr);
  });
  made.encrypted_old = pemOf([&](BIO* out) {
    return PEM_write_bio_PrivateKey_traditional(out, key.get(), EVP_aes_256_cbc(), pass_bytes, 6,
                                                nullptr, nullptr);
  });
  return made;
}

}  // namespace hyperway::tls::testing
