// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/loader.hpp"

namespace hyperway::plugin {

/// A plugin as the configuration file names it.
struct PluginSpec {
  std::string name;  ///< Unique; what logs and `hyperway plugins` call it.
  std::string
      path;  ///< Absolute; empty: NAME.so in one of the registry's directories, or linked in.
  std::string sha256;       ///< 64 hex digits that the file must have; empty: any.
  std::string config_json;  ///< Its own part of the configuration, for `init`; may be empty.
};

/// A plugin that is linked into the process.
struct StaticPlugin {
  std::string name;                    ///< As in PluginSpec::name.
  const hw_plugin_manifest* manifest;  ///< Its manifest; lives for ever.
};

/// One line of `hyperway plugins`.
struct PluginInfo {
  std::string name, id, version, origin, sha256, abi_version;  ///< As loaded.
  std::vector<std::string> filters, sources, sinks;            ///< Ids of its classes.
};

/// What a reload did.
struct ReloadReport {
  std::vector<std::string> replaced;  ///< Names whose new version is at work now.
  std::vector<std::string> refused;   ///< "why": the old version, if there is one, stays at work.
  std::vector<std::string>
      filter_classes;  ///< Classes that are bound to other code now: rebind their rules.
};

/// A class with the plugin that offers it.
template <class Class>
struct ClassRef {
  std::shared_ptr<LoadedPlugin> plugin;  ///< Null: no plugin offers it.
  const Class* type = nullptr;           ///< Lives as long as the plugin.
  /// True if there is one.
  explicit operator bool() const noexcept { return plugin != nullptr; }
};

/// All plugins of the process. Nothing is ever unmapped, so replaced versions are counted, and
/// beyond kMaxReplaced a reload is refused until the process restarts. [control]
class PluginRegistry {
 public:
  /// Plugins without a path are looked for among `linked_in`, then as NAME.so in `directories`
  /// (absolute). `services` outlives the registry and everything made from it.
  PluginRegistry(HostServices& services, std::vector<std::string> directories,
                 std::vector<StaticPlugin> linked_in);
  PluginRegistry(const PluginRegistry&) = delete;
  PluginRegistry& operator=(const PluginRegistry&) = delete;
  /// Stops all plugins; those whose instances are gone are ended too.
  ~PluginRegistry();

  /// Loads all of them, or throws LoadError at the first that is missing or refused: a gateway
  /// without its authentication filter is worse than no gateway.
  void load(const std::vector<PluginSpec>& specs);
  /// Lets all plugins start threads, now and after each reload; where requests run only. Throws
  /// LoadError.
  void start();
  /// Compares with what is loaded: a plugin whose file content, hash or configuration changed is
  /// loaded beside the old version, new ones are added, missing ones are dropped. Never throws
  /// LoadError.
  [[nodiscard]] ReloadReport reload(const std::vector<PluginSpec>& specs);

  /// The filter class `id`.
  [[nodiscard]] ClassRef<hw_filter_class> findFilter(std::string_view id) const;
  /// The source class `id`.
  [[nodiscard]] ClassRef<hw_source_class> findSource(std::string_view id) const;
  /// The sink class `id`.
  [[nodiscard]] ClassRef<hw_sink_class> findSink(std::string_view id) const;
  /// Everything at work, in the order of loading.
  [[nodiscard]] std::vector<PluginInfo> list() const;
  /// How many versions were replaced since the process started.
  [[nodiscard]] std::uint32_t replacedCount() const noexcept { return replaced_; }

  /// Most versions that a process replaces.
  static constexpr std::uint32_t kMaxReplaced = 16;

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<LoadedPlugin> plugin;
  };

  [[nodiscard]] std::shared_ptr<LoadedPlugin> make(const PluginSpec& spec,
                                                   const LoadedPlugin* current);
  [[nodiscard]] SealedFile findFile(const PluginSpec& spec) const;
  [[nodiscard]] const StaticPlugin* findStatic(const PluginSpec& spec) const;
  void refuseClashes(const std::vector<Entry>& entries, const LoadedPlugin& added,
                     const std::string& name) const;
  [[nodiscard]] std::map<std::string, std::uint64_t> filterSerials() const;

  HostServices& services_;
  std::vector<std::string> directories_;
  std::vector<StaticPlugin> linked_in_;
  std::vector<Entry> entries_;
  // Why a file (hash and configuration) was refused. Loading it again would map it again, and for
  // ever.
  std::map<std::string, std::string> refused_;
  std::uint32_t replaced_ = 0;
  bool running_ = false;
};

}  // namespace hyperway::plugin
