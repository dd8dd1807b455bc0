// SPDX-License-Identifier: Apache-2.0
#include "gateway/contest.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "route/precedence.hpp"

namespace hyperway::gateway {
namespace {

std::string reversed(std::string_view text) { return {text.rbegin(), text.rend()}; }

// Hostnames with their owners, so that one that meets a given one is found without a look at all.
class HostSet {
 public:
  void add(const std::string& host, const std::string& owner) {
    owners_.try_emplace(reversed(host), &owner);
  }

  // The owner of a hostname that `host` meets; null if there is none.
  [[nodiscard]] const std::string* meeting(std::string_view host) const {
    if (owners_.empty()) return nullptr;
    if (host.empty()) return owners_.begin()->second;
    if (const auto* owner = find("")) return owner;
    if (const auto* owner = find(reversed(host))) return owner;
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
         dot = host.find('.', dot + 1))
      if (const auto* owner = find(reversed("*" + std::string(host.substr(dot))))) return owner;
    if (!host.starts_with("*.")) return nullptr;
    // What a wildcard covers begins, read backwards, with its suffix.
    const std::string suffix = reversed(host.substr(1));
    const auto below = owners_.lower_bound(suffix);
    return below != owners_.end() && below->first.starts_with(suffix) ? below->second : nullptr;
  }

 private:
  [[nodiscard]] const std::string* find(const std::string& host) const {
    const auto found = owners_.find(host);
    return found == owners_.end() ? nullptr : found->second;
  }

  std::map<std::string, const std::string*> owners_;  // by the hostname read backwards
};

}  // namespace

void HostContest::enter(const std::string& key, Entrant entrant) {
  const auto [found, is_new] = entrants_.try_emplace(key);
  if (!is_new && found->second == entrant) return;
  if (is_new && entrant.kind == route::RouteKind::Grpc) ++grpc_;
  found->second = std::move(entrant);
  changed_ = true;
}

void HostContest::leave(const std::string& key) {
  const auto found = entrants_.find(key);
  if (found == entrants_.end()) return;
  if (found->second.kind == route::RouteKind::Grpc) --grpc_;
  entrants_.erase(found);
  changed_ = true;
}

std::set<std::string> HostContest::settle() {
  std::set<std::string> different;
  if (!std::exchange(changed_, false)) return different;
  using Entry = std::map<std::string, Entrant>::value_type;
  std::vector<const Entry*> by_age;
  by_age.reserve(entrants_.size());
  for (const Entry& entry : entrants_) by_age.push_back(&entry);
  std::sort(by_age.begin(), by_age.end(), [](const Entry* a, const Entry* b) {
    return std::tuple(a->second.created, route::rankedName(a->first), a->second.kind) <
           std::tuple(b->second.created, route::rankedName(b->first), b->second.kind);
  });
  std::array<HostSet, 2> accepted;  // of HTTPRoutes, of GRPCRoutes
  std::map<std::string, std::string> losers;
  for (const Entry* entry : by_age) {
    const auto& [key, entrant] = *entry;
    const bool is_grpc = entrant.kind == route::RouteKind::Grpc;
    const HostSet& others = accepted[is_grpc ? 0 : 1];
    const std::string* winner = nullptr;
    for (const std::string& host : entrant.hostnames)
      if (winner == nullptr) winner = others.meeting(host);
    if (winner != nullptr) {
      losers.emplace(key, *winner);
      continue;
    }
    for (const std::string& host : entrant.hostnames) accepted[is_grpc ? 1 : 0].add(host, key);
  }
  for (const auto& [key, winner] : losers)
    if (const auto* before = winnerOver(key); before == nullptr || *before != winner)
      different.insert(key);
  for (const auto& [key, winner] : losers_)
    if (!losers.contains(key)) different.insert(key);
  losers_ = std::move(losers);
  return different;
}

const std::string* HostContest::winnerOver(const std::string& key) const {
  const auto found = losers_.find(key);
  return found == losers_.end() ? nullptr : &found->second;
}

}  // namespace hyperway::gateway
