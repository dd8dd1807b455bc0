// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <memory>
#include <string_view>

#include "hyperway/abi/manifest.h"
#include "hyperway/sdk/config.hpp"
#include "hyperway/sdk/filter.hpp"
#include "hyperway/sdk/host.hpp"
#include "hyperway/sdk/sink.hpp"
#include "hyperway/sdk/source.hpp"

namespace hyperway::sdk {

/// Gives a plugin an object of its own, for what all its classes share (a thread that looks
/// something up, for instance). `T` is made from `Setup&` in `init` and destroyed in `deinit`; if
/// it has them, `void start()` and `void stop()` are called where requests run. Name it in
/// HYPERWAY_PLUGIN beside Filters<...>; reach it by Global<T>::get().
template <class T>
class Global {
 public:
  /// No factory: classes come from Filters, Sources, Sinks.
  static constexpr std::string_view kFactoryId = "";
  /// No classes either.
  static constexpr hw_factory kFactory = {sizeof(hw_factory), 0, nullptr};

  /// The object; null before `init` and after `deinit`.
  [[nodiscard]] static T* get() noexcept { return instance().get(); }
  /// For the SDK: makes the object. Control thread.
  static void make(Setup& setup) { instance() = std::make_unique<T>(setup); }
  /// For the SDK: destroys the object. Control thread.
  static void drop() noexcept { instance().reset(); }

 private:
  // The ABI's init/deinit carry no context, so the plugin's object has to be static.
  static std::unique_ptr<T>& instance() noexcept {
    static std::unique_ptr<T> object;
    return object;
  }
};

namespace detail {

/// The manifest's functions for a list of kinds.
template <class... Kinds>
struct Manifest {
  static hw_status init(const hw_host* host, hw_bytes json, const hw_diag* diag) noexcept {
    Problems problems(diag);
    try {
      Setup setup(Services::of(host), viewOf(json), problems);
      if constexpr (!(isGlobal<Kinds>() || ...)) setup.config().only({});
      if (!problems.failed()) (makeGlobal<Kinds>(setup), ...);
      if (!problems.failed()) return HW_OK;
      (dropGlobal<Kinds>(), ...);
      return HW_INVALID;
    } catch (const std::exception& error) {
      problems.error("", error.what());
    } catch (...) {
      problems.error("", "unknown exception in init");
    }
    (dropGlobal<Kinds>(), ...);
    return HW_FAILED;
  }
  static hw_status start() noexcept {
    try {
      (startGlobal<Kinds>(), ...);
      return HW_OK;
    } catch (...) {
      return HW_FAILED;
    }
  }
  static void stop() noexcept {
    try {
      (stopGlobal<Kinds>(), ...);
    } catch (...) {
      // There is nobody to tell: the plugin is on its way out.
    }
  }
  static void deinit() noexcept { (dropGlobal<Kinds>(), ...); }
  static const void* getFactory(const char* id) noexcept {
    const hw_factory* found = nullptr;
    ((Kinds::kFactoryId == std::string_view(id) ? found = &Kinds::kFactory : nullptr), ...);
    return found;
  }

 private:
  template <class K>
  static constexpr bool isGlobal() {
    return requires { K::get(); };
  }
  template <class K>
  static void makeGlobal(Setup& setup) {
    if constexpr (isGlobal<K>()) K::make(setup);
  }
  template <class K>
  static void startGlobal() {
    if constexpr (isGlobal<K>())
      if constexpr (requires { K::get()->start(); }) K::get()->start();
  }
  template <class K>
  static void stopGlobal() {
    if constexpr (isGlobal<K>())
      if constexpr (requires { K::get()->stop(); }) K::get()->stop();
  }
  template <class K>
  static void dropGlobal() noexcept {
    if constexpr (isGlobal<K>()) K::drop();
  }
};

}  // namespace detail

/// A manifest for the kinds of a plugin. Use HYPERWAY_PLUGIN instead of calling this.
template <class... Kinds>
[[nodiscard]] consteval hw_plugin_manifest manifest(const char* id, const char* version) {
  using Functions = detail::Manifest<Kinds...>;
  hw_plugin_manifest out{};
  out.magic = HW_PLUGIN_MAGIC;
  out.struct_size = sizeof out;
  out.abi_major = HW_ABI_MAJOR;
  out.abi_minor = HW_ABI_MINOR;
  out.abi_minor_needed = 0;
  out.id = id;
  out.version = version;
  out.init = &Functions::init;
  out.start = &Functions::start;
  out.stop = &Functions::stop;
  out.deinit = &Functions::deinit;
  out.get_factory = &Functions::getFactory;
  return out;
}

}  // namespace hyperway::sdk

/// Defines the plugin's one exported symbol, at file scope, once:
///   HYPERWAY_PLUGIN("com.example.hello", "1.0.0", hyperway::sdk::Filters<Hello>);
#define HYPERWAY_PLUGIN(id, version, ...)                                \
  extern "C" HW_EXPORT const hw_plugin_manifest HYPERWAY_PLUGIN_SYMBOL;  \
  extern "C" constinit const hw_plugin_manifest HYPERWAY_PLUGIN_SYMBOL = \
      ::hyperway::sdk::manifest<__VA_ARGS__>(id, version)
