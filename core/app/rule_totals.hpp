// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "observe/worker_counters.hpp"
#include "proxy/proxy_sink.hpp"

namespace hyperway::app {

/// What all workers counted for one rule, or for several.
struct RuleTotals {
  static constexpr std::size_t kBuckets = observe::kLatencyBoundsUs.size() + 1;  ///< Of latency.
  std::array<std::uint64_t, 6> by_class{};        ///< RuleCounters::by_class.
  std::array<std::uint64_t, kBuckets> latency{};  ///< RuleCounters::latency.
  std::uint64_t latency_sum_us = 0;               ///< RuleCounters::latency_sum_us.
  std::uint64_t bytes_sent = 0;                   ///< RuleCounters::bytes_sent.
  std::uint64_t retries = 0;                      ///< RuleCounters::retries.

  /// Adds what one worker counted.
  void add(const observe::RuleCounters& one) {
    for (std::size_t i = 0; i < by_class.size(); ++i) by_class[i] += one.by_class[i].get();
    for (std::size_t i = 0; i < latency.size(); ++i) latency[i] += one.latency[i].get();
    latency_sum_us += one.latency_sum_us.get();
    bytes_sent += one.bytes_sent.get();
    retries += one.retries.get();
  }
  /// Adds what all workers counted for the rule with this statistics slot.
  void addSlot(const proxy::ProxySink& proxy, std::uint32_t slot) {
    for (std::size_t worker = 0; worker < proxy.workers(); ++worker)
      if (const observe::RuleCounters* rule = proxy.counters(worker).peek(slot)) add(*rule);
  }
  /// Finished requests.
  [[nodiscard]] std::uint64_t requests() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : by_class) sum += count;
    return sum;
  }
};

}  // namespace hyperway::app
