// SPDX-License-Identifier: Apache-2.0
#include "tls/context.hpp"

#include <doctest/doctest.h>

#include <ctime>
#include <string>
#include <vector>

#include "certificates.hpp"

namespace hyperway::tls {
namespace {

using testing::CertificateRequest;
using testing::MadeCertificate;
using testing::makeCertificate;

std::string errorOf(const std::vector<KeyPair>& pairs, const ContextOptions& options = {}) {
  const auto context = Context::create(pairs, options);
  return context ? std::string{} : context.error();
}

TEST_CASE("RSA from 2048 bits, ECDSA on the NIST curves and Ed25519 serve") {
  struct Row {
    const char* kind;
    bool ecdsa;
  };
  for (const Row& row : {Row{"RSA-2048", false}, Row{"P-256", true}, Row{"P-384", true},
                         Row{"P-521", true}, Row{"ED25519", false}}) {
    CAPTURE(row.kind);
    const MadeCertificate made =
        makeCertificate({.kind = row.kind, .names = {"Demo.test", "*.demo.test"}});
    CHECK(checkKeyPair(made.pair()) == "");
    const std::vector pairs{made.pair()};
    const auto context = Context::create(pairs, {});
    REQUIRE_MESSAGE(context.has_value(), (context ? "" : context.error()));
    const CertificateInfo& info = (*context)->certificates().front();
    CHECK(info.subject == "Demo.test");
    CHECK(info.dns_names == std::vector<std::string>{"demo.test", "*.demo.test"});
    CHECK(info.ecdsa == row.ecdsa);
    CHECK(info.not_after > std::time(nullptr));
    CHECK(info.not_after <= std::time(nullptr) + 3600);
  }
}

TEST_CASE("keys in the older PEM form serve, with EC PARAMETERS before them too") {
  for (const char* kind : {"P-256", "RSA-2048"}) {
    CAPTURE(kind);
    const MadeCertificate made = makeCertificate({.kind = kind});
    CHECK(checkKeyPair({made.chain, made.traditional}) == "");
  }
  const MadeCertificate made = makeCertificate();
  const std::string parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  CHECK(checkKeyPair({made.chain, parameters + made.traditional}) == "");
}

TEST_CASE("a certificate and key of one kind stand beside those of another") {
  const MadeCertificate rsa = makeCertificate({.kind = "RSA-2048"});
  const MadeCertificate ecdsa = makeCertificate();
  const std::vector pairs{rsa.pair(), ecdsa.pair()};
  const auto context = Context::create(pairs, {});
  REQUIRE(context.has_value());
  REQUIRE((*context)->certificates().size() == 2);
  CHECK_FALSE((*context)->certificates()[0].ecdsa);
  CHECK((*context)->certificates()[1].ecdsa);
}

TEST_CASE("an expired certificate serves and says when it ended") {
  const MadeCertificate made = makeCertificate({.not_after_seconds = -60});
  CHECK(checkKeyPair(made.pair()) == "");
  const std::vector pairs{made.pair()};
  const auto context = Context::create(pairs, {});
  REQUIRE(context.has_value());
  CHECK((*context)->certificates().front().not_after < std::time(nullptr));
}

TEST_CASE("a pair that cannot serve is refused with the reason, and never with key material") {
  const MadeCertificate good = makeCertificate();
  const MadeCertificate other = makeCertificate();
  const MadeCertificate rsa = makeCertificate({.kind = "RSA-2048"});
  const MadeCertificate short_rsa = makeCertificate({.kind = "RSA-1024"});
  const MadeCertificate odd_curve = makeCertificate({.kind = "secp256k1"});
  const MadeCertificate odd_kind = makeCertificate({.kind = "ED448"});
  const MadeCertificate sha1 = makeCertificate({.kind = "RSA-2048", .sha1 = true});
  const std::string cut_key = good.key.substr(0, good.key.size() / 2);
  const std::string cut_chain = good.chain + good.chain.substr(0, good.chain.size() / 2);
  const std::string broken_chain =
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + good.chain;

  struct Row {
    const char* name;
    KeyPair pair;
    const char* reason;
  };
  const Row rows[] = {
      {"nothing", {"", ""}, "the chain holds no certificate"},
      {"no chain", {"hello", good.key}, "the chain holds no certificate"},
      {"key as chain", {good.key, good.key}, "the chain holds no certificate"},
      {"cut chain", {cut_chain, good.key}, "certificate 2 of the chain cannot be read"},
      {"broken chain", {broken_chain, good.key}, "certificate 1 of the chain cannot be read"},
      {"no key", {good.chain, ""}, "the private key is not PEM text"},
      {"binary key", {good.chain, "\x30\x82"}, "the private key is not PEM text"},
      {"cut key", {good.chain, cut_key}, "the private key cannot be read as PEM"},
      {"chain as key", {good.chain, good.chain}, "the private key cannot be read as PEM"},
      {"encrypted", {good.chain, good.encrypted}, "the private key is encrypted"},
      {"encrypted, old form", {good.chain, good.encrypted_old}, "the private key is encrypted"},
      {"encrypted RSA", {rsa.chain, rsa.encrypted_old}, "the private key is encrypted"},
      {"another's key", {good.chain, other.key}, "does not belong to the certificate"},
      {"key of another kind", {good.chain, rsa.key}, "does not belong to the certificate"},
      {"short RSA", short_rsa.pair(), "the RSA key has 1024 bits: at least 2048"},
      {"odd curve", odd_curve.pair(), "on the curve secp256k1"},
      {"odd kind", odd_kind.pair(), "keys of the type ED448 are not supported"},
      {"SHA-1", sha1.pair(), "OpenSSL refuses it: "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string reason = checkKeyPair(row.pair);
    CAPTURE(reason);
    CHECK(reason.find(row.reason) != std::string::npos);
    CHECK(errorOf({row.pair}) == reason);
    const std::string_view key = row.pair.private_pem;
    for (std::size_t at = 0; at + 16 < key.size(); at += 8) {
      if (key.substr(at, 5) == "-----") continue;
      CHECK(reason.find(key.substr(at, 16)) == std::string::npos);
    }
  }
}

TEST_CASE("a chain whose leaf is not first is refused, and the position is named") {
  const MadeCertificate leaf = makeCertificate();
  const MadeCertificate issuer = makeCertificate({.names = {"issuer.test"}});
  CHECK(checkKeyPair({leaf.chain + issuer.chain, leaf.key}) == "");
  CHECK(checkKeyPair({issuer.chain + leaf.chain, leaf.key}) ==
        "the private key belongs to certificate 2 of the chain: the leaf must come first");
}

TEST_CASE("of several certificates the bad one is named") {
  const MadeCertificate rsa = makeCertificate({.kind = "RSA-2048"});
  const MadeCertificate first = makeCertificate();
  const MadeCertificate second = makeCertificate();
  CHECK(errorOf({}).find("at least one certificate") != std::string::npos);
  CHECK(errorOf({rsa.pair(), {first.chain, rsa.key}}).find("certificate 2: the private key") == 0);
  CHECK(errorOf({first.pair(), rsa.pair(), second.pair()})
            .find("certificate 3: there is another one with an EC key") == 0);
}

TEST_CASE("ALPN names of no or more than 255 bytes are refused") {
  const MadeCertificate made = makeCertificate();
  ContextOptions options;
  options.alpn = {"h2", ""};
  CHECK(errorOf({made.pair()}, options).find("ALPN") != std::string::npos);
  options.alpn = {std::string(256, 'x')};
  CHECK(errorOf({made.pair()}, options).find("ALPN") != std::string::npos);
}

}  // namespace
}  // namespace hyperway::tls
