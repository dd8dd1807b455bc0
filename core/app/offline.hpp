// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/config_node.hpp"
#include "app/settings.hpp"
#include "control/pipeline.hpp"
#include "gateway/status.hpp"
#include "plugin/filter_configs.hpp"
#include "plugin/registry.hpp"
#include "route/compile.hpp"

namespace hyperway::app {

/// The control plane without a data plane: the same plugins, sources, translation and compilation
/// as a gateway's, with a sink that serves nobody. For `check`, and for `explain`, `status` and
/// `plugins` without a running process.
class Offline {
 public:
  /// Keeps the settings; touches nothing.
  Offline(Settings settings, std::string plugin_directory, std::string version);
  Offline(const Offline&) = delete;
  Offline& operator=(const Offline&) = delete;
  ~Offline();

  /// Loads plugins and reads every source once. False if that is not possible; problems say why.
  [[nodiscard]] bool load(std::vector<ConfigProblem>& problems);
  /// Everything that is wrong with what was read, with file and line where the source knows them.
  [[nodiscard]] std::vector<ConfigProblem> diagnose();
  /// Statuses as a gateway would report them, if all ports could be bound.
  [[nodiscard]] std::vector<gateway::ObjectStatus> statuses();
  /// What was compiled.
  [[nodiscard]] const route::Compiler& compiler() const noexcept { return compiler_; }
  /// Plugins that were loaded.
  [[nodiscard]] std::vector<plugin::PluginInfo> plugins() const { return registry_->list(); }

 private:
  class CompileSink;

  void onControl(const std::function<void()>& task);
  [[nodiscard]] ConfigProblem located(const std::string& object, const std::string& pointer,
                                      std::string message, bool warning);

  Settings settings_;
  std::string plugin_directory_;
  route::Compiler compiler_;
  std::unique_ptr<plugin::HostServices> services_;
  std::unique_ptr<plugin::PluginRegistry> registry_;
  std::unique_ptr<plugin::FilterConfigs> filters_;
  std::unique_ptr<CompileSink> sink_;
  std::unique_ptr<control::Pipeline> pipeline_;
  std::vector<std::unique_ptr<control::Source>> sources_;
};

}  // namespace hyperway::app
