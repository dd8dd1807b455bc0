// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hyperway/sdk/fake_host.hpp"
#include "rate_limit/buckets.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_rate_limit;

namespace hyperway {
namespace {

using namespace std::chrono_literals;

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_rate_limit};

  static int ask(sdk::FakeFilter& filter, std::string_view client = "192.0.2.1",
                 std::string* retry_after = nullptr) {
    auto stream = filter.stream();
    stream.setText(HW_TEXT_PEER_ADDRESS, std::string(client));
    stream.request.add("x-client", std::string(client));
    if (stream.requestHead() == HW_FLOW_CONTINUE) return 200;
    if (retry_after != nullptr) *retry_after = stream.answer->fields.get("retry-after");
    return stream.answer->status;
  }
};

TEST_CASE_FIXTURE(
    Fixture, "rate_limit: a burst passes, then 429 with Retry-After, then one token per interval") {
  auto filter = plugin.filter("rate_limit", R"({"requests": 30, "per": "minute", "burst": 3})");
  REQUIRE(filter.accepted());
  for (int i = 0; i < 3; ++i) CHECK(ask(filter) == 200);
  std::string retry;
  CHECK(ask(filter, "192.0.2.1", &retry) == 429);
  CHECK(retry == "2");
  CHECK(host.metric("limited_total") == 1);
  host.monotonic_ns += 1'999'999'999;
  CHECK(ask(filter, "192.0.2.1", &retry) == 429);
  CHECK(retry == "1");
  host.monotonic_ns += 1;
  CHECK(ask(filter) == 200);
  CHECK(ask(filter) == 429);
  // Idle time fills the bucket up to the burst and not beyond.
  host.monotonic_ns += 3'600'000'000'000;
  for (int i = 0; i < 3; ++i) CHECK(ask(filter) == 200);
  CHECK(ask(filter) == 429);
}

TEST_CASE_FIXTURE(Fixture,
                  "rate_limit: keys have buckets of their own, by address, header or for all") {
  auto address = plugin.filter("rate_limit", R"({"requests": 1})");
  CHECK(ask(address, "192.0.2.1") == 200);
  CHECK(ask(address, "192.0.2.2") == 200);
  CHECK(ask(address, "192.0.2.1") == 429);

  auto header = plugin.filter("rate_limit",
                              R"({"requests": 1, "key": {"type": "header", "name": "X-Client"}})");
  REQUIRE(header.accepted());
  CHECK(ask(header, "ann") == 200);
  CHECK(ask(header, "bob") == 200);
  CHECK(ask(header, "ann") == 429);

  auto route = plugin.filter("rate_limit", R"({"requests": 1, "key": {"type": "route"}})");
  CHECK(ask(route, "192.0.2.1") == 200);
  CHECK(ask(route, "192.0.2.2") == 429);
}

TEST_CASE("rate_limit: memory is bounded, and keys beyond the bound share a bucket") {
  rate_limit::Buckets buckets(1s, 1, 640);  // At most eleven keys in each of 64 shards.
  for (int i = 0; i < 20'000; ++i) (void)buckets.take(std::to_string(i), 10s);
  CHECK(buckets.size() <= 11 * 64);
  // All shards are full and busy: new keys share one bucket per shard.
  int passed = 0;
  for (int i = 20'000; i < 21'000; ++i)
    if (buckets.take(std::to_string(i), 10s) == 0ns) ++passed;
  CHECK(passed == 0);
  // Once the old keys are idle they make room.
  for (int i = 30'000; i < 31'000; ++i)
    if (buckets.take(std::to_string(i), 20s) == 0ns) ++passed;
  CHECK(passed > 64);
}

TEST_CASE("rate_limit: exactly the burst passes, however many workers ask") {
  rate_limit::Buckets buckets(1s, 1000, 100);
  std::atomic<int> passed{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back([&] {
      for (int k = 0; k < 1000; ++k)
        if (buckets.take("same", 5s) == 0ns) passed.fetch_add(1);
    });
  for (std::thread& worker : workers) worker.join();
  CHECK(passed.load() == 1000);
}

TEST_CASE_FIXTURE(Fixture, "rate_limit refuses other configurations, at their place") {
  struct Row {
    std::string_view json, pointers;
  };
  for (const Row& row : {
           Row{"{}", "/requests"},
           Row{R"({"requests": 0})", "/requests"},
           Row{R"({"requests": 1.5})", "/requests"},
           Row{R"({"requests": 1, "per": "day"})", "/per"},
           Row{R"({"requests": 1, "burst": 0})", "/burst"},
           Row{R"({"requests": 1, "key": {"type": "cookie"}})", "/key/type"},
           Row{R"({"requests": 1, "key": {"type": "header"}})", "/key/name"},
           Row{R"({"requests": 1, "key": {"type": "route", "name": "x"}})", "/key/name"},
           Row{R"({"requests": 1, "rate": 2})", "/rate"},
       }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("rate_limit", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

}  // namespace
}  // namespace hyperway
