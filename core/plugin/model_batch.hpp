// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "control/sink.hpp"
#include "route/model.hpp"

namespace hyperway::plugin {

/// Writes model changes as sink plugins take them (abi/draft/sink.h). A route's text says things of
/// its upstreams and listeners, which change on their own: a route is written again when they do,
/// and so is a listener whose filters have upstreams. [control]
class ModelBatchWriter {
 public:
  /// The batch as JSON. Certificates and endpoints are left out.
  [[nodiscard]] std::string write(const route::ModelBatch& batch);

 private:
  void remember(const route::ModelBatch& batch);
  void keep(const route::Route& route);
  void forget(const std::string& key);

  std::map<std::string, std::uint16_t> ports_;
  std::map<std::string, route::Upstream> upstreams_;  // Without their endpoints.
  std::unordered_map<std::string, route::Route> routes_;
  std::unordered_map<std::string, std::set<std::string>> users_;  // upstream or listener -> routes
  std::set<std::string> again_;  // routes of which the batch says nothing, and whose text differs
  std::map<std::string, route::Listener> asking_;  // listeners whose filters have upstreams
  std::set<std::string> asking_again_;             // of these, as `again_`
};

/// A batch for sinks that want to know of Gateways only.
[[nodiscard]] std::string writeGateways(const route::ModelBatch& batch);

/// Statuses for sinks that want them; empty if there are none of the kinds that they get.
[[nodiscard]] std::string writeStatuses(const gateway::StatusBatch& batch);

/// Reads what a sink acknowledged. Error: one sentence. Any thread.
[[nodiscard]] Result<control::SinkReport, std::string> readSinkReport(std::uint64_t generation,
                                                                      std::string_view json);

}  // namespace hyperway::plugin
