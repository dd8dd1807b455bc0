// SPDX-License-Identifier: Apache-2.0
#include "plugin/plugin_metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

namespace hyperway::plugin {
namespace {

hw_metric define(PluginMetrics& metrics, std::int32_t kind, const char* name,
                 std::vector<std::pair<std::string, std::string>> labels = {},
                 std::vector<double> bounds = {}, const char* plugin = "p") {
  hw_metric id = 0;
  CHECK(metrics.define(plugin, {kind, name, "help", std::move(labels), std::move(bounds)}, &id) ==
        HW_OK);
  CHECK(id != 0);
  return id;
}

TEST_CASE("plugin metrics: every thread counts, and the sum is exact") {
  PluginMetrics metrics;
  const hw_metric counter = define(metrics, HW_METRIC_COUNTER, "events_total", {{"kind", "a"}});
  const hw_metric gauge = define(metrics, HW_METRIC_GAUGE, "level");
  const hw_metric histogram = define(metrics, HW_METRIC_HISTOGRAM, "seconds", {}, {1, 2});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        metrics.add(counter, 1);
        metrics.add(gauge, k % 2 == 0 ? 1 : -1);
        metrics.observe(histogram, k % 3);
      }
    });
  for (int i = 0; i < 20; ++i) CHECK(metrics.collect().size() == 3);  // While they write.
  for (std::thread& thread : threads) thread.join();
  const auto series = metrics.collect();
  CHECK(series[0].name == "hyperway_plugin_events_total");
  CHECK(series[0].labels ==
        std::vector<std::pair<std::string, std::string>>{{"plugin", "p"}, {"kind", "a"}});
  CHECK(series[0].value == 4000);
  CHECK(series[1].value == 0);
  // 0 and 1 are within the first bound, 2 within the second, none above.
  CHECK(series[2].buckets == std::vector<std::uint64_t>{4 * 667, 4 * 333, 0});
  CHECK(series[2].value == 4 * (333 + 2 * 333));
}

TEST_CASE("plugin metrics: the same series is found again, another kind of it is refused") {
  PluginMetrics metrics;
  const hw_metric first = define(metrics, HW_METRIC_COUNTER, "a", {{"l", "1"}});
  CHECK(define(metrics, HW_METRIC_COUNTER, "a", {{"l", "1"}}) == first);
  CHECK(define(metrics, HW_METRIC_COUNTER, "a", {{"l", "2"}}) != first);
  CHECK(define(metrics, HW_METRIC_COUNTER, "a", {{"l", "1"}}, {}, "q") != first);
  hw_metric id = 5;
  CHECK(metrics.define("p", {HW_METRIC_GAUGE, "a", "", {{"l", "1"}}, {}}, &id) == HW_INVALID);
  CHECK(id == 0);
}

TEST_CASE("plugin metrics: bad definitions are refused, bad recordings do nothing") {
  PluginMetrics metrics;
  hw_metric id = 0;
  CHECK(metrics.define("p", {7, "a", "", {}, {}}, &id) == HW_UNSUPPORTED);
  for (const char* name : {"", "A", "1a", "a-b", "a b", "a\n"}) {
    CAPTURE(name);
    CHECK(metrics.define("p", {HW_METRIC_COUNTER, name, "", {}, {}}, &id) == HW_INVALID);
  }
  CHECK(metrics.define("p", {HW_METRIC_COUNTER, "a", "", {{"plugin", "x"}}, {}}, &id) ==
        HW_INVALID);
  CHECK(metrics.define("p", {HW_METRIC_COUNTER, "a", "", {{"l", std::string(300, 'x')}}, {}},
                       &id) == HW_INVALID);
  CHECK(metrics.define("p", {HW_METRIC_HISTOGRAM, "a", "", {}, {2, 1}}, &id) == HW_INVALID);
  CHECK(metrics.define("p", {HW_METRIC_HISTOGRAM, "a", "", {}, {INFINITY}}, &id) == HW_INVALID);
  const hw_metric counter = define(metrics, HW_METRIC_COUNTER, "a");
  metrics.add(counter, -5);
  metrics.add(counter, NAN);
  metrics.set(counter, 9);
  metrics.observe(counter, 9);
  metrics.add(0, 1);
  metrics.add(4711, 1);
  metrics.add(0xffffffff, 1);
  CHECK(metrics.collect()[0].value == 0);
}

TEST_CASE("plugin metrics: a plugin's series are bounded") {
  PluginMetrics metrics;
  hw_metric id = 0;
  for (std::uint32_t i = 0; i < PluginMetrics::kMaxPerPlugin; ++i)
    REQUIRE(metrics.define("p", {HW_METRIC_COUNTER, "a", "", {{"i", std::to_string(i)}}, {}},
                           &id) == HW_OK);
  CHECK(metrics.define("p", {HW_METRIC_COUNTER, "b", "", {}, {}}, &id) == HW_LIMIT);
  CHECK(id == 0);
  CHECK(metrics.define("q", {HW_METRIC_COUNTER, "b", "", {}, {}}, &id) == HW_OK);
}

}  // namespace
}  // namespace hyperway::plugin
