// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/filter.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "hyperway/sdk/fake_host.hpp"
#include "hyperway/sdk/plugin.hpp"

namespace hyperway::sdk {
namespace {

int g_living = 0;
End g_ended = End::Complete;

// Everything that a filter may have; the request header x-do says what to do where.
class Whole {
 public:
  static constexpr const char* kId = "whole";
  static constexpr bool kResizesRequestBody = true;
  static constexpr bool kResizesResponseBody = false;
  struct Config {
    explicit Config(Setup& setup) : name(setup.config()["name"].textOr("none")) {
      if (name == "throw") throw std::runtime_error("no such name");
      if (name == "throw int") throw 1;
      setup.config().only({"name"});
    }
    std::string name;
  };
  explicit Whole(const Config& config, Stream& stream) : config_(config) {
    if (stream.requestHeader("x-do") == "throw in constructor")
      throw std::runtime_error("no stream");
    ++g_living;
  }
  Whole(const Whole&) = delete;
  Whole& operator=(const Whole&) = delete;
  ~Whole() { --g_living; }

  Flow onRequestHead(Stream& stream, Flags flags) {
    const std::string_view what = stream.requestHeader("x-do");
    if (what == "throw") throw std::logic_error("head");
    if (what == "pause") {
      waker_ = stream.waker();
      return Flow::Pause;
    }
    if (what == "answer") return stream.respond(418, "teapot", {{"x-a", "1"}});
    if (what == "bad answer") return stream.respond(418, "", {{"content-length", "1"}});
    stream.request().set("x-name", config_.name);
    stream.request().add("x-end", flags.endOfStream() ? "yes" : "no");
    return Flow::Continue;
  }
  Flow onRequestBody(Stream&, Body& body, Flags flags) {
    if (!flags.endOfStream()) return Flow::Hold;
    return body.replace("<" + std::string(body.view()) + ">") == HW_OK ? Flow::Continue
                                                                       : Flow::Fault;
  }
  Flow onResponseBody(Stream& stream, Body& body, Flags) {
    if (body.append("x") == HW_OK) return Flow::Fault;  // Not announced: must be refused.
    if (body.size() == 0) stream.ignore(HW_HOOK_RESPONSE_BODY);
    for (std::size_t i = 0; i < body.size(); ++i) body.edit()[i] = '*';
    return Flow::Continue;
  }
  void onWake(Stream& stream, Hooks paused, std::uint64_t token) {
    if (token == 13) throw std::runtime_error("unlucky");
    if (paused.has(HW_HOOK_REQUEST_HEAD)) stream.resume(HW_HOOK_REQUEST_HEAD, Flow::Continue);
  }
  void onEnd(End reason) { g_ended = reason; }
  static Waker& lastWaker() { return waker_; }

 private:
  const Config& config_;
  static inline Waker waker_;
};

constexpr hw_plugin_manifest kManifest = manifest<Filters<Whole>>("test.whole", "1.0.0");

struct Fixture {
  FakeHost host;
  FakePlugin plugin{host, kManifest};
};

TEST_CASE("sdk: hooks are found by their signatures, and a missing one costs nothing") {
  constexpr const hw_filter_class& type = FilterClass<Whole>::kClass;
  CHECK(type.interest == (HW_HOOK_REQUEST_HEAD | HW_HOOK_REQUEST_BODY | HW_HOOK_RESPONSE_BODY |
                          HW_INTEREST_REQUEST_RESIZE));
  CHECK((type.on_response_head == nullptr));
  CHECK((type.on_request_trailers == nullptr));
  CHECK(type.struct_size == sizeof(hw_filter_class));
}

TEST_CASE_FIXTURE(Fixture,
                  "sdk: a filter is made for each stream, edits, holds, and ends exactly once") {
  auto filter = plugin.filter("whole", R"({"name": "ann"})");
  REQUIRE(filter.accepted());
  {
    auto stream = filter.stream();
    CHECK(stream.requestHead(false) == HW_FLOW_CONTINUE);
    CHECK(g_living == 1);
    CHECK(stream.request.get("x-name") == "ann");
    CHECK(stream.request.get("x-end") == "no");
    CHECK(stream.requestBody("one ") == HW_FLOW_HOLD);
    CHECK(stream.request_body.empty());
    CHECK(stream.held() == 4);
    CHECK(stream.requestBody("two", true) == HW_FLOW_CONTINUE);
    CHECK(stream.request_body == "<one two>");
    CHECK(stream.responseHead(200, false) == HW_FLOW_CONTINUE);
    CHECK(stream.responseBody("secret") == HW_FLOW_CONTINUE);
    CHECK(stream.response_body == "******");
    stream.end(HW_END_CLIENT_GONE);
    CHECK_THROWS_AS((void)stream.requestHead(), std::logic_error);
  }
  CHECK(g_living == 0);
  CHECK(g_ended == End::ClientGone);
}

TEST_CASE_FIXTURE(Fixture,
                  "sdk: no exception leaves a trampoline; it becomes a fault and a log line") {
  auto filter = plugin.filter("whole", "{}");
  for (const std::string what : {"throw", "throw in constructor"}) {
    auto stream = filter.stream();
    stream.request.add("x-do", what);
    CHECK(stream.requestHead() == HW_FLOW_FAULT);
  }
  CHECK(host.log.size() == 2);
  CHECK(host.log[0].pairs.get("what") == "head");
  CHECK(g_living == 0);
  CHECK(plugin.filter("whole", R"({"name": "throw"})").problems()[0].message == "no such name");
  CHECK_FALSE(plugin.filter("whole", R"({"name": "throw int"})").accepted());
  CHECK(plugin.filter("whole", R"({"name": 1, "more": 2})").pointers() == "/name /more");
  CHECK(plugin.filter("whole", "{\"name\": ").pointers() == "/name");
}

TEST_CASE_FIXTURE(Fixture,
                  "sdk: a pause ends by a waker from another thread; a broken wake is a fault") {
  auto filter = plugin.filter("whole", "{}");
  {
    auto stream = filter.stream();
    stream.request.add("x-do", "pause");
    CHECK(stream.requestHead() == HW_FLOW_PAUSE);
    CHECK(stream.paused() == HW_HOOK_REQUEST_HEAD);
    std::thread([] { Whole::lastWaker().wake(7); }).join();
    CHECK(stream.deliverWakes() == 1);
    CHECK(stream.paused() == 0);
    CHECK(*stream.resumed(HW_HOOK_REQUEST_HEAD) == HW_FLOW_CONTINUE);
  }
  Whole::lastWaker().wake(7);  // The stream is gone: harmless.
  auto stream = filter.stream();
  stream.request.add("x-do", "pause");
  CHECK(stream.requestHead() == HW_FLOW_PAUSE);
  Whole::lastWaker().wake(13);
  CHECK(stream.deliverWakes() == 1);
  CHECK(*stream.resumed(HW_HOOK_REQUEST_HEAD) == HW_FLOW_FAULT);
}

TEST_CASE_FIXTURE(Fixture,
                  "sdk: an answer that the host refuses is a fault, and so is a full arena") {
  auto filter = plugin.filter("whole", "{}");
  {
    auto stream = filter.stream();
    stream.request.add("x-do", "answer");
    CHECK(stream.requestHead() == HW_FLOW_RESPONDED);
    CHECK(stream.answer->status == 418);
    CHECK(stream.answer->body == "teapot");
  }
  {
    auto stream = filter.stream();
    stream.request.add("x-do", "bad answer");
    CHECK(stream.requestHead() == HW_FLOW_FAULT);
  }
  auto stream = filter.stream();
  stream.arena_limit = 8;
  CHECK(stream.requestHead() == HW_FLOW_FAULT);
  CHECK(g_living == 0);
}

TEST_CASE_FIXTURE(Fixture, "sdk: a host without a service that a filter needs is told so") {
  host.without[HW_BODY_SERVICE] = true;
  auto filter = plugin.filter("whole", "{}");
  CHECK_FALSE(filter.accepted());
  CHECK(filter.status() == HW_UNSUPPORTED);
}

// ---- the plugin's own object

std::string g_story;

struct Shared {
  explicit Shared(Setup& setup) : name(setup.config()["name"].text()) { g_story += "init "; }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { g_story += "deinit "; }
  void start() { g_story += "start "; }
  void stop() { g_story += "stop "; }
  std::string name;
};

constexpr hw_plugin_manifest kShared =
    manifest<Filters<Whole>, Global<Shared>>("test.shared", "1.0.0");

TEST_CASE("sdk: a plugin's own object lives from init to deinit, and is configured by init") {
  g_story.clear();
  FakeHost host;
  {
    FakePlugin plugin(host, kShared, R"({"name": "x"})");
    CHECK(Global<Shared>::get()->name == "x");
    CHECK(g_story == "init start ");
  }
  CHECK(g_story == "init start stop deinit ");
  CHECK((Global<Shared>::get() == nullptr));
  CHECK_THROWS_AS(FakePlugin(host, kShared, "{}"), std::logic_error);
  CHECK((Global<Shared>::get() == nullptr));
  CHECK_THROWS_AS(FakePlugin(host, kManifest, R"({"unexpected": 1})"), std::logic_error);
}

}  // namespace
}  // namespace hyperway::sdk
