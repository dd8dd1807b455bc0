// SPDX-License-Identifier: Apache-2.0
#include "plugin/loader.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <utility>

#include "plugin/abi_bytes.hpp"
#include "plugin/diagnostics.hpp"
#include "plugin/load_error.hpp"

namespace hyperway::plugin {
namespace {

std::atomic<std::uint64_t> next_serial{1};

std::string describe(const Problems& problems) {
  std::string out;
  for (const Problem& problem : problems.list()) {
    if (!out.empty()) out += "; ";
    if (!problem.pointer.empty()) out += problem.pointer + ": ";
    out += problem.message;
  }
  return out;
}

}  // namespace

LoadedPlugin::LoadedPlugin(const hw_plugin_manifest& manifest, std::string origin,
                           std::string sha256, std::string config_json, HostServices& services)
    : manifest_(manifest),
      origin_(std::move(origin)),
      sha256_(std::move(sha256)),
      config_json_(std::move(config_json)),
      serial_(next_serial.fetch_add(1)),
      host_(nullptr) {
  checkManifest(manifest_, origin_);
  id_ = manifest_.id;
  version_ = manifest_.version;
  abi_version_ = std::to_string(manifest_.abi_major) + "." + std::to_string(manifest_.abi_minor);
  // Not owned by us: the code stays mapped for ever, and so must what it may still point to.
  host_ = &services.addPlugin(id_);
  init();
}

void LoadedPlugin::init() {
  Problems problems;
  Diagnostics diagnostics(problems);
  initialised_ = diagnostics.accepted("its init", [this, &diagnostics] {
    return manifest_.init(host_->handle(), bytesOf(config_json_), diagnostics.handle());
  });
  if (!initialised_) throw LoadError(origin_ + " (" + id_ + "): init: " + describe(problems));
  try {
    filters_ = filterClasses(manifest_.get_factory(HW_FILTER_FACTORY), origin_);
    sources_ = sourceClasses(manifest_.get_factory(HW_SOURCE_FACTORY), origin_);
    sinks_ = sinkClasses(manifest_.get_factory(HW_SINK_FACTORY), origin_);
    if (filters_.empty() && sources_.empty() && sinks_.empty())
      throw LoadError(origin_ + " (" + id_ +
                      "): offers no filter, source or sink that this host knows");
    return;
  } catch (const LoadError&) {
    if (manifest_.deinit != nullptr) manifest_.deinit();
    throw;
  } catch (...) {
    // Whatever a plugin throws here, it is not to be trusted with deinit either.
  }
  throw LoadError(origin_ + " (" + id_ + "): threw an exception from get_factory");
}

std::shared_ptr<LoadedPlugin> LoadedPlugin::fromFile(SealedFile file,
                                                     const std::string& config_json,
                                                     HostServices& services) {
  const std::string path = file.path();
  const std::string sha256 = file.sha256();
  const hw_plugin_manifest& manifest = loadSharedObject(std::move(file));
  return std::shared_ptr<LoadedPlugin>(
      new LoadedPlugin(manifest, path, sha256, config_json, services));
}

std::shared_ptr<LoadedPlugin> LoadedPlugin::fromManifest(const hw_plugin_manifest& manifest,
                                                         const std::string& name,
                                                         const std::string& config_json,
                                                         HostServices& services) {
  return std::shared_ptr<LoadedPlugin>(
      new LoadedPlugin(manifest, "static:" + name, "", config_json, services));
}

void LoadedPlugin::start() {
  if (started_ || manifest_.start == nullptr) return;
  try {
    if (const hw_status status = manifest_.start(); status != HW_OK)
      throw LoadError(origin_ + " (" + id_ + "): start failed with status " +
                      std::to_string(status));
  } catch (const LoadError&) {
    throw;
  } catch (...) {
    throw LoadError(origin_ + " (" + id_ + "): threw an exception from start");
  }
  started_ = true;
}

void LoadedPlugin::stop() noexcept {
  if (!std::exchange(started_, false) || manifest_.stop == nullptr) return;
  try {
    manifest_.stop();
  } catch (...) {
    host_->countFault();
  }
}

LoadedPlugin::~LoadedPlugin() {
  stop();
  if (!initialised_ || manifest_.deinit == nullptr) return;
  try {
    manifest_.deinit();
  } catch (...) {
    host_->countFault();
  }
}

}  // namespace hyperway::plugin
