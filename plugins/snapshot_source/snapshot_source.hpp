// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hyperway/sdk/source.hpp"

namespace hyperway::snapshot_source {

/// The source: what a controller wrote into a RouteSnapshot, with the Services, EndpointSlices and
/// Secrets that it refers to. It says in the snapshot's status what this process serves.
class SnapshotSource {
 public:
  /// What the configuration file names.
  static constexpr const char* kId = "snapshot_source";

  /// Reads the settings; contacts nothing.
  SnapshotSource(sdk::Setup& setup, sdk::SourcePort port);
  SnapshotSource(const SnapshotSource&) = delete;
  SnapshotSource& operator=(const SnapshotSource&) = delete;
  /// stop()s.
  ~SnapshotSource();

  /// Begins to follow; throws if there is no cluster. [control]
  void start();
  /// Ends. [control]
  void stop();
  /// Statuses of the host. [control]
  void reportStatus(std::uint64_t seq, std::string_view statuses);

 private:
  class Cluster;
  std::unique_ptr<Cluster> cluster_;
  std::string absent_;  // why there is no cluster
};

}  // namespace hyperway::snapshot_source
