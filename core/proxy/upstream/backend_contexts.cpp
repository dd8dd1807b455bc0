// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/backend_contexts.hpp"

#include <utility>

namespace hyperway::proxy {
namespace {

// The machine's authorities among those that are known by their PEM.
constexpr const char* kSystem = "system";

}  // namespace

void BackendContexts::warn(const std::string& message) const {
  if (log_) log_(message);
}

BackendContexts::Rows BackendContexts::setIdentities(Identities identities) {
  if (identities == identities_) return {};
  const Identities before = std::exchange(identities_, std::move(identities));
  shown_.clear();
  for (const auto& identity : identities_)
    if (identity)
      if (auto info = tls::describe({identity->chain_pem, identity->private_pem}))
        shown_.emplace(identity->key, *std::move(info));
  forgetGone();
  std::set<const Trust*> renewed;
  for (const auto& [number, user] : users_)
    if (renewed.insert(user.trust.get()).second) user.trust->row = makeRow(*user.trust, before);
  return rowsOf(renewed);
}

BackendContexts::Rows BackendContexts::rereadSystem() {
  const auto known = trusts_.find(kSystem);
  const auto trust = known != trusts_.end() ? known->second.lock() : nullptr;
  if (!trust) return {};
  std::string state = tls::TrustStore::systemState();
  if (state == system_state_) return {};
  system_state_ = std::move(state);
  auto store = tls::TrustStore::system();
  if (!store) {
    warn("trust anchors for backends stay as they were: " + store.error());
    return {};
  }
  forgetGone();
  trust->store = *store;
  trust->row.reset();
  trust->row = makeRow(*trust, {});
  return rowsOf({trust.get()});
}

void BackendContexts::forgetGone() {
  std::erase_if(users_, [](const auto& entry) { return entry.second.slot.expired(); });
}

BackendContexts::Rows BackendContexts::rowsOf(const std::set<const Trust*>& renewed) const {
  Rows changed;
  for (const auto& [number, user] : users_)
    if (renewed.contains(user.trust.get())) changed.emplace_back(number, user.trust->row);
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
  std::string name = tls.system_authorities ? kSystem : "";
  for (const auto& bundle : tls.authorities) name.append(*bundle) += '\n';
  std::erase_if(trusts_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Trust>& known = trusts_[name];
  if (auto trust = known.lock()) return trust;
  auto trust = std::make_shared<Trust>();
  std::vector<std::string_view> bundles;
  for (const auto& bundle : tls.authorities) bundles.emplace_back(*bundle);
  // Before it is read: what changes meanwhile is read again.
  if (tls.system_authorities) system_state_ = tls::TrustStore::systemState();
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
