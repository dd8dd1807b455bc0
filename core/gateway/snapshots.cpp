// SPDX-License-Identifier: Apache-2.0
#include "gateway/snapshots.hpp"

#include <algorithm>
#include <utility>

#include "gateway/objects.hpp"
#include "gateway/translate.hpp"
#include "route/model_json.hpp"
#include "route/packed_text.hpp"
#include "route/route_record.hpp"

namespace hyperway::gateway {
namespace {

Snapshots::Replaced replaced(const Snapshots::Route& route) {
  return {true, Snapshots::upstreamsOf(route.model.unpack())};
}

std::shared_ptr<const route::Upstream> shared(route::Upstream upstream) {
  static const auto kPlain = std::make_shared<const route::Upstream>();
  upstream.key.clear();
  if (route::sameUpstream(upstream, *kPlain)) return kPlain;
  return std::make_shared<const route::Upstream>(std::move(upstream));
}

}  // namespace

std::vector<std::string> Snapshots::upstreamsOf(const route::Route& route) {
  std::vector<std::string> keys;
  for (const route::Rule& rule : *route.rules)
    route::forEachUpstream(rule, [&](const std::string& key) { keys.push_back(key); });
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

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
  fresh.object = {content->header.checksum, content->header.generation, part, {}, {}, 0};
  for (route::Listener& listener : content->model.listeners)
    fresh.object.listeners.emplace(listener.key, std::move(listener));
  route::PackedWriter keys;
  for (const route::Route& route : content->model.routes) keys.text(route.key);
  fresh.object.routes = keys.take();
  fresh.routes = std::move(content->model.routes);
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
      pending.content->object.number = ++last_number_;
      putRoutes(*pending.content, gone, out);
      for (route::Upstream& upstream : pending.content->upstreams) {
        const auto [known, is_new] = upstreams_.try_emplace(upstream.key);
        if (!is_new && route::sameUpstream(*known->second, upstream)) continue;
        out.upstreams.insert(upstream.key);
        known->second = shared(std::move(upstream));
      }
      objects_[key] = std::move(pending.content->object);
    }
    for (const std::string& name : gone) {
      const auto known = routes_.find(name);
      out.routes.try_emplace(name, replaced(known->second));
      routes_.erase(known);
    }
    group = pending_.erase(group);
  }
  return out;
}

// Brings the routes of an object into force, which are not gone then.
void Snapshots::putRoutes(const Content& content, std::set<std::string>& gone, Difference& out) {
  std::vector<std::pair<const route::Route*, route::Fingerprint>> different;
  for (const route::Route& route : content.routes) {
    gone.erase(route.key);
    const auto fingerprint = route::RouteRecord::fingerprintOf(route);
    const auto known = routes_.find(route.key);
    if (known != routes_.end() && known->second.fingerprint == fingerprint) {
      known->second.object = content.object.number;  // As before: it keeps its bindings.
      continue;
    }
    out.routes.try_emplace(route.key,
                           known == routes_.end() ? Replaced() : replaced(known->second));
    different.emplace_back(&route, fingerprint);
  }
  // After what goes again, so that there are no holes in what stays.
  for (const auto& [route, fingerprint] : different)
    routes_[route->key] = {route::PackedRoute(*route), content.object.number, fingerprint};
}

// Notes the routes of an object that is replaced or gone.
void Snapshots::dismiss(const std::string& key, std::set<std::string>& routes) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return;
  for (route::PackedReader keys(found->second.routes); !keys.done();) {
    std::string name(keys.text());
    const auto route = routes_.find(name);
    if (route != routes_.end() && route->second.object == found->second.number)
      routes.insert(std::move(name));
  }
  objects_.erase(found);
}

Snapshots::Route* Snapshots::find(const std::string& route) {
  const auto found = routes_.find(route);
  return found == routes_.end() ? nullptr : &found->second;
}

std::optional<route::Upstream> Snapshots::upstream(const std::string& key) const {
  const auto found = upstreams_.find(key);
  if (found == upstreams_.end()) return std::nullopt;
  route::Upstream upstream = *found->second;
  upstream.key = key;
  return upstream;
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
