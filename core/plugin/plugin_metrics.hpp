// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "hyperway/abi/service/metrics.h"

namespace hyperway::plugin {

/// One series with its value at the time of a collection, for /metrics.
struct SeriesValue {
  std::string name;                                         ///< With the prefix "hyperway_plugin_".
  std::string help;                                         ///< One sentence.
  std::int32_t kind;                                        ///< HW_METRIC_*.
  std::vector<std::pair<std::string, std::string>> labels;  ///< plugin="<id>" first.
  double value = 0;            ///< Counter or gauge; of a histogram the sum of the observations.
  std::vector<double> bounds;  ///< Histogram: upper bounds, ascending.
  std::vector<std::uint64_t>
      buckets;  ///< Histogram: counts per bucket, not summed up; one more than bounds.
};

/// What plugins count. Each thread writes to memory of its own, so recording takes no lock and
/// shares no cache line; collect() adds up.
class PluginMetrics {
 public:
  PluginMetrics();
  PluginMetrics(const PluginMetrics&) = delete;
  PluginMetrics& operator=(const PluginMetrics&) = delete;
  ~PluginMetrics();

  /// What to define; a bounds list is for histograms only.
  struct Definition {
    std::int32_t kind = HW_METRIC_COUNTER;                    ///< HW_METRIC_*.
    std::string name;                                         ///< Without prefix.
    std::string help;                                         ///< One sentence.
    std::vector<std::pair<std::string, std::string>> labels;  ///< Fixed values.
    std::vector<double> bounds;                               ///< Empty: the default for seconds.
  };
  /// Defines a series of `plugin`, or finds the same one again. HW_INVALID, HW_UNSUPPORTED,
  /// HW_LIMIT. [control]
  hw_status define(std::string_view plugin, const Definition& definition, hw_metric* metric);

  /// Adds to a counter (never negative) or a gauge. [any]
  void add(hw_metric metric, double amount) noexcept;
  /// Where a counter is counted: what addTo() takes; kNoSlot if there is no such counter.
  [[nodiscard]] std::uint32_t counterSlot(hw_metric metric) const noexcept;
  /// Adds to a counter without looking it up; for what is counted with each call. [any]
  void addTo(std::uint32_t slot, double amount) noexcept {
    if (slot != kNoSlot) bump(slot, amount);
  }
  /// No counter.
  static constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};
  /// Sets a gauge. [any]
  void set(hw_metric metric, double value) noexcept;
  /// Records an observation. [any]
  void observe(hw_metric metric, double value) noexcept;

  /// All series with their values. [any]
  [[nodiscard]] std::vector<SeriesValue> collect() const;

  /// Most series of one plugin.
  static constexpr std::uint32_t kMaxPerPlugin = 1000;
  /// Most series of all plugins.
  static constexpr std::uint32_t kMaxSeries = 8192;

 private:
  struct Series;
  struct Shard;

  [[nodiscard]] const Series* find(hw_metric metric) const noexcept;
  void bump(std::uint32_t slot, double amount) noexcept;
  [[nodiscard]] Shard& shard() noexcept;
  [[nodiscard]] double total(std::uint32_t slot) const noexcept;

  const std::uint64_t serial_;  // Tells instances apart in the threads' caches.
  mutable std::mutex mutex_;
  std::map<std::string, hw_metric> by_key_;
  std::map<std::string, std::uint32_t, std::less<>> per_plugin_;
  std::uint32_t next_slot_ = 0;
  std::array<std::atomic<Series*>, kMaxSeries> series_{};
  std::atomic<std::uint32_t> count_{1};  // Id 0 is never given out.
  std::map<std::thread::id, std::unique_ptr<Shard>> shards_;
};

}  // namespace hyperway::plugin
