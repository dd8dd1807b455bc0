// SPDX-License-Identifier: Apache-2.0
#include "control/pipeline.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace hyperway;
using namespace hyperway::control;

namespace {

constexpr std::chrono::seconds kLimit{20};

class NoFilters final : public gateway::FilterConfigParser {
 public:
  [[nodiscard]] bool knows(std::string_view /*type*/) const override { return false; }
  [[nodiscard]] route::FilterBindingPtr parse(std::string_view /*type*/, std::string_view /*owner*/,
                                              std::string_view /*json*/,
                                              Problems& problems) override {
    problems.add(JsonPointer(), "no filters here");
    return nullptr;
  }
};

class TestSource final : public Source {
 public:
  [[nodiscard]] std::string_view id() const noexcept override { return "test"; }
  [[nodiscard]] bool start(std::string& error) override {
    started_on = std::this_thread::get_id();
    if (!broken) return true;
    error = "broken on purpose";
    return false;
  }
  void reportStatus(std::uint64_t sequence, const gateway::StatusBatch& batch) override {
    const std::lock_guard lock(mutex);
    for (const auto& status : batch.updated)
      told += status.key() + '@' + std::to_string(sequence) + ' ';
  }
  [[nodiscard]] std::string locate(std::string_view /*key*/,
                                   std::string_view /*pointer*/) override {
    return {};
  }
  void stop() override { ++stopped; }
  std::string statuses() {
    const std::lock_guard lock(mutex);
    return told;
  }

  bool broken = false;
  std::thread::id started_on;
  std::atomic<int> stopped{0};

 private:
  std::mutex mutex;
  std::string told;
};

class TestSink final : public Sink {
 public:
  [[nodiscard]] std::string_view id() const noexcept override { return "test_sink"; }
  void onAcknowledge(Acknowledge acknowledge) override { tell = std::move(acknowledge); }
  [[nodiscard]] bool apply(std::uint64_t number, const route::ModelBatch& batch) override {
    const std::lock_guard lock(mutex);
    applied.push_back({number, batch.full, batch.listeners.size()});
    return !lost.exchange(false);
  }
  void stop() override { ++stopped; }
  struct Applied {
    std::uint64_t number;
    bool full;
    std::size_t listeners;
  };
  std::vector<Applied> all() {
    const std::lock_guard lock(mutex);
    return applied;
  }

  Acknowledge tell;
  std::atomic<bool> lost{false};
  std::atomic<int> stopped{0};

 private:
  std::mutex mutex;
  std::vector<Applied> applied;
};

gateway::ObjectChange gatewayClass() {
  return {
      "gateway.networking.k8s.io", "GatewayClass", "", "c",
      R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"c","generation":1},)"
      R"("spec":{"controllerName":"hyperway.arloor.dev/gateway-controller"}})"};
}
gateway::ObjectChange gatewayWith(int port) {
  return {
      "gateway.networking.k8s.io", "Gateway", "ns", "g",
      R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"g","namespace":"ns","generation":1},)"
      R"("spec":{"gatewayClassName":"c","listeners":[{"name":"l","protocol":"HTTP","port":)" +
          std::to_string(port) + "}]}}"};
}

struct Fixture {
  NoFilters filters;
  TestSource source;
  TestSink sink;
  Pipeline pipeline;
  SourcePort& port = pipeline.makePort("test");
  explicit Fixture(gateway::TranslateOptions options = {}) : pipeline(std::move(options), filters) {
    pipeline.addSource(source);
    pipeline.addSink(sink);
  }
  // Runs on the control thread behind everything that is queued.
  void settle() {
    const auto done = std::make_shared<std::promise<void>>();
    auto result = done->get_future();
    pipeline.post([done] { done->set_value(); });
    REQUIRE(result.wait_for(kLimit) == std::future_status::ready);
  }
};

}  // namespace

TEST_CASE("Nothing reaches a sink before the first list is complete") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  CHECK(f.source.started_on != std::this_thread::get_id());
  f.port.publish(SourcePort::kBegin, {}, 1, {gatewayClass()});
  f.settle();
  CHECK(f.sink.all().empty());
  CHECK_FALSE(f.pipeline.health().synced);
  f.port.publish(SourcePort::kEnd | SourcePort::kSynced, {}, 2, {gatewayWith(80)});
  REQUIRE(f.pipeline.drain(kLimit));
  REQUIRE(f.sink.all().size() == 1);
  CHECK(f.sink.all()[0].listeners == 1);
  CHECK(f.source.statuses().find("Gateway/ns/g@2") != std::string::npos);
  CHECK(f.pipeline.health().synced);
  CHECK_FALSE(f.pipeline.health().programmed);
  f.sink.tell({1, false, "", {{"ns/g/l", true, ""}}, {}});
  f.settle();
  CHECK(f.pipeline.health().programmed);
}

TEST_CASE("An empty first list is handed over too, or nobody would ever be ready") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1, {});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.sink.all().size() == 1);
}

TEST_CASE("A sink that lost its place gets everything, once") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1,
                 {gatewayClass(), gatewayWith(80)});
  REQUIRE(f.pipeline.drain(kLimit));
  f.sink.lost = true;
  f.port.publish(0, {}, 2, {gatewayWith(81)});
  REQUIRE(f.pipeline.drain(kLimit));
  const auto applied = f.sink.all();
  REQUIRE(applied.size() == 3);
  CHECK(applied[2].full);
  CHECK(applied[2].listeners == 1);
  f.port.publish(0, {}, 3, {gatewayWith(82)});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK_FALSE(f.sink.all().back().full);
}

TEST_CASE(
    "What cannot be read is told, keeps the last good state, and is forgotten once it is right") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1,
                 {gatewayClass(), gatewayWith(80)});
  REQUIRE(f.pipeline.drain(kLimit));
  gateway::ObjectChange broken = gatewayWith(80);
  broken.json =
      R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"g","namespace":"ns"},"spec":7})";
  f.port.publish(0, {}, 2, {broken});
  REQUIRE(f.pipeline.drain(kLimit));
  REQUIRE(f.pipeline.health().rejected.size() == 1);
  CHECK(f.pipeline.health().rejected[0].starts_with("Gateway ns/g: "));
  CHECK(f.sink.all().size() == 1);
  f.port.publish(0, {}, 3, {gatewayWith(81)});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.pipeline.health().rejected.empty());
}

TEST_CASE("A source's and a sink's complaints are in the health") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.health(false, "a.yaml:3: bad");
  CHECK(f.pipeline.health().degraded == std::vector<std::string>{"test: a.yaml:3: bad"});
  f.port.health(true, "");
  CHECK(f.pipeline.health().degraded.empty());
  f.sink.tell({4, true, "disk full", {}, {}});
  f.settle();
  CHECK(f.pipeline.health().degraded ==
        std::vector<std::string>{"test_sink: refused generation 4: disk full"});
  CHECK_FALSE(f.pipeline.health().programmed);
}

TEST_CASE("A trouble of a sink is shown until the sink says otherwise, and refuses nothing") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  control::SinkReport report;
  report.generation = 1;
  report.trouble = "one route is left out";
  f.sink.tell(report);
  f.sink.tell({2, false, "", {{"ns/g/l", true, ""}}, {}});
  f.settle();
  const std::vector<std::string> shown{"test_sink: one route is left out"};
  CHECK(f.pipeline.health().degraded == shown);
  report.trouble = "";
  f.sink.tell(report);
  f.settle();
  CHECK(f.pipeline.health().degraded.empty());
}

TEST_CASE("With several sinks each gets every batch, and ready means that all have answered") {
  gateway::TranslateOptions options;
  options.report_programmed = false;
  TestSink second;  // the pipeline goes first
  Fixture f(options);
  f.pipeline.addSink(second);
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1,
                 {gatewayClass(), gatewayWith(80)});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.sink.all().size() == 1);
  CHECK(second.all().size() == 1);
  // Programmed follows who reports listeners; an answer without any moves no status.
  const std::string before = f.source.statuses();
  second.tell({1, false, "", {}, {}});
  f.settle();
  CHECK(f.source.statuses() == before);
  CHECK_FALSE(f.pipeline.health().programmed);
  f.sink.tell({1, false, "", {{"ns/g/l", true, ""}}, {}});
  f.settle();
  CHECK(f.source.statuses() != before);
  CHECK(f.pipeline.health().programmed);
  // What one lost, it alone gets again.
  second.lost = true;
  f.port.publish(0, {}, 2, {gatewayWith(81)});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.sink.all().size() == 2);
  REQUIRE(second.all().size() == 3);
  CHECK(second.all()[2].full);
}

TEST_CASE(
    "An object without namespace, its name with a colon, is no longer rejected once it is gone") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  gateway::ObjectChange bundle{
      "certificates.k8s.io", "ClusterTrustBundle", "", "example.com:a:1",
      R"({"apiVersion":"certificates.k8s.io/v1beta1","kind":"ClusterTrustBundle","metadata":{"name":"example.com:a:1"},"spec":7})"};
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1, {bundle});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.pipeline.health().rejected.size() == 1);
  bundle.json = {};
  f.port.publish(0, {}, 2, {bundle});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.pipeline.health().rejected.empty());
}

TEST_CASE("A sink that serves makes ready, however long its report waits behind other work") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1,
                 {gatewayClass(), gatewayWith(80)});
  REQUIRE(f.pipeline.drain(kLimit));
  std::promise<void> go;
  f.pipeline.post([wait = go.get_future().share()] { wait.wait(); });
  f.sink.tell({1, true, "no room", {}, {}});
  CHECK_FALSE(f.pipeline.health().programmed);
  f.sink.tell({1, false, "", {}, {}});
  CHECK(f.pipeline.health().programmed);
  go.set_value();
}

TEST_CASE("A source that cannot begin stops the start with its reason") {
  Fixture f;
  f.source.broken = true;
  std::string error;
  CHECK_FALSE(f.pipeline.start(error));
  CHECK(error == "test: broken on purpose");
}

TEST_CASE("A task that throws ends neither the thread nor what is in force") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.pipeline.post([] { throw std::runtime_error("on purpose"); });
  // One turn takes both tasks if they are queued together, so a second look is needed.
  f.settle();
  CHECK(f.pipeline.health().degraded.size() <= 1);
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1, {});
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.sink.all().size() == 1);
}

TEST_CASE(
    "stop ends sources and sinks once, and whoever waits for a task learns that it will not run") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.pipeline.stop();
  f.pipeline.stop();
  CHECK(f.source.stopped == 1);
  CHECK(f.sink.stopped == 1);
  auto promise = std::make_shared<std::promise<void>>();
  auto result = promise->get_future();
  f.pipeline.post([promise] { promise->set_value(); });
  promise.reset();
  CHECK_THROWS_AS(result.get(), std::future_error);
  f.port.publish(SourcePort::kSynced, {}, 1, {});  // does nothing
}

TEST_CASE("Sources may publish from many threads at once") {
  Fixture f;
  std::string error;
  REQUIRE(f.pipeline.start(error));
  f.port.publish(SourcePort::kBegin | SourcePort::kEnd | SourcePort::kSynced, {}, 1,
                 {gatewayClass()});
  REQUIRE(f.pipeline.drain(kLimit));  // else all of it may come to one generation
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&f, t] {
      for (int i = 0; i < 100; ++i) {
        f.port.publish(0, {}, static_cast<std::uint64_t>(t * 100 + i), {gatewayWith(1000 + t)});
        f.port.health(i % 2 == 0, "now and then");
      }
    });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(f.pipeline.drain(kLimit));
  CHECK(f.pipeline.health().generation >= 2);
}
