// SPDX-License-Identifier: Apache-2.0
#include "plugin/host_services.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fake_context.hpp"
#include "hyperway/abi/service/clock.h"
#include "hyperway/abi/service/metrics.h"
#include "hyperway/abi/service/waker.h"
#include "plugin/abi_bytes.hpp"
#include "plugin/call_guard.hpp"
#include "plugin/stream_service.hpp"

namespace hyperway::plugin {
namespace {

struct Sink final : PluginLog, proxy::WakeSink {
  bool enabled(std::int32_t level) const noexcept override { return level >= HW_LOG_INFO; }
  void write(const PluginLine& line) noexcept override {
    std::string text = std::string(line.plugin) + ' ' + std::to_string(line.level) + ' ' +
                       std::string(line.message) + " stream=" + std::to_string(line.stream_id);
    for (const auto& [name, value] : line.pairs)
      text += ' ' + std::string(name) + '=' + std::string(value);
    suppressed += line.suppressed;
    lines.push_back(text);
  }
  void wake(proxy::Waker waker, std::uint64_t token) noexcept override {
    woken.push_back(std::to_string(waker.where) + '.' + std::to_string(waker.serial) + '.' +
                    std::to_string(token));
  }
  std::vector<std::string> lines, woken;
  std::uint64_t suppressed = 0;
};

struct Fixture {
  Sink sink;
  HostServices services{{"9.9.9", 4, &sink, &sink, 10'000}};
  PluginHost& plugin = services.addPlugin("com.example.x");
  const hw_host* host = plugin.handle();

  template <class Api>
  const Api& api(const char* id) {
    const auto* found = static_cast<const Api*>(host->get_service(host, id));
    REQUIRE(found != nullptr);
    REQUIRE(found->struct_size == sizeof(Api));
    return *found;
  }
};

TEST_CASE_FIXTURE(Fixture, "a plugin finds the services by id, and nothing under other ids") {
  CHECK(std::string(host->version) == "9.9.9");
  CHECK(host->abi_major == HW_ABI_MAJOR);
  CHECK((host->get_service(host, "hyperway.log/2") == nullptr));
  CHECK((host->get_service(host, "") == nullptr));
  CHECK((host->get_service(host, nullptr) == nullptr));
  CHECK(api<hw_stream_api>(HW_STREAM_SERVICE).worker_count(host) == 4);
  const auto& clock = api<hw_clock_api>(HW_CLOCK_SERVICE);
  const std::uint64_t before = clock.monotonic_ns(host);
  CHECK(clock.monotonic_ns(host) >= before);
  CHECK(clock.unix_ns(host) > 1'600'000'000'000'000'000);
}

TEST_CASE_FIXTURE(Fixture,
                  "log/1: lines carry plugin and stream, and a chatty plugin is held to its rate") {
  const auto& log = api<hw_log_api>(HW_LOG_SERVICE);
  CHECK(log.enabled(host, HW_LOG_DEBUG) == 0);
  CHECK(log.enabled(host, 42) == 1);  // Unknown levels read as errors.
  FakeContext context;
  const hw_field pair{bytesOf("k"), bytesOf("v")};
  log.write(host, asHandle(context), HW_LOG_WARNING, bytesOf("hello"), &pair, 1);
  log.write(host, nullptr, 42, bytesOf("odd"), nullptr, 3);
  log.write(host, nullptr, HW_LOG_DEBUG, bytesOf("quiet"), nullptr, 0);
  REQUIRE(sink.lines.size() == 2);
  CHECK(sink.lines[0] == "com.example.x 2 hello stream=7 k=v");
  CHECK(sink.lines[1] == "com.example.x 3 odd stream=0");
  for (int i = 0; i < 10'000; ++i) log.write(host, nullptr, HW_LOG_ERROR, bytesOf("x"), nullptr, 0);
  // Ten thousand calls may cross a second or two, not a hundred.
  CHECK(sink.lines.size() <= 2 + 10 * PluginHost::kLinesPerSecond);
}

TEST_CASE_FIXTURE(Fixture, "metrics and names are defined by configurations, not inside of hooks") {
  const auto& metrics = api<hw_metrics_api>(HW_METRICS_SERVICE);
  const auto& stream = api<hw_stream_api>(HW_STREAM_SERVICE);
  hw_metric_definition definition{};
  definition.struct_size = sizeof definition;
  definition.name = bytesOf("a_total");
  hw_metric id = 0;
  {
    const HookScope scope;
    CHECK(metrics.define(host, &definition, &id) == HW_WRONG_STATE);
    CHECK(stream.intern(host, bytesOf("x-a")) == 0);
  }
  CHECK(metrics.define(host, &definition, &id) == HW_OK);
  CHECK(stream.intern(host, bytesOf("x-a")) != 0);
  CHECK(stream.intern(host, bytesOf("x-a")) == stream.intern(host, bytesOf("x-a")));
  definition.struct_size = 8;
  CHECK(metrics.define(host, &definition, &id) == HW_INVALID);
  CHECK(metrics.define(host, nullptr, &id) == HW_INVALID);
}

TEST_CASE("waker/1: wakes reach the proxy while there is one, and are harmless afterwards") {
  const hw_waker_api* api = nullptr;
  hw_waker waker{};
  {
    Fixture fixture;
    api = &fixture.api<hw_waker_api>(HW_WAKER_SERVICE);
    FakeContext context;
    waker = api->get(asHandle(context));
    api->wake(waker, 5);
    REQUIRE(fixture.sink.woken.size() == 1);
    CHECK(fixture.sink.woken[0] == "11.12.5");
  }
  api->wake(waker, 6);
  api->wake({}, 7);
}

}  // namespace
}  // namespace hyperway::plugin
