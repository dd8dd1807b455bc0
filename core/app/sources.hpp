// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "app/config_node.hpp"
#include "app/settings.hpp"
#include "control/pipeline.hpp"
#include "plugin/registry.hpp"

namespace hyperway::app {

/// Makes the sources that the settings name and adds them to the pipeline, before it starts. False
/// if one cannot be made; every problem is added. [control]
[[nodiscard]] bool makeSources(const Settings& settings, plugin::PluginRegistry& registry,
                               control::Pipeline& pipeline,
                               std::vector<std::unique_ptr<control::Source>>& sources,
                               std::vector<ConfigProblem>& problems);

/// Makes the sinks that the settings name beside the proxy. False if one cannot be made; every
/// problem is added. [control]
[[nodiscard]] bool makeSinks(const Settings& settings, plugin::PluginRegistry& registry,
                             std::vector<std::unique_ptr<control::Sink>>& sinks,
                             std::vector<ConfigProblem>& problems);

}  // namespace hyperway::app
