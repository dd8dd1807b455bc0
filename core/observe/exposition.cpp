// SPDX-License-Identifier: Apache-2.0
#include "observe/exposition.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>

namespace hyperway::observe {
namespace {

prometheus::MetricType typeOf(Family::Kind kind) {
  switch (kind) {
    case Family::Kind::Counter: return prometheus::MetricType::Counter;
    case Family::Kind::Gauge: return prometheus::MetricType::Gauge;
    case Family::Kind::Histogram: return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric metricOf(const Sample& sample, Family::Kind kind) {
  prometheus::ClientMetric out;
  for (const auto& [name, value] : sample.labels) out.label.push_back({name, value});
  if (kind == Family::Kind::Counter) out.counter.value = sample.value;
  if (kind == Family::Kind::Gauge) out.gauge.value = sample.value;
  if (kind != Family::Kind::Histogram) return out;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < sample.buckets.size(); ++i) {
    count += sample.buckets[i];
    const double bound =
        i < sample.bounds.size() ? sample.bounds[i] : std::numeric_limits<double>::infinity();
    out.histogram.bucket.push_back({count, bound});
  }
  out.histogram.sample_count = count;
  out.histogram.sample_sum = sample.value;
  return out;
}

}  // namespace

std::string exposition(const std::vector<Family>& families) {
  std::vector<prometheus::MetricFamily> out;
  for (const Family& family : families) {
    if (family.samples.empty()) continue;
    prometheus::MetricFamily& next = out.emplace_back();
    next.name = family.name;
    next.help = family.help;
    next.type = typeOf(family.kind);
    for (const Sample& sample : family.samples)
      next.metric.push_back(metricOf(sample, family.kind));
  }
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace hyperway::observe
