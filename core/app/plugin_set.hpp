// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "app/settings.hpp"
#include "plugin/registry.hpp"

namespace hyperway::app {

/// Absolute directory of plugins: `wanted` if not empty, else ../lib/hyperway/plugins beside the
/// running binary.
[[nodiscard]] std::string pluginDirectory(const std::string& wanted);

/// What to load: the plugins that come with hyperway, as far as their files are there, those that
/// sources and sinks name, and those of the configuration, which may give one of the others a path,
/// a hash or settings of its own.
[[nodiscard]] std::vector<plugin::PluginSpec> pluginSpecs(const Settings& settings,
                                                          const std::string& directory);

/// Names sources and sinks that neither the directory nor the configuration has a plugin for. False
/// if there is one.
[[nodiscard]] bool checkNamedPlugins(const Settings& settings, const std::string& directory,
                                     std::vector<ConfigProblem>& problems);

}  // namespace hyperway::app
