// SPDX-License-Identifier: Apache-2.0
#include "gateway/snapshots.hpp"

#include <algorithm>
#include <utility>

#include "gateway/objects.hpp"
#include "gateway/translate.hpp"
#include "route/model_json.hpp"
#include "route/route_record.hpp"

namespace hyperway::gateway {
namespace {

std::vector<std::string> upstreamsOf(const route::Route& route) {
  std::vector<std::string> keys;
  for (const route::Rule& rule : *route.rules) {
    for (const route::Backend& backend : rule.backends)
      if (!backend.upstream.empty()) keys.push_back(backend.upstream);
    for (const route::Mirror& mirror : rule.mirrors)
      if (!mirror.upstream.empty()) keys.push_back(mirror.upstream);
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

}  // namespace

bool Snapshots::take(const ObjectChange& change, Problems& problems) {
  const std::string key = objectKey(change.name_space, change.name);
  const auto old_group = group_of_.find(key);
  if (change.json.empty()) {
    if (old_group == group_of_.end()) return true;
    pending_[old_group->second][key] = {};
    return true;
  }
  auto content = route::readSnapshot(change.json, problems);
  const bool part = content && !content->header.part_of.empty();
  const std::string group =
      objectKey(change.name_space, part ? content->header.part_of : change.name);
  if (old_group != group_of_.end() && old_group->second != group)
    pending_[old_group->second][key] = {};
  group_of_[key] = group;
  Pending& pending = pending_[group][key];
  pending = {};
  pending.unreadable = !content || problems.failed();
  if (pending.unreadable) return false;
  pending.content = Content{};
  Content& fresh = *pending.content;
  fresh.object = {content->header.checksum, content->header.generation, part, {}, {}};
  for (route::Listener& listener : content->model.listeners)
    fresh.object.listeners.emplace(listener.key, std::move(listener));
  for (route::Route& route : content->model.routes) {
    fresh.object.routes.push_back(route.key);
    auto upstreams = upstreamsOf(route);
    const auto fingerprint = route::RouteRecord::fingerprintOf(route);
    fresh.routes.push_back({std::move(route), key, std::move(upstreams), fingerprint});
  }
  fresh.upstreams = std::move(content->model.upstreams);
  return true;
}

Snapshots::Difference Snapshots::settle() {
  Difference out;
  for (auto group = pending_.begin(); group != pending_.end();) {
    const bool whole = std::none_of(group->second.begin(), group->second.end(),
                                    [](const auto& entry) { return entry.second.unreadable; });
    if (!whole) {
      ++group;
      continue;
    }
    std::set<std::string> gone;
    for (const auto& [key, pending] : group->second) {
      out.objects.insert(key);
      dismiss(key, gone);
      if (!pending.content && group_of_[key] == group->first) group_of_.erase(key);
    }
    for (auto& [key, pending] : group->second) {
      if (!pending.content) continue;
      for (Route& route : pending.content->routes) {
        const std::string& name = route.model.key;
        gone.erase(name);
        const auto [known, is_new] = routes_.try_emplace(name);
        if (!is_new && known->second.fingerprint == route.fingerprint) {
          known->second.object = key;  // As before: it keeps its bindings.
          continue;
        }
        out.routes.insert(name);
        known->second = std::move(route);
      }
      for (route::Upstream& upstream : pending.content->upstreams) {
        const auto [known, is_new] = upstreams_.try_emplace(upstream.key);
        if (!is_new && route::sameUpstream(known->second, upstream)) continue;
        out.upstreams.insert(upstream.key);
        known->second = std::move(upstream);
      }
      objects_[key] = std::move(pending.content->object);
    }
    for (const std::string& name : gone) {
      routes_.erase(name);
      out.routes.insert(name);
    }
    group = pending_.erase(group);
  }
  return out;
}

// Notes the routes of an object that is replaced or gone.
void Snapshots::dismiss(const std::string& key, std::set<std::string>& routes) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return;
  for (const std::string& name : found->second.routes)
    if (const auto route = routes_.find(name);
        route != routes_.end() && route->second.object == key)
      routes.insert(name);
  objects_.erase(found);
}

Snapshots::Route* Snapshots::find(const std::string& route) {
  const auto found = routes_.find(route);
  return found == routes_.end() ? nullptr : &found->second;
}

const route::Upstream* Snapshots::upstream(const std::string& key) const {
  const auto found = upstreams_.find(key);
  return found == upstreams_.end() ? nullptr : &found->second;
}

std::set<std::string> Snapshots::secrets() const {
  std::set<std::string> out;
  for (const auto& [name, object] : objects_)
    for (const auto& [key, listener] : object.listeners) {
      out.insert(listener.certificates.begin(), listener.certificates.end());
      if (!listener.backend_certificate.empty()) out.insert(listener.backend_certificate);
    }
  return out;
}

}  // namespace hyperway::gateway
