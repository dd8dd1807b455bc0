// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/backend_contexts.hpp"

#include <utility>

namespace hyperway::proxy {

void BackendContexts::warn(const std::string& message) const {
  if (log_) log_(message);
}

BackendContexts::Rows BackendContexts::setIdentities(Identities identities) {
  Rows changed;
  if (identities == identities_) return changed;
  const Identities before = std::exchange(identities_, std::move(identities));
  std::map<const Trust*, bool> renewed;
  for (auto user = users_.begin(); user != users_.end();) {
    if (user->second.slot.expired()) {
      user = users_.erase(user);
      continue;
    }
    Trust& trust = *user->second.trust;
    if (renewed.emplace(&trust, true).second) trust.row = makeRow(trust, before);
    changed.emplace_back(user->first, trust.row);
    ++user;
  }
  return changed;
}

std::shared_ptr<const ContextRow> BackendContexts::rowOf(const route::SlotMap::SlotPtr& slot,
                                                         const route::Upstream* upstream) {
  if (upstream == nullptr || !upstream->tls || !upstream->tls->refused.empty()) {
    users_.erase(slot->number());
    return nullptr;
  }
  User& user = users_[slot->number()];
  // The new one first: if it is the old one, it must not die in between.
  auto trust = trustOf(*upstream->tls);
  user.slot = slot;
  user.trust = std::move(trust);
  return user.trust->row;
}

std::shared_ptr<BackendContexts::Trust> BackendContexts::trustOf(const route::UpstreamTls& tls) {
  std::string name;
  for (const auto& bundle : tls.authorities) name.append(*bundle) += '\n';
  std::erase_if(trusts_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Trust>& known = trusts_[name];
  if (auto trust = known.lock()) return trust;
  auto trust = std::make_shared<Trust>();
  std::vector<std::string_view> bundles;
  for (const auto& bundle : tls.authorities) bundles.emplace_back(*bundle);
  auto store =
      tls.system_authorities ? tls::TrustStore::system() : tls::TrustStore::create(bundles);
  if (store)
    trust->store = *store;
  else
    warn("trust anchors for backends refused: " + store.error());
  trust->row = makeRow(*trust, {});
  known = trust;
  return trust;
}

std::shared_ptr<const ContextRow> BackendContexts::makeRow(const Trust& trust,
                                                           const Identities& before) const {
  auto row = std::make_shared<ContextRow>();
  for (std::size_t i = 0; i < identities_.size(); ++i) {
    auto& context = row->emplace_back();
    if (!trust.store || (i != 0 && !identities_[i])) continue;
    if (trust.row && i < before.size() && before[i] == identities_[i] && i < trust.row->size())
      context = (*trust.row)[i];
    if (context) continue;
    tls::KeyPair pair;
    if (identities_[i]) pair = {identities_[i]->chain_pem, identities_[i]->private_pem};
    auto made = tls::ClientContext::create(*trust.store, identities_[i] ? &pair : nullptr);
    if (made)
      context = *made;
    else
      warn("certificate for backends refused: " + made.error());
  }
  return row;
}

}  // namespace hyperway::proxy
