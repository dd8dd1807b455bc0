// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace hyperway::gateway {

/// Who depends on what: from the key of a target to its dependents, so that a change of the target
/// finds them without a search. Dependents are pointers that stay valid for as long as they are
/// listed. [control]
template <class Dependent>
class ReverseIndex {
 public:
  /// Lists `dependent` under each of `targets`; duplicates do no harm.
  void add(const std::vector<std::string>& targets, Dependent* dependent) {
    for (const std::string& target : targets) index_[target].insert(dependent);
  }
  /// Takes `dependent` off each of `targets`.
  void remove(const std::vector<std::string>& targets, Dependent* dependent) {
    for (const std::string& target : targets) {
      const auto found = index_.find(target);
      if (found == index_.end()) continue;
      found->second.erase(dependent);
      if (found->second.empty()) index_.erase(found);
    }
  }
  /// Calls `visit(Dependent&)` for each dependent of `target`, in no order. `visit` must not change
  /// the index.
  template <class Visit>
  void forEach(const std::string& target, Visit&& visit) const {
    const auto found = index_.find(target);
    if (found == index_.end()) return;
    for (Dependent* dependent : found->second) visit(*dependent);
  }

 private:
  std::unordered_map<std::string, std::unordered_set<Dependent*>> index_;
};

}  // namespace hyperway::gateway
