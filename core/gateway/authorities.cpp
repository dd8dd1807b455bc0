// SPDX-License-Identifier: Apache-2.0
#include "gateway/authorities.hpp"

#include "gateway/pem.hpp"
#include "gateway/references.hpp"

namespace hyperway::gateway {
namespace {

std::string problemOf(const ConfigMap& object, const AuthorityCheck& check) {
  if (!object.problem.empty()) return object.problem;
  if (object.ca_pem.empty()) return "has no ca.crt";
  if (!hasPemBlock(object.ca_pem, "CERTIFICATE")) return "has a ca.crt that is no PEM certificate";
  if (!check) return {};
  const std::string refused = check(object.ca_pem);
  return refused.empty() ? std::string() : "cannot be used: " + refused;
}

}  // namespace

const AuthorityStore::Entry* AuthorityStore::get(const ObjectStore& store, const std::string& key,
                                                 const AuthorityCheck& check) {
  if (const auto found = entries_.find(key); found != entries_.end()) return &found->second;
  const auto* object = store.find<ConfigMap>(key);
  if (object == nullptr) return nullptr;
  Entry entry;
  entry.problem = problemOf(*object, check);
  if (entry.problem.empty()) entry.pem = std::make_shared<const std::string>(object->ca_pem);
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
    if (!ref.group.empty() || ref.kind != "ConfigMap") {
      object(from.kind_reason, "only ConfigMaps of the core API can be trust anchors, not " +
                                   ref.kind + (ref.group.empty() ? "" : " of " + ref.group));
      continue;
    }
    const std::string target =
        ref.name_space.empty() ? std::string(from.name_space) : ref.name_space;
    if (target != from.name_space) result.namespaces.push_back(target);
    if (!mayRefer(store, {kGatewayGroup, from.kind, from.name_space, {}},
                  {"", "ConfigMap", target, ref.name})) {
      object("RefNotPermitted", "no ReferenceGrant in namespace " + target + " permits " +
                                    std::string(from.kind) + "s of namespace " +
                                    std::string(from.name_space) + " to use ConfigMap " + ref.name);
      continue;
    }
    const std::string key = objectKey(target, ref.name);
    result.config_maps.push_back(key);
    const auto* entry = authorities.get(store, key, check);
    if (entry == nullptr)
      object("InvalidCACertificateRef", "ConfigMap " + key + " does not exist");
    else if (!entry->problem.empty())
      object("InvalidCACertificateRef", "ConfigMap " + key + ' ' + entry->problem);
    else
      result.usable.push_back(entry->pem);
  }
  return result;
}

}  // namespace hyperway::gateway
