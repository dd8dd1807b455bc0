// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "tls/context.hpp"
#include "tls/openssl.hpp"

namespace hyperway::tls {

/// A KeyPair that was read and found fit to serve.
struct ParsedPair {
  Owned<X509> leaf;                ///< First certificate of the chain.
  std::vector<Owned<X509>> chain;  ///< The others, in the order given.
  Owned<EVP_PKEY> key;             ///< The leaf's private key.
  CertificateInfo info;            ///< What the leaf says about itself.
};

/// Reads all certificates of a PEM text. Error: there is none, or one is broken; `whole` is what
/// the text is called in it ("the chain").
[[nodiscard]] Result<std::vector<Owned<X509>>, std::string> parseCertificates(
    std::string_view pem, const std::string& whole);

/// Reads a pair. Refuses: no or broken PEM, an encrypted key, a key that is not the leaf's, keys
/// other than RSA from 2,048 bits, ECDSA on P-256, P-384 and P-521, and Ed25519. Dates are not
/// looked at: an expired certificate still says which server this is, and a handshake that fails
/// says nothing. The order behind the leaf is kept and not checked (RFC 8446 §4.4.2 lets clients
/// cope). Error: a sentence without key material.
[[nodiscard]] Result<ParsedPair, std::string> parseKeyPair(const KeyPair& pair);

/// Gives a pair to a context, which shows it to peers. Empty if the context took it, else why not.
[[nodiscard]] std::string usePair(SSL_CTX* context, const ParsedPair& pair);

}  // namespace hyperway::tls
