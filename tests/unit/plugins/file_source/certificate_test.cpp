// SPDX-License-Identifier: Apache-2.0
#include "certificate.hpp"

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

using namespace hyperway::file_source;

TEST_CASE("A self-signed certificate names its hosts and fits its key") {
  std::string error;
  const CertificatePair pair = makeSelfSigned({"demo.example", "127.0.0.1", "::1"}, 30, error);
  REQUIRE_MESSAGE(!pair.chain.empty(), error);
  BIO* in = BIO_new_mem_buf(pair.chain.data(), static_cast<int>(pair.chain.size()));
  X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  in = BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  REQUIRE(certificate != nullptr);
  REQUIRE(key != nullptr);
  CHECK(X509_check_private_key(certificate, key) == 1);
  CHECK(X509_check_host(certificate, "demo.example", 0, 0, nullptr) == 1);
  CHECK(X509_check_ip_asc(certificate, "127.0.0.1", 0) == 1);
  CHECK(X509_check_ip_asc(certificate, "::1", 0) == 1);
  CHECK(X509_check_host(certificate, "other.example", 0, 0, nullptr) == 0);
  X509_free(certificate);
  EVP_PKEY_free(key);
  CHECK_FALSE(expiresWithin(pair.chain, 29));
  CHECK(expiresWithin(pair.chain, 31));
  CHECK(expiresWithin("rubbish", 1));
}

TEST_CASE("A certificate without a host is not made") {
  std::string error;
  CHECK(makeSelfSigned({}, 30, error).chain.empty());
  CHECK_FALSE(error.empty());
}

TEST_CASE("A pair becomes a kubernetes.io/tls Secret") {
  CHECK(
      tlsSecret("n", "s", {"ab", "c"}) ==
      R"({"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/tls","metadata":{"name":"s","namespace":"n"},)"
      R"("data":{"tls.crt":"YWI=","tls.key":"Yw=="}})");
}
