// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "gateway/status.hpp"
#include "plugin/registry.hpp"
#include "route/compile.hpp"

namespace hyperway::app {

/// Statuses as JSON: [{"kind", "metadata": {"namespace", "name"}, "status"}…].
[[nodiscard]] std::string statusesJson(const std::vector<gateway::ObjectStatus>& statuses,
                                       std::string_view controller_name);

/// Statuses for reading: one line for each condition.
[[nodiscard]] std::string statusesText(const std::vector<gateway::ObjectStatus>& statuses);

/// Plugins for reading.
[[nodiscard]] std::string pluginsText(const std::vector<plugin::PluginInfo>& plugins);

/// What a table has: addresses, listeners. For reading.
[[nodiscard]] std::string tableText(const route::RouteTable& table);

/// What is in force: the table, its rules, and upstreams with their endpoints; no secret. For
/// reading. [control]
[[nodiscard]] std::string configText(const route::Compiler& compiler);

}  // namespace hyperway::app
