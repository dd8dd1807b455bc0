// SPDX-License-Identifier: Apache-2.0
#include "plugin/registry.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/bytes.hpp"
#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

void checkHash(const SealedFile& file, const std::string& wanted) {
  if (wanted.empty() || equalsIgnoreCase(wanted, file.sha256())) return;
  throw LoadError(file.path() + ": its SHA-256 is " + file.sha256() +
                  ", the configuration asks for " + wanted +
                  "; somebody changed the file, or the configuration was not updated");
}

void checkUnique(const std::vector<PluginSpec>& specs) {
  for (std::size_t i = 0; i < specs.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (specs[i].name == specs[k].name)
        throw LoadError("plugin \"" + specs[i].name + "\" is named twice in the configuration");
}

template <class Class>
std::vector<std::string> idsOf(const std::vector<Class>& classes) {
  std::vector<std::string> out;
  for (const Class& one : classes) out.emplace_back(one.id);
  return out;
}

template <class Class, class List>
ClassRef<Class> findClass(const List& entries,
                          const std::vector<Class>& (LoadedPlugin::*classes)() const noexcept,
                          std::string_view id) {
  for (const auto& entry : entries)
    for (const Class& one : ((*entry.plugin).*classes)())
      if (id == one.id) return {entry.plugin, &one};
  return {};
}

template <class Class>
void refuseClash(const std::vector<Class>& theirs, const std::vector<Class>& added,
                 const char* kind, const std::string& their_name, const std::string& name) {
  for (const Class& one : added)
    for (const Class& other : theirs)
      if (std::string_view(one.id) == other.id)
        throw LoadError("plugins \"" + their_name + "\" and \"" + name + "\" both offer the " +
                        kind + " \"" + one.id + "\"; remove one of them from the configuration");
}

}  // namespace

PluginRegistry::PluginRegistry(HostServices& services, std::vector<std::string> directories,
                               std::vector<StaticPlugin> linked_in)
    : services_(services), directories_(std::move(directories)), linked_in_(std::move(linked_in)) {}

PluginRegistry::~PluginRegistry() {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) entry->plugin->stop();
  while (!entries_.empty()) entries_.pop_back();  // In reverse order of creation.
}

const StaticPlugin* PluginRegistry::findStatic(const PluginSpec& spec) const {
  if (!spec.path.empty()) return nullptr;
  for (const StaticPlugin& plugin : linked_in_)
    if (plugin.name == spec.name) return &plugin;
  return nullptr;
}

SealedFile PluginRegistry::findFile(const PluginSpec& spec) const {
  if (!spec.path.empty()) return SealedFile::copyOf(spec.path);
  if (spec.name.empty() || spec.name.find('/') != std::string::npos)
    throw LoadError("\"" + spec.name +
                    "\" is not a plugin's name; give its file as an absolute path");
  std::string looked;
  for (const std::string& directory : directories_) {
    const std::string path = directory + "/" + spec.name + ".so";
    if (std::filesystem::exists(path)) return SealedFile::copyOf(path);
    looked += (looked.empty() ? "" : ", ") + directory;
  }
  throw LoadError("plugin \"" + spec.name + "\" is not there: looked for " + spec.name + ".so in " +
                  (looked.empty() ? "no directory, since none is configured" : looked));
}

std::shared_ptr<LoadedPlugin> PluginRegistry::make(const PluginSpec& spec,
                                                   const LoadedPlugin* current) {
  if (const StaticPlugin* linked = findStatic(spec)) {
    if (current != nullptr && current->configJson() == spec.config_json) return nullptr;
    if (current != nullptr)
      throw LoadError("plugin \"" + spec.name +
                      "\" is linked in: its configuration changes with a restart only");
    if (!spec.sha256.empty())
      throw LoadError("plugin \"" + spec.name +
                      "\" is linked in and has no file to check a hash of");
    return LoadedPlugin::fromManifest(*linked->manifest, spec.name, spec.config_json, services_);
  }
  SealedFile file = findFile(spec);
  checkHash(file, spec.sha256);
  if (current != nullptr && current->sha256() == file.sha256() &&
      current->configJson() == spec.config_json)
    return nullptr;
  if (current != nullptr && replaced_ >= kMaxReplaced)
    throw LoadError(
        file.path() + ": " + std::to_string(kMaxReplaced) +
        " versions of plugins were replaced already, and none is ever unmapped; restart "
        "hyperway to load this one");
  const std::string key = file.sha256() + '\n' + spec.config_json;
  if (const auto known = refused_.find(key); known != refused_.end())
    throw LoadError(known->second);
  try {
    return LoadedPlugin::fromFile(std::move(file), spec.config_json, services_);
  } catch (const LoadError& error) {
    refused_[key] = error.what();
    throw;
  }
}

void PluginRegistry::refuseClashes(const std::vector<Entry>& entries, const LoadedPlugin& added,
                                   const std::string& name) const {
  for (const Entry& entry : entries) {
    if (entry.name == name) continue;
    refuseClash(entry.plugin->filters(), added.filters(), "filter", entry.name, name);
    refuseClash(entry.plugin->sources(), added.sources(), "source", entry.name, name);
    refuseClash(entry.plugin->sinks(), added.sinks(), "sink", entry.name, name);
  }
}

void PluginRegistry::load(const std::vector<PluginSpec>& specs) {
  checkUnique(specs);
  for (const PluginSpec& spec : specs) {
    auto plugin = make(spec, nullptr);
    refuseClashes(entries_, *plugin, spec.name);
    entries_.push_back({spec.name, std::move(plugin)});
  }
}

void PluginRegistry::start() {
  running_ = true;
  for (const Entry& entry : entries_) entry.plugin->start();
}

std::map<std::string, std::uint64_t> PluginRegistry::filterSerials() const {
  std::map<std::string, std::uint64_t> out;
  for (const Entry& entry : entries_)
    for (const hw_filter_class& one : entry.plugin->filters()) out[one.id] = entry.plugin->serial();
  return out;
}

ReloadReport PluginRegistry::reload(const std::vector<PluginSpec>& specs) {
  ReloadReport report;
  try {
    checkUnique(specs);
  } catch (const LoadError& error) {
    report.refused.emplace_back(error.what());
    return report;
  }
  const auto before = filterSerials();
  std::vector<Entry> next;
  for (const PluginSpec& spec : specs) {
    const auto current = std::find_if(entries_.begin(), entries_.end(),
                                      [&](const Entry& entry) { return entry.name == spec.name; });
    const bool known = current != entries_.end();
    try {
      auto plugin = make(spec, known ? current->plugin.get() : nullptr);
      if (plugin == nullptr) {
        next.push_back(*current);
        continue;
      }
      // Against what is at work and what is about to be: a class may move between plugins only by
      // one reload that takes it away and another that gives it.
      refuseClashes(entries_, *plugin, spec.name);
      refuseClashes(next, *plugin, spec.name);
      if (running_) plugin->start();
      if (known) ++replaced_;
      report.replaced.push_back(spec.name);
      next.push_back({spec.name, std::move(plugin)});
    } catch (const LoadError& error) {
      report.refused.emplace_back(error.what());
      if (known) next.push_back(*current);
    }
  }
  entries_ = std::move(next);
  const auto after = filterSerials();
  for (const auto& [id, serial] : after) {
    const auto old = before.find(id);
    if (old == before.end() || old->second != serial) report.filter_classes.push_back(id);
  }
  for (const auto& [id, serial] : before)
    if (!after.contains(id)) report.filter_classes.push_back(id);
  return report;
}

ClassRef<hw_filter_class> PluginRegistry::findFilter(std::string_view id) const {
  return findClass<hw_filter_class>(entries_, &LoadedPlugin::filters, id);
}
ClassRef<hw_source_class> PluginRegistry::findSource(std::string_view id) const {
  return findClass<hw_source_class>(entries_, &LoadedPlugin::sources, id);
}
ClassRef<hw_sink_class> PluginRegistry::findSink(std::string_view id) const {
  return findClass<hw_sink_class>(entries_, &LoadedPlugin::sinks, id);
}

std::vector<PluginInfo> PluginRegistry::list() const {
  std::vector<PluginInfo> out;
  for (const auto& [name, plugin] : entries_)
    out.push_back({name, plugin->id(), plugin->version(), plugin->origin(), plugin->sha256(),
                   plugin->abiVersion(), idsOf(plugin->filters()), idsOf(plugin->sources()),
                   idsOf(plugin->sinks())});
  return out;
}

}  // namespace hyperway::plugin
