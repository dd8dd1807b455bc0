// SPDX-License-Identifier: Apache-2.0
#include "observe/worker_counters.hpp"

#include <doctest/doctest.h>

#include <memory>

using namespace hyperway::observe;

TEST_CASE("A statistics slot that is another rule's begins at zero, its neighbours go on") {
  const auto counters = std::make_unique<WorkerCounters>();
  for (const std::uint32_t slot : {3U, 4U}) {
    counters->rule(slot).record(200, 700, 10);
    counters->rule(slot).retries.add(2);
  }
  counters->forget(3);
  counters->forget(100);  // never used
  const RuleCounters& gone = *counters->peek(3);
  CHECK(gone.by_class[2].get() == 0);
  for (const Counter& bucket : gone.latency) CHECK(bucket.get() == 0);
  CHECK(gone.latency_sum_us.get() == 0);
  CHECK(gone.bytes_sent.get() == 0);
  CHECK(gone.retries.get() == 0);
  CHECK(counters->peek(4)->by_class[2].get() == 1);
  CHECK(counters->peek(4)->bytes_sent.get() == 10);
}

TEST_CASE("Rules beyond the bound share counters that are never forgotten") {
  const auto counters = std::make_unique<WorkerCounters>();
  CHECK(&counters->rule(WorkerCounters::kMaxRules) == &counters->other());
  counters->rule(WorkerCounters::kMaxRules + 7).record(503, 1, 2);
  counters->forget(WorkerCounters::kMaxRules + 7);
  CHECK(counters->other().by_class[5].get() == 1);
  CHECK(counters->peek(WorkerCounters::kMaxRules) == nullptr);
}

TEST_CASE("A latency counts in the first bucket whose bound it does not exceed") {
  RuleCounters rule;
  rule.record(200, kLatencyBoundsUs[0], 0);
  rule.record(200, kLatencyBoundsUs[0] + 1, 0);
  rule.record(700, 1'000'000'000, 0);
  CHECK(rule.latency.front().get() == 1);
  CHECK(rule.latency[1].get() == 1);
  CHECK(rule.latency.back().get() == 1);
  CHECK(rule.by_class[2].get() == 2);
  CHECK(rule.by_class[0].get() == 1);  // what is no status: nothing went out
}
