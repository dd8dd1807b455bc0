// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hyperway/sdk/sink.hpp"
#include "k8s_client/client.hpp"
#include "k8s_client/lease.hpp"
#include "settings.hpp"
#include "snapshot_set.hpp"

namespace hyperway::snapshot_sink {

/// The sink: writes the model as a RouteSnapshot (ARCHITECTURE decisions 1 and 3). Of several
/// replicas the holder of the Lease writes, all of them follow what data planes say.
class SnapshotSink {
 public:
  /// What the configuration file names.
  static constexpr const char* kId = "snapshot_sink";

  /// Statuses go into the snapshot, for people.
  static constexpr std::uint32_t kWants = HW_SINK_STATUSES;

  /// Reads the settings; contacts nothing.
  SnapshotSink(sdk::Setup& setup, sdk::SinkAck ack);
  SnapshotSink(const SnapshotSink&) = delete;
  SnapshotSink& operator=(const SnapshotSink&) = delete;
  /// stop()s.
  ~SnapshotSink();

  /// Takes a batch; the first one starts the work. [control]
  hw_status apply(std::uint64_t generation, std::uint32_t flags, std::string_view batch);
  /// Gives the Lease up and ends. [control]
  void stop();

 private:
  [[nodiscard]] bool begin(std::string& error);
  void tellProgrammed(const std::vector<Acknowledgements::Report>& reports);
  void tellTrouble(const std::string& trouble);
  void tellAttempt(const std::string& what, const k8s_client::Error& error);
  void tellLead(bool leads);

  Settings settings_;
  sdk::SinkAck ack_;
  sdk::Log log_;
  sdk::Clock clock_;
  sdk::Metric written_, refused_, failed_, leads_;
  std::atomic<std::uint64_t> generation_{0};
  // Behind begin(): loop thread, but for the client itself.
  std::unique_ptr<k8s_client::Client> client_;
  std::unique_ptr<SnapshotSet> snapshots_;
  std::unique_ptr<k8s_client::Lease> lease_;
  std::uint64_t told_ = 0;  // the generation that was acknowledged last
};

}  // namespace hyperway::snapshot_sink
