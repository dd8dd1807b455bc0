// SPDX-License-Identifier: Apache-2.0
#include "gateway/authorities.hpp"

#include "gateway/pem.hpp"
#include "gateway/references.hpp"

namespace hyperway::gateway {
namespace {

// Where the anchors of each kind are.
constexpr std::string_view kConfigMapMember = "ca.crt";
constexpr std::string_view kBundleMember = "trustBundle";

std::string problemOf(const std::string& pem, std::string_view member,
                      const AuthorityCheck& check) {
  if (pem.empty()) return "has no " + std::string(member);
  if (!hasPemBlock(pem, "CERTIFICATE"))
    return "has a " + std::string(member) + " that is no PEM certificate";
  if (!check) return {};
  const std::string refused = check(pem);
  return refused.empty() ? std::string() : "cannot be used: " + refused;
}

bool isBundle(const CaRef& ref) {
  return ref.group == kCertificatesGroup && ref.kind == "ClusterTrustBundle";
}

}  // namespace

std::string authorityKey(const CaRef& ref, std::string_view name_space) {
  if (isBundle(ref)) return objectKey({}, ref.name);
  return objectKey(ref.name_space.empty() ? name_space : std::string_view(ref.name_space),
                   ref.name);
}

const AuthorityStore::Entry* AuthorityStore::get(const ObjectStore& store, const std::string& key,
                                                 const AuthorityCheck& check) {
  if (const auto found = entries_.find(key); found != entries_.end()) return &found->second;
  const auto* map = store.find<ConfigMap>(key);
  const auto* bundle = store.find<ClusterTrustBundle>(key);  // never both: it has no namespace
  if (map == nullptr && bundle == nullptr) return nullptr;
  const std::string& pem = map != nullptr ? map->ca_pem : bundle->ca_pem;
  Entry entry;
  if (map != nullptr) entry.problem = map->problem;
  if (entry.problem.empty())
    entry.problem = problemOf(pem, map != nullptr ? kConfigMapMember : kBundleMember, check);
  if (entry.problem.empty()) entry.pem = std::make_shared<const std::string>(pem);
  return &entries_.emplace(key, std::move(entry)).first->second;
}

AuthorityRefs resolveAuthorities(const std::vector<CaRef>& refs, const AuthorityReferrer& from,
                                 const std::string& pointer, const ObjectStore& store,
                                 AuthorityStore& authorities, const AuthorityCheck& check) {
  AuthorityRefs result;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    const CaRef& ref = refs[i];
    const auto object = [&](std::string_view reason, std::string message) {
      result.resolved.keep(
          {std::string(reason), pointer + '/' + std::to_string(i) + ": " + std::move(message)});
    };
    const bool bundle = isBundle(ref);
    if (!bundle && (!ref.group.empty() || ref.kind != "ConfigMap")) {
      object(from.kind_reason, "only ConfigMaps of the core API and ClusterTrustBundles of " +
                                   std::string(kCertificatesGroup) + " can be trust anchors, not " +
                                   ref.kind + (ref.group.empty() ? "" : " of " + ref.group));
      continue;
    }
    const std::string target =
        ref.name_space.empty() ? std::string(from.name_space) : ref.name_space;
    // What is in no namespace is for everyone.
    if (!bundle && target != from.name_space) result.namespaces.push_back(target);
    if (!bundle && !mayRefer(store, {kGatewayGroup, from.kind, from.name_space, {}},
                             {"", "ConfigMap", target, ref.name})) {
      object("RefNotPermitted", "no ReferenceGrant in namespace " + target + " permits " +
                                    std::string(from.kind) + "s of namespace " +
                                    std::string(from.name_space) + " to use ConfigMap " + ref.name);
      continue;
    }
    const std::string key = authorityKey(ref, from.name_space);
    const std::string what = bundle ? "ClusterTrustBundle " + ref.name : "ConfigMap " + key;
    result.config_maps.push_back(key);
    const auto* entry = authorities.get(store, key, check);
    if (entry == nullptr)
      object("InvalidCACertificateRef", what + " does not exist");
    else if (!entry->problem.empty())
      object("InvalidCACertificateRef", what + ' ' + entry->problem);
    else
      result.usable.push_back(entry->pem);
  }
  return result;
}

}  // namespace hyperway::gateway
