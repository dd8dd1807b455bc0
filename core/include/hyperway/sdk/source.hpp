// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>

#include "hyperway/abi/draft/source.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/sdk/host.hpp"

namespace hyperway::sdk {

/// How a source is doing.
enum class Health : std::int32_t {
  Ok = HW_HEALTH_OK,
  Degraded = HW_HEALTH_DEGRADED,
  Failed = HW_HEALTH_FAILED,
};

/// Which objects a re-list covers; an empty part means all.
struct Scope {
  std::string_view group;             ///< "" with an empty kind: all groups.
  std::string_view kind;              ///< "HTTPRoute"
  std::string_view object_namespace;  ///< "default"
};

/// The way from a source into the host. A value to copy; valid until the source's stop() returned.
/// Any thread.
class SourcePort {
 public:
  /// Wraps the host's port, which outlives the source's stop().
  explicit SourcePort(const hw_source_port* port) noexcept : port_(port) {}

  /// Publishes a batch; see hw_source_port.publish. HW_INVALID if it cannot be read, and then
  /// nothing of it takes effect.
  hw_status publish(std::int32_t kind, std::uint32_t flags, const Scope& scope, std::uint64_t seq,
                    std::string_view document) const noexcept {
    hw_scope raw{};
    raw.struct_size = sizeof raw;
    raw.group = bytesOf(scope.group);
    raw.kind = bytesOf(scope.kind);
    raw.object_namespace = bytesOf(scope.object_namespace);
    return port_->publish(port_->ctx, kind, flags, &raw, seq, bytesOf(document));
  }
  /// Reports how the source is doing, with a reason in the user's words.
  void health(Health state, std::string_view reason) const noexcept {
    port_->health(port_->ctx, static_cast<std::int32_t>(state), bytesOf(reason));
  }

 private:
  const hw_source_port* port_;
};

/// The hw_source_class of a source written with the SDK:
///
///   class MySource {
///    public:
///     static constexpr const char* kId = "my_source";
///     MySource(sdk::Setup& setup, sdk::SourcePort port);   // reads configuration, contacts
///     nothing void start();                                        // starts its thread, returns
///     at once void stop();                                         // joins it; no publish
///     afterwards void reportStatus(std::uint64_t seq, std::string_view statuses);              //
///     optional hw_status locate(std::string_view key, std::string_view pointer,
///                      sdk::Problems& where);  // optional; answers by where.note("", "file:line")
///   };
///
/// All calls are on the control thread. Exceptions become errors.
template <class S>
class SourceClass {
  struct Box {
    Box(Setup& setup, const hw_source_port* port)
        : services(setup.services()), source(setup, SourcePort(port)) {}
    Services services;
    S source;
  };

  static hw_status create(const hw_host* host, const hw_source_port* port, hw_bytes json,
                          const hw_diag* diag, void** source) noexcept {
    Problems problems(diag);
    try {
      Setup setup(Services::of(host), viewOf(json), problems);
      if (problems.failed()) return HW_INVALID;
      auto box = std::make_unique<Box>(setup, port);
      if (problems.failed()) return HW_INVALID;
      *source = box.release();
      return HW_OK;
    } catch (const std::exception& error) {
      problems.error("", error.what());
    } catch (...) {
      problems.error("", "unknown exception while the source was made");
    }
    return HW_FAILED;
  }
  template <class Call>
  static hw_status run(void* source, Call&& call) noexcept {
    Box& box = *static_cast<Box*>(source);
    try {
      call(box.source);
      return HW_OK;
    } catch (const std::exception& error) {
      Log(box.services).write(Level::Error, "exception in a source", {{"what", error.what()}});
    } catch (...) {
      Log(box.services).write(Level::Error, "unknown exception in a source");
    }
    return HW_FAILED;
  }
  static hw_status start(void* source) noexcept {
    return run(source, [](S& s) { s.start(); });
  }
  static void reportStatus(void* source, std::uint64_t seq, hw_bytes statuses) noexcept {
    (void)run(source, [&](auto& s) {  // Logged there; the caller has no use for it.
      if constexpr (requires { s.reportStatus(seq, viewOf(statuses)); })
        s.reportStatus(seq, viewOf(statuses));
    });
  }
  static hw_status locate(void* source, hw_bytes key, hw_bytes pointer,
                          const hw_diag* diag) noexcept {
    hw_status found = HW_UNSUPPORTED;
    const hw_status done = run(source, [&](auto& s) {
      Problems where(diag);
      if constexpr (requires { s.locate(viewOf(key), viewOf(pointer), where); })
        found = s.locate(viewOf(key), viewOf(pointer), where);
    });
    return done == HW_OK ? found : done;
  }
  static void stop(void* source) noexcept {
    (void)run(source, [](S& s) { s.stop(); });  // Logged there; stopping goes on.
  }
  static void destroy(void* source) noexcept { delete static_cast<Box*>(source); }

 public:
  /// The class as the host sees it.
  static constexpr hw_source_class kClass = {
      sizeof(hw_source_class), 0, S::kId, &create, &start, &reportStatus, &locate, &stop, &destroy};
};

/// Names the source classes of a plugin, for HYPERWAY_PLUGIN.
template <class... S>
struct Sources {
  /// Which factory these are.
  static constexpr std::string_view kFactoryId = HW_SOURCE_FACTORY;
  /// The classes, as the host takes them.
  static constexpr const void* kClasses[] = {&SourceClass<S>::kClass...};
  /// The factory itself.
  static constexpr hw_factory kFactory = {sizeof(hw_factory), sizeof...(S), kClasses};
};

}  // namespace hyperway::sdk
