// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "tls/context.hpp"

/// Certificates made on the spot, so that no key lies in the repository and none expires.
namespace hyperway::tls::testing {

struct MadeCertificate;

/// A certificate to make.
struct CertificateRequest {
  std::string kind = "P-256";  ///< P-256, P-384, secp256k1, RSA-1024, RSA-2048, ED25519, ED448.
  std::vector<std::string> names = {"demo.test"};  ///< SANs; the first is the common name too.
  long not_after_seconds = 3600;                   ///< From now.
  bool sha1 = false;                               ///< Signed with SHA-1.
  std::vector<std::string> uris = {};              ///< More SANs.
  std::string common_name = {};                    ///< Instead of the first SAN.
  bool authority = false;                          ///< May sign others.
  const MadeCertificate* issuer = nullptr;         ///< Who signs it; null: it signs itself.
};

/// PEM texts of a self-signed certificate.
struct MadeCertificate {
  std::string chain;          ///< The certificate.
  std::string key;            ///< PKCS#8.
  std::string traditional;    ///< The key in the older form of its type ("EC PRIVATE KEY").
  std::string encrypted;      ///< PKCS#8, encrypted.
  std::string encrypted_old;  ///< Traditional, encrypted.
  /// Views for Context::create().
  [[nodiscard]] KeyPair pair() const { return {chain, key}; }
};

/// Makes one. Fails the test if OpenSSL does.
[[nodiscard]] MadeCertificate makeCertificate(const CertificateRequest& request = {});

}  // namespace hyperway::tls::testing
