// SPDX-License-Identifier: Apache-2.0
#include "acknowledgements.hpp"

#include <algorithm>
#include <string_view>

namespace hyperway::snapshot_sink {
namespace {

constexpr std::size_t kMostChecksums = 1024;
// Stands for refused listeners that a data plane's report has no room for (docs/snapshots.md).
constexpr std::string_view kMoreListeners = "*";

}  // namespace

void Acknowledgements::applied(std::uint64_t revision, const Batch& batch,
                               const std::string& checksum) {
  if (batch.full) listeners_.clear();
  for (const std::string& key : batch.removed_listeners) listeners_.erase(key);
  for (const Batch::Listener& listener : batch.listeners)
    listeners_[listener.key] = {revision, false, false, {}};
  checksum_ = checksum;
  if (!revisions_.contains(checksum)) order_.push_back(checksum);
  revisions_[checksum] = revision;
  if (order_.size() <= kMostChecksums) return;
  revisions_.erase(order_.front());
  order_.pop_front();
}

std::vector<Acknowledgements::Report> Acknowledgements::judge(
    const std::vector<DataPlane>& planes, const std::map<std::string, std::string>& left_out) {
  std::vector<Report> out;
  for (auto& [key, listener] : listeners_) {
    bool has = false;
    std::string refused;
    if (const auto found = left_out.find(key); found != left_out.end())
      refused = "it cannot be written: " + found->second;
    for (const DataPlane& plane : planes) {
      const auto served = revisions_.find(plane.checksum);
      if (served == revisions_.end() || served->second < listener.since) continue;
      const auto named = [&](std::string_view name) {
        return std::find_if(plane.refused.begin(), plane.refused.end(),
                            [&](const auto& one) { return one.name == name; });
      };
      if (const auto refusal = named(key); refusal != plane.refused.end()) {
        if (refused.empty()) refused = "data plane " + plane.name + ": " + refusal->reason;
      } else if (named(kMoreListeners) == plane.refused.end()) {
        has = true;  // or it may be one of those that found no place in the report
      }
    }
    if (!has && refused.empty()) continue;
    const bool programmed = refused.empty();
    if (listener.told && listener.programmed == programmed && listener.reason == refused) continue;
    listener.told = true;
    listener.programmed = programmed;
    listener.reason = refused;
    out.push_back({key, programmed, std::move(refused)});
  }
  return out;
}

}  // namespace hyperway::snapshot_sink
