// SPDX-License-Identifier: Apache-2.0
// Routes and upstreams.
#include <algorithm>
#include <utility>

#include "gateway/attachment.hpp"
#include "gateway/backends.hpp"
#include "gateway/conditions.hpp"
#include "gateway/hostname.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {
namespace {

bool sameAttachments(const std::vector<route::Attachment>& a,
                     const std::vector<route::Attachment>& b) {
  const auto same = [](const route::Attachment& x, const route::Attachment& y) {
    return x.listener == y.listener && x.hostnames == y.hostnames;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

}  // namespace

void Translator::State::settleRoutes(Work& work, Outcome& outcome) {
  std::map<std::string, bool> ready;  // with whether their rules differ
  for (const auto& [key, redo] : work.routes) {
    const auto* spec = store.find<RouteObject>(key);
    if (spec == nullptr) {
      dropRoute(key, work, outcome);
      continue;
    }
    const auto [entry, is_new] = routes.try_emplace(key);
    RouteState& state = entry->second;
    if (is_new) {
      state.key = key;
      routes_by_namespace.add({spec->meta.name_space}, &state);
    }
    ready.emplace(key, redoRoute(*spec, state, is_new ? Redo::Everything : redo));
    contest(*spec, state);
  }
  for (const std::string& key : settleContests()) ready.emplace(key, false);
  for (const auto& [key, rules_differ] : ready)
    putRoute(*store.find<RouteObject>(key), routes.at(key), rules_differ, work, outcome);
}

// A route that refers to no Gateway of ours is none of our business: its filters are not parsed and
// its backends not followed.
bool Translator::State::hasOwnParent(const RouteObject& spec) const {
  const auto is_ours = [&](const ParentRef& ref) {
    return gateways.contains(gatewayBehind(ref, spec.meta.name_space));
  };
  return std::any_of(spec.parents.begin(), spec.parents.end(), is_ours) ||
         (spec.use_default && std::any_of(gateways.begin(), gateways.end(),
                                          [](const auto& each) { return each.second.is_default; }));
}

std::vector<ParentRef> Translator::State::withDefaults(const RouteObject& spec) const {
  std::vector<ParentRef> parents = spec.parents;
  std::set<std::string> defaults;
  for (const auto& [key, gateway] : gateways)
    if (gateway.is_default) defaults.insert(key);
  for (const ParentRef& ref : spec.parents)
    if (isGatewayRef(ref)) defaults.erase(parentKey(ref, spec.meta.name_space));
  for (const std::string& key : defaults) {
    const Meta& meta = gateways.at(key).spec->meta;
    ParentRef& made = parents.emplace_back();
    made.group = kGatewayGroup;
    made.kind = "Gateway";
    made.name_space = meta.name_space;
    made.name = meta.name;
  }
  return parents;
}

std::string Translator::State::gatewayBehind(const ParentRef& ref,
                                             const std::string& name_space) const {
  const std::string key = parentKey(ref, name_space);
  if (isGatewayRef(ref)) return key;
  const auto* set = isSetRef(ref) ? store.find<ListenerSet>(key) : nullptr;
  return set != nullptr ? gatewayOf(*set) : std::string();
}

bool Translator::State::redoRoute(const RouteObject& spec, RouteState& state, Redo redo) {
  if (redo == Redo::Everything) indexParents(spec, state);
  touchPolicies(state.rules.dependencies.services);
  if (!hasOwnParent(spec)) {
    reindex(state, {});
    state.rules = {};
    return false;
  }
  if (!state.rules.rules) redo = Redo::Everything;
  return redo != Redo::Attachment && redoRules(spec, state, redo);
}

void Translator::State::putRoute(const RouteObject& spec, RouteState& state, bool rules_differ,
                                 Work& work, Outcome& outcome) {
  touchPolicies(state.rules.dependencies.services);
  const bool was_in_model = !state.attachments.empty();
  const bool attachments_differ = redoAttachment(spec, state, outcome);
  const bool in_model = !state.attachments.empty();
  useUpstreams(state.upstreams,
               in_model ? state.rules.dependencies.upstreams : std::vector<std::string>(), work);
  if (!rules_differ && !attachments_differ) return;
  if (in_model)
    outcome.model.routes.push_back(modelOf(spec, state));
  else if (was_in_model)
    outcome.model.removed_routes.push_back(state.key);
}

route::Route Translator::State::modelOf(const RouteObject& spec, const RouteState& state) {
  return {state.key,         spec.meta.name_space, spec.meta.name, spec.meta.created,
          state.attachments, state.rules.rules,    spec.kind};
}

void Translator::State::indexParents(const RouteObject& spec, RouteState& state) {
  std::vector<std::string> parents;
  for (const ParentRef& ref : spec.parents) {
    const std::string key = parentKey(ref, spec.meta.name_space);
    if (isGatewayRef(ref)) parents.push_back(key);
    if (isSetRef(ref)) parents.push_back(listenerSetTarget(key));
  }
  if (spec.use_default) parents.emplace_back(kDefaultGateways);
  sortUnique(parents);
  if (parents == state.parents) return;
  routes_by_parent.remove(state.parents, &state);
  routes_by_parent.add(parents, &state);
  state.parents = std::move(parents);
}

// True if the rules differ from before.
bool Translator::State::redoRules(const RouteObject& spec, RouteState& state, Redo redo) {
  RouteRules fresh = translateRules(spec, {store, options, filters_parser, filter_verdicts});
  RouteDependencies& depends = fresh.dependencies;
  for (auto* keys : {&depends.services, &depends.namespaces, &depends.filters, &depends.upstreams})
    sortUnique(*keys);
  reindex(state, depends);
  const bool differs = redo == Redo::Everything || !sameRules(*state.rules.rules, *fresh.rules);
  if (!differs) fresh.rules = state.rules.rules;
  state.rules = std::move(fresh);
  return differs;
}

void Translator::State::reindex(RouteState& state, const RouteDependencies& now) {
  const RouteDependencies& old = state.rules.dependencies;
  const auto move = [&](ReverseIndex<RouteState>& index, const std::vector<std::string>& was,
                        const std::vector<std::string>& is) {
    if (was == is) return;
    index.remove(was, &state);
    index.add(is, &state);
  };
  move(routes_by_service, old.services, now.services);
  move(routes_by_grants, old.namespaces, now.namespaces);
  move(routes_by_filter, old.filters, now.filters);
}

template <class Visit>
void Translator::State::forEachParent(const RouteObject& spec, const RouteState& state,
                                      Visit&& visit) {
  const std::vector<ParentRef> more =
      spec.use_default ? withDefaults(spec) : std::vector<ParentRef>();
  const std::vector<ParentRef>& parents = spec.use_default ? more : spec.parents;
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const ParentRef& ref = parents[i];
    const auto here = parents.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(parents.begin(), here, ref) != here) continue;  // the same once more
    const std::string key = gatewayBehind(ref, spec.meta.name_space);
    const auto found = gateways.find(key);
    if (found == gateways.end()) continue;
    const std::string set = isSetRef(ref) ? parentKey(ref, spec.meta.name_space) : std::string();
    const std::string pointer = i < spec.parents.size() ? "/spec/parentRefs/" + std::to_string(i)
                                                        : "/spec/useDefaultGateways";
    visit(pointer, ref, key, found->second,
          attach(ref, pointer, {spec.kindName(), spec.meta.name_space, state.rules.hostnames},
                 found->second, set, store));
  }
}

void Translator::State::contest(const RouteObject& spec, RouteState& state) {
  const bool is_grpc = spec.kind == route::RouteKind::Grpc;
  if (!is_grpc && (spec.kind != route::RouteKind::Http || contests.empty())) return;
  std::set<std::string> listeners;
  if (state.rules.rules && state.rules.accepted.fine())
    forEachParent(spec, state,
                  [&](const std::string&, const ParentRef&, const std::string& parent,
                      const GatewayState& gateway, const ParentVerdict& verdict) {
                    for (const std::size_t index : verdict.listeners) {
                      const ListenerState& listener = gateway.listeners[index];
                      const std::string& place = listener.model.key;
                      const bool is_new = is_grpc && contests.try_emplace(place).second;
                      const auto found = contests.find(place);
                      if (found == contests.end()) continue;
                      if (is_new) challenge(parent, listener, found->second);
                      found->second.enter(
                          state.key, {spec.kind, spec.meta.created,
                                      meetingHostnames(state.rules.hostnames, listener.hostname)});
                      touched_contests.insert(place);
                      listeners.insert(place);
                    }
                  });
  leaveContests(state, listeners);
  state.contested = std::move(listeners);
}

// The first GRPCRoute has come to a listener: those that are there have to meet it.
void Translator::State::challenge(const std::string& gateway, const ListenerState& listener,
                                  HostContest& contest) {
  const std::string parent = listener.set.empty() ? gateway : listenerSetTarget(listener.set);
  routes_by_parent.forEach(parent, [&](RouteState& other) {
    const auto* spec = store.find<RouteObject>(other.key);
    if (spec == nullptr || spec->kind != route::RouteKind::Http ||
        !other.attached.contains({gateway, listener.model.key}))
      return;
    contest.enter(other.key, {spec->kind, spec->meta.created,
                              meetingHostnames(other.rules.hostnames, listener.hostname)});
    other.contested.insert(listener.model.key);
  });
}

void Translator::State::leaveContests(RouteState& state, const std::set<std::string>& listeners) {
  for (const std::string& place : state.contested) {
    const auto found = contests.find(place);
    if (listeners.contains(place) || found == contests.end()) continue;
    found->second.leave(state.key);
    touched_contests.insert(place);
  }
}

std::set<std::string> Translator::State::settleContests() {
  std::set<std::string> different;
  for (const std::string& place : touched_contests) {
    const auto found = contests.find(place);
    if (found == contests.end()) continue;
    different.merge(found->second.settle());
    if (!found->second.hasGrpc()) contests.erase(found);
  }
  touched_contests.clear();
  std::erase_if(different, [&](const std::string& key) { return !routes.contains(key); });
  return different;
}

const std::string* Translator::State::lostTo(const RouteState& state,
                                             const std::string& listener) const {
  const auto found = contests.find(listener);
  return found == contests.end() ? nullptr : found->second.winnerOver(state.key);
}

// True if the attachments in the model differ from before. Says the route's status.
bool Translator::State::redoAttachment(const RouteObject& spec, RouteState& state,
                                       Outcome& outcome) {
  ObjectStatus status;
  status.kind = spec.kindName();
  status.name_space = spec.meta.name_space;
  status.name = spec.meta.name;
  status.generation = spec.meta.generation;
  AttachedPlaces attached;
  std::vector<route::Attachment> attachments;
  forEachParent(
      spec, state,
      [&](const std::string& pointer, const ParentRef& ref, const std::string& parent,
          const GatewayState& gateway, const ParentVerdict& verdict) {
        Verdict accepted = verdict.accepted;
        Verdict lost;
        bool any = false;
        for (const std::size_t index : verdict.listeners) {
          const ListenerState& listener = gateway.listeners[index];
          if (const std::string* winner = lostTo(state, listener.model.key)) {
            lost.keep(
                {"HostnameConflict", pointer + ": " + *winner +
                                         ", which goes before this route, has a hostname of it "
                                         "at listener " +
                                         listener.model.key});
            continue;
          }
          any = true;
          if (!accepted.fine() || !state.rules.accepted.fine()) continue;
          if (!attached.emplace(parent, listener.model.key).second || !listener.served) continue;
          attachments.push_back(
              {listener.model.key, meetingHostnames(state.rules.hostnames, listener.hostname)});
        }
        if (!any) accepted.keep(std::move(lost));
        status.parents.push_back(parentStatus(ref, accepted, &state.rules, spec.meta.generation));
        if (isSetRef(ref)) status.parents.back().gateway = parent;
      });
  if (status.parents.empty())
    book.remove(status.key(), outcome.status);
  else
    book.put(std::move(status), outcome.status);
  count(state, std::move(attached));
  if (sameAttachments(state.attachments, attachments)) return false;
  state.attachments = std::move(attachments);
  return true;
}

void Translator::State::count(RouteState& state, AttachedPlaces attached) {
  const auto add = [&](const std::pair<std::string, std::string>& place, std::int32_t number) {
    const auto found = gateways.find(place.first);
    if (found == gateways.end()) return;
    for (ListenerState& listener : found->second.listeners)
      if (listener.model.key == place.second) listener.attached += number;
    touched_gateways.insert(place.first);
  };
  for (const auto& place : state.attached)
    if (!attached.contains(place)) add(place, -1);
  for (const auto& place : attached)
    if (!state.attached.contains(place)) add(place, 1);
  state.attached = std::move(attached);
}

void Translator::State::dropRoute(const std::string& key, Work& work, Outcome& outcome) {
  const auto found = routes.find(key);
  if (found == routes.end()) return;
  RouteState& state = found->second;
  routes_by_parent.remove(state.parents, &state);
  touchPolicies(state.rules.dependencies.services);
  reindex(state, {});
  const std::size_t kind_end = key.find('/') + 1;
  routes_by_namespace.remove({key.substr(kind_end, key.rfind('/') - kind_end)}, &state);
  useUpstreams(state.upstreams, {}, work);
  leaveContests(state, {});
  count(state, {});
  if (!state.attachments.empty()) outcome.model.removed_routes.push_back(key);
  book.remove(key, outcome.status);
  routes.erase(found);
}

void Translator::State::useUpstreams(std::vector<std::string>& has, std::vector<std::string> keys,
                                     Work& work) {
  if (keys == has) return;
  for (const std::string& key : keys) {
    if (upstream_users[key]++ > 0) continue;
    upstreams_by_service[serviceOfUpstream(key)].insert(key);
    work.upstreams.insert(key);
  }
  for (const std::string& key : has)
    if (--upstream_users[key] == 0) work.upstreams.insert(key);
  has = std::move(keys);
}

route::Upstream Translator::State::upstreamNow(const std::string& key) {
  auto described = snapshots.upstream(key);
  if (!described) return buildUpstream(key, store, authorities, options);
  addEndpoints(*described, store, options);
  return std::move(*described);
}

void Translator::State::settleUpstreams(Work& work, Outcome& outcome) {
  for (const std::string& key : work.upstreams) {
    const auto found = upstream_users.find(key);
    if (found != upstream_users.end() && found->second > 0) {
      model.putUpstream(upstreamNow(key), outcome.model);
      continue;
    }
    snapshots.forgetUpstream(key);
    if (found != upstream_users.end()) upstream_users.erase(found);
    const auto service = upstreams_by_service.find(serviceOfUpstream(key));
    if (service != upstreams_by_service.end()) {
      service->second.erase(key);
      if (service->second.empty()) upstreams_by_service.erase(service);
    }
    model.removeUpstream(key, outcome.model);
  }
}

}  // namespace hyperway::gateway
