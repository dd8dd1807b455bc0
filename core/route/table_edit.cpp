// SPDX-License-Identifier: Apache-2.0
#include "route/table_edit.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::route {

namespace {

/// Listeners compared with before giving up on a common start: the search must not cost more than
/// it saves.
constexpr std::size_t kMaxCompared = 8;

/// Edits of one listener in one batch, up to which hosts' paths are shared one by one.
constexpr std::size_t kMaxRemembered = 64;

/// What leads from the result of `from` to the result of `to`: edits to take back, edits to make.
struct Difference {
  std::vector<const HostEdit*> back;
  std::vector<const HostEdit*> forth;
  [[nodiscard]] std::size_t size() const noexcept { return back.size() + forth.size(); }
};

Difference difference(const std::vector<HostEdit>& from, const std::vector<HostEdit>& to) {
  Difference out;
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    if (b == to.end() || (a != from.end() && a->change < b->change)) {
      out.back.push_back(&*a++);
    } else if (a == from.end() || b->change < a->change) {
      out.forth.push_back(&*b++);
    } else {
      if (*a != *b) {
        out.back.push_back(&*a);
        out.forth.push_back(&*b);
      }
      ++a;
      ++b;
    }
  }
  return out;
}

void take(HostPaths& paths, const RouteRecord& record) {
  const std::vector<const CompiledRule*> rules = record.rules();
  record.forEachMatch([&](std::uint32_t, std::uint32_t, const PathPlace& place,
                          const RouteRecord::MatchExtras*) { paths.remove(place, rules); });
}

void give(HostPaths& paths, const std::shared_ptr<const RouteRecord>& record) {
  record->forEachMatch([&](std::uint32_t rule, std::uint32_t match, const PathPlace& place,
                           const RouteRecord::MatchExtras* extras) {
    Candidate candidate{RouteRecord::rule(record, rule), {}, match};
    if (extras != nullptr) candidate.conditions = extras->conditions;
    paths.add(place, extras != nullptr ? extras->path : nullptr, std::move(candidate));
  });
}

bool contains(std::string_view hosts, std::string_view wanted) {
  bool found = false;
  RouteRecord::forEachHost(hosts, [&](std::string_view host) { found = found || host == wanted; });
  return found;
}

}  // namespace

void TableEdit::forward(HostTable& table, const HostEdit& edit) {
  const RouteChange& change = changes_[edit.change];
  replace(table, change.before, edit.before, change.after, edit.after);
}

void TableEdit::backward(HostTable& table, const HostEdit& edit) {
  const RouteChange& change = changes_[edit.change];
  replace(table, change.after, edit.after, change.before, edit.before);
}

void TableEdit::replace(HostTable& table, const std::shared_ptr<const RouteRecord>& before,
                        std::string_view before_hosts,
                        const std::shared_ptr<const RouteRecord>& after,
                        std::string_view after_hosts) {
  const auto edit = [&](std::string_view host, const RouteRecord* leaves, bool comes) {
    table.update(host, [&](Ref<HostPaths> paths) {
      const MemoKey key{paths.get(), leaves, comes ? after.get() : nullptr, std::string(host)};
      Ref<HostPaths> old;
      if (remember_) {
        if (const auto known = memo_.find(key); known != memo_.end()) return known->second.after;
        old = paths;
      }
      const std::string_view name = HostTable::keyOf(host);
      if (!paths) paths = HostPaths::make(hashText(name), name);
      if (!paths.unique()) paths = HostPaths::copy(*paths);
      if (leaves != nullptr) take(*paths, *leaves);
      if (comes) give(*paths, after);
      if (paths->empty()) paths = {};
      if (remember_) memo_[key] = {std::move(old), paths};
      return paths;
    });
  };
  RouteRecord::forEachHost(before_hosts, [&](std::string_view host) {
    edit(host, before.get(), contains(after_hosts, host));
  });
  RouteRecord::forEachHost(after_hosts, [&](std::string_view host) {
    if (!contains(before_hosts, host)) edit(host, nullptr, true);
  });
}

std::shared_ptr<const HostTable> TableEdit::apply(std::shared_ptr<const HostTable> base,
                                                  std::vector<HostEdit> edits) {
  // What is remembered is shared and so cannot be changed in place: not while thousands of routes
  // are put in, where differing listeners start from each other's result anyway.
  remember_ = edits.size() <= kMaxRemembered;
  const Done* start = nullptr;
  Difference shortest;
  std::size_t compared = 0;
  for (auto done = done_.rbegin(); done != done_.rend() && compared < kMaxCompared; ++done) {
    if (done->base != base) continue;
    ++compared;
    Difference way = difference(done->edits, edits);
    if (start == nullptr || way.size() < shortest.size()) {
      start = &*done;
      shortest = std::move(way);
    }
    if (shortest.size() == 0) break;
  }
  std::shared_ptr<const HostTable> result;
  if (start != nullptr && shortest.size() == 0) return start->result;
  if (start != nullptr && shortest.size() < edits.size()) {
    auto table = std::make_shared<HostTable>(*start->result);
    for (const HostEdit* edit : shortest.back) backward(*table, *edit);
    for (const HostEdit* edit : shortest.forth) forward(*table, *edit);
    result = std::move(table);
  } else {
    auto table = base ? std::make_shared<HostTable>(*base) : std::make_shared<HostTable>();
    for (const HostEdit& edit : edits) forward(*table, edit);
    result = std::move(table);
  }
  done_.push_back({std::move(base), std::move(edits), result});
  return result;
}

}  // namespace hyperway::route
