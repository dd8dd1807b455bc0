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

void sortUnique(std::vector<std::string>& keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

}  // namespace

void Translator::State::settleRoutes(Work& work, Outcome& outcome) {
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
    redoRoute(*spec, state, is_new ? Redo::Everything : redo, work, outcome);
  }
}

// A route that refers to no Gateway of ours is none of our business: its filters are not parsed and
// its backends not followed.
bool Translator::State::hasOwnParent(const RouteObject& spec) const {
  return std::any_of(spec.parents.begin(), spec.parents.end(), [&](const ParentRef& ref) {
    std::string key = parentKey(ref, spec.meta.name_space);
    if (ref.kind == "ListenerSet") {
      const auto* set = store.find<ListenerSet>(key);
      if (set == nullptr) return false;
      key = parentKey(set->parent, set->meta.name_space);
    } else if (!isGatewayRef(ref)) {
      return false;
    }
    return gateways.contains(key);
  });
}

void Translator::State::redoRoute(const RouteObject& spec, RouteState& state, Redo redo, Work& work,
                                  Outcome& outcome) {
  if (redo == Redo::Everything) indexParents(spec, state);
  touchPolicies(state.rules.dependencies.services);
  bool rules_differ = false;
  if (!hasOwnParent(spec)) {
    reindex(state, {});
    state.rules = {};
  } else {
    if (!state.rules.rules) redo = Redo::Everything;
    rules_differ = redo != Redo::Attachment && redoRules(spec, state, redo);
  }
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
    if (ref.kind == "ListenerSet") parents.push_back(listenerSetTarget(key));
  }
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
  for (std::size_t i = 0; i < spec.parents.size(); ++i) {
    const ParentRef& ref = spec.parents[i];
    const std::string pointer = "/spec/parentRefs/" + std::to_string(i);
    const std::string key = parentKey(ref, spec.meta.name_space);
    if (std::find(spec.parents.begin(), spec.parents.begin() + static_cast<std::ptrdiff_t>(i),
                  ref) != spec.parents.begin() + static_cast<std::ptrdiff_t>(i))
      continue;  // the same reference once more
    if (const auto* set = store.find<ListenerSet>(key);
        set != nullptr && ref.kind == "ListenerSet") {
      if (gateways.contains(parentKey(set->parent, set->meta.name_space)))
        status.parents.push_back(
            parentStatus(ref,
                         {"NotAllowedByListeners",
                          pointer + "/kind: ListenerSet is not supported by this version"},
                         &state.rules, spec.meta.generation));
      continue;
    }
    const auto found = isGatewayRef(ref) ? gateways.find(key) : gateways.end();
    if (found == gateways.end()) continue;
    GatewayState& gateway = found->second;
    const auto verdict =
        attach(ref, pointer, {spec.kindName(), spec.meta.name_space, state.rules.hostnames},
               gateway, store);
    status.parents.push_back(
        parentStatus(ref, verdict.accepted, &state.rules, spec.meta.generation));
    if (!verdict.accepted.fine() || !state.rules.accepted.fine()) continue;
    for (const std::size_t index : verdict.listeners) {
      const ListenerState& listener = gateway.listeners[index];
      if (!attached.emplace(key, listener.name).second || !listener.served) continue;
      attachments.push_back(
          {listener.model.key, meetingHostnames(state.rules.hostnames, listener.hostname)});
    }
  }
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
      if (listener.name == place.second) listener.attached += number;
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
  count(state, {});
  if (!state.attachments.empty()) outcome.model.removed_routes.push_back(key);
  book.remove(key, outcome.status);
  routes.erase(found);
}

void Translator::State::settleRefused(const Work& work, Outcome& outcome) {
  for (const std::string& key : work.listener_sets) {
    const auto* spec = store.find<ListenerSet>(key);
    if (spec != nullptr && gateways.contains(parentKey(spec->parent, spec->meta.name_space)))
      book.put(listenerSetStatus(*spec), outcome.status);
    else
      book.remove("ListenerSet/" + key, outcome.status);
  }
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
