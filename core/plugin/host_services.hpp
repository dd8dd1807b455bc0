// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hyperway/abi/host.h"
#include "hyperway/abi/service/log.h"
#include "hyperway/abi/service/stream.h"
#include "plugin/plugin_metrics.hpp"
#include "proxy/filter.hpp"

namespace hyperway::plugin {

/// A line that a plugin logged. Views are for the call.
struct PluginLine {
  std::string_view plugin;   ///< Its id.
  std::int32_t level;        ///< HW_LOG_*.
  std::string_view message;  ///< As the plugin wrote it.
  std::span<const std::pair<std::string_view, std::string_view>> pairs;  ///< Key/value pairs.
  std::uint64_t stream_id;                                               ///< 0: not about a stream.
  std::uint64_t suppressed;  ///< Lines of this plugin left out since the last one.
};

/// Where plugins' log lines go; implemented by whoever runs the process log. Must not block.
class PluginLog {
 public:
  virtual ~PluginLog() = default;
  /// True if a line of that level would be written. [any]
  [[nodiscard]] virtual bool enabled(std::int32_t level) const noexcept = 0;
  /// Writes a line. [any]
  virtual void write(const PluginLine& line) noexcept = 0;
};

class HostServices;

/// One plugin's view of the host: owns the hw_host that the plugin gets. Lives as long
/// as the services: plugins are never unmapped and may keep the pointer.
class PluginHost {
 public:
  /// The view of plugin `plugin_id` on `services`, which it does not own. [control]
  PluginHost(HostServices& services, std::string plugin_id);
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  /// What goes to the plugin.
  [[nodiscard]] const hw_host* handle() const noexcept { return &host_; }
  /// The plugin's id.
  [[nodiscard]] const std::string& pluginId() const noexcept { return plugin_id_; }
  /// The services behind it.
  [[nodiscard]] HostServices& services() const noexcept { return services_; }
  /// Writes a log line in the plugin's name, within its rate. [any]
  void log(std::int32_t level, std::string_view message,
           std::span<const std::pair<std::string_view, std::string_view>> pairs,
           std::uint64_t stream_id) noexcept;

  /// Counts a call of a filter's hook that took `taken` ticks(). [any]
  void countCall(std::uint64_t taken) noexcept;
  /// Counts a hook that faulted, or an exception that reached us. [any]
  void countFault() noexcept;
  /// Counts and reports a call that took `micros`. [any]
  void reportSlow(std::string_view hook, double micros, std::uint64_t stream_id) noexcept;

  /// Lines per second that a plugin may log.
  static constexpr std::uint32_t kLinesPerSecond = 100;

 private:
  [[nodiscard]] bool mayLog() noexcept;

  HostServices& services_;
  std::string plugin_id_;
  hw_host host_{};
  std::atomic<std::uint64_t> log_window_{0};  // Second and lines in it, packed: see mayLog().
  std::atomic<std::uint64_t> suppressed_{0};
  hw_metric faults_ = 0;
  hw_metric slow_calls_ = 0;
  std::uint32_t calls_ = PluginMetrics::kNoSlot;
  std::uint32_t seconds_ = PluginMetrics::kNoSlot;
};

/// The services that this process offers to plugins (hyperway.log/1, metrics/1, clock/1, waker/1,
/// stream/1, body/1, callout/draft-1). One for the process; outlives every plugin.
class HostServices {
 public:
  /// What the process is like.
  struct Options {
    std::string version;               ///< Of hyperway.
    std::uint32_t workers = 1;         ///< Number of workers; 1 in `check`.
    PluginLog* log = nullptr;          ///< Borrowed; null: lines are dropped.
    proxy::WakeSink* wake = nullptr;   ///< Borrowed; null: wakers do nothing.
    double slow_call_micros = 10'000;  ///< A hook that takes longer is counted and named.
  };
  /// Services for all plugins of the process; what `options` borrows outlives them. [control]
  explicit HostServices(Options options);
  HostServices(const HostServices&) = delete;
  HostServices& operator=(const HostServices&) = delete;
  ~HostServices();

  /// What the process is like.
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  /// What plugins count.
  [[nodiscard]] PluginMetrics& metrics() noexcept { return metrics_; }
  /// The slow-call limit in ticks().
  [[nodiscard]] std::uint64_t slowTicks() const noexcept { return slow_ticks_; }
  /// Length of one of ticks().
  [[nodiscard]] double secondsPerTick() const noexcept { return seconds_per_tick_; }
  /// Makes the view of the host for one more plugin; kept for as long as these services. [control]
  [[nodiscard]] PluginHost& addPlugin(const std::string& plugin_id);
  /// Service table by id, or null.
  [[nodiscard]] static const void* find(std::string_view service_id) noexcept;

 private:
  Options options_;
  PluginMetrics metrics_;
  std::uint64_t slow_ticks_;
  double seconds_per_tick_;
  std::vector<std::unique_ptr<PluginHost>> plugins_;
};

}  // namespace hyperway::plugin
