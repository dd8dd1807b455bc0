// SPDX-License-Identifier: Apache-2.0
#include "gateway/translate.hpp"

#include <algorithm>
#include <utility>

#include "gateway/attachment.hpp"
#include "gateway/conditions.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {

Translator::Outcome Translator::State::settle(Work& work, Outcome outcome) {
  settleFilters(work, outcome);
  settleClasses(work, outcome);
  settleGateways(work, outcome);
  settleRoutes(work, outcome);
  settleSnapshots(work, outcome);
  settleCertificates(outcome);
  settlePolicies(outcome);
  settleUpstreams(work, outcome);
  settleSets(work, outcome);
  for (const std::string& key : touched_gateways) tell(key, outcome.status);
  touched_gateways.clear();
  return outcome;
}

Translator::Translator(TranslateOptions options, FilterConfigParser& filters)
    : state_(std::make_unique<State>(std::move(options), filters)) {}

Translator::~Translator() = default;

Translator::Outcome Translator::apply(const std::vector<ObjectChange>& changes) {
  Work work;
  Outcome outcome;
  for (const ObjectChange& change : changes) state_->take(change, work, outcome);
  return state_->settle(work, std::move(outcome));
}

Translator::Outcome Translator::retain(std::string_view group, std::string_view kind,
                                       std::string_view name_space,
                                       const std::vector<std::string>& seen) {
  const std::set<std::string_view> kept(seen.begin(), seen.end());
  std::vector<ObjectChange> gone;
  for (ObjectChange& object : state_->store.list(group, kind, name_space)) {
    std::string key = objectKey(object.name_space, object.name);
    if (kind.empty()) key = object.kind + '/' + key;
    if (!kept.contains(key)) gone.push_back(std::move(object));
  }
  // Objects that never decoded are in no store; their complaint goes with them.
  std::erase_if(state_->rejected, [&](const auto& entry) {
    const std::string_view full = entry.first;
    const std::size_t slash = full.find('/');
    const std::string_view key = full.substr(slash + 1);
    if (!kind.empty() && full.substr(0, slash) != kind) return false;
    if (!name_space.empty() && key.substr(0, key.find('/')) != name_space) return false;
    return !kept.contains(kind.empty() ? full : key);
  });
  return apply(gone);
}

Translator::Outcome Translator::rebindFilters(const std::vector<std::string>& types) {
  Work work;
  const auto named = [&](const std::string& type) {
    return std::find(types.begin(), types.end(), type) != types.end();
  };
  const auto uses = [&](const std::vector<FilterSpec>& specs) {
    return std::any_of(specs.begin(), specs.end(),
                       [&](const FilterSpec& spec) { return named(spec.type); });
  };
  for (const auto& [key, object] : state_->store.all<FilterObject>())
    if (named(object.plugin)) work.filters.insert(key);
  for (const auto& [key, route] : state_->store.all<RouteObject>())
    for (const RuleSpec& rule : route.rules) {
      bool found = uses(rule.filters);
      for (const BackendSpec& backend : rule.backends) found = found || uses(backend.filters);
      if (found) work.route(key, Redo::Rules);
    }
  const auto have = [&](const std::vector<ListenerSpec>& listeners) {
    return std::any_of(listeners.begin(), listeners.end(),
                       [&](const ListenerSpec& listener) { return uses(listener.filters); });
  };
  for (const auto& [key, gateway] : state_->store.all<Gateway>())
    if (have(gateway.listeners)) state_->touchGateway(key, work);
  for (const auto& [key, set] : state_->store.all<ListenerSet>())
    if (have(set.listeners)) state_->touchGateway(gatewayOf(set), work);
  for (const auto& [key, route] : state_->snapshots.routes()) {
    if (!route.model.hasFilters()) continue;
    const route::Route model = route.model.unpack();
    for (const route::Rule& rule : *model.rules) {
      const auto has = [&](const std::vector<route::Filter>& filters) {
        return std::any_of(filters.begin(), filters.end(),
                           [&](const route::Filter& filter) { return named(filter.type); });
      };
      bool found = has(rule.filters);
      for (const route::Backend& backend : rule.backends) found = found || has(backend.filters);
      if (found) work.snapshot_routes.insert(key);
    }
  }
  for (const auto& [key, object] : state_->snapshots.objects())
    for (const auto& [name, listener] : object.listeners)
      work.snapshots = work.snapshots ||
                       std::any_of(listener.filters.begin(), listener.filters.end(),
                                   [&](const route::Filter& filter) { return named(filter.type); });
  return state_->settle(work, {});
}

StatusBatch Translator::programmed(const std::vector<ListenerReport>& reports,
                                   const std::vector<GatewayReport>& gateways,
                                   std::uint64_t in_force) {
  StatusBatch batch;
  std::set<std::string> touched;
  for (const GatewayReport& report : gateways) {
    const auto found = state_->gateways.find(report.gateway);
    if (found == state_->gateways.end()) continue;
    GatewayState& gateway = found->second;
    if (gateway.deployment == report.reason && gateway.parameters == report.parameters) continue;
    gateway.deployment = report.reason;
    gateway.parameters = report.parameters;
    touched.insert(report.gateway);
  }
  for (const ListenerReport& report : reports) {
    const std::string key(route::gatewayOfListener(report.listener));
    const auto found = state_->gateways.find(key);
    if (report.programmed)
      state_->unbound_listeners.erase(report.listener);
    else if (found == state_->gateways.end())
      state_->unbound_listeners[report.listener] = report.reason;
    if (found == state_->gateways.end()) continue;
    for (ListenerState& listener : found->second.listeners) {
      if (listener.model.key != report.listener || !listener.served) continue;
      listener.programming = report.programmed ? Programming::Done : Programming::Failed;
      listener.programming_reason = report.reason;
      touched.insert(key);
    }
  }
  for (const std::string& key : touched) state_->tell(key, batch);
  state_->serveSnapshots(in_force, batch);
  return batch;
}

StatusBatch Translator::handedOver(std::uint64_t generation, std::uint64_t in_force) {
  StatusBatch batch;
  for (auto& [key, what] : state_->changed_snapshots)
    state_->awaited_snapshots.push_back({generation, key, std::move(what)});
  state_->changed_snapshots.clear();
  state_->serveSnapshots(in_force, batch);
  return batch;
}

Translator::Outcome Translator::reconfigure(TranslateOptions options) {
  if (options.address_pool != state_->options.address_pool) state_->addresses.clear();
  state_->options = std::move(options);
  for (const auto& [key, secret] : state_->store.all<Secret>())
    state_->certificates.refresh(state_->store, key, state_->options.check_certificate);
  state_->authorities.clear();
  Work work;
  state_->touchEverything(work);
  return state_->settle(work, {});
}

route::ModelBatch Translator::wholeModel() const {
  route::ModelBatch whole = state_->model.whole();
  for (const auto& [key, users] : state_->upstream_users)
    if (users > 0) whole.upstreams.push_back(state_->upstreamNow(key));
  for (const auto& [key, state] : state_->routes) {
    if (state.attachments.empty()) continue;
    whole.routes.push_back(State::modelOf(*state_->store.find<RouteObject>(key), state));
  }
  for (const auto& [key, route] : state_->snapshots.routes())
    whole.routes.push_back(route.model.unpack());
  return whole;
}

std::vector<ObjectStatus> Translator::statuses() const {
  std::vector<ObjectStatus> list;
  for (const auto& [key, status] : state_->book.all()) list.push_back(status);
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.key() < b.key(); });
  return list;
}

void Translator::forEachStatus(const std::function<void(const ObjectStatus&)>& visit) const {
  for (const auto& [key, status] : state_->book.all()) visit(status);
}

}  // namespace hyperway::gateway
