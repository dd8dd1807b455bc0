// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hyperway::observe {

/// One series of a metric with its value.
struct Sample {
  std::vector<std::pair<std::string, std::string>> labels;  ///< Names are valid, values any text.
  double value = 0;            ///< Counter, gauge; of a histogram the sum of what was observed.
  std::vector<double> bounds;  ///< Histogram: upper bounds, ascending, without infinity.
  std::vector<std::uint64_t>
      buckets;  ///< Histogram: counts by bucket, not summed up; one more than bounds.
};

/// A metric with all its series.
struct Family {
  /// How values behave.
  enum class Kind : std::uint8_t { Counter, Gauge, Histogram };

  std::string name;             ///< Full name.
  std::string help;             ///< One sentence.
  Kind kind = Kind::Counter;    ///< See Kind.
  std::vector<Sample> samples;  ///< Distinct in their labels.
};

/// The families in Prometheus's text format, version 0.0.4.
[[nodiscard]] std::string exposition(const std::vector<Family>& families);

}  // namespace hyperway::observe
