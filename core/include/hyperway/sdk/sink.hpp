// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>

#include "hyperway/abi/draft/sink.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/sdk/host.hpp"

namespace hyperway::sdk {

/// Acknowledges what a sink was given. A value to copy; any thread, until stop() returned.
class SinkAck {
 public:
  /// Wraps the host's callback.
  SinkAck(void* ctx, void (*ack)(void*, std::uint64_t, hw_bytes)) noexcept : ctx_(ctx), ack_(ack) {}

  /// Says that `generation` is in use; `report` is JSON, see hw_sink_class.
  void operator()(std::uint64_t generation, std::string_view report) const noexcept {
    ack_(ctx_, generation, bytesOf(report));
  }

 private:
  void* ctx_;
  void (*ack_)(void*, std::uint64_t, hw_bytes);
};

/// The hw_sink_class of a sink written with the SDK:
///
///   class MySink {
///    public:
///     static constexpr const char* kId = "my_sink";
///     MySink(sdk::Setup& setup, sdk::SinkAck ack);
///     hw_status apply(std::uint64_t generation, std::uint32_t flags, std::string_view batch);
///     void stop();
///     static constexpr std::uint32_t kWants = HW_SINK_GATEWAYS_ONLY;  // optional
///   };
///
/// All calls are on the control thread. Exceptions become errors.
template <class S>
class SinkClass {
  struct Box {
    Box(Setup& setup, SinkAck ack) : services(setup.services()), sink(setup, ack) {}
    Services services;
    S sink;
  };

  static hw_status create(const hw_host* host, hw_bytes json, const hw_diag* diag, void* ack_ctx,
                          void (*ack)(void*, std::uint64_t, hw_bytes), void** sink) noexcept {
    Problems problems(diag);
    try {
      Setup setup(Services::of(host), viewOf(json), problems);
      if (problems.failed()) return HW_INVALID;
      auto box = std::make_unique<Box>(setup, SinkAck(ack_ctx, ack));
      if (problems.failed()) return HW_INVALID;
      *sink = box.release();
      return HW_OK;
    } catch (const std::exception& error) {
      problems.error("", error.what());
    } catch (...) {
      problems.error("", "unknown exception while the sink was made");
    }
    return HW_FAILED;
  }
  template <class Call>
  static hw_status run(void* sink, Call&& call) noexcept {
    Box& box = *static_cast<Box*>(sink);
    try {
      return call(box.sink);
    } catch (const std::exception& error) {
      Log(box.services).write(Level::Error, "exception in a sink", {{"what", error.what()}});
    } catch (...) {
      Log(box.services).write(Level::Error, "unknown exception in a sink");
    }
    return HW_FAILED;
  }
  static hw_status apply(void* sink, std::uint64_t generation, std::uint32_t flags,
                         hw_bytes batch) noexcept {
    return run(sink, [&](S& s) { return s.apply(generation, flags, viewOf(batch)); });
  }
  static constexpr std::uint32_t wants() {
    if constexpr (requires { S::kWants; }) return S::kWants;
    return 0;
  }
  static void stop(void* sink) noexcept {
    (void)run(sink, [](S& s) { return s.stop(), hw_status{HW_OK}; });  // Logged there.
  }
  static void destroy(void* sink) noexcept { delete static_cast<Box*>(sink); }

 public:
  /// The class as the host sees it.
  static constexpr hw_sink_class kClass = {
      sizeof(hw_sink_class), wants(), S::kId, &create, &apply, &stop, &destroy};
};

/// Names the sink classes of a plugin, for HYPERWAY_PLUGIN.
template <class... S>
struct Sinks {
  /// Which factory these are.
  static constexpr std::string_view kFactoryId = HW_SINK_FACTORY;
  /// The classes, as the host takes them.
  static constexpr const void* kClasses[] = {&SinkClass<S>::kClass...};
  /// The factory itself.
  static constexpr hw_factory kFactory = {sizeof(hw_factory), sizeof...(S), kClasses};
};

}  // namespace hyperway::sdk
