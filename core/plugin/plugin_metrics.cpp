// SPDX-License-Identifier: Apache-2.0
#include "plugin/plugin_metrics.hpp"

#include <algorithm>
#include <cmath>

namespace hyperway::plugin {
namespace {

constexpr std::uint32_t kSlotsPerChunk = 512;
constexpr std::uint32_t kMaxSlots = 1U << 17;
constexpr std::size_t kMaxBuckets = 64;
constexpr std::array<double, 11> kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                             0.5,   1,    2.5,   5,    10};

// Prometheus metric and label names, lower case.
bool isName(std::string_view name) {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= 128 && first(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return first(c) || (c >= '0' && c <= '9'); });
}

bool isSound(const PluginMetrics::Definition& definition) {
  const bool labels =
      std::all_of(definition.labels.begin(), definition.labels.end(), [](auto& label) {
        return isName(label.first) && label.first != "plugin" && label.second.size() <= 256;
      });
  const bool ascending =
      std::is_sorted(definition.bounds.begin(), definition.bounds.end(), std::less_equal<>()) ||
      definition.bounds.size() < 2;
  const bool finite = std::all_of(definition.bounds.begin(), definition.bounds.end(),
                                  [](double bound) { return std::isfinite(bound); });
  return isName(definition.name) && labels && definition.labels.size() <= 8 &&
         definition.bounds.size() <= kMaxBuckets && ascending && finite;
}

std::string keyOf(std::string_view plugin, const PluginMetrics::Definition& definition) {
  std::string key(plugin);
  key += '\n';
  key += definition.name;
  for (const auto& [name, value] : definition.labels) {
    key += '\n';
    key += name;
    key += '=';
    key += value;
  }
  return key;
}

std::atomic<std::uint64_t> next_serial{1};

}  // namespace

struct PluginMetrics::Series {
  std::string plugin;
  Definition definition;
  std::uint32_t slot = 0;        // Counter: one. Histogram: the buckets, then the sum.
  std::atomic<double> gauge{0};  // A gauge is one value, not a sum over threads.
};

// Slots of one thread. Only that thread writes; collect() reads.
struct PluginMetrics::Shard {
  using Chunk = std::array<std::atomic<double>, kSlotsPerChunk>;
  std::array<std::atomic<Chunk*>, kMaxSlots / kSlotsPerChunk> chunks{};
  Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard() {
    for (auto& chunk : chunks) delete chunk.load(std::memory_order_relaxed);
  }
};

PluginMetrics::PluginMetrics() : serial_(next_serial.fetch_add(1)) {}

PluginMetrics::~PluginMetrics() {
  for (auto& series : series_) delete series.load(std::memory_order_relaxed);
}

hw_status PluginMetrics::define(std::string_view plugin, const Definition& definition,
                                hw_metric* metric) {
  *metric = 0;
  if (definition.kind < HW_METRIC_COUNTER || definition.kind > HW_METRIC_HISTOGRAM)
    return HW_UNSUPPORTED;
  if (!isSound(definition)) return HW_INVALID;
  const std::lock_guard lock(mutex_);
  const std::string key = keyOf(plugin, definition);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    if (find(found->second)->definition.kind != definition.kind) return HW_INVALID;
    *metric = found->second;
    return HW_OK;
  }
  auto series = std::make_unique<Series>();
  series->plugin = plugin;
  series->definition = definition;
  auto& bounds = series->definition.bounds;
  if (definition.kind != HW_METRIC_HISTOGRAM) bounds.clear();
  if (definition.kind == HW_METRIC_HISTOGRAM && bounds.empty())
    bounds.assign(kSeconds.begin(), kSeconds.end());
  const auto slots =
      static_cast<std::uint32_t>(definition.kind == HW_METRIC_HISTOGRAM ? bounds.size() + 2 : 1);
  const std::uint32_t id = count_.load(std::memory_order_relaxed);
  std::uint32_t& used = per_plugin_.try_emplace(std::string(plugin)).first->second;
  if (used >= kMaxPerPlugin || id >= kMaxSeries || next_slot_ + slots > kMaxSlots) return HW_LIMIT;
  ++used;
  series->slot = std::exchange(next_slot_, next_slot_ + slots);
  series_[id].store(series.release(), std::memory_order_release);
  count_.store(id + 1, std::memory_order_release);
  by_key_.emplace(key, id);
  *metric = id;
  return HW_OK;
}

const PluginMetrics::Series* PluginMetrics::find(hw_metric metric) const noexcept {
  if (metric == 0 || metric >= kMaxSeries) return nullptr;
  return series_[metric].load(std::memory_order_acquire);
}

PluginMetrics::Shard& PluginMetrics::shard() noexcept {
  thread_local std::uint64_t cached_serial = 0;
  thread_local Shard* cached = nullptr;
  if (cached_serial == serial_) return *cached;
  const std::lock_guard lock(mutex_);
  auto& own = shards_[std::this_thread::get_id()];
  if (own == nullptr) own = std::make_unique<Shard>();
  cached_serial = serial_;
  cached = own.get();
  return *cached;
}

void PluginMetrics::bump(std::uint32_t slot, double amount) noexcept {
  auto& chunk = shard().chunks[slot / kSlotsPerChunk];
  Shard::Chunk* values = chunk.load(std::memory_order_relaxed);
  if (values == nullptr) {
    values = new Shard::Chunk{};
    chunk.store(values, std::memory_order_release);
  }
  // A plain load and store: nobody else writes here.
  std::atomic<double>& value = (*values)[slot % kSlotsPerChunk];
  value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

void PluginMetrics::add(hw_metric metric, double amount) noexcept {
  const Series* series = find(metric);
  if (series == nullptr) return;
  if (series->definition.kind == HW_METRIC_GAUGE) {
    auto& gauge = const_cast<Series*>(series)->gauge;
    double before = gauge.load(std::memory_order_relaxed);
    while (!gauge.compare_exchange_weak(before, before + amount, std::memory_order_relaxed)) {
    }
  } else if (series->definition.kind == HW_METRIC_COUNTER && amount > 0) {
    bump(series->slot, amount);
  }
}

std::uint32_t PluginMetrics::counterSlot(hw_metric metric) const noexcept {
  const Series* series = find(metric);
  return series == nullptr || series->definition.kind != HW_METRIC_COUNTER ? kNoSlot : series->slot;
}

void PluginMetrics::set(hw_metric metric, double value) noexcept {
  const Series* series = find(metric);
  if (series != nullptr && series->definition.kind == HW_METRIC_GAUGE)
    const_cast<Series*>(series)->gauge.store(value, std::memory_order_relaxed);
}

void PluginMetrics::observe(hw_metric metric, double value) noexcept {
  const Series* series = find(metric);
  if (series == nullptr || series->definition.kind != HW_METRIC_HISTOGRAM || std::isnan(value))
    return;
  const auto& bounds = series->definition.bounds;
  const auto bucket = static_cast<std::uint32_t>(
      std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
  bump(series->slot + bucket, 1);
  bump(series->slot + static_cast<std::uint32_t>(bounds.size()) + 1, value);
}

double PluginMetrics::total(std::uint32_t slot) const noexcept {
  double sum = 0;
  for (const auto& [thread, shard] : shards_) {
    const auto* values = shard->chunks[slot / kSlotsPerChunk].load(std::memory_order_acquire);
    if (values != nullptr) sum += (*values)[slot % kSlotsPerChunk].load(std::memory_order_relaxed);
  }
  return sum;
}

std::vector<SeriesValue> PluginMetrics::collect() const {
  const std::lock_guard lock(mutex_);
  std::vector<SeriesValue> out;
  const std::uint32_t count = count_.load(std::memory_order_acquire);
  for (std::uint32_t id = 1; id < count; ++id) {
    const Series& series = *find(id);
    SeriesValue value;
    value.name = "hyperway_plugin_" + series.definition.name;
    value.help = series.definition.help;
    value.kind = series.definition.kind;
    value.labels.emplace_back("plugin", series.plugin);
    for (const auto& label : series.definition.labels) value.labels.push_back(label);
    value.bounds = series.definition.bounds;
    if (value.kind == HW_METRIC_GAUGE) {
      value.value = series.gauge.load(std::memory_order_relaxed);
    } else if (value.kind == HW_METRIC_COUNTER) {
      value.value = total(series.slot);
    } else {
      const auto buckets = static_cast<std::uint32_t>(value.bounds.size() + 1);
      for (std::uint32_t i = 0; i < buckets; ++i)
        value.buckets.push_back(static_cast<std::uint64_t>(total(series.slot + i)));
      value.value = total(series.slot + buckets);
    }
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace hyperway::plugin
