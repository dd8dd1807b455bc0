// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gateway/status.hpp"

namespace hyperway::gateway {

/// The statuses as they were last said, so that only what differs is said again. [control]
class StatusBook {
 public:
  /// Says a status, if it differs from the one said last or that one was said of another object.
  void put(ObjectStatus status, StatusBatch& batch) {
    std::string key = status.key();
    const bool anew = replaced_.erase(key) > 0;
    const auto found = known_.find(key);
    if (!anew && found != known_.end() && found->second == status) return;
    batch.updated.push_back(status);
    known_.insert_or_assign(std::move(key), std::move(status));
  }
  /// Takes a status back, if there is one.
  void remove(const std::string& key, StatusBatch& batch) {
    if (known_.erase(key) > 0) batch.removed.push_back(key);
    replaced_.erase(key);
  }
  /// There is another object with this key now: it has been told nothing yet.
  void replace(const std::string& key) {
    if (known_.contains(key)) replaced_.insert(key);
  }
  /// All of them, by key.
  [[nodiscard]] const std::unordered_map<std::string, ObjectStatus>& all() const noexcept {
    return known_;
  }

 private:
  std::unordered_map<std::string, ObjectStatus> known_;
  std::unordered_set<std::string> replaced_;
};

}  // namespace hyperway::gateway
