// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <string_view>

#include "plugin_host.hpp"

namespace hyperway::plugin {
namespace {

using proxy::Flow;

struct Hostile : PluginProcess {
  Hostile() { REQUIRE(refusal("hostile") == ""); }
  FakeContext context;
};

Flow call(const proxy::FilterBinding& binding, std::string_view hook, void* filter,
          FakeContext& context) {
  std::string bytes = "x";
  proxy::BodyChunk chunk{{bytes.data(), bytes.size()}};
  if (hook == "on_request_head") return binding.onRequestHead(filter, context, 0);
  if (hook == "on_request_body") return binding.onRequestBody(filter, context, chunk, 0);
  if (hook == "on_request_trailers") return binding.onRequestTrailers(filter, context);
  if (hook == "on_response_head") return binding.onResponseHead(filter, context, 0);
  if (hook == "on_response_body") return binding.onResponseBody(filter, context, chunk, 0);
  return binding.onResponseTrailers(filter, context);
}

TEST_CASE_FIXTURE(Hostile,
                  "an exception or an unknown verdict from any hook is a counted fault, and the "
                  "next stream works") {
  double expected = 0;
  for (const std::string hook : {"on_request_head", "on_request_body", "on_request_trailers",
                                 "on_response_head", "on_response_body", "on_response_trailers"}) {
    for (const std::string what : {"throw", "throw_int", "unknown", "negative"}) {
      CAPTURE(hook);
      CAPTURE(what);
      const auto binding = bind("hostile", hook + ":" + what);
      REQUIRE(binding != nullptr);
      void* filter = nullptr;
      REQUIRE(binding->create(context, &filter));
      CHECK(call(*binding, hook, filter, context) == Flow::Fault);
      CHECK(faults() == ++expected);
      binding->destroy(filter, proxy::StreamEnd::Aborted);
      const auto calm = bind("hostile", "calm");
      REQUIRE(calm->create(context, &filter));
      CHECK(call(*calm, hook, filter, context) == Flow::Continue);
      calm->destroy(filter, proxy::StreamEnd::Complete);
    }
  }
  CHECK(faults() == expected);
}

TEST_CASE_FIXTURE(Hostile, "a filter that cannot be made is a fault, and is not destroyed") {
  for (const std::string what : {"throw", "throw_int", "unknown"}) {
    const auto binding = bind("hostile", "stream_create:" + what);
    void* filter = nullptr;
    CHECK_FALSE(binding->create(context, &filter));
  }
  CHECK(faults() == 3);
}

TEST_CASE_FIXTURE(Hostile, "an exception from on_wake resumes what is paused with a fault") {
  const auto binding = bind("hostile", "on_wake:throw");
  void* filter = nullptr;
  REQUIRE(binding->create(context, &filter));
  context.paused = proxy::kRequestBody | proxy::kResponseHead;
  binding->onWake(filter, context, context.paused, 1);
  CHECK(context.paused == 0);
  CHECK(context.resumed[proxy::kRequestBody] == Flow::Fault);
  CHECK(context.resumed[proxy::kResponseHead] == Flow::Fault);
}

TEST_CASE_FIXTURE(Hostile, "exceptions while something ends are counted and stay inside") {
  auto binding = bind("hostile", "stream_destroy:throw");
  void* filter = nullptr;
  REQUIRE(binding->create(context, &filter));
  binding->destroy(filter, proxy::StreamEnd::Complete);
  CHECK(faults() == 1);
  binding = bind("hostile", "config_destroy:throw");
  REQUIRE(binding != nullptr);
  binding.reset();
  CHECK(faults() == 2);
}

TEST_CASE_FIXTURE(Hostile, "a configuration that the plugin did not clearly accept is refused") {
  struct Row {
    std::string_view config, problem;
  };
  for (const Row& row : {
           Row{"config_create:throw", "plugin test.hostile (hostile) failed: hostile"},
           Row{"config_create:throw_int",
               "plugin test.hostile (hostile) failed with an unknown exception"},
           Row{"config_create:garbage_status",
               "plugin test.hostile (hostile) refused it without a reason (status 42)"},
           Row{"config_create:silent_error",
               "plugin test.hostile (hostile) refused it without a reason (status -2)"},
           Row{"config_create:ok_with_error", "no"},
           Row{"config_create:unknown_severity", "odd"},
       }) {
    CAPTURE(row.config);
    CHECK(bind("hostile", row.config) == nullptr);
    CHECK(problem == row.problem);
  }
}

}  // namespace
}  // namespace hyperway::plugin
