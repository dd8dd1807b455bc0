// SPDX-License-Identifier: Apache-2.0
#include "certificate.hpp"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace hyperway::file_source {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

std::string textOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

bool isAddress(const std::string& host) {
  unsigned char buffer[16];
  return ::inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

bool addExtension(X509* certificate, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool describe(X509* certificate, EVP_PKEY* key, const std::vector<std::string>& hosts, int days) {
  std::uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return false;
  X509_set_version(certificate, 2);  // X.509 v3
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (serial >> 1) | 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(days) * 86400);
  X509_NAME* name = X509_get_subject_name(certificate);
  const std::string& common = hosts.front();
  // A common name holds 64 bytes at most (RFC 5280, ub-common-name); the names that count are
  // below.
  const std::string subject = common.size() <= 64 ? common : "hyperway";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  std::string names;
  for (const std::string& host : hosts) {
    if (!names.empty()) names += ',';
    names += (isAddress(host) ? "IP:" : "DNS:") + host;
  }
  return X509_set_pubkey(certificate, key) == 1 &&
         addExtension(certificate, NID_subject_alt_name, names) &&
         addExtension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         addExtension(certificate, NID_key_usage, "critical,digitalSignature") &&
         addExtension(certificate, NID_ext_key_usage, "serverAuth");
}

std::string base64(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

}  // namespace

CertificatePair makeSelfSigned(const std::vector<std::string>& hosts, int days,
                               std::string& error) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate(X509_new());
  const BioPtr chain_out(BIO_new(BIO_s_mem()));
  const BioPtr key_out(BIO_new(BIO_s_mem()));
  const bool made = !hosts.empty() && key != nullptr && certificate != nullptr &&
                    chain_out != nullptr && key_out != nullptr &&
                    describe(certificate.get(), key.get(), hosts, days) &&
                    X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0 &&
                    PEM_write_bio_X509(chain_out.get(), certificate.get()) == 1 &&
                    PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0,
                                                  nullptr, nullptr) == 1;
  if (!made) {
    char reason[256] = "no host is named";
    if (const unsigned long code = ERR_get_error(); code != 0)
      ERR_error_string_n(code, reason, sizeof reason);
    error = std::string("cannot make a certificate: ") + reason;
    ERR_clear_error();
    return {};
  }
  return {textOf(chain_out.get()), textOf(key_out.get())};
}

std::string tlsSecret(std::string_view name_space, std::string_view name,
                      const CertificatePair& pair) {
  std::string out =
      R"({"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/tls","metadata":{"name":")";
  out.append(name)
      .append(R"(","namespace":")")
      .append(name_space)
      .append(R"("},"data":{"tls.crt":")");
  out.append(base64(pair.chain)).append(R"(","tls.key":")").append(base64(pair.key)).append("\"}}");
  return out;
}

bool expiresWithin(const std::string& chain, int days) {
  const BioPtr in(BIO_new_mem_buf(chain.data(), static_cast<int>(chain.size())));
  const CertificatePtr certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return true;
  time_t then = std::time(nullptr) + static_cast<time_t>(days) * 86400;
  return X509_cmp_time(X509_get0_notAfter(certificate.get()), &then) <= 0;
}

}  // namespace hyperway::file_source
