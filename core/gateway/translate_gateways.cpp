// SPDX-License-Identifier: Apache-2.0
// Filters, classes and Gateways.
#include <algorithm>
#include <tuple>
#include <utility>

#include "gateway/attachment.hpp"
#include "gateway/conditions.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {

void Translator::State::settleFilters(Work& work, Outcome& outcome) {
  for (const std::string& key : work.filters) {
    touchRoutes(routes_by_filter, key, Redo::Rules, work);
    touchGateways(&GatewayState::filters, key, work);
    const auto* object = store.find<FilterObject>(key);
    if (object == nullptr) {
      filter_verdicts.erase(key);
      book.remove("Filter/" + key, outcome.status);
      continue;
    }
    FilterVerdict& judged = filter_verdicts[key] = judgeFilter(*object, options, filters_parser);
    book.put(filterStatus(*object, judged), outcome.status);
  }
}

const GatewayClass* Translator::State::ownClass(const Gateway& gateway) const {
  const auto* object = store.find<GatewayClass>(objectKey({}, gateway.class_name));
  return object != nullptr && object->controller_name == options.controller_name ? object : nullptr;
}

void Translator::State::settleClasses(const Work& work, Outcome& outcome) {
  for (const std::string& key : work.classes) {
    const auto* object = store.find<GatewayClass>(key);
    if (object != nullptr && object->controller_name == options.controller_name)
      book.put(classStatus(*object, options.gateway_addresses), outcome.status);
    else
      book.remove("GatewayClass/" + key, outcome.status);
  }
}

std::vector<GatewayState*> Translator::State::gatewaysByAge() {
  std::vector<GatewayState*> list;
  list.reserve(gateways.size());
  for (auto& [key, gateway] : gateways) list.push_back(&gateway);
  std::sort(list.begin(), list.end(), [](const GatewayState* a, const GatewayState* b) {
    const Meta& x = a->spec->meta;
    const Meta& y = b->spec->meta;
    return std::tie(x.created, x.name_space, x.name) < std::tie(y.created, y.name_space, y.name);
  });
  return list;
}

void Translator::State::dropGateway(const std::string& key, Work& work) {
  addresses.release(key);
  const auto found = gateways.find(key);
  if (found == gateways.end()) return;
  if (found->second.is_default) touchDefaults(work);
  touchPolicies(found->second.services);
  useUpstreams(found->second.upstreams, {}, work);
  gateways.erase(found);
  touchRoutes(routes_by_parent, key, Redo::Attachment, work);
  touchSets(key, work);
}

void Translator::State::touchSets(const std::string& gateway, Work& work) const {
  const auto* sets = store.setsOf(gateway);
  if (sets == nullptr) return;
  for (const std::string& key : *sets) {
    work.listener_sets.insert(key);
    touchRoutes(routes_by_parent, listenerSetTarget(key), Redo::Attachment, work);
  }
}

void Translator::State::touchDefaults(Work& work) const {
  touchRoutes(routes_by_parent, std::string(kDefaultGateways), Redo::Attachment, work);
}

void Translator::State::touchAttached(const std::string& gateway,
                                      const std::vector<ListenerState>& before,
                                      const std::vector<ListenerState>& now, Work& work) const {
  std::map<std::string,
           std::pair<std::vector<const ListenerState*>, std::vector<const ListenerState*>>>
      by_owner;
  for (const ListenerState& listener : before) by_owner[listener.set].first.push_back(&listener);
  for (const ListenerState& listener : now) by_owner[listener.set].second.push_back(&listener);
  for (const auto& [set, lists] : by_owner) {
    const auto alike = [](const auto* a, const auto* b) { return attachesAlike(*a, *b); };
    if (std::equal(lists.first.begin(), lists.first.end(), lists.second.begin(), lists.second.end(),
                   alike))
      continue;
    touchRoutes(routes_by_parent, set.empty() ? gateway : listenerSetTarget(set), Redo::Attachment,
                work);
    const auto found = gateways.find(gateway);
    if (set.empty() && found != gateways.end() && found->second.is_default) touchDefaults(work);
  }
}

void Translator::State::settleSets(const Work& work, Outcome& outcome) {
  for (const std::string& key : work.listener_sets) {
    const auto* set = store.find<ListenerSet>(key);
    if (set == nullptr || !gateways.contains(gatewayOf(*set)))
      book.remove("ListenerSet/" + key, outcome.status);
  }
}

void Translator::State::tell(const std::string& gateway, StatusBatch& batch) {
  const auto found = gateways.find(gateway);
  if (found == gateways.end()) return;
  book.put(gatewayStatus(found->second), batch);
  for (const SetState& set : found->second.sets)
    book.put(listenerSetStatus(found->second, set), batch);
}

void Translator::State::judge(const std::string& key, Work& work) {
  const auto* spec = store.find<Gateway>(key);
  const GatewayClass* const own = ownClass(*spec);
  const bool class_accepted =
      !own->parameters || options.gateway_addresses == AddressSource::Deployed;
  GatewayState fresh = judgeGateway(*spec, {store, options, certificates, authorities, addresses,
                                            filters_parser, filter_verdicts, class_accepted});
  fresh.class_parameters = own->parameters;
  const auto [entry, is_new] = gateways.try_emplace(key);
  if (entry->second.is_default != fresh.is_default) touchDefaults(work);
  if (is_new) touchSets(key, work);
  fresh.deployment = std::move(entry->second.deployment);
  fresh.parameters = std::move(entry->second.parameters);
  fresh.upstreams = std::move(entry->second.upstreams);
  touchPolicies(entry->second.services);
  std::unordered_map<std::string_view, const ListenerState*> before;
  for (const ListenerState& old : entry->second.listeners) before.emplace(old.model.key, &old);
  for (ListenerState& listener : fresh.listeners)
    if (const auto old = before.find(listener.model.key); old != before.end()) {
      listener.attached = old->second->attached;
      listener.programming = old->second->programming;
      listener.programming_reason = old->second->programming_reason;
    }
  entry->second = std::move(fresh);
}

void Translator::State::settleGateways(Work& work, Outcome& outcome) {
  if (work.gateways.empty()) return;
  // An address that becomes free may be what another Gateway waits for.
  for (const auto& [key, gateway] : gateways)
    if (!gateway.addresses.programmed.fine()) work.gateways.insert(key);
  std::unordered_map<std::string, std::vector<ListenerState>> before;
  for (const auto& [key, gateway] : gateways) before.emplace(key, gateway.listeners);
  std::vector<const Gateway*> specs;
  for (const std::string& key : work.gateways) {
    const auto* spec = store.find<Gateway>(key);
    if (spec != nullptr && ownClass(*spec) != nullptr) {
      specs.push_back(spec);
      continue;
    }
    dropGateway(key, work);
    model.putGateway(key, nullptr, options.report_programmed, outcome.model);
    model.describeGateway(key, nullptr, outcome.model);
    book.remove("Gateway/" + key, outcome.status);
  }
  // The oldest first, so that addresses of a pool are given out in that order.
  std::sort(specs.begin(), specs.end(), [](const Gateway* a, const Gateway* b) {
    return std::tie(a->meta.created, a->meta.name_space, a->meta.name) <
           std::tie(b->meta.created, b->meta.name_space, b->meta.name);
  });
  for (const Gateway* spec : specs) judge(spec->meta.key(), work);
  // Once more for those that came before the one whose address became free.
  for (const Gateway* spec : specs)
    if (!gateways.at(spec->meta.key()).addresses.programmed.fine()) judge(spec->meta.key(), work);
  const auto by_age = gatewaysByAge();
  findConflicts(by_age);
  for (GatewayState* gateway : by_age) {
    const std::string key = gateway->spec->meta.key();
    touchAttached(key, before[key], gateway->listeners, work);
    std::vector<std::string> upstreams;
    for (const ListenerState& listener : gateway->listeners)
      if (listener.served) addUpstreams(listener.model, upstreams);
    sortUnique(upstreams);
    useUpstreams(gateway->upstreams, std::move(upstreams), work);
    touchPolicies(gateway->services);
    model.putGateway(key, gateway, options.report_programmed, outcome.model);
    const bool by_services = hasServices(options.gateway_addresses);
    model.describeGateway(key, by_services ? gateway : nullptr, outcome.model);
    touched_gateways.insert(key);
  }
  certificates_touched = true;
}

void Translator::State::settleCertificates(Outcome& outcome) {
  if (!std::exchange(certificates_touched, false)) return;
  model.putCertificates(store, certificates, options.check_certificate, outcome.model);
  std::set<std::string> used = snapshots.secrets();
  for (const auto& [key, gateway] : gateways)
    used.insert(gateway.secrets.begin(), gateway.secrets.end());
  certificates.retain(used);
}

}  // namespace hyperway::gateway
