// SPDX-License-Identifier: Apache-2.0
#include "app/plugin_set.hpp"

#include <algorithm>
#include <filesystem>

namespace hyperway::app {
namespace {

// Not every file of the directory: a plugin has the gateway's privileges, so somebody must have
// named it.
constexpr const char* kShipped[] = {"header_modifier", "redirect", "url_rewrite", "cors",
                                    "external_auth",   "api_key",  "rate_limit",  "json_mask"};

bool isNamed(const std::vector<plugin::PluginSpec>& specs, const std::string& name) {
  return std::any_of(specs.begin(), specs.end(),
                     [&](const auto& spec) { return spec.name == name; });
}

}  // namespace

std::string pluginDirectory(const std::string& wanted) {
  std::error_code error;
  if (!wanted.empty()) return std::filesystem::absolute(wanted, error).string();
  const auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  return (binary.parent_path().parent_path() / "lib" / "hyperway" / "plugins").string();
}

std::vector<plugin::PluginSpec> pluginSpecs(const Settings& settings,
                                            const std::string& directory) {
  std::vector<plugin::PluginSpec> out;
  std::error_code error;
  for (const char* name : kShipped)
    if (!isNamed(settings.plugins, name) &&
        std::filesystem::exists(directory + '/' + name + ".so", error))
      out.push_back({name, "", "", ""});
  for (const auto* specs : {&settings.sources, &settings.sinks})
    for (const InstanceSpec& spec : *specs)
      if (!isNamed(settings.plugins, spec.plugin) && !isNamed(out, spec.plugin))
        out.push_back({spec.plugin, "", "", ""});
  out.insert(out.end(), settings.plugins.begin(), settings.plugins.end());
  return out;
}

bool checkNamedPlugins(const Settings& settings, const std::string& directory,
                       std::vector<ConfigProblem>& problems) {
  bool good = true;
  const auto check = [&](const auto& specs, std::string_view list) {
    for (std::size_t i = 0; i < specs.size(); ++i) {
      const auto& spec = specs[i];
      std::error_code error;
      if (isNamed(settings.plugins, spec.plugin) ||
          std::filesystem::exists(directory + '/' + spec.plugin + ".so", error))
        continue;
      problems.push_back({spec.line > 0 ? settings.file : "", spec.line,
                          std::string(list) + std::to_string(i) + "/plugin",
                          "there is no plugin \"" + spec.plugin + "\" in " + directory +
                              ", and `plugins` names none",
                          false});
      good = false;
    }
  };
  check(settings.sources, "/sources/");
  check(settings.sinks, "/sinks/");
  return good;
}

}  // namespace hyperway::app
