// SPDX-License-Identifier: Apache-2.0
#include "control/change_queue.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::control {
namespace {

// No part of a Kubernetes identity contains '|'.
std::string kindOf(const gateway::ObjectChange& change) { return change.group + '|' + change.kind; }
std::string nameOf(const gateway::ObjectChange& change) {
  return change.name_space + '|' + change.name;
}

gateway::ObjectChange removalOf(std::string_view key) {
  const auto next = [&] {
    const std::string_view part = key.substr(0, key.find('|'));
    key.remove_prefix(std::min(part.size() + 1, key.size()));
    return std::string(part);
  };
  gateway::ObjectChange out;
  out.group = next();
  out.kind = next();
  out.name_space = next();
  out.name = next();
  return out;
}

bool inScope(const SourcePort::Scope& scope, const gateway::ObjectChange& change) {
  const bool kind_fits =
      scope.kind.empty() || (scope.kind == change.kind && scope.group == change.group);
  return kind_fits && (scope.name_space.empty() || scope.name_space == change.name_space);
}

}  // namespace

void ChangeQueue::add(std::size_t source, std::uint32_t flags, const SourcePort::Scope& scope,
                      std::uint64_t sequence, std::vector<gateway::ObjectChange> changes) {
  SourceState& state = sources_[source];
  if ((flags & SourcePort::kBegin) != 0) {
    state.listing = true;
    state.scope = scope;
    state.seen.clear();
  }
  if (steps_.empty() || !std::holds_alternative<Changes>(steps_.back()))
    steps_.emplace_back(Changes{});
  auto& pending = std::get<Changes>(steps_.back());
  std::uint64_t& highest = pending.sequences[source];
  highest = std::max(highest, sequence);
  // What stays is made first, so that what goes with the batch leaves no holes in it.
  remember(state, changes);
  if (changes.size() > pending.list.size()) {
    pending.list.reserve(pending.list.size() + changes.size());
    pending.by_key.reserve(pending.list.size() + changes.size());
  }
  for (gateway::ObjectChange& change : changes) {
    std::string key = kindOf(change) + '|' + nameOf(change);
    place(pending, std::move(change), std::move(key));
  }
  if ((flags & SourcePort::kEnd) != 0 && state.listing) endList(state, pending);
}

void ChangeQueue::remember(SourceState& state, const std::vector<gateway::ObjectChange>& changes) {
  const gateway::ObjectChange* before = nullptr;  // batches have long runs of one kind
  Names* known = nullptr;
  Names* seen = nullptr;
  for (const gateway::ObjectChange& change : changes) {
    if (before == nullptr || before->kind != change.kind || before->group != change.group) {
      const std::string kind = kindOf(change);
      known = &state.known[kind];
      seen = &state.seen[kind];
    }
    before = &change;
    std::string name = nameOf(change);
    if (change.json.empty()) {
      known->erase(name);
      seen->erase(name);
      continue;
    }
    if (state.listing) seen->insert(name);
    known->insert(std::move(name));
  }
}

void ChangeQueue::endList(SourceState& state, Changes& pending) {
  for (auto& [kind, names] : state.known) {
    const Names& seen = state.seen[kind];
    for (auto at = names.begin(); at != names.end();) {
      if (seen.contains(*at)) {
        ++at;
        continue;
      }
      std::string key = kind + '|' + *at;
      gateway::ObjectChange gone = removalOf(key);
      if (!inScope(state.scope, gone)) {
        ++at;
        continue;
      }
      place(pending, std::move(gone), std::move(key));
      at = names.erase(at);
    }
  }
  state.listing = false;
  state.seen.clear();
}

void ChangeQueue::place(Changes& pending, gateway::ObjectChange change, std::string key) {
  const auto [at, added] = pending.by_key.try_emplace(std::move(key), pending.list.size());
  if (added) return pending.list.push_back(std::move(change));
  gateway::ObjectChange& before = pending.list[at->second];
  // Its source has forgotten what was said of the one before.
  change.replaced = !change.json.empty() && (before.replaced || before.json.empty());
  before = std::move(change);
}

void ChangeQueue::add(std::size_t sink, SinkReport report) {
  steps_.emplace_back(Report{sink, std::move(report)});
}

void ChangeQueue::add(Task task) { steps_.emplace_back(std::move(task)); }

std::deque<ChangeQueue::Step> ChangeQueue::take(bool hold_changes) {
  if (!hold_changes) return std::exchange(steps_, {});
  std::deque<Step> urgent;
  std::deque<Step> held;
  for (Step& step : steps_) {
    (std::holds_alternative<Changes>(step) ? held : urgent).push_back(std::move(step));
  }
  steps_ = std::move(held);
  return urgent;
}

bool ChangeQueue::hasUrgent() const noexcept {
  for (const Step& step : steps_)
    if (std::holds_alternative<Report>(step) || std::holds_alternative<Task>(step)) return true;
  return false;
}

}  // namespace hyperway::control
