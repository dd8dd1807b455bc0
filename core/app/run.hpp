// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/config_node.hpp"
#include "app/handover.hpp"
#include "app/settings.hpp"
#include "app/upgrade.hpp"

namespace hyperway::app {

/// What `hyperway run` starts with.
struct RunRequest {
  Settings settings;             ///< Of file and flags.
  ConfigNode document;           ///< The configuration file as read; an empty node without one.
  std::string plugin_directory;  ///< Absolute.
  std::string version;           ///< Of hyperway.
  std::function<Settings(const ConfigNode&)>
      reread;                            ///< Settings of a changed file, flags laid over.
  ProgramStart program;                  ///< How this process was started.
  std::unique_ptr<Successor> successor;  ///< Whose place we take; null: nobody's.
};

/// Runs the gateway until SIGTERM or SIGINT, then drains: true. False with problems if it could not
/// start. SIGHUP or a changed configuration file applies what can be applied live; SIGUSR1 opens
/// log files anew; SIGUSR2 starts a new process of the program, which takes over; a second SIGTERM
/// ends at once. Main thread, before there is any other.
[[nodiscard]] bool runGateway(RunRequest request, std::vector<ConfigProblem>& problems);

}  // namespace hyperway::app
