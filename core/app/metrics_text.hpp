// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/pipeline.hpp"
#include "observe/access_log.hpp"
#include "observe/process_log.hpp"
#include "plugin/plugin_metrics.hpp"
#include "proxy/proxy_sink.hpp"

namespace hyperway::app {

/// Where /metrics comes from. Pointers are borrowed for the call.
struct MetricsInput {
  std::string version;                                   ///< Of hyperway.
  const proxy::ProxySink* proxy = nullptr;               ///< Never null.
  const observe::AccessLogWriter* access_log = nullptr;  ///< Null: off.
  const observe::ProcessLog* process_log = nullptr;      ///< Null: not counted.
  const gateway::Translator* translator = nullptr;       ///< Null: no statuses are counted.
  bool ready = false;                                    ///< As /readyz says.
  std::int64_t started = 0;        ///< When the process began, seconds since the epoch.
  std::int64_t last_change = 0;    ///< When the configuration changed last; 0: never.
  control::PipelineHealth health;  ///< Of now.
  std::vector<plugin::SeriesValue> plugin_series;  ///< Of now.
};

/// /metrics in Prometheus's text format. At most WorkerCounters::kMaxRules rules have series of
/// their own; the rest is route="other". [control]
[[nodiscard]] std::string metricsText(const MetricsInput& input);

}  // namespace hyperway::app
