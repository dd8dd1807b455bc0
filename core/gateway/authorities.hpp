// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/object_store.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// Checks a text of trust anchors, PEM; returns what is wrong, or nothing.
using AuthorityCheck = std::function<std::string(const std::string& pem)>;

/// The key of what a reference from `name_space` leads to: "namespace/name" of a ConfigMap, "/name"
/// of a ClusterTrustBundle.
[[nodiscard]] std::string authorityKey(const CaRef& ref, std::string_view name_space);

/// ConfigMaps and ClusterTrustBundles with trust anchors, judged once and not for each who refers
/// to them. Unlike a certificate, an anchor that was good does not stay when its ConfigMap turns
/// bad: connections that rely on it must fail (Gateway API, caCertificateRefs). [control]
class AuthorityStore {
 public:
  /// One of them, judged.
  struct Entry {
    std::shared_ptr<const std::string> pem;  ///< Its anchors; null if it is no good.
    std::string problem;                     ///< What is wrong with it; empty: nothing.
  };

  /// What has that key (see authorityKey()), judged when first asked for; null if there is none.
  [[nodiscard]] const Entry* get(const ObjectStore& store, const std::string& key,
                                 const AuthorityCheck& check);
  /// It changed or went: it is judged anew when next asked for.
  void forget(const std::string& key) { entries_.erase(key); }
  /// Forgets all, when the check changes.
  void clear() { entries_.clear(); }

 private:
  std::unordered_map<std::string, Entry> entries_;
};

/// Who refers to trust anchors, and how what is wrong is called.
struct AuthorityReferrer {
  std::string_view kind;         ///< Kind of the referrer, for ReferenceGrants.
  std::string_view name_space;   ///< Its namespace.
  std::string_view kind_reason;  ///< Reason for a reference to something of another kind.
};

/// What caCertificateRefs came to.
struct AuthorityRefs {
  route::CaBundles usable;               ///< Of the references that are good, in list order.
  std::vector<std::string> config_maps;  ///< Keys of what the outcome depends on, ConfigMaps and
                                         ///< ClusterTrustBundles (permitted ones only).
  std::vector<std::string> namespaces;   ///< Namespaces whose grants the outcome depends on.
  Verdict resolved;  ///< InvalidCACertificateRef, RefNotPermitted or the referrer's `kind_reason`.
};

/// Resolves references to trust anchors; `pointer` is the place of the list. For one that no grant
/// permits the outcome does not depend on whether the ConfigMap exists. Source: Gateway API,
/// FrontendTLSValidation and BackendTLSPolicyValidation.
[[nodiscard]] AuthorityRefs resolveAuthorities(const std::vector<CaRef>& refs,
                                               const AuthorityReferrer& from,
                                               const std::string& pointer, const ObjectStore& store,
                                               AuthorityStore& authorities,
                                               const AuthorityCheck& check);

}  // namespace hyperway::gateway
