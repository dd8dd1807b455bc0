// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hyperway::file_source {

/// A certificate with its key, both PEM.
struct CertificatePair {
  std::string chain;
  std::string key;
};

/// Makes an ECDSA P-256 key and a certificate of its own signature for `hosts` (DNS names or IP
/// addresses; the first is the common name), valid from an hour ago for `days`. Empty texts and
/// `error` on a failure.
[[nodiscard]] CertificatePair makeSelfSigned(const std::vector<std::string>& hosts, int days,
                                             std::string& error);

/// A kubernetes.io/tls Secret, as JSON.
[[nodiscard]] std::string tlsSecret(std::string_view name_space, std::string_view name,
                                    const CertificatePair& pair);

/// True if a PEM certificate is unreadable or ends within `days`.
[[nodiscard]] bool expiresWithin(const std::string& chain, int days);

}  // namespace hyperway::file_source
