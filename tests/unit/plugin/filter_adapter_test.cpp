// SPDX-License-Identifier: Apache-2.0
#include "plugin/filter_adapter.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "fake_context.hpp"
#include "hyperway/sdk/plugin.hpp"
#include "plugin/filter_configs.hpp"
#include "plugin/registry.hpp"

namespace hyperway::plugin {
namespace {

/// Spins in its head hook for as long as its configuration says.
class Slow {
 public:
  static constexpr const char* kId = "slow";
  explicit Slow(sdk::Setup& setup)
      : spin_(std::chrono::microseconds(setup.config()["micros"].integer(0, 1'000'000))) {
    if (setup.config()["warn"].present()) setup.config()["warn"].warning("is old");
  }
  sdk::Flow onRequestHead(sdk::Stream&, sdk::Flags) const {
    const auto end = std::chrono::steady_clock::now() + spin_;
    while (std::chrono::steady_clock::now() < end) {
    }
    return sdk::Flow::Continue;
  }

 private:
  std::chrono::microseconds spin_;
};

constexpr hw_plugin_manifest kManifest = sdk::manifest<sdk::Filters<Slow>>("test.slow", "1.0.0");

struct Lines final : PluginLog {
  bool enabled(std::int32_t) const noexcept override { return true; }
  void write(const PluginLine& line) noexcept override {
    lines.push_back(std::string(line.plugin) + ": " + std::string(line.message) + " " +
                    std::string(line.pairs.empty() ? "" : line.pairs[0].second));
  }
  std::vector<std::string> lines;
};

struct Fixture {
  Lines log;
  HostServices services{{"1", 1, &log, nullptr, 20'000}};
  PluginRegistry registry{services, {}, {{"slow", &kManifest}}};
  FilterConfigs configs{registry};
  Problems problems;
  Fixture() { registry.load({{"slow", "", "", ""}}); }
  std::shared_ptr<const proxy::FilterBinding> bind(std::string_view config) {
    return std::static_pointer_cast<const proxy::FilterBinding>(
        configs.parse("slow", "owner", config, problems));
  }
};

TEST_CASE_FIXTURE(Fixture, "host services: a slow call is counted and named") {
  FakeContext context;
  void* filter = nullptr;
  const auto slow = bind(R"({"micros": 30000})");
  REQUIRE(slow->create(context, &filter));
  CHECK(slow->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
  REQUIRE(log.lines.size() == 1);
  CHECK(log.lines[0].starts_with("test.slow: slow call"));
  CHECK(log.lines[0].ends_with("on_request_head"));
  double slow_calls = 0;
  for (const SeriesValue& series : services.metrics().collect())
    if (series.name == "hyperway_plugin_slow_calls_total") slow_calls += series.value;
  CHECK(slow_calls == 1);
}

TEST_CASE_FIXTURE(Fixture, "host services: calls of filters and their time are counted") {
  FakeContext context;
  void* filter = nullptr;
  const auto binding = bind(R"({"micros": 2000})");
  REQUIRE(binding->create(context, &filter));
  const auto total = [&](std::string_view name) {
    double sum = 0;
    for (const SeriesValue& series : services.metrics().collect())
      if (series.name == name) sum += series.value;
    return sum;
  };
  const double calls = total("hyperway_plugin_calls_total");
  const double seconds = total("hyperway_plugin_call_seconds_total");
  for (int i = 0; i < 5; ++i)
    CHECK(binding->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
  CHECK(total("hyperway_plugin_calls_total") == calls + 5);
  CHECK(total("hyperway_plugin_call_seconds_total") - seconds >= 0.009);
}

TEST_CASE_FIXTURE(
    Fixture, "a filter without memory per stream gets its configuration, and is never destroyed") {
  FakeContext context;
  void* filter = nullptr;
  const auto binding = bind(R"({"micros": 0})");
  REQUIRE(binding->create(context, &filter));
  CHECK(filter != nullptr);
  CHECK(binding->interest() == proxy::kRequestHead);
  CHECK(binding->pluginId() == "test.slow");
  CHECK(binding->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
  binding->destroy(filter, proxy::StreamEnd::Complete);
  binding->destroy(filter, proxy::StreamEnd::Complete);
  CHECK(binding->onRequestHead(filter, context, 0) == proxy::Flow::Continue);
}

TEST_CASE_FIXTURE(Fixture, "warnings reach the user and do not refuse") {
  CHECK(bind(R"({"micros": 0, "warn": 1})") != nullptr);
  REQUIRE(problems.list().size() == 1);
  CHECK(problems.list()[0].severity == Severity::Warning);
  CHECK(problems.list()[0].pointer == "/warn");
}

TEST_CASE_FIXTURE(Fixture, "a plugin that is linked in keeps its configuration until a restart") {
  CHECK(registry.list()[0].origin == "static:slow");
  auto report = registry.reload({{"slow", "", "", ""}});
  CHECK(report.refused.empty());
  report = registry.reload({{"slow", "", "", "{}"}});
  REQUIRE(report.refused.size() == 1);
  CHECK(report.refused[0].find("restart") != std::string::npos);
  CHECK(configs.knows("slow"));
}

}  // namespace
}  // namespace hyperway::plugin
