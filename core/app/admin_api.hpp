// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/server.hpp"
#include "app/page_query.hpp"
#include "app/settings.hpp"
#include "control/pipeline.hpp"
#include "plugin/plugin_metrics.hpp"
#include "plugin/registry.hpp"
#include "proxy/proxy_sink.hpp"

namespace hyperway::app {

/// What the admin page reads: JSON below /api/, each answer bounded in size whatever the number of
/// routes. Lists are picked and cut on the control thread, a page at a time; counters are read
/// without locks; workers are asked for the endpoints of one page at most.
class AdminApi {
 public:
  /// What is shown; everything outlives the API.
  struct Parts {
    std::string version;                               ///< Of hyperway.
    const Settings* settings = nullptr;                ///< Never null.
    control::Pipeline* pipeline = nullptr;             ///< Never null.
    proxy::ProxySink* proxy = nullptr;                 ///< Never null.
    const plugin::PluginRegistry* registry = nullptr;  ///< Never null.
    const plugin::PluginMetrics* metrics = nullptr;    ///< What plugins count. Never null.
    std::function<std::string()> readiness;            ///< First line of /readyz?verbose.
    std::chrono::system_clock::time_point started{};   ///< When the process began.
    /// Runs a task on the control thread and returns its result; throws std::runtime_error if that
    /// is too busy. The task may run even so, later.
    std::function<std::string(std::function<std::string()>)> on_control;
  };

  /// Keeps the parts.
  explicit AdminApi(Parts parts) : parts_(std::move(parts)) {}

  /// The answer to a request below /api/; nothing if there is no such list. [any]
  [[nodiscard]] std::optional<admin::AdminAnswer> answer(const admin::AdminRequest& request) const;

 private:
  [[nodiscard]] std::string summary() const;
  [[nodiscard]] std::string gateways(const PageQuery& query) const;
  [[nodiscard]] std::string routes(const PageQuery& query) const;
  [[nodiscard]] std::string backends(const PageQuery& query) const;
  [[nodiscard]] std::string certificates(const PageQuery& query) const;
  [[nodiscard]] std::string plugins(const PageQuery& query) const;

  Parts parts_;
};

}  // namespace hyperway::app
