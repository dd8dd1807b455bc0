// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/object_store.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// Checks a certificate chain with its key, both PEM; returns what is wrong, or nothing.
using CertificateCheck =
    std::function<std::string(const std::string& chain_pem, const std::string& key_pem)>;

/// What is wrong with a Secret as a certificate, in the user's words; empty if nothing. Looks at
/// the PEM frame itself and asks `check` (which may be null) about the rest.
[[nodiscard]] std::string certificateProblem(const Secret& secret, const CertificateCheck& check);

/// The certificates in use. What was good stays when its Secret turns bad, until it is removed or
/// no longer referred to (ARCHITECTURE decision 11). [control]
class CertificateStore {
 public:
  /// A Secret, judged.
  struct Entry {
    route::Certificate certificate;  ///< The last good one; empty chain: there never was one.
    std::string problem;  ///< What is wrong with the Secret as it is now; empty: nothing.
  };

  /// The certificate of the Secret `key` ("namespace/name"), judged when first asked for; null if
  /// there is no Secret.
  [[nodiscard]] const Entry* get(const ObjectStore& store, const std::string& key,
                                 const CertificateCheck& check);
  /// Judges again after the Secret changed or went; does nothing if nobody asked for it.
  void refresh(const ObjectStore& store, const std::string& key, const CertificateCheck& check);
  /// Forgets Secrets that nobody refers to any more: all but `used`.
  void retain(const std::set<std::string>& used) {
    std::erase_if(entries_, [&](const auto& entry) { return !used.contains(entry.first); });
  }

 private:
  std::unordered_map<std::string, Entry> entries_;
};

/// Who refers to certificates, for ReferenceGrants.
struct CertificateReferrer {
  std::string_view kind;   ///< Its kind.
  std::string name_space;  ///< Its namespace.
};

/// What the certificateRefs of a listener came to.
struct CertificateRefs {
  std::vector<std::string> usable;  ///< Keys of certificates to serve, in list order.
  std::vector<std::string>
      secrets;  ///< Keys of Secrets that the outcome depends on (permitted ones only).
  std::vector<std::string> namespaces;  ///< Namespaces whose grants the outcome depends on.
  Verdict verdict;                      ///< ResolvedRefs: RefNotPermitted or InvalidCertificateRef.
};

/// Resolves references to certificates of a Gateway or ListenerSet, which is `from`. For a
/// reference that no grant permits the outcome does not depend on whether the Secret exists.
/// `invalid_reason` is used for what is permitted and wrong; `pointer` is the place of the list (or
/// of the one reference). Source: Gateway API, ListenerTLSConfig.certificateRefs.
[[nodiscard]] CertificateRefs resolveCertificates(
    const std::vector<SecretRef>& refs, const CertificateReferrer& from, const std::string& pointer,
    const std::string& invalid_reason, const ObjectStore& store, CertificateStore& certificates,
    const CertificateCheck& check);

}  // namespace hyperway::gateway
