// SPDX-License-Identifier: Apache-2.0
// Mode A's data plane: what snapshots say goes into the model as it is, with endpoints,
// certificates and plugins of this process.
#include <utility>

#include "gateway/translate_state.hpp"

namespace hyperway::gateway {
namespace {

// What a report of one Pod may have, so that statuses stay small.
constexpr std::size_t kMostRefusals = 32;

std::string describe(const Problems& problems) {
  std::string text;
  for (const Problem& problem : problems.list()) {
    if (problem.severity != Severity::Error) continue;
    text += (text.empty() ? "" : "; ") + problem.pointer + ": " + problem.message;
  }
  return text.empty() ? "the plugin refuses its configuration" : text;
}

}  // namespace

void Translator::State::takeSnapshot(const ObjectChange& change, Work& work, Outcome& outcome) {
  Problems problems;
  work.snapshots = true;
  if (snapshots.take(change, problems))
    rejected.erase("RouteSnapshot/" + objectKey(change.name_space, change.name));
  else
    reject(change, problems, outcome);
}

void Translator::State::settleSnapshots(Work& work, Outcome& outcome) {
  if (!work.snapshots && work.snapshot_routes.empty()) return;
  const Snapshots::Difference difference = snapshots.settle();
  // What stays is made first, so that what goes with this batch leaves no holes in it.
  for (const auto& [name, replaced] : difference.routes)
    useSnapshotUpstreams(name, replaced.upstreams, work);
  for (const std::string& key : difference.objects) useListenerUpstreams(key, work);
  for (const auto& [name, replaced] : difference.routes) {
    work.snapshot_routes.insert(name);
    if (replaced.was_there && snapshots.find(name) == nullptr)
      outcome.model.removed_routes.push_back(name);
  }
  for (const std::string& name : work.snapshot_routes) redoSnapshotRoute(name, outcome);
  for (const std::string& key : difference.upstreams)
    if (upstream_users.contains(key)) work.upstreams.insert(key);
  for (const std::string& key : difference.objects) {
    const auto found = snapshots.objects().find(key);
    if (found == snapshots.objects().end()) {
      model.putListeners("RouteSnapshot " + key, {}, outcome.model);
      served_snapshots.erase(key);
      book.remove("RouteSnapshot/" + key, outcome.status);
    } else if (!found->second.part) {
      changed_snapshots[key] = {found->second.checksum, found->second.generation};
    }
  }
  unusable_listeners.clear();
  for (const auto& [key, object] : snapshots.objects())
    if (!object.part) redoSnapshotListeners(key, object, outcome);
  for (const auto& [key, served] : served_snapshots) tellSnapshot(key, outcome.status);
  certificates_touched = true;
}

void Translator::State::useSnapshotUpstreams(const std::string& name,
                                             std::vector<std::string> before, Work& work) {
  const Snapshots::Route* const found = snapshots.find(name);
  useUpstreams(
      before,
      found != nullptr ? Snapshots::upstreamsOf(found->model.unpack()) : std::vector<std::string>(),
      work);
}

void Translator::State::useListenerUpstreams(const std::string& key, Work& work) {
  std::vector<std::string> keys;
  if (const auto found = snapshots.objects().find(key); found != snapshots.objects().end())
    for (const auto& [name, listener] : found->second.listeners) addUpstreams(listener, keys);
  sortUnique(keys);
  const bool none = keys.empty();
  useUpstreams(snapshot_upstreams[key], std::move(keys), work);
  if (none) snapshot_upstreams.erase(key);
}

void Translator::State::redoSnapshotRoute(const std::string& name, Outcome& outcome) {
  constexpr std::string_view kHttp = "HTTPRoute/";  // not in front of their rules' ids
  const bool is_http = name.starts_with(kHttp);
  const std::string kind = is_http ? std::string() : name.substr(0, name.find('/') + 1);
  const std::string rules = (is_http ? name.substr(kHttp.size()) : name) + '/';
  for (auto rule = unusable_rules.lower_bound(rules);
       rule != unusable_rules.end() && rule->first.starts_with(rules);)
    rule = unusable_rules.erase(rule);
  Snapshots::Route* const found = snapshots.find(name);
  if (found == nullptr) return;
  route::Route route = found->model.unpack();
  if (found->model.hasFilters()) {
    std::vector<route::Rule> bound = *route.rules;
    for (route::Rule& rule : bound) {
      for (route::Filter& filter : rule.filters) bind(filter, kind + rule.id, unusable_rules);
      for (route::Backend& backend : rule.backends)
        for (route::Filter& filter : backend.filters) bind(filter, kind + rule.id, unusable_rules);
    }
    route.rules = std::make_shared<const std::vector<route::Rule>>(std::move(bound));
    found->model = route::PackedRoute(route);
  }
  outcome.model.routes.push_back(std::move(route));
}

// What the writer refused stays refused; what this process refused may be fine with other plugins.
void Translator::State::bind(route::Filter& filter, const std::string& name,
                             std::map<std::string, std::string>& refused) {
  if (!filter.refused.empty() && !filter.refused_here) return;
  filter.refused.clear();
  filter.refused_here = false;
  Problems problems;
  if (!filters_parser.knows(filter.type))
    filter.refused = "no plugin for filter type " + filter.type + " is loaded";
  else if (filter.binding =
               filters_parser.parse(filter.type, filter.owner, filter.config, problems);
           !filter.binding)
    filter.refused = filter.type + ": " + describe(problems);
  if (filter.refused.empty()) return;
  filter.refused_here = true;
  refused[name] = filter.refused;
}

std::string Translator::State::keepUsable(route::Listener& listener) {
  const bool needed = listener.protocol == route::Protocol::Https ||
                      (listener.protocol == route::Protocol::Tls && !listener.passthrough);
  std::string problem = needed && listener.certificates.empty() ? "has no certificate" : "";
  const auto unusable = [&](const std::string& key) {
    const auto* entry = certificates.get(store, key, options.check_certificate);
    if (entry != nullptr && !entry->certificate.chain_pem.empty()) return false;
    problem = "Secret " + key + (entry == nullptr ? " does not exist" : ' ' + entry->problem);
    return true;
  };
  std::erase_if(listener.certificates, unusable);
  if (!listener.backend_certificate.empty() && unusable(listener.backend_certificate))
    return problem;
  return needed && listener.certificates.empty() ? problem : std::string();
}

void Translator::State::redoSnapshotListeners(const std::string& key,
                                              const Snapshots::Object& object, Outcome& outcome) {
  std::map<std::string, route::Listener> now;
  for (const auto& [name, listener] : object.listeners) {
    route::Listener usable = listener;
    if (std::string problem = keepUsable(usable); !problem.empty()) {
      unusable_listeners[name] = std::move(problem);
      continue;
    }
    for (route::Filter& filter : usable.filters) bind(filter, name, unusable_listeners);
    const auto mapped = options.listen_map.find(usable.port);
    if (mapped != options.listen_map.end()) usable.binds = mapped->second;
    now.emplace(name, std::move(usable));
  }
  model.putListeners("RouteSnapshot " + key, std::move(now), outcome.model);
}

std::vector<Refusal> Translator::State::refusedOf(const std::string& key) const {
  std::vector<Refusal> out;
  const auto object = snapshots.objects().find(key);
  if (object == snapshots.objects().end()) return out;
  for (const auto* problems : {&unusable_listeners, &unbound_listeners})
    for (const auto& [name, reason] : *problems)
      if (object->second.listeners.contains(name)) out.push_back({name, reason});
  const std::size_t listeners = out.size();
  for (const auto& [name, reason] : unusable_rules) out.push_back({name, reason});
  if (out.size() <= kMostRefusals) return out;
  // Who reads it must know that a listener which is not named may be among the others.
  const std::size_t more = out.size() - (kMostRefusals - 1);
  out.resize(kMostRefusals - 1);
  out.push_back({listeners >= kMostRefusals ? "*" : "+", "and " + std::to_string(more) + " more"});
  return out;
}

void Translator::State::tellSnapshot(const std::string& key, StatusBatch& batch) {
  const auto served = served_snapshots.find(key);
  if (served == served_snapshots.end()) return;
  const std::size_t slash = key.find('/');
  ObjectStatus status;
  status.kind = "RouteSnapshot";
  status.name_space = key.substr(0, slash);
  status.name = key.substr(slash + 1);
  status.generation = served->second.generation;
  status.checksum = served->second.checksum;
  status.refused = refusedOf(key);
  book.put(std::move(status), batch);
}

void Translator::State::serveSnapshots(std::uint64_t in_force, StatusBatch& batch) {
  for (; !awaited_snapshots.empty(); awaited_snapshots.pop_front()) {
    SnapshotAwaited& next = awaited_snapshots.front();
    if (next.pipeline_generation > in_force) break;
    if (snapshots.objects().contains(next.key)) served_snapshots[next.key] = std::move(next.what);
  }
  for (const auto& [key, served] : served_snapshots) tellSnapshot(key, batch);
}

}  // namespace hyperway::gateway
