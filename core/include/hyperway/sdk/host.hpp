// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hyperway/abi/draft/callout.h"
#include "hyperway/abi/host.h"
#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/clock.h"
#include "hyperway/abi/service/log.h"
#include "hyperway/abi/service/metrics.h"
#include "hyperway/abi/service/stream.h"
#include "hyperway/abi/service/waker.h"
#include "hyperway/sdk/config.hpp"

namespace hyperway::sdk {

/// The host's services as one plugin got them; any but `host` may be null. A value to keep in a
/// configuration: valid until the plugin's `deinit` returns.
struct Services {
  const hw_host* host = nullptr;            ///< Whom they belong to.
  const hw_stream_api* stream = nullptr;    ///< Heads, answers, arena.
  const hw_body_api* body = nullptr;        ///< Body chunks.
  const hw_waker_api* waker = nullptr;      ///< Waking a paused stream.
  const hw_log_api* log = nullptr;          ///< The process log.
  const hw_metrics_api* metrics = nullptr;  ///< Numbers for /metrics.
  const hw_clock_api* clock = nullptr;      ///< Time.
  const hw_callout_api* callout = nullptr;  ///< Requests of a filter's own (a draft).

  /// Asks the host for everything the SDK knows. Control thread.
  [[nodiscard]] static Services of(const hw_host* host) {
    Services out;
    out.host = host;
    out.stream = get<hw_stream_api>(host, HW_STREAM_SERVICE);
    out.body = get<hw_body_api>(host, HW_BODY_SERVICE);
    out.waker = get<hw_waker_api>(host, HW_WAKER_SERVICE);
    out.log = get<hw_log_api>(host, HW_LOG_SERVICE);
    out.metrics = get<hw_metrics_api>(host, HW_METRICS_SERVICE);
    out.clock = get<hw_clock_api>(host, HW_CLOCK_SERVICE);
    out.callout = get<hw_callout_api>(host, HW_CALLOUT_SERVICE);
    return out;
  }

 private:
  // A table shorter than this revision of its header cannot come from a host that speaks it.
  template <class Api>
  static const Api* get(const hw_host* host, const char* id) {
    const auto* api = static_cast<const Api*>(host->get_service(host, id));
    return api != nullptr && api->struct_size >= sizeof(Api) ? api : nullptr;
  }
};

/// Severity of a log line.
enum class Level : std::int32_t {
  Debug = HW_LOG_DEBUG,
  Info = HW_LOG_INFO,
  Warning = HW_LOG_WARNING,
  Error = HW_LOG_ERROR,
};

/// A key and a value of a log line, or a label of a metric.
using Pair = std::pair<std::string_view, std::string_view>;

/// Writes to the process log. Never blocks; the host adds the plugin's id. Any thread.
class Log {
 public:
  /// Logs to the host of `services`; says nothing if it has no log.
  explicit Log(const Services& services) : host_(services.host), api_(services.log) {}

  /// True if a line of that level would be written.
  [[nodiscard]] bool enabled(Level level) const noexcept {
    return api_ != nullptr && api_->enabled(host_, static_cast<std::int32_t>(level)) != 0;
  }
  /// Writes one line; at most eight pairs are kept. `stream` may be null, and is off its worker.
  void write(Level level, std::string_view message, std::initializer_list<Pair> pairs = {},
             const hw_stream* stream = nullptr) const noexcept {
    if (api_ == nullptr) return;
    hw_field fields[8] = {};
    std::uint32_t count = 0;
    for (const auto& [name, value] : pairs)
      if (count < 8) fields[count++] = {bytesOf(name), bytesOf(value)};
    api_->write(host_, stream, static_cast<std::int32_t>(level), bytesOf(message), fields, count);
  }

 private:
  const hw_host* host_;
  const hw_log_api* api_;
};

/// A counter or gauge of /metrics, defined in a configuration. Recording is legal on any thread,
/// takes no lock, and does nothing if the definition was refused.
class Metric {
 public:
  /// A metric that records nothing.
  Metric() = default;
  /// A defined series.
  Metric(const Services& services, hw_metric id)
      : host_(services.host), api_(services.metrics), id_(id) {}

  /// Adds to a counter or gauge.
  void add(double amount = 1) const noexcept {
    if (id_ != 0) api_->add(host_, id_, amount);
  }
  /// Sets a gauge.
  void set(double value) const noexcept {
    if (id_ != 0) api_->set(host_, id_, value);
  }
  /// Records an observation in a histogram.
  void observe(double value) const noexcept {
    if (id_ != 0) api_->observe(host_, id_, value);
  }

 private:
  const hw_host* host_ = nullptr;
  const hw_metrics_api* api_ = nullptr;
  hw_metric id_ = 0;
};

/// The host's clock. Any thread.
class Clock {
 public:
  /// Without a host's clock, the process's own is read.
  explicit Clock(const Services& services) : host_(services.host), api_(services.clock) {}

  /// Monotonic time from an arbitrary start.
  [[nodiscard]] std::chrono::nanoseconds now() const noexcept {
    if (api_ == nullptr) return std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::nanoseconds(static_cast<std::int64_t>(api_->monotonic_ns(host_)));
  }
  /// Wall clock, since 1970-01-01 UTC; may jump.
  [[nodiscard]] std::chrono::nanoseconds wall() const noexcept {
    if (api_ == nullptr) return std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::nanoseconds(api_->unix_ns(host_));
  }

 private:
  const hw_host* host_;
  const hw_clock_api* api_;
};

/// A header name that was interned when the configuration was read: the fast way to use a header on
/// a worker.
struct HeaderName {
  hw_header_id id = 0;  ///< 0 is no name; using it answers HW_INVALID.
};

/// Everything a configuration is made from; handed to its constructor. Control thread, valid for
/// that call only; the Services in it live longer and may be copied.
class Setup {
 public:
  /// A configuration's text with the place where problems go.
  Setup(const Services& services, std::string_view json, Problems& problems)
      : services_(services), problems_(&problems), document_(parseConfig(json, problems)) {}
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  /// The root of the configuration; null if the text was not JSON, which is reported already.
  [[nodiscard]] ConfigNode config() { return {&document_, "", *problems_}; }
  /// Where problems go. One error refuses the configuration.
  [[nodiscard]] Problems& problems() noexcept { return *problems_; }
  /// The host's services.
  [[nodiscard]] const Services& services() const noexcept { return services_; }
  /// The process log.
  [[nodiscard]] Log log() const { return Log(services_); }

  /// Interns the header name at `node`; reports a name that is no token (RFC 9110 §5.6.2).
  [[nodiscard]] HeaderName header(const ConfigNode& node) {
    const std::string name = node.text();
    const HeaderName out = header(name);
    if (out.id == 0 && !name.empty()) node.error("\"" + name + "\" is not a valid header name");
    const bool text = node.present() && node.value()->type() == json::Value::Type::String;
    if (name.empty() && text) node.error("a header name must not be empty");
    return out;
  }
  /// Interns a header name; the result has id 0 if it is no token.
  [[nodiscard]] HeaderName header(std::string_view name) const {
    if (services_.stream == nullptr) return {};
    return {services_.stream->intern(services_.host, bytesOf(name))};
  }
  /// Defines a counter; the host puts "hyperway_plugin_" in front of `name`.
  [[nodiscard]] Metric counter(std::string_view name, std::string_view help,
                               std::initializer_list<Pair> labels = {}) const {
    return define(HW_METRIC_COUNTER, name, help, labels);
  }
  /// Defines a gauge.
  [[nodiscard]] Metric gauge(std::string_view name, std::string_view help,
                             std::initializer_list<Pair> labels = {}) const {
    return define(HW_METRIC_GAUGE, name, help, labels);
  }
  /// Defines a histogram in seconds, with the host's buckets.
  [[nodiscard]] Metric histogram(std::string_view name, std::string_view help,
                                 std::initializer_list<Pair> labels = {}) const {
    return define(HW_METRIC_HISTOGRAM, name, help, labels);
  }
  /// Number of workers of the process; 1 where no requests run.
  [[nodiscard]] std::uint32_t workerCount() const {
    return services_.stream == nullptr ? 1 : services_.stream->worker_count(services_.host);
  }

 private:
  // Metrics inform; a series that cannot be had must not refuse a configuration.
  [[nodiscard]] Metric define(std::int32_t kind, std::string_view name, std::string_view help,
                              std::initializer_list<Pair> labels) const {
    if (services_.metrics == nullptr) return {};
    std::vector<hw_field> fields;
    for (const auto& [key, value] : labels) fields.push_back({bytesOf(key), bytesOf(value)});
    hw_metric_definition definition{};
    definition.struct_size = sizeof definition;
    definition.kind = kind;
    definition.name = bytesOf(name);
    definition.help = bytesOf(help);
    definition.labels = fields.data();
    definition.label_count = static_cast<std::uint32_t>(fields.size());
    hw_metric id = 0;
    if (services_.metrics->define(services_.host, &definition, &id) != HW_OK) {
      log().write(Level::Warning, "metric not defined", {{"metric", name}});
      return {};
    }
    return {services_, id};
  }

  Services services_;
  Problems* problems_;
  json::Value document_;
};

}  // namespace hyperway::sdk
