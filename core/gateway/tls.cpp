// SPDX-License-Identifier: Apache-2.0
#include "gateway/tls.hpp"

#include <string_view>

#include "gateway/pem.hpp"
#include "gateway/references.hpp"

namespace hyperway::gateway {
namespace {

// "…/certificateRefs" is a list, "…/clientCertificateRef" a reference itself.
std::string placeOf(const std::string& pointer, std::size_t index, std::size_t count) {
  const bool is_list = pointer.ends_with("Refs");
  return count == 0 || !is_list ? pointer : pointer + '/' + std::to_string(index);
}

}  // namespace

std::string certificateProblem(const Secret& secret, const CertificateCheck& check) {
  if (!secret.problem.empty()) return secret.problem;
  if (secret.chain_pem.empty()) return "has no tls.crt";
  if (secret.private_pem.empty()) return "has no tls.key";
  if (!hasPemBlock(secret.chain_pem, "CERTIFICATE"))
    return "has a tls.crt that is no PEM certificate";
  if (!hasPemBlock(secret.private_pem, "PRIVATE KEY"))
    return "has a tls.key that is no PEM private key";
  if (!check) return {};
  const std::string refused = check(secret.chain_pem, secret.private_pem);
  return refused.empty() ? std::string() : "cannot be used: " + refused;
}

const CertificateStore::Entry* CertificateStore::get(const ObjectStore& store,
                                                     const std::string& key,
                                                     const CertificateCheck& check) {
  if (const auto found = entries_.find(key); found != entries_.end()) return &found->second;
  const auto* secret = store.find<Secret>(key);
  if (secret == nullptr) return nullptr;
  Entry entry;
  entry.certificate.key = key;
  entry.problem = certificateProblem(*secret, check);
  if (entry.problem.empty()) {
    entry.certificate.chain_pem = secret->chain_pem;
    entry.certificate.private_pem = secret->private_pem;
  }
  return &entries_.emplace(key, std::move(entry)).first->second;
}

void CertificateStore::refresh(const ObjectStore& store, const std::string& key,
                               const CertificateCheck& check) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  const auto* secret = store.find<Secret>(key);
  if (secret == nullptr) {
    entries_.erase(found);
    return;
  }
  Entry& entry = found->second;
  entry.problem = certificateProblem(*secret, check);
  if (!entry.problem.empty()) return;
  entry.certificate.chain_pem = secret->chain_pem;
  entry.certificate.private_pem = secret->private_pem;
}

CertificateRefs resolveCertificates(const std::vector<SecretRef>& refs,
                                    const CertificateReferrer& from, const std::string& pointer,
                                    const std::string& invalid_reason, const ObjectStore& store,
                                    CertificateStore& certificates, const CertificateCheck& check) {
  CertificateRefs result;
  const auto object = [&](std::size_t index, std::string message, const std::string& reason) {
    result.verdict.keep({reason, placeOf(pointer, index, refs.size()) + ": " + std::move(message)});
  };
  if (refs.empty()) object(0, "needs at least one certificate", invalid_reason);
  for (std::size_t i = 0; i < refs.size(); ++i) {
    const SecretRef& ref = refs[i];
    const std::string& target = ref.name_space.empty() ? from.name_space : ref.name_space;
    const std::string key = objectKey(target, ref.name);
    if (!ref.group.empty() || ref.kind != "Secret") {
      object(i,
             "only Secrets of the core API can be certificates, not " + ref.kind +
                 (ref.group.empty() ? "" : " of " + ref.group),
             invalid_reason);
      continue;
    }
    if (target != from.name_space) result.namespaces.push_back(target);
    if (!mayRefer(store, {kGatewayGroup, from.kind, from.name_space, {}},
                  {"", "Secret", target, ref.name})) {
      object(i,
             "no ReferenceGrant in namespace " + target + " permits " + std::string(from.kind) +
                 "s of namespace " + from.name_space + " to use Secret " + ref.name,
             "RefNotPermitted");
      continue;
    }
    result.secrets.push_back(key);
    const auto* entry = certificates.get(store, key, check);
    if (entry == nullptr) {
      object(i, "Secret " + key + " does not exist", invalid_reason);
      continue;
    }
    const bool usable = !entry->certificate.chain_pem.empty();
    if (usable) result.usable.push_back(key);
    if (!entry->problem.empty())
      object(i,
             "Secret " + key + ' ' + entry->problem +
                 (usable ? "; its last good certificate stays in use" : ""),
             invalid_reason);
  }
  return result;
}

}  // namespace hyperway::gateway
