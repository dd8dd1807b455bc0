// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_pointer.hpp"
#include "plugin/host_services.hpp"
#include "plugin/manifest_check.hpp"
#include "plugin/shared_object.hpp"

namespace hyperway::plugin {

/// A plugin that passed every check and whose `init` succeeded. Its destructor calls `stop` (if
/// started) and `deinit`; the code stays mapped. Shared by the registry and by everything made from
/// its classes; the last one lets go on the control thread. [control]
class LoadedPlugin {
 public:
  /// Loads a file. Throws LoadError, with what the plugin itself reported. `init` gets
  /// `config_json`.
  [[nodiscard]] static std::shared_ptr<LoadedPlugin> fromFile(SealedFile file,
                                                              const std::string& config_json,
                                                              HostServices& services);
  /// The same for a plugin that is linked into the process; `name` stands for its file.
  [[nodiscard]] static std::shared_ptr<LoadedPlugin> fromManifest(
      const hw_plugin_manifest& manifest, const std::string& name, const std::string& config_json,
      HostServices& services);
  LoadedPlugin(const LoadedPlugin&) = delete;
  LoadedPlugin& operator=(const LoadedPlugin&) = delete;
  ~LoadedPlugin();

  /// Lets the plugin start threads; where requests run only. Throws LoadError if it fails.
  void start();
  /// Ends what start() began. Idempotent.
  void stop() noexcept;

  /// Id of its manifest.
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  /// Version of its manifest.
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  /// File it came from, or "static:NAME".
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  /// SHA-256 of the file; empty if linked in.
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }
  /// Its configuration, as given to `init`.
  [[nodiscard]] const std::string& configJson() const noexcept { return config_json_; }
  /// ABI version of its headers, "1.0".
  [[nodiscard]] const std::string& abiVersion() const noexcept { return abi_version_; }
  /// Tells apart what was loaded; rises, never reused.
  [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }
  /// Its view of the host.
  [[nodiscard]] PluginHost& host() const noexcept { return *host_; }
  /// Classes it offers.
  [[nodiscard]] const std::vector<hw_filter_class>& filters() const noexcept { return filters_; }
  /// Classes it offers.
  [[nodiscard]] const std::vector<hw_source_class>& sources() const noexcept { return sources_; }
  /// Classes it offers.
  [[nodiscard]] const std::vector<hw_sink_class>& sinks() const noexcept { return sinks_; }

 private:
  LoadedPlugin(const hw_plugin_manifest& manifest, std::string origin, std::string sha256,
               std::string config_json, HostServices& services);
  void init();

  const hw_plugin_manifest& manifest_;
  std::string origin_, sha256_, config_json_, id_, version_, abi_version_;
  std::uint64_t serial_;
  PluginHost* host_;
  bool initialised_ = false;
  bool started_ = false;
  std::vector<hw_filter_class> filters_;
  std::vector<hw_source_class> sources_;
  std::vector<hw_sink_class> sinks_;
};

}  // namespace hyperway::plugin
