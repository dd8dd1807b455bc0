// SPDX-License-Identifier: Apache-2.0
#include "acknowledgements.hpp"

#include <algorithm>

namespace hyperway::snapshot_sink {
namespace {

constexpr std::size_t kMostChecksums = 1024;

}  // namespace

void Acknowledgements::applied(std::uint64_t generation, const Batch& batch,
                               const std::string& checksum) {
  if (batch.full) listeners_.clear();
  for (const std::string& key : batch.removed_listeners) listeners_.erase(key);
  for (const Batch::Listener& listener : batch.listeners)
    listeners_[listener.key] = {generation, false, false, {}};
  checksum_ = checksum;
  if (!generations_.contains(checksum)) order_.push_back(checksum);
  generations_[checksum] = generation;
  if (order_.size() <= kMostChecksums) return;
  generations_.erase(order_.front());
  order_.pop_front();
}

std::vector<Acknowledgements::Report> Acknowledgements::judge(
    const std::vector<DataPlane>& planes) {
  std::vector<Report> out;
  for (auto& [key, listener] : listeners_) {
    bool has = false;
    std::string refused;
    for (const DataPlane& plane : planes) {
      const auto served = generations_.find(plane.checksum);
      if (served == generations_.end() || served->second < listener.since) continue;
      const auto refusal =
          std::find_if(plane.refused.begin(), plane.refused.end(),
                       [&name = key](const auto& one) { return one.name == name; });
      if (refusal == plane.refused.end())
        has = true;
      else if (refused.empty())
        refused = "data plane " + plane.name + ": " + refusal->reason;
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
