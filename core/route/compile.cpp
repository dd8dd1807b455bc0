// SPDX-License-Identifier: Apache-2.0
#include "route/compile.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "route/filter_compile.hpp"
#include "route/host_table.hpp"
#include "route/route_record.hpp"
#include "route/table_builder.hpp"
#include "route/table_edit.hpp"

namespace hyperway::route {

namespace {

using RecordPtr = std::shared_ptr<const RouteRecord>;

/// Records by route key, which the record holds itself.
struct RecordHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const noexcept { return hashText(key); }
  std::size_t operator()(const RecordPtr& record) const noexcept { return hashText(record->key()); }
};

struct RecordEqual {
  using is_transparent = void;
  static std::string_view key(std::string_view key) noexcept { return key; }
  static std::string_view key(const RecordPtr& record) noexcept { return record->key(); }
  template <class A, class B>
  bool operator()(const A& a, const B& b) const noexcept {
    return key(a) == key(b);
  }
};

/// True if TLS ends at it.
bool isSecure(const Listener& listener) {
  return listener.protocol == Protocol::Https ||
         (listener.protocol == Protocol::Tls && !listener.passthrough);
}

bool same(const Upstream& a, const Upstream& b) { return sameUpstream(a, b); }

bool same(const Certificate& a, const Certificate& b) {
  return a.chain_pem == b.chain_pem && a.private_pem == b.private_pem;
}

/// Keeps objects by key as a batch changes them; remembers which changed.
template <class T>
class Store {
 public:
  /// Takes upserts and removals; returns the keys that changed, each once.
  std::set<std::string> apply(const std::vector<T>& upserts,
                              const std::vector<std::string>& removed, bool full) {
    std::set<std::string> changed;
    for (const std::string& key : removed)
      if (items_.erase(key) > 0) changed.insert(key);
    if (full) removeOthers(upserts, changed);
    for (const T& item : upserts) {
      std::shared_ptr<const T>& known = items_[item.key];
      if (known && same(*known, item)) continue;
      known = std::make_shared<const T>(item);
      changed.insert(item.key);
    }
    return changed;
  }
  [[nodiscard]] std::shared_ptr<const T> find(const std::string& key) const {
    const auto known = items_.find(key);
    return known == items_.end() ? nullptr : known->second;
  }

 private:
  void removeOthers(const std::vector<T>& upserts, std::set<std::string>& changed) {
    std::unordered_set<std::string_view> named;
    for (const T& item : upserts) named.insert(item.key);
    std::erase_if(items_, [&](const auto& item) {
      if (named.contains(item.first)) return false;
      changed.insert(item.first);
      return true;
    });
  }

  std::unordered_map<std::string, std::shared_ptr<const T>> items_;
};

/// A listener and what its table is made of.
struct ListenerState {
  std::shared_ptr<const Listener> model;
  std::shared_ptr<const HostTable> hosts;
  std::shared_ptr<const HostTable> flows;          // null: none
  std::shared_ptr<const ListenerFilters> filters;  // null: none
  SlotMap::SlotPtr tls_slot;
  SlotMap::SlotPtr identity_slot;
  std::uint32_t number = 0;
  std::size_t rules = 0;  // of attached routes
  bool is_new = false;    // in this batch: has no routes yet
  bool changed = false;   // in this batch: needs a new CompiledListener
};

}  // namespace

/// Members that slots point into come first, since they have to go last.
struct Compiler::State {
  SlotMap upstream_slots;
  SlotMap tls_slots;
  SlotMap identity_slots;
  SlotMap stats_slots;
  ListenerNumbers numbers;
  RegexCache regexes;
  std::vector<std::uint32_t> upstream_uses;  // by number: how often what is in force names each
  Store<Upstream> upstreams;
  Store<Certificate> certificates;
  std::unordered_set<RecordPtr, RecordHash, RecordEqual> routes;
  std::map<std::string, ListenerState> listeners;
  TableBuilder::Listeners compiled;
  std::shared_ptr<const RouteTable> table;

  bool applyListeners(const ModelBatch& batch, const std::set<std::string>& certificates_changed,
                      const UpstreamSlots& named, Outcome& outcome);
  std::vector<RouteChange> changesOf(const ModelBatch& batch, RouteContext& context);
  void countUpstreams(const std::vector<RouteChange>& changes);
  void editTables(std::vector<RouteChange>& changes);
  void publish(bool listeners_changed, Outcome& outcome);
  void postUpstreams(const std::set<std::string>& changed,
                     const std::vector<SlotMap::SlotPtr>& new_slots, Outcome& outcome) const;

 private:
  void releaseNumbers(const RouteRecord& record) {
    record.forEachAttachment(
        [&](std::uint32_t number, std::string_view) { numbers.release(number); });
  }
  bool upsertListener(const Listener& model, const UpstreamSlots& named);
  void use(const SlotMap::SlotPtr& upstream) {
    if (upstream->number() >= upstream_uses.size()) upstream_uses.resize(upstream->number() + 1);
    ++upstream_uses[upstream->number()];
  }
  void leave(const SlotMap::SlotPtr& upstream) { --upstream_uses[upstream->number()]; }
  void setFilters(ListenerState& listener, std::shared_ptr<const ListenerFilters> filters);
  bool removeListeners(const ModelBatch& batch);
  std::vector<std::vector<HostEdit>> editsByNumber(std::size_t first_unchanged,
                                                   const std::vector<RouteChange>& changes) const;
};

void Compiler::State::setFilters(ListenerState& listener,
                                 std::shared_ptr<const ListenerFilters> filters) {
  if (filters)
    for (const CompiledCallouts& each : filters->callouts)
      for (const SlotMap::SlotPtr& upstream : each.upstreams) use(upstream);
  if (listener.filters)
    for (const CompiledCallouts& each : listener.filters->callouts)
      for (const SlotMap::SlotPtr& upstream : each.upstreams) leave(upstream);
  listener.filters = std::move(filters);
}

bool Compiler::State::upsertListener(const Listener& model, const UpstreamSlots& named) {
  const auto [at, is_new] = listeners.try_emplace(model.key);
  ListenerState& state = at->second;
  if (!is_new && sameListener(*state.model, model)) return false;
  if (is_new) state.number = numbers.acquire(model.key);
  state.model = std::make_shared<const Listener>(model);
  state.is_new = is_new;
  state.changed = true;
  if (!isSecure(model))
    state.tls_slot = nullptr;
  else if (!state.tls_slot)
    state.tls_slot = tls_slots.acquire(model.key);
  state.identity_slot = model.backend_certificate.empty()
                            ? nullptr
                            : identity_slots.acquire(model.backend_certificate);
  setFilters(state, compileFilters(model, named));
  return true;
}

bool Compiler::State::removeListeners(const ModelBatch& batch) {
  std::set<std::string_view> leaving(batch.removed_listeners.begin(),
                                     batch.removed_listeners.end());
  if (batch.full) {
    for (const auto& [key, state] : listeners) leaving.insert(key);
    for (const Listener& listener : batch.listeners) leaving.erase(listener.key);
  }
  bool changed = false;
  for (const std::string_view key : leaving) {
    const auto at = listeners.find(std::string(key));
    if (at == listeners.end()) continue;
    numbers.release(at->second.number);
    setFilters(at->second, nullptr);
    compiled.erase(at->first);
    listeners.erase(at);
    changed = true;
  }
  return changed;
}

bool Compiler::State::applyListeners(const ModelBatch& batch,
                                     const std::set<std::string>& certificates_changed,
                                     const UpstreamSlots& named, Outcome& outcome) {
  bool changed = removeListeners(batch);
  std::set<std::string> tls;
  for (const Listener& listener : batch.listeners) {
    const auto known = listeners.find(listener.key);
    const bool other_security = known == listeners.end() || !isSecure(*known->second.model) ||
                                known->second.model->certificates != listener.certificates ||
                                !sameIn(known->second.model->validation, listener.validation);
    if (!upsertListener(listener, named)) continue;
    changed = true;
    if (isSecure(listener) && other_security) tls.insert(listener.key);
  }
  if (!certificates_changed.empty()) {
    for (const auto& [key, state] : listeners) {
      const auto& names = state.model->certificates;
      if (isSecure(*state.model) &&
          std::any_of(names.begin(), names.end(), [&](const std::string& name) {
            return certificates_changed.contains(name);
          })) {
        tls.insert(key);
      }
    }
  }
  outcome.tls_listeners.assign(tls.begin(), tls.end());
  return changed;
}

std::vector<RouteChange> Compiler::State::changesOf(const ModelBatch& batch,
                                                    RouteContext& context) {
  std::vector<RouteChange> changes;
  const auto remove = [&](RecordPtr record) {
    releaseNumbers(*record);
    changes.push_back({std::move(record), nullptr});
  };
  for (const std::string& key : batch.removed_routes) {
    const auto known = routes.find(std::string_view(key));
    if (known == routes.end()) continue;
    remove(*known);
    routes.erase(known);
  }
  if (batch.full) {
    std::unordered_set<std::string_view> named;
    named.reserve(batch.routes.size());
    for (const Route& route : batch.routes) named.insert(route.key);
    std::erase_if(routes, [&](const RecordPtr& record) {
      if (named.contains(record->key())) return false;
      remove(record);
      return true;
    });
  }
  if (batch.routes.size() > routes.size()) routes.reserve(batch.routes.size());
  for (const Route& route : batch.routes) {
    const Fingerprint fingerprint = RouteRecord::fingerprintOf(route);
    const auto known = routes.find(std::string_view(route.key));
    if (known == routes.end()) {
      changes.push_back({nullptr, RouteRecord::compile(route, fingerprint, context)});
      routes.insert(changes.back().after);
      continue;
    }
    if ((*known)->fingerprint() == fingerprint) continue;
    RouteChange change{*known, RouteRecord::compile(route, fingerprint, context)};
    releaseNumbers(*change.before);
    routes.erase(known);
    routes.insert(change.after);
    // Requests and flows are in different tables; keys say which, but who wrote them is unknown.
    if (isFlow(change.before->kind()) != isFlow(change.after->kind()))
      changes.push_back({std::exchange(change.before, nullptr), nullptr});
    changes.push_back(std::move(change));
  }
  return changes;
}

/// What each listener, by number, has to learn. `changes` from `first_unchanged` on are no changes
/// but the other routes, which only a new listener has to learn.
std::vector<std::vector<HostEdit>> Compiler::State::editsByNumber(
    std::size_t first_unchanged, const std::vector<RouteChange>& changes) const {
  std::vector<const ListenerState*> known;
  for (const auto& [key, listener] : listeners) {
    if (listener.number >= known.size()) known.resize(listener.number + 1);
    known[listener.number] = &listener;
  }
  std::vector<std::vector<HostEdit>> edits(known.size());
  const auto edit = [&](std::uint32_t number, std::size_t change) -> HostEdit& {
    std::vector<HostEdit>& list = edits[number];
    if (list.empty() || list.back().change != change) {
      list.push_back({static_cast<std::uint32_t>(change), {}, {}});
    }
    return list.back();
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (changes[i].before) {
      changes[i].before->forEachAttachment([&](std::uint32_t number, std::string_view hosts) {
        if (number >= known.size() || known[number] == nullptr || known[number]->is_new) return;
        if (!hosts.empty()) edit(number, i).before = hosts;
      });
    }
    if (!changes[i].after) continue;
    changes[i].after->forEachAttachment([&](std::uint32_t number, std::string_view hosts) {
      if (number >= known.size() || known[number] == nullptr) return;
      if (i >= first_unchanged && !known[number]->is_new) return;
      if (!hosts.empty()) edit(number, i).after = hosts;
    });
  }
  return edits;
}

void Compiler::State::editTables(std::vector<RouteChange>& changes) {
  const std::size_t first_unchanged = changes.size();
  if (std::any_of(listeners.begin(), listeners.end(),
                  [](const auto& each) { return each.second.is_new; })) {
    std::unordered_set<const RouteRecord*> changed;
    for (const RouteChange& change : changes) changed.insert(change.after.get());
    for (const RecordPtr& record : routes)
      if (!changed.contains(record.get())) changes.push_back({nullptr, record});
  }
  std::vector<std::vector<HostEdit>> by_number = editsByNumber(first_unchanged, changes);
  TableEdit tables(changes);
  for (auto& [key, listener] : listeners) {
    std::vector<HostEdit>& edits = by_number[listener.number];
    listener.is_new = false;
    if (edits.empty() && listener.hosts) continue;
    for (const HostEdit& edit : edits) {
      if (!edit.before.empty()) listener.rules -= changes[edit.change].before->ruleCount();
      if (!edit.after.empty()) listener.rules += changes[edit.change].after->ruleCount();
    }
    std::vector<HostEdit> flow_edits;
    std::erase_if(edits, [&](const HostEdit& edit) {
      const RouteChange& change = changes[edit.change];
      const bool flow = isFlow((change.after ? change.after : change.before)->kind());
      if (flow) flow_edits.push_back(edit);
      return flow;
    });
    if (!edits.empty() || !listener.hosts)
      listener.hosts = tables.apply(listener.hosts, std::move(edits));
    if (!flow_edits.empty()) listener.flows = tables.apply(listener.flows, std::move(flow_edits));
    listener.changed = true;
  }
}

void Compiler::State::publish(bool listeners_changed, Outcome& outcome) {
  TableBuilder::Listeners changed;
  std::size_t rules = 0;
  for (auto& [key, listener] : listeners) {
    rules += listener.rules;
    if (!std::exchange(listener.changed, false)) continue;
    auto made = TableBuilder::listener(listener.model, listener.hosts, listener.flows,
                                       listener.filters, listener.tls_slot, listener.identity_slot);
    compiled[key] = made;
    changed.emplace(key, std::move(made));
  }
  if (!listeners_changed && changed.empty()) return;
  const std::uint64_t generation = table->generation() + 1;
  table = listeners_changed ? TableBuilder::table(compiled, generation, rules)
                            : TableBuilder::replaced(*table, changed, generation, rules);
  outcome.table = table;
}

void Compiler::State::postUpstreams(const std::set<std::string>& changed,
                                    const std::vector<SlotMap::SlotPtr>& new_slots,
                                    Outcome& outcome) const {
  const auto post = [&](const SlotMap::SlotPtr& slot) {
    std::shared_ptr<const Upstream> upstream = upstreams.find(slot->key());
    if (!upstream) {
      // Unknown or removed. Said explicitly, because the number may have been another upstream's.
      auto none = std::make_shared<Upstream>();
      none->key = slot->key();
      upstream = std::move(none);
    }
    outcome.upstreams.emplace_back(slot, std::move(upstream));
  };
  for (const SlotMap::SlotPtr& slot : new_slots) post(slot);
  for (const std::string& key : changed) {
    const SlotMap::SlotPtr slot = upstream_slots.find(key);
    if (!slot || std::find(new_slots.begin(), new_slots.end(), slot) != new_slots.end()) continue;
    const bool is_named = slot->number() < upstream_uses.size() && upstream_uses[slot->number()];
    if (upstreams.find(key) || is_named) post(slot);
  }
}

void Compiler::State::countUpstreams(const std::vector<RouteChange>& changes) {
  for (const RouteChange& change : changes) {
    if (change.before)
      change.before->forEachUpstream([this](const SlotMap::SlotPtr& slot) { leave(slot); });
    if (change.after)
      change.after->forEachUpstream([this](const SlotMap::SlotPtr& slot) { use(slot); });
  }
}

Compiler::Compiler() : state_(std::make_unique<State>()) {
  state_->table = TableBuilder::table({}, 0, 0);
}

Compiler::~Compiler() = default;

Compiler::Outcome Compiler::apply(const ModelBatch& batch) {
  State& state = *state_;
  Outcome outcome;
  const std::set<std::string> upstreams_changed =
      state.upstreams.apply(batch.upstreams, batch.removed_upstreams, batch.full);
  const std::set<std::string> certificates_changed =
      state.certificates.apply(batch.certificates, batch.removed_certificates, batch.full);
  outcome.certificates.assign(certificates_changed.begin(), certificates_changed.end());
  std::vector<SlotMap::SlotPtr> new_slots;
  const bool listeners_changed =
      state.applyListeners(batch, certificates_changed, {state.upstream_slots, new_slots}, outcome);
  RouteContext context{state.upstream_slots, state.stats_slots, state.numbers,
                       state.regexes,        new_slots,         outcome.problems};
  std::vector<RouteChange> changes = state.changesOf(batch, context);
  state.countUpstreams(changes);
  if (listeners_changed || !changes.empty()) {
    state.editTables(changes);
    state.publish(listeners_changed, outcome);
  }
  state.postUpstreams(upstreams_changed, new_slots, outcome);
  return outcome;
}

const std::shared_ptr<const RouteTable>& Compiler::current() const noexcept {
  return state_->table;
}

std::shared_ptr<const Certificate> Compiler::certificate(const std::string& key) const {
  return state_->certificates.find(key);
}

std::shared_ptr<const RouteRecord> Compiler::route(std::string_view key) const {
  const auto found = state_->routes.find(key);
  return found == state_->routes.end() ? nullptr : *found;
}

void Compiler::forEachRoute(const std::function<void(const RouteRecord&)>& visit) const {
  for (const RecordPtr& record : state_->routes) visit(*record);
}

std::size_t Compiler::routeCount() const noexcept { return state_->routes.size(); }

std::shared_ptr<const Upstream> Compiler::upstream(const std::string& key) const {
  return state_->upstreams.find(key);
}

SlotMap& Compiler::upstreamSlots() noexcept { return state_->upstream_slots; }
const SlotMap& Compiler::upstreamSlots() const noexcept { return state_->upstream_slots; }

SlotMap& Compiler::tlsSlots() noexcept { return state_->tls_slots; }

SlotMap& Compiler::identitySlots() noexcept { return state_->identity_slots; }
const SlotMap& Compiler::identitySlots() const noexcept { return state_->identity_slots; }

SlotMap& Compiler::statsSlots() noexcept { return state_->stats_slots; }

const SlotMap& Compiler::statsSlots() const noexcept { return state_->stats_slots; }

}  // namespace hyperway::route
