// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "batch.hpp"
#include "k8s_client/api.hpp"
#include "leftovers.hpp"
#include "settings.hpp"
#include "writer.hpp"

namespace hyperway::snapshot_sink {

/// The snapshots that are written, one for all Gateways or one for each, each by a Writer of its
/// own: one loop and one Lease for all. What one of them cannot do keeps no other waiting. The
/// loop's thread.
class SnapshotSet {
 public:
  /// `api` outlives this. `listener` hears of all of them together.
  SnapshotSet(k8s_client::Api& api, Settings settings, Writer::Listener listener);
  SnapshotSet(const SnapshotSet&) = delete;
  SnapshotSet& operator=(const SnapshotSet&) = delete;

  /// Begins to follow what there is.
  void start();
  /// Takes a batch that came as `generation`.
  void take(std::uint64_t generation, Batch batch);
  /// Whether we are the one who writes.
  void lead(bool leads);

 private:
  // A snapshot, and what its writer said last.
  struct Snapshot {
    std::unique_ptr<Writer> writer;
    std::uint64_t given = 0, written = 0;
    std::string trouble;
  };

  Snapshot& add(const std::string& key, Settings settings);
  [[nodiscard]] std::set<std::string> takeGateways(const Batch& batch);
  void takeRoute(const Batch::Route& route, std::map<std::string, Batch>& out);
  void takeStatuses(Batch batch);
  void sweep();
  void give(Snapshot& snapshot, std::uint64_t generation, Batch batch);
  void tellWritten();
  void tellTrouble();

  k8s_client::Api& api_;
  const Settings settings_;
  const Writer::Listener listener_;
  std::uint64_t generation_ = 0;
  std::string trouble_;
  bool leads_ = false, started_ = false;
  std::map<std::string, Snapshot> snapshots_;            // by that of the Gateway, "namespace/name"
  std::map<std::string, std::set<std::string>> places_;  // route -> Gateways that it is in
  std::map<std::string, std::set<std::string>> told_;    // status -> Gateways that it is said at
  std::map<std::string, Batch::Status> classes_;         // statuses, by key
  bool believes_ = false;  // a Gateway was named: none at all may mean that they cannot be read
  std::unique_ptr<Leftovers> leftovers_;
};

}  // namespace hyperway::snapshot_sink
