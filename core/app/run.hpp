// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/config_node.hpp"
#include "app/settings.hpp"

namespace hyperway::app {

/// What `hyperway run` starts with.
struct RunRequest {
  Settings settings;             ///< Of file and flags.
  ConfigNode document;           ///< The configuration file as read; an empty node without one.
  std::string plugin_directory;  ///< Absolute.
  std::string version;           ///< Of hyperway.
  std::function<Settings(const ConfigNode&)>
      reread;  ///< Settings of a changed file, flags laid over.
};

/// Runs the gateway until SIGTERM or SIGINT, then drains: true. False with problems if it could not
/// start. SIGHUP or a changed configuration file applies what can be applied live; SIGUSR1 opens
/// log files anew; a second SIGTERM ends at once. Main thread, before there is any other.
[[nodiscard]] bool runGateway(RunRequest request, std::vector<ConfigProblem>& problems);

}  // namespace hyperway::app
