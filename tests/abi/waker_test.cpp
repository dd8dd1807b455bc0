// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>

#include "plugin_host.hpp"

namespace hyperway::plugin {
namespace {

using proxy::Flow;

TEST_CASE("a waker fires from a plugin's thread, before and after its stream is gone") {
  PluginProcess process;
  REQUIRE(process.refusal("sleeper") == "");
  process.registry.start();
  const auto binding = process.bind("sleeper");
  REQUIRE(binding != nullptr);

  const auto wakes = [&] {
    const std::lock_guard lock(process.ports.mutex);
    return process.ports.woken.size();
  };
  const auto untilWakes = [&](std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (wakes() < count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    return wakes() == count;
  };
  FakeContext living;
  void* waiting = nullptr;
  REQUIRE(binding->create(living, &waiting));
  CHECK(binding->onRequestHead(waiting, living, 0) == Flow::Pause);
  {
    FakeContext ended;
    void* gone = nullptr;
    REQUIRE(binding->create(ended, &gone));
    CHECK(binding->onRequestHead(gone, ended, 0) == Flow::Pause);
    binding->destroy(gone, proxy::StreamEnd::ClientGone);
  }
  FakeContext releasing;
  void* filter = nullptr;
  REQUIRE(binding->create(releasing, &filter));
  releasing.request.fields.add("x-release", "1");
  CHECK(binding->onRequestHead(filter, releasing, 0) == Flow::Continue);
  binding->destroy(filter, proxy::StreamEnd::Complete);

  // Both wakes come; which stream still lives is for the proxy to know.
  CHECK(untilWakes(2));
  living.paused = proxy::kRequestHead;
  binding->onWake(waiting, living, living.paused, 99);
  CHECK(living.resumed[proxy::kRequestHead] == Flow::Continue);
  binding->destroy(waiting, proxy::StreamEnd::Complete);
}

}  // namespace
}  // namespace hyperway::plugin
