// SPDX-License-Identifier: Apache-2.0
#include "plugin/host_services.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/clock.h"
#include "hyperway/abi/service/metrics.h"
#include "hyperway/abi/service/waker.h"
#include "plugin/abi_bytes.hpp"
#include "plugin/call_guard.hpp"
#include "plugin/callout_service.hpp"
#include "plugin/header_names.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

// A waker is a bare value that outlives its stream and knows no host, so where it goes is the
// process's: the sink of the HostServices that exist, if any.
std::atomic<proxy::WakeSink*> wake_sink{nullptr};

PluginHost& pluginOf(const hw_host* host) noexcept { return *static_cast<PluginHost*>(host->ctx); }

const void* getService(const hw_host*, const char* service_id) noexcept {
  return service_id != nullptr ? HostServices::find(service_id) : nullptr;
}

// ---- log

std::int32_t knownLevel(std::int32_t level) noexcept {
  return level >= HW_LOG_DEBUG && level <= HW_LOG_ERROR ? level : std::int32_t{HW_LOG_ERROR};
}

std::int32_t logEnabled(const hw_host* host, std::int32_t level) noexcept {
  const PluginLog* log = pluginOf(host).services().options().log;
  return log != nullptr && log->enabled(knownLevel(level)) ? 1 : 0;
}

std::uint64_t streamId(const hw_stream* stream) noexcept {
  if (stream == nullptr) return 0;
  return reinterpret_cast<proxy::FilterContext*>(const_cast<hw_stream*>(stream))->info().stream_id;
}

void logWrite(const hw_host* host, const hw_stream* stream, std::int32_t level, hw_bytes message,
              const hw_field* pairs, std::uint32_t count) noexcept {
  std::array<std::pair<std::string_view, std::string_view>, 16> list;
  const std::uint32_t kept = pairs == nullptr ? 0 : std::min<std::uint32_t>(count, list.size());
  for (std::uint32_t i = 0; i < kept; ++i)
    list[i] = {viewOf(pairs[i].name), viewOf(pairs[i].value)};
  pluginOf(host).log(knownLevel(level), viewOf(message), {list.data(), kept}, streamId(stream));
}

constexpr hw_log_api kLogApi = {sizeof(hw_log_api), 0, &logEnabled, &logWrite};

// ---- metrics

hw_status metricDefine(const hw_host* host, const hw_metric_definition* definition,
                       hw_metric* metric) noexcept {
  if (HookScope::active()) return HW_WRONG_STATE;
  if (definition == nullptr || metric == nullptr ||
      !HW_HAS(hw_metric_definition, definition, buckets))
    return HW_INVALID;
  PluginMetrics::Definition out;
  out.kind = definition->kind;
  out.name = viewOf(definition->name);
  out.help = viewOf(definition->help);
  for (std::uint32_t i = 0; definition->labels != nullptr && i < definition->label_count; ++i)
    out.labels.emplace_back(viewOf(definition->labels[i].name),
                            viewOf(definition->labels[i].value));
  if (definition->buckets != nullptr)
    out.bounds.assign(definition->buckets, definition->buckets + definition->bucket_count);
  PluginHost& plugin = pluginOf(host);
  return plugin.services().metrics().define(plugin.pluginId(), out, metric);
}

void metricAdd(const hw_host* host, hw_metric metric, double amount) noexcept {
  pluginOf(host).services().metrics().add(metric, amount);
}
void metricSet(const hw_host* host, hw_metric metric, double value) noexcept {
  pluginOf(host).services().metrics().set(metric, value);
}
void metricObserve(const hw_host* host, hw_metric metric, double value) noexcept {
  pluginOf(host).services().metrics().observe(metric, value);
}

constexpr hw_metrics_api kMetricsApi = {
    sizeof(hw_metrics_api), 0, &metricDefine, &metricAdd, &metricSet, &metricObserve};

// ---- clock

std::uint64_t nanoseconds(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t monotonic(const hw_host*) noexcept { return nanoseconds(CLOCK_MONOTONIC); }
std::int64_t unixTime(const hw_host*) noexcept {
  return static_cast<std::int64_t>(nanoseconds(CLOCK_REALTIME));
}

constexpr hw_clock_api kClockApi = {sizeof(hw_clock_api), 0, &monotonic, &unixTime};

// ---- waker

hw_waker wakerGet(hw_stream* stream) noexcept {
  const proxy::Waker waker = reinterpret_cast<proxy::FilterContext*>(stream)->waker();
  return {{waker.where, waker.serial}};
}

void wakerWake(hw_waker waker, std::uint64_t token) noexcept {
  proxy::WakeSink* sink = wake_sink.load(std::memory_order_acquire);
  if (sink != nullptr) sink->wake({waker.opaque[0], waker.opaque[1]}, token);
}

constexpr hw_waker_api kWakerApi = {sizeof(hw_waker_api), 0, &wakerGet, &wakerWake};

// ---- stream: what needs the host

hw_header_id intern(const hw_host*, hw_bytes name) noexcept {
  return HookScope::active() ? 0 : internHeaderName(viewOf(name));
}

std::uint32_t workerCount(const hw_host* host) noexcept {
  return pluginOf(host).services().options().workers;
}

const hw_stream_api& completeStreamApi() noexcept {
  static const hw_stream_api api = [] {
    hw_stream_api out = streamApi();
    out.intern = &intern;
    out.worker_count = &workerCount;
    return out;
  }();
  return api;
}

hw_metric defineCounter(PluginMetrics& metrics, const std::string& plugin, const char* name,
                        const char* help) {
  hw_metric id = 0;
  PluginMetrics::Definition definition;
  definition.name = name;
  definition.help = help;
  (void)metrics.define(plugin, definition,
                       &id);  // At the bound, the count is lost and nothing else.
  return id;
}

}  // namespace

PluginHost::PluginHost(HostServices& services, std::string plugin_id)
    : services_(services), plugin_id_(std::move(plugin_id)) {
  host_.struct_size = sizeof host_;
  host_.abi_major = HW_ABI_MAJOR;
  host_.abi_minor = HW_ABI_MINOR;
  host_.name = "hyperway";
  host_.version = services_.options().version.c_str();
  host_.ctx = this;
  host_.get_service = &getService;
  PluginMetrics& metrics = services_.metrics();
  faults_ = defineCounter(metrics, plugin_id_, "faults_total",
                          "Hooks that failed: exceptions, faults and unknown verdicts.");
  slow_calls_ = defineCounter(metrics, plugin_id_, "slow_calls_total",
                              "Hooks that held up their worker beyond the limit.");
  calls_ = metrics.counterSlot(
      defineCounter(metrics, plugin_id_, "calls_total", "Calls of hooks of filters."));
  seconds_ = metrics.counterSlot(
      defineCounter(metrics, plugin_id_, "call_seconds_total", "Time in hooks of filters."));
}

bool PluginHost::mayLog() noexcept {
  // Second in the upper half, lines within it in the lower. A race costs or gives a line or two.
  const std::uint64_t second = nanoseconds(CLOCK_MONOTONIC) / 1'000'000'000U;
  std::uint64_t window = log_window_.load(std::memory_order_relaxed);
  if (window >> 32 != second) {
    log_window_.store(second << 32 | 1, std::memory_order_relaxed);
    return true;
  }
  return (log_window_.fetch_add(1, std::memory_order_relaxed) & 0xffffffffU) < kLinesPerSecond;
}

void PluginHost::log(std::int32_t level, std::string_view message,
                     std::span<const std::pair<std::string_view, std::string_view>> pairs,
                     std::uint64_t stream_id) noexcept {
  PluginLog* log = services_.options().log;
  if (log == nullptr || !log->enabled(level)) return;
  if (!mayLog()) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  log->write({plugin_id_, level, message, pairs, stream_id,
              suppressed_.exchange(0, std::memory_order_relaxed)});
}

void PluginHost::countCall(std::uint64_t taken) noexcept {
  PluginMetrics& metrics = services_.metrics();
  metrics.addTo(calls_, 1);
  metrics.addTo(seconds_, static_cast<double>(taken) * services_.secondsPerTick());
}

void PluginHost::countFault() noexcept { services_.metrics().add(faults_, 1); }

void PluginHost::reportSlow(std::string_view hook, double micros,
                            std::uint64_t stream_id) noexcept {
  services_.metrics().add(slow_calls_, 1);
  const std::string taken = std::to_string(static_cast<std::uint64_t>(micros));
  const std::array<std::pair<std::string_view, std::string_view>, 2> pairs{
      {{"hook", hook}, {"microseconds", taken}}};
  log(HW_LOG_WARNING, "slow call: the worker could serve nobody else meanwhile", pairs, stream_id);
}

HostServices::HostServices(Options options)
    : options_(std::move(options)),
      slow_ticks_(static_cast<std::uint64_t>(options_.slow_call_micros * ticksPerMicrosecond())),
      seconds_per_tick_(1e-6 / ticksPerMicrosecond()) {
  if (options_.wake != nullptr) wake_sink.store(options_.wake, std::memory_order_release);
}

HostServices::~HostServices() {
  proxy::WakeSink* own = options_.wake;
  if (own != nullptr) wake_sink.compare_exchange_strong(own, nullptr, std::memory_order_acq_rel);
}

PluginHost& HostServices::addPlugin(const std::string& plugin_id) {
  plugins_.push_back(std::make_unique<PluginHost>(*this, plugin_id));
  return *plugins_.back();
}

const void* HostServices::find(std::string_view service_id) noexcept {
  if (service_id == HW_STREAM_SERVICE) return &completeStreamApi();
  if (service_id == HW_BODY_SERVICE) return &bodyApi();
  if (service_id == HW_WAKER_SERVICE) return &kWakerApi;
  if (service_id == HW_CALLOUT_SERVICE) return &calloutApi();
  if (service_id == HW_LOG_SERVICE) return &kLogApi;
  if (service_id == HW_METRICS_SERVICE) return &kMetricsApi;
  if (service_id == HW_CLOCK_SERVICE) return &kClockApi;
  return nullptr;
}

}  // namespace hyperway::plugin
