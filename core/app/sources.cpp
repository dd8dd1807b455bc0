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

}  // namespace

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
    addProblems(wrong, spec.plugin, file, spec.line, at, problems);
    good = good && source != nullptr;
    if (!source) continue;
    pipeline.addSource(*source);
    sources.push_back(std::move(source));
  }
  return good;
}

bool makeSinks(const Settings& settings, plugin::PluginRegistry& registry,
               std::vector<std::unique_ptr<control::Sink>>& sinks,
               std::vector<ConfigProblem>& problems) {
  bool good = true;
  for (std::size_t i = 0; i < settings.sinks.size(); ++i) {
    const SinkSpec& spec = settings.sinks[i];
    const std::string file = spec.line > 0 ? settings.file : std::string();
    const std::string at = "/sinks/" + std::to_string(i);
    const auto found = registry.findSink(spec.plugin);
    if (!found) {
      problems.push_back(
          {file, spec.line, at, "no plugin offers the sink \"" + spec.plugin + '"', false});
      good = false;
      continue;
    }
    Problems wrong;
    auto sink = plugin::makeSink(found.plugin, *found.type, spec.config_json, wrong);
    addProblems(wrong, spec.plugin, file, spec.line, at, problems);
    good = good && sink != nullptr;
    if (sink) sinks.push_back(std::move(sink));
  }
  return good;
}

}  // namespace hyperway::app
