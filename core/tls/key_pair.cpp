// SPDX-License-Identifier: Apache-2.0
#include "tls/key_pair.hpp"

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "base/bytes.hpp"

namespace hyperway::tls {
namespace {

constexpr int kMinRsaBits = 2048;

Owned<BIO> readerOf(std::string_view text) {
  return Owned<BIO>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

// Without a callback of our own OpenSSL asks for the passphrase on the terminal.
int refusePassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) noexcept {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<Owned<EVP_PKEY>, std::string> parseKey(std::string_view pem) {
  const Owned<BIO> reader = readerOf(pem);
  bool asked = false;
  ERR_clear_error();
  Owned<EVP_PKEY> key{PEM_read_bio_PrivateKey(reader.get(), nullptr, refusePassphrase, &asked)};
  const std::string reason = takeOpensslReason();
  if (key) return key;
  if (asked) {
    return fail(
        std::string("the private key is encrypted, and there is nobody to ask for its passphrase: "
                    "store it without one (openssl pkey -in key.pem -out plain.pem)"));
  }
  if (pem.find("-----BEGIN ") == std::string_view::npos) {
    return fail(std::string("the private key is not PEM text (-----BEGIN PRIVATE KEY-----)"));
  }
  return fail("the private key cannot be read as PEM (" + reason + ")");
}

// Empty if we serve with such keys.
std::string checkKind(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519: return {};
    case EVP_PKEY_RSA:
      if (EVP_PKEY_get_bits(key) >= kMinRsaBits) return {};
      return "the RSA key has " + std::to_string(EVP_PKEY_get_bits(key)) + " bits: at least " +
             std::to_string(kMinRsaBits) + " are needed";
    case EVP_PKEY_EC: {
      char group[64] = "";
      EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr);
      const int curve = OBJ_txt2nid(group);
      if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1)
        return {};
      return "the ECDSA key is on the curve " + std::string(group) +
             ": P-256, P-384 or P-521 is needed";
    }
    default: {
      const char* name = EVP_PKEY_get0_type_name(key);
      return "keys of the type " + std::string(name != nullptr ? name : "unknown") +
             " are not supported: use ECDSA, RSA or Ed25519";
    }
  }
}

// Says why no certificate, or not the first, belongs to the key; empty if the first does.
std::string checkMatch(const std::vector<Owned<X509>>& chain, EVP_PKEY* key) {
  std::size_t matching = 0;
  while (matching < chain.size() && X509_check_private_key(chain[matching].get(), key) != 1)
    ++matching;
  ERR_clear_error();
  if (matching == 0) return {};
  if (matching == chain.size()) return "the private key does not belong to the certificate";
  return "the private key belongs to certificate " + std::to_string(matching + 1) +
         " of the chain: the leaf must come first";
}

std::string textOf(const ASN1_STRING* text) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(text));
  std::string out(data, static_cast<std::size_t>(ASN1_STRING_length(text)));
  // Cuts names that would read differently in a log than in a comparison.
  return out.find('\0') == std::string::npos ? out : std::string{};
}

std::vector<std::string> dnsNames(const X509* certificate) {
  std::vector<std::string> out;
  void* extension = X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr);
  auto* names = static_cast<GENERAL_NAMES*>(extension);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    std::string text = lowered(textOf(name->d.dNSName));
    if (!text.empty()) out.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::string commonName(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  return textOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

CertificateInfo describe(const X509* certificate, const EVP_PKEY* key) {
  CertificateInfo info;
  info.dns_names = dnsNames(certificate);
  info.subject = commonName(certificate);
  if (info.subject.empty() && !info.dns_names.empty()) info.subject = info.dns_names.front();
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1) info.not_after = ::timegm(&end);
  info.ecdsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
  return info;
}

}  // namespace

const char* takeOpensslReason() noexcept {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown reason";
}

Result<std::vector<Owned<X509>>, std::string> parseCertificates(std::string_view pem,
                                                                const std::string& whole) {
  std::vector<Owned<X509>> chain;
  const Owned<BIO> reader = readerOf(pem);
  ERR_clear_error();
  for (;;) {
    bool asked = false;
    Owned<X509> certificate{PEM_read_bio_X509(reader.get(), nullptr, refusePassphrase, &asked)};
    if (!certificate) break;
    chain.push_back(std::move(certificate));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = takeOpensslReason();
  if (!at_end) {
    return fail("certificate " + std::to_string(chain.size() + 1) + " of " + whole +
                " cannot be read as PEM (" + reason + ")");
  }
  if (chain.empty()) {
    return fail(whole +
                " holds no certificate: it must be PEM text with -----BEGIN CERTIFICATE-----, the "
                "leaf of a chain first");
  }
  return chain;
}

Result<ParsedPair, std::string> parseKeyPair(const KeyPair& pair) {
  auto chain = parseCertificates(pair.chain_pem, "the chain");
  if (!chain) return fail(chain.error());
  auto key = parseKey(pair.private_pem);
  if (!key) return fail(key.error());
  std::string reason = checkKind(key->get());
  if (reason.empty()) reason = checkMatch(*chain, key->get());
  if (!reason.empty()) return fail(std::move(reason));

  ParsedPair out;
  out.key = std::move(*key);
  out.leaf = std::move(chain->front());
  out.info = describe(out.leaf.get(), out.key.get());
  for (std::size_t i = 1; i < chain->size(); ++i) out.chain.push_back(std::move((*chain)[i]));
  return out;
}

}  // namespace hyperway::tls
