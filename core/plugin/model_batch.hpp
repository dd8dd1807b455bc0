// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "control/sink.hpp"
#include "route/model.hpp"

namespace hyperway::plugin {

/// Writes model changes as sink plugins take them (abi/draft/sink.h). Remembers ports and
/// upstreams, since a route's text names both and they change on their own. [control]
class ModelBatchWriter {
 public:
  /// The batch as JSON. Certificates and endpoints are left out.
  [[nodiscard]] std::string write(const route::ModelBatch& batch);

 private:
  void remember(const route::ModelBatch& batch);

  std::map<std::string, std::uint16_t> ports_;
  std::map<std::string, route::Upstream> upstreams_;  // Without their endpoints.
};

/// A batch for sinks that want to know of Gateways only.
[[nodiscard]] std::string writeGateways(const route::ModelBatch& batch);

/// Reads what a sink acknowledged. Error: one sentence. Any thread.
[[nodiscard]] Result<control::SinkReport, std::string> readSinkReport(std::uint64_t generation,
                                                                      std::string_view json);

}  // namespace hyperway::plugin
