// SPDX-License-Identifier: Apache-2.0
// The programs of the plugin author's guide, loaded as shared objects into today's host.
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

#include "plugin_host.hpp"

namespace hyperway::plugin {
namespace {

using proxy::Flow;

TEST_CASE("guide: hello, in C++ and in C, greets the backend") {
  for (const auto& [file, type] :
       {std::pair{"guide_hello", "hello"}, {"guide_hello_c", "hello_c"}}) {
    PluginProcess process;
    REQUIRE(process.refusal(file) == "");
    const auto binding = process.bind(type, "{}");
    REQUIRE(binding != nullptr);
    FakeContext context;
    void* filter = nullptr;
    REQUIRE(binding->create(context, &filter));
    CHECK(binding->onRequestHead(filter, context, 0) == Flow::Continue);
    CHECK(linesOf(context.request.fields) == "x-greeting: hello");
    binding->destroy(filter, proxy::StreamEnd::Complete);
  }
}

TEST_CASE("guide: count lets a body pass up to its limit") {
  PluginProcess process;
  REQUIRE(process.refusal("guide_count") == "");
  CHECK(process.bind("count", "{}") == nullptr);
  const auto binding = process.bind("count", R"({"limit": 10})");
  REQUIRE(binding != nullptr);
  FakeContext context;
  void* filter = nullptr;
  REQUIRE(binding->create(context, &filter));
  std::string bytes = "12345678";
  for (const Flow expected : {Flow::Continue, Flow::Responded}) {
    proxy::BodyChunk chunk{{bytes.data(), bytes.size()}};
    CHECK(binding->onRequestBody(filter, context, chunk, 0) == expected);
  }
  CHECK(context.answer->starts_with("413|"));
  binding->destroy(filter, proxy::StreamEnd::Aborted);
}

TEST_CASE("guide: lookup pauses, and its thread decides") {
  PluginProcess process;
  REQUIRE(process.refusal("guide_lookup", R"({"admin": "ann"})") == "");
  process.registry.start();
  const auto binding = process.bind("lookup", "{}");
  REQUIRE(binding != nullptr);
  std::size_t wakes = 0;
  for (const auto& [user, expected] :
       {std::pair{"ann", Flow::Continue}, {"bob", Flow::Responded}}) {
    FakeContext context;
    context.request.fields.add("x-user", user);
    void* filter = nullptr;
    REQUIRE(binding->create(context, &filter));
    CHECK(binding->onRequestHead(filter, context, 0) == Flow::Pause);
    ++wakes;
    const auto woken = [&] {
      const std::lock_guard lock(process.ports.mutex);
      return process.ports.woken.size() >= wakes;
    };
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!woken() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    REQUIRE(woken());
    context.paused = proxy::kRequestHead;
    binding->onWake(filter, context, context.paused, process.ports.woken.back().second);
    CHECK(context.resumed[proxy::kRequestHead] == expected);
    binding->destroy(filter, proxy::StreamEnd::Complete);
  }
}

TEST_CASE("guide: ask asks its first backend, and does what it says") {
  PluginProcess process;
  REQUIRE(process.refusal("guide_ask") == "");
  const auto binding = process.bind("ask", "{}");
  REQUIRE(binding != nullptr);
  for (const auto& [status, expected] : {std::pair{200, Flow::Continue}, {404, Flow::Responded}}) {
    FakeContext context;
    context.backends = 1;
    context.request.fields.add("x-user", "ann");
    void* filter = nullptr;
    REQUIRE(binding->create(context, &filter));
    REQUIRE(binding->onRequestHead(filter, context, 0) == Flow::Pause);
    CHECK(context.asked == "0 once 5000ms 65536 0 GET directory /may-pass x-user=ann ");
    context.callout_answer.outcome = proxy::CalloutOutcome::Answered;
    context.callout_answer.status = static_cast<std::uint16_t>(status);
    context.paused = proxy::kRequestHead;
    binding->onWake(filter, context, context.paused, 0);
    CHECK(context.resumed[proxy::kRequestHead] == expected);
    binding->destroy(filter, proxy::StreamEnd::Complete);
  }
}

}  // namespace
}  // namespace hyperway::plugin
