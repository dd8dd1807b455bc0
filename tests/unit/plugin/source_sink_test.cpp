// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hyperway/sdk/plugin.hpp"
#include "plugin/loader.hpp"
#include "plugin/sink_adapter.hpp"
#include "plugin/source_adapter.hpp"

namespace hyperway::plugin {
namespace {

// What the test plugins were asked to do; the tests run one after the other.
struct Script {
  std::string story;
  const sdk::SourcePort* port = nullptr;
  const sdk::SinkAck* ack = nullptr;
  hw_status apply = HW_OK;
};
Script g_script;

class TestSource {
 public:
  static constexpr const char* kId = "test_source";
  TestSource(sdk::Setup& setup, sdk::SourcePort port) : port_(port) {
    if (setup.config()["bad"].present()) setup.config()["bad"].error("is bad");
    g_script.port = &port_;
  }
  void start() { g_script.story += "start "; }
  void stop() { g_script.story += "stop "; }
  void reportStatus(std::uint64_t seq, std::string_view statuses) {
    g_script.story += std::to_string(seq) + std::string(statuses) + ' ';
    if (seq == 13) throw 1;
  }
  hw_status locate(std::string_view key, std::string_view pointer, sdk::Problems& where) {
    where.note("", "file.yaml:" + std::string(key) + std::string(pointer));
    return HW_OK;
  }

 private:
  sdk::SourcePort port_;
};

class TestSink {
 public:
  static constexpr const char* kId = "test_sink";
  TestSink(sdk::Setup&, sdk::SinkAck ack) : ack_(ack) { g_script.ack = &ack_; }
  hw_status apply(std::uint64_t generation, std::uint32_t flags, std::string_view batch) {
    g_script.story =
        std::to_string(generation) + '/' + std::to_string(flags) + ' ' + std::string(batch);
    if (g_script.apply == 99) throw 1;
    return g_script.apply;
  }
  void stop() { g_script.story = "stopped"; }

 private:
  sdk::SinkAck ack_;
};

class GatewaySink final : public TestSink {
 public:
  static constexpr const char* kId = "gateway_sink";
  static constexpr std::uint32_t kWants = HW_SINK_GATEWAYS_ONLY;
  using TestSink::TestSink;
};

constexpr hw_plugin_manifest kManifest =
    sdk::manifest<sdk::Sources<TestSource>, sdk::Sinks<TestSink, GatewaySink>>("test.ends",
                                                                               "1.0.0");

struct Port final : control::SourcePort {
  void publish(std::uint32_t flags, const Scope& scope, std::uint64_t sequence,
               std::vector<gateway::ObjectChange> changes) override {
    seen += std::to_string(flags) + '/' + scope.kind + '/' + std::to_string(sequence) + '/' +
            std::to_string(changes.size()) + ' ';
  }
  void health(bool healthy, std::string_view reason) override {
    seen += (healthy ? "healthy " : "degraded ") + std::string(reason) + ' ';
  }
  std::string seen;
};

struct Fixture {
  Fixture() { g_script = {}; }
  HostServices services{{"1", 1, nullptr, nullptr, 10'000}};
  std::shared_ptr<LoadedPlugin> plugin =
      LoadedPlugin::fromManifest(kManifest, "ends", "", services);
  Problems problems;
};

TEST_CASE_FIXTURE(Fixture, "a source plugin publishes batches; an unreadable one changes nothing") {
  Port port;
  auto source = makeSource(plugin, plugin->sources()[0], "{}", port, problems);
  REQUIRE(source != nullptr);
  CHECK(source->id() == "test_source");
  std::string error;
  CHECK(source->start(error));
  const sdk::SourcePort& out = *g_script.port;
  CHECK(out.publish(HW_DOC_OBJECTS, HW_PUBLISH_BEGIN, {"", "HTTPRoute", ""}, 1,
                    R"({"upserts": [{"kind": "A", "metadata": {"name": "x"}}]})") == HW_OK);
  CHECK(out.publish(HW_DOC_OBJECTS, HW_PUBLISH_END | HW_PUBLISH_SYNCED, {}, 2, "") == HW_OK);
  CHECK(out.publish(HW_DOC_OBJECTS, 0, {}, 3, "[]") == HW_INVALID);
  CHECK(out.publish(2, 0, {}, 4, "{}") == HW_UNSUPPORTED);
  CHECK(out.publish(HW_DOC_OBJECTS, 1U << 9, {}, 5, "{}") == HW_UNSUPPORTED);
  out.health(sdk::Health::Degraded, "half a file");
  CHECK(port.seen == "1/HTTPRoute/1/1 6//2/0 degraded half a file ");
  CHECK(source->locate("A//x", "/spec") == "file.yaml:A//x/spec");
  source->reportStatus(12, {});
  source->reportStatus(13, {});  // Throws inside; nothing comes out.
  source->stop();
  CHECK(out.publish(HW_DOC_OBJECTS, 0, {}, 6, "{}") == HW_WRONG_STATE);
  source->stop();
  CHECK(g_script.story == "start 12[] 13[] stop ");
}

TEST_CASE_FIXTURE(Fixture, "a source that refuses its configuration says where") {
  Port port;
  CHECK(makeSource(plugin, plugin->sources()[0], R"({"bad": 1})", port, problems) == nullptr);
  REQUIRE(problems.list().size() == 1);
  CHECK(problems.list()[0].pointer == "/bad");
}

TEST_CASE_FIXTURE(
    Fixture,
    "a sink plugin gets batches keyed by object, without keys, certificates and endpoints") {
  auto sink = makeSink(plugin, plugin->sinks()[0], "{}", problems);
  REQUIRE(sink != nullptr);
  route::ModelBatch batch;
  batch.full = true;
  route::Listener listener;
  listener.key = "ns/gw/http";
  listener.port = 80;
  listener.binds = {{"127.0.0.1", 8080}};
  batch.listeners.push_back(listener);
  batch.upstreams.push_back({"ns/svc:80", {}, {}, {{"10.9.8.7", 80}}});
  batch.certificates.push_back({"ns/secret", "CHAIN", "PRIVATE"});
  batch.removed_routes = {"HTTPRoute/ns/\"old\""};
  route::Gateway gateway;
  gateway.name_space = "ns";
  gateway.name = "gw";
  gateway.uid = "u-1";
  gateway.generation = 3;
  gateway.created = 9;
  gateway.labels = {{"a", "\"b\""}};
  gateway.annotations = {{"c", "d"}, {"e", "f"}};
  gateway.addresses = {"10.0.0.1"};
  gateway.ports = {{80, "TCP"}, {443, "TCP"}};
  gateway.parameters = {{"GatewayClass c", "", "ConfigMap", "ns", "p"}};
  batch.gateways.push_back(gateway);
  batch.removed_gateways = {"ns/old"};
  CHECK(sink->apply(7, batch));
  CHECK(g_script.story.starts_with("7/1 {\"listeners\":[{"));
  CHECK(g_script.story.find("ns/gw/http") != std::string::npos);
  CHECK(g_script.story.find(R"("removedRoutes":["HTTPRoute/ns/\"old\""])") != std::string::npos);
  CHECK(
      g_script.story.find(
          R"("gateways":[{"namespace":"ns","name":"gw","uid":"u-1","generation":3,"created":9,)"
          R"("accepted":true,"labels":{"a":"\"b\""},"annotations":{"c":"d","e":"f"},)"
          R"("addresses":["10.0.0.1"],"ports":[{"port":80,"protocol":"TCP"},)"
          R"({"port":443,"protocol":"TCP"}],"parameters":[{"owner":"GatewayClass c","group":"",)"
          R"("kind":"ConfigMap","namespace":"ns","name":"p"}]}],"removedGateways":["ns/old"]})") !=
      std::string::npos);
  for (const std::string_view secret : {"10.9.8.7", "CHAIN", "PRIVATE"})
    CHECK(g_script.story.find(secret) == std::string::npos);
  batch.full = false;
  g_script.apply = HW_NEED_FULL;
  CHECK_FALSE(sink->apply(8, batch));
  CHECK(g_script.story.starts_with("8/0 "));
  g_script.apply = 99;
  CHECK_FALSE(sink->apply(9, batch));
}

TEST_CASE_FIXTURE(Fixture,
                  "a route is given to sinks again when what its text says of others changes") {
  auto sink = makeSink(plugin, plugin->sinks()[0], "{}", problems);
  REQUIRE(sink != nullptr);
  route::Listener listener;
  listener.key = "ns/gw/http";
  listener.port = 80;
  route::Rule rule;
  rule.id = "ns/a/0";
  rule.backends.resize(1);
  rule.backends[0].upstream = "ns/svc:80";
  route::Route route;
  route.key = "HTTPRoute/ns/a";
  route.name_space = "ns";
  route.name = "a";
  route.attachments = {{"ns/gw/http", {""}}};
  route.rules = std::make_shared<const std::vector<route::Rule>>(1, rule);
  route::ModelBatch batch;
  batch.listeners = {listener};
  batch.routes = {route};
  batch.upstreams.push_back({"ns/svc:80", {}, {}, {{"10.9.8.7", 80}}});
  CHECK(sink->apply(1, batch));
  const auto given = [&](const route::ModelBatch& change) {
    CHECK(sink->apply(2, change));
    return g_script.story.find("HTTPRoute/ns/a") != std::string::npos;
  };
  route::ModelBatch endpoints;
  endpoints.upstreams.push_back({"ns/svc:80", {}, {}, {{"10.9.8.8", 80}}});
  CHECK_FALSE(given(endpoints));
  route::ModelBatch protocol;
  protocol.upstreams.push_back({"ns/svc:80", route::UpstreamProtocol::WebSocket, {}, {}});
  CHECK(given(protocol));
  CHECK(g_script.story.find(R"("protocol":"ws")") != std::string::npos);
  CHECK_FALSE(given(protocol));
  route::ModelBatch port;
  listener.port = 81;
  port.listeners = {listener};
  CHECK(given(port));
  CHECK(g_script.story.find(R"("listenerPort":81)") != std::string::npos);
  route::ModelBatch removal;
  removal.removed_routes = {route.key};
  CHECK(sink->apply(3, removal));
  listener.port = 82;
  port.listeners = {listener};
  CHECK_FALSE(given(port));
}

TEST_CASE_FIXTURE(
    Fixture, "a listener is given to sinks again when what its filters ask is spoken to anew") {
  auto sink = makeSink(plugin, plugin->sinks()[0], "{}", problems);
  REQUIRE(sink != nullptr);
  route::ModelBatch batch;
  batch.listeners.resize(1);
  batch.listeners[0].key = "ns/gw/http";
  batch.listeners[0].filters.resize(1);
  batch.listeners[0].filters[0].type = "ExternalAuth";
  batch.listeners[0].filters[0].upstreams = {"ns/auth:80"};
  batch.upstreams.push_back({"ns/auth:80", {}, {}, {{"10.9.8.7", 80}}});
  CHECK(sink->apply(1, batch));
  const auto given = [&](const route::ModelBatch& change) {
    CHECK(sink->apply(2, change));
    return g_script.story.find(R"("name":"ns/gw/http")") != std::string::npos;
  };
  route::ModelBatch endpoints;
  endpoints.upstreams.push_back({"ns/auth:80", {}, {}, {{"10.9.8.8", 80}}});
  CHECK_FALSE(given(endpoints));
  route::ModelBatch protocol;
  protocol.upstreams.push_back({"ns/auth:80", route::UpstreamProtocol::Http2, {}, {}});
  CHECK(given(protocol));
  CHECK(g_script.story.find(R"("protocol":"h2c")") != std::string::npos);
  CHECK_FALSE(given(protocol));
  route::ModelBatch removal;
  removal.removed_listeners = {"ns/gw/http"};
  CHECK(sink->apply(3, removal));
  CHECK_FALSE(given(endpoints));
}

TEST_CASE_FIXTURE(Fixture, "a sink that wants Gateways only gets them, and no batch without them") {
  auto sink = makeSink(plugin, plugin->sinks()[1], "{}", problems);
  REQUIRE(sink != nullptr);
  route::ModelBatch batch;
  batch.removed_routes = {"HTTPRoute/ns/a"};
  CHECK(sink->apply(1, batch));
  CHECK(g_script.story == R"(1/0 {"gateways":[],"removedGateways":[]})");
  CHECK(sink->apply(2, batch));
  CHECK(g_script.story.starts_with("1/0"));
  batch.removed_gateways = {"ns/gw"};
  CHECK(sink->apply(3, batch));
  CHECK(g_script.story == R"(3/0 {"gateways":[],"removedGateways":["ns/gw"]})");
  batch.removed_gateways.clear();
  batch.full = true;
  CHECK(sink->apply(4, batch));
  CHECK(g_script.story == R"(4/1 {"gateways":[],"removedGateways":[]})");
}

TEST_CASE_FIXTURE(Fixture, "a sink's acknowledgement is read; one that cannot be read is dropped") {
  auto sink = makeSink(plugin, plugin->sinks()[0], "{}", problems);
  REQUIRE(sink != nullptr);
  std::vector<control::SinkReport> reports;
  sink->onAcknowledge([&](control::SinkReport report) { reports.push_back(std::move(report)); });
  const sdk::SinkAck& ack = *g_script.ack;
  ack(3, "");
  ack(4, R"({"listeners": [{"name": "a/b/c", "programmed": false, "reason": "port busy"}]})");
  ack(5, R"({"refused": true, "reason": "too old", "gateways": [{"name": "a/b", "reason": "c"}]})");
  ack(5, R"({"trouble": "one left out"})");
  ack(6, "nonsense");
  ack(7, R"({"refused": "yes"})");
  REQUIRE(reports.size() == 4);
  CHECK_FALSE(reports[2].trouble);
  CHECK(reports[3].trouble == "one left out");
  CHECK_FALSE(reports[3].refused);
  CHECK(reports[0].generation == 3);
  CHECK(reports[1].listeners[0].listener == "a/b/c");
  CHECK_FALSE(reports[1].listeners[0].programmed);
  CHECK(reports[2].refused);
  CHECK(reports[2].reason == "too old");
  REQUIRE(reports[2].gateways.size() == 1);
  CHECK(reports[2].gateways[0].gateway == "a/b");
  CHECK(reports[2].gateways[0].reason == "c");
  sink->stop();
  CHECK(g_script.story == "stopped");
}

}  // namespace
}  // namespace hyperway::plugin
