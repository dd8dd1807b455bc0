// SPDX-License-Identifier: Apache-2.0
#include "app/sources.hpp"

#include "plugin/sink_adapter.hpp"
#include "plugin/source_adapter.hpp"

namespace hyperway::app {
namespace {

// What is wrong with the settings of a source or sink, with its place in the configuration file.
void addProblems(const Problems& wrong, const std::string& plugin, const std::string& file,
                 std::size_t line, const std::string& at, std::vector<ConfigProblem>& problems) {
  for (const Problem& problem : wrong.list())
    problems.push_back({file, line, at + "/config" + problem.pointer,
                        plugin + ": " + problem.message, problem.severity == Severity::Warning});
}

// Makes what `specs` name: `find` looks up a class by its id, `make` takes it, the spec, and where
// problems go, and is false if nothing came of it.
template <typename Find, typename Make>
bool makeEach(const std::vector<InstanceSpec>& specs, std::string_view what,
              const std::string& settings_file, std::vector<ConfigProblem>& problems, Find find,
              Make make) {
  bool good = true;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const InstanceSpec& spec = specs[i];
    const std::string file = spec.line > 0 ? settings_file : std::string();
    const std::string at = '/' + std::string(what) + "s/" + std::to_string(i);
    const auto found = find(spec.plugin);
    if (!found) {
      problems.push_back({file, spec.line, at,
                          "no plugin offers the " + std::string(what) + " \"" + spec.plugin + '"',
                          false});
      good = false;
      continue;
    }
    Problems wrong;
    good = make(found, spec, wrong) && good;
    addProblems(wrong, spec.plugin, file, spec.line, at, problems);
  }
  return good;
}

}  // namespace

bool makeSources(const Settings& settings, plugin::PluginRegistry& registry,
                 control::Pipeline& pipeline,
                 std::vector<std::unique_ptr<control::Source>>& sources,
                 std::vector<ConfigProblem>& problems) {
  return makeEach(
      settings.sources, "source", settings.file, problems,
      [&](const std::string& id) { return registry.findSource(id); },
      [&](const auto& found, const InstanceSpec& spec, Problems& wrong) {
        auto source = plugin::makeSource(found.plugin, *found.type, spec.config_json,
                                         pipeline.makePort(spec.plugin), wrong);
        if (!source) return false;
        pipeline.addSource(*source);
        sources.push_back(std::move(source));
        return true;
      });
}

bool makeSinks(const Settings& settings, plugin::PluginRegistry& registry,
               std::vector<std::unique_ptr<control::Sink>>& sinks,
               std::vector<ConfigProblem>& problems) {
  return makeEach(
      settings.sinks, "sink", settings.file, problems,
      [&](const std::string& id) { return registry.findSink(id); },
      [&](const auto& found, const InstanceSpec& spec, Problems& wrong) {
        auto sink = plugin::makeSink(found.plugin, *found.type, spec.config_json, wrong);
        if (!sink) return false;
        sinks.push_back(std::move(sink));
        return true;
      });
}

}  // namespace hyperway::app
