// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "app/config_node.hpp"
#include "gateway/translate.hpp"
#include "observe/access_log.hpp"
#include "plugin/registry.hpp"
#include "proxy/settings.hpp"

namespace hyperway::app {

/// A source or a sink as the configuration names it.
struct InstanceSpec {
  std::string plugin;       ///< Class id.
  std::string config_json;  ///< Its settings.
  std::size_t line = 0;     ///< In the configuration file; 0: from flags.
};

/// Everything that the configuration file and the flags say. A value.
struct Settings {
  std::string file;                         ///< The configuration file; empty if there is none.
  proxy::ProxySettings proxy;               ///< Data plane. workers 0: not said, one for each core.
  gateway::TranslateOptions translate;      ///< Translation.
  std::vector<InstanceSpec> sources;        ///< In order.
  std::vector<InstanceSpec> sinks;          ///< In order, beside the proxy.
  bool serves = true;                       ///< The proxy is among the sinks.
  std::vector<plugin::PluginSpec> plugins;  ///< Beside those that come with hyperway.
  std::optional<route::Bind>
      admin;  ///< Probe port as configured; absent: 9180 on loopback or the next free one.
  std::string admin_socket;                                             ///< Empty: none.
  std::optional<route::Bind> admin_loopback;                            ///< Absent: none.
  std::chrono::milliseconds drain_delay{0};                             ///< See the key.
  std::chrono::milliseconds drain_deadline{30000};                      ///< See the key.
  std::chrono::milliseconds upgrade_deadline{60000};                    ///< See the key.
  observe::AccessLogFormat access_log = observe::AccessLogFormat::Off;  ///< Form.
  std::string access_log_path;                                          ///< Empty: standard output.
  std::string log_level = "info";                                       ///< See the key.
  std::string log_path;                                                 ///< Empty: standard error.
};

/// Reads a checked document into `settings`. Absent keys leave what is there.
void readSettings(const ConfigNode& document, Settings& settings);

/// Reads and checks a configuration file; nothing, with at least one problem more, if it cannot be
/// used.
/// `${config_dir}` in it stands for the file's directory.
[[nodiscard]] std::optional<ConfigNode> readConfigFile(const std::string& path,
                                                       std::vector<ConfigProblem>& problems);

/// A key in which two documents differ.
struct ChangedKey {
  std::string name;   ///< E.g. "drain.delay".
  bool live = false;  ///< False: a restart is needed.
};

/// Compares two checked documents.
[[nodiscard]] std::vector<ChangedKey> changedKeys(const ConfigNode& before,
                                                  const ConfigNode& after);

/// Number of cores that this process may run on.
[[nodiscard]] unsigned coreCount();

}  // namespace hyperway::app
