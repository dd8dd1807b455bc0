// SPDX-License-Identifier: Apache-2.0
#include "app/sources.hpp"

#include "plugin/source_adapter.hpp"

namespace hyperway::app {

bool makeSources(const Settings& settings, plugin::PluginRegistry& registry,
                 control::Pipeline& pipeline,
                 std::vector<std::unique_ptr<control::Source>>& sources,
                 std::vector<ConfigProblem>& problems) {
  bool good = true;
  for (std::size_t i = 0; i < settings.sources.size(); ++i) {
    const SourceSpec& spec = settings.sources[i];
    const std::string file = spec.line > 0 ? settings.file : std::string();
    const std::string at = "/sources/" + std::to_string(i);
    const auto found = registry.findSource(spec.plugin);
    if (!found) {
      problems.push_back(
          {file, spec.line, at, "no plugin offers the source \"" + spec.plugin + '"', false});
      good = false;
      continue;
    }
    Problems wrong;
    auto source = plugin::makeSource(found.plugin, *found.type, spec.config_json,
                                     pipeline.makePort(spec.plugin), wrong);
    for (const Problem& problem : wrong.list())
      problems.push_back({file, spec.line, at + "/config" + problem.pointer,
                          spec.plugin + ": " + problem.message,
                          problem.severity == Severity::Warning});
    good = good && source != nullptr;
    if (!source) continue;
    pipeline.addSource(*source);
    sources.push_back(std::move(source));
  }
  return good;
}

}  // namespace hyperway::app
