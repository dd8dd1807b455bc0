// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_METRICS_H
#define HYPERWAY_ABI_SERVICE_METRICS_H

/// Service "hyperway.metrics/1": numbers for /metrics.
///
/// A series (name and fixed label values) is defined on the control thread and gives an integer
/// id; recording by id takes no lock and allocates nothing. Series of a plugin are bounded
/// (default 1,000), so a label must not come from a request.

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_METRICS_SERVICE "hyperway.metrics/1"

/// Id of a series; 0 is never given out, and recording on 0 does nothing.
typedef uint32_t hw_metric;

/// Kinds; an unknown value is refused with HW_UNSUPPORTED.
enum { HW_METRIC_COUNTER = 0, HW_METRIC_GAUGE = 1, HW_METRIC_HISTOGRAM = 2 };

/// Definition of one series. Names match [a-z_][a-z0-9_]*; the host puts "hyperway_plugin_" in
/// front and adds the label plugin="<id>".
typedef struct hw_metric_definition {
  uint32_t struct_size;
  int32_t kind;           /* HW_METRIC_* */
  hw_bytes name;          /* e.g. "denied_total" */
  hw_bytes help;          /* one sentence */
  const hw_field *labels; /* fixed label values of this series */
  uint32_t label_count;
  uint32_t bucket_count; /* histogram only; 0: the host's default for seconds */
  const double *buckets; /* ascending upper bounds */
} hw_metric_definition;

/// What get_service gives for HW_METRICS_SERVICE; static, owned by the host.
typedef struct hw_metrics_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// Defines a series, or finds the same one again (name, labels and kind equal). Legal in `init`
  /// and `config_create` only. HW_INVALID: bad name or kinds that differ; HW_LIMIT: too many
  /// series. On an error *metric is 0. [control]
  hw_status (*define)(const hw_host *host, const hw_metric_definition *definition,
                      hw_metric *metric);
  /// Adds to a counter (negative amounts are ignored) or to a gauge. [any]
  void (*add)(const hw_host *host, hw_metric metric, double amount);
  /// Sets a gauge; last writer wins. [any]
  void (*set)(const hw_host *host, hw_metric metric, double value);
  /// Records an observation in a histogram. [any]
  void (*observe)(const hw_host *host, hw_metric metric, double value);
} hw_metrics_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
