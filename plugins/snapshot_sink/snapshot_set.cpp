// SPDX-License-Identifier: Apache-2.0
#include "snapshot_set.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::snapshot_sink {

SnapshotSet::SnapshotSet(k8s_client::Api& api, Settings settings, Writer::Listener listener)
    : api_(api), settings_(std::move(settings)), listener_(std::move(listener)) {
  if (settings_.per_gateway)
    leftovers_ = std::make_unique<Leftovers>(
        api_, settings_.controller_name, [this] { sweep(); }, listener_.attempted);
  else
    add("", settings_);
}

SnapshotSet::Snapshot& SnapshotSet::add(const std::string& key, Settings settings) {
  Snapshot& snapshot = snapshots_[key];
  Writer::Listener listener = listener_;
  listener.written = [this, &snapshot](std::uint64_t generation) {
    snapshot.written = generation;
    tellWritten();
  };
  listener.trouble = [this, &snapshot](const std::string& trouble) {
    snapshot.trouble = trouble;
    tellTrouble();
    tellWritten();
  };
  if (settings_.per_gateway)
    listener.attempted = [this, key](const std::string& what, const k8s_client::Error& error) {
      listener_.attempted("Gateway " + key + ": " + what, error);
    };
  snapshot.writer = std::make_unique<Writer>(api_, std::move(settings), std::move(listener));
  if (started_) snapshot.writer->start();
  snapshot.writer->lead(leads_);
  return snapshot;
}

void SnapshotSet::start() {
  started_ = true;
  for (auto& [key, snapshot] : snapshots_) snapshot.writer->start();
  if (leftovers_) leftovers_->start();
}

void SnapshotSet::take(std::uint64_t generation, Batch batch) {
  generation_ = generation;
  if (!settings_.per_gateway) return give(snapshots_.begin()->second, generation, std::move(batch));
  if (batch.statuses_only) return takeStatuses(std::move(batch));
  if (batch.full) {
    places_.clear();
    told_.clear();
    classes_.clear();
  }
  std::map<std::string, Batch> parts;
  const std::set<std::string> fresh = takeGateways(batch);
  for (const std::string& key : fresh)
    for (const auto& [name, status] : classes_) parts[key].statuses.push_back(status);
  for (const std::string& key : fresh) parts[key].full = true;
  if (batch.full)
    for (const auto& [key, snapshot] : snapshots_) parts[key].full = true;
  // A listener's key begins with that of its Gateway.
  const auto gateway_of = [](const std::string& key) {
    return key.substr(0, key.find('/', key.find('/') + 1));
  };
  for (Batch::Listener& one : batch.listeners)
    parts[gateway_of(one.key)].listeners.push_back(std::move(one));
  for (std::string& key : batch.removed_listeners)
    parts[gateway_of(key)].removed_listeners.push_back(std::move(key));
  for (const Batch::Route& route : batch.routes) takeRoute(route, parts);
  for (const std::string& key : batch.removed_routes) takeRoute({key, "", 0}, parts);
  for (auto& [key, part] : parts)
    if (const auto found = snapshots_.find(key); found != snapshots_.end())
      give(found->second, generation, std::move(part));
  tellWritten();
  sweep();
}

// A status is said in the snapshots of the Gateways that it is about.
void SnapshotSet::takeStatuses(Batch batch) {
  std::map<std::string, Batch> parts;
  for (std::string& key : batch.removed_statuses) batch.statuses.push_back({std::move(key), ""});
  for (const Batch::Status& status : batch.statuses) {
    std::set<std::string> now;
    for (auto& [gateway, part] : statusesByGateway(status)) {
      if (gateway.empty()) {
        classes_[status.key] = status;
        for (const auto& [key, snapshot] : snapshots_) parts[key].statuses.push_back(status);
        continue;
      }
      if (part.text.empty()) continue;
      now.insert(gateway);
      parts[gateway].statuses.push_back(std::move(part));
    }
    std::set<std::string>& before = told_[status.key];
    for (const std::string& gateway : before)
      if (!now.contains(gateway)) parts[gateway].removed_statuses.push_back(status.key);
    before = std::move(now);
    if (before.empty()) told_.erase(status.key);
  }
  for (auto& [key, part] : parts) {
    part.statuses_only = true;
    if (const auto found = snapshots_.find(key); found != snapshots_.end())
      give(found->second, found->second.given, std::move(part));
  }
}

// Gateways come and go, or look otherwise; those that are new.
std::set<std::string> SnapshotSet::takeGateways(const Batch& batch) {
  std::set<std::string> named, fresh;
  believes_ = believes_ || !batch.gateways.empty() || !batch.removed_gateways.empty();
  for (const std::string& key : batch.removed_gateways) snapshots_.erase(key);
  for (Owner owner : batch.gateways) {
    const std::string key = owner.key();
    named.insert(key);
    owner.controller = settings_.controller_name;
    if (const auto found = snapshots_.find(key); found != snapshots_.end()) {
      found->second.writer->own(owner);
      continue;
    }
    add(key, settingsFor(settings_, owner));
    fresh.insert(key);
  }
  if (batch.full)
    std::erase_if(snapshots_, [&](const auto& one) { return !named.contains(one.first); });
  tellTrouble();
  return fresh;
}

// A route is in the snapshot of each Gateway that it is attached to, and no longer in others.
void SnapshotSet::takeRoute(const Batch::Route& route, std::map<std::string, Batch>& out) {
  auto parts = routesByGateway(route);
  std::set<std::string> now;
  for (auto& [gateway, part] : parts) {
    now.insert(gateway);
    out[gateway].routes.push_back(std::move(part));
  }
  const auto before = places_.find(route.key);
  if (before != places_.end())
    for (const std::string& gateway : before->second)
      if (!now.contains(gateway)) out[gateway].removed_routes.push_back(route.key);
  if (!now.empty())
    places_.insert_or_assign(route.key, std::move(now));
  else if (before != places_.end())
    places_.erase(before);
}

void SnapshotSet::lead(bool leads) {
  leads_ = leads;
  for (auto& [key, snapshot] : snapshots_) snapshot.writer->lead(leads);
  sweep();
}

// What was made for Gateways that are gone, or not ours any more.
void SnapshotSet::sweep() {
  if (!leads_ || !believes_ || !leftovers_) return;
  leftovers_->remove([this](const std::string& gateway) { return !snapshots_.contains(gateway); });
}

void SnapshotSet::give(Snapshot& snapshot, std::uint64_t generation, Batch batch) {
  snapshot.given = generation;
  snapshot.writer->take(generation, std::move(batch));
}

// A snapshot that cannot be written holds back none of the others.
void SnapshotSet::tellWritten() {
  const auto settled = [](const Snapshot& one) { return one.written >= one.given; };
  bool any = false;
  for (const auto& [key, snapshot] : snapshots_) {
    any = any || settled(snapshot);
    if (!settled(snapshot) && snapshot.trouble.empty()) return;
  }
  if (any || snapshots_.empty()) listener_.written(generation_);
}

void SnapshotSet::tellTrouble() {
  std::string all;
  for (const auto& [key, snapshot] : snapshots_)
    if (!snapshot.trouble.empty()) all += (all.empty() ? "" : "; ") + snapshot.trouble;
  if (std::exchange(trouble_, all) != all) listener_.trouble(all);
}

}  // namespace hyperway::snapshot_sink
