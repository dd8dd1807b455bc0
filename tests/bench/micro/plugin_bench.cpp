// SPDX-License-Identifier: Apache-2.0
// What a filter call through the ABI costs, in nanoseconds of CPU. Prints one line for each figure;
// run it pinned to one core. The goal is at most 100 ns for a call (PERFORMANCE.md).

// LINK: hw_plugin plugin_header_modifier_static

#include <time.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "../../unit/plugin/fake_context.hpp"
#include "plugin/filter_configs.hpp"
#include "plugin/registry.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_header_modifier;

namespace hyperway::plugin {
namespace {

std::uint64_t cpuNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void fill(http::HeaderMap& fields) {
  for (const auto& [name, value] : {std::pair{"user-agent", "bench/1.0"},
                                    {"accept", "*/*"},
                                    {"accept-encoding", "gzip"},
                                    {"x-one", "1"},
                                    {"x-two", "2"},
                                    {"cookie", "a=b"},
                                    {"x-forwarded-for", "192.0.2.1"},
                                    {"x-request-id", "0123456789"}})
    fields.add(name, value);
}

void measure(const char* name, const proxy::FilterBinding& binding) {
  constexpr int kRounds = 40;
  constexpr int kStreams = 5000;
  std::uint64_t best = ~std::uint64_t{0};
  std::uint64_t base = ~std::uint64_t{0};
  for (int round = 0; round < kRounds; ++round) {
    // Making the stream costs too, and is not the call: it is measured alone and taken off.
    for (const bool call : {false, true}) {
      const std::uint64_t start = cpuNanoseconds();
      for (int i = 0; i < kStreams; ++i) {
        FakeContext context;
        fill(context.request.fields);
        if (!call) continue;
        void* filter = nullptr;
        if (!binding.create(context, &filter)) std::abort();
        if (binding.onRequestHead(filter, context, proxy::kEndOfStream) != proxy::Flow::Continue)
          std::abort();
        binding.destroy(filter, proxy::StreamEnd::Complete);
      }
      std::uint64_t& least = call ? best : base;
      least = std::min(least, cpuNanoseconds() - start);
    }
  }
  std::printf("%-44s %6.1f ns\n", name, static_cast<double>(best - base) / kStreams);
}

int run() {
  HostServices services{{"bench", 1, nullptr, nullptr, 10'000}};
  PluginRegistry registry{services, {}, {{"header_modifier", &hyperway_plugin_v1_header_modifier}}};
  registry.load({{"header_modifier", "", "", ""}});
  FilterConfigs configs{registry};
  const struct {
    const char* name;
    const char* config;
  } rows[] = {
      {"call without an edit", "{}"},
      {"call, 1 set of a new field", R"({"set": [{"name": "x-new", "value": "0123456789"}]})"},
      {"call, 1 set of a field that is there",
       R"({"set": [{"name": "x-two", "value": "0123456789"}]})"},
      {"call, 4 edits (S8)",
       R"({"set": [{"name": "x-new", "value": "a"}, {"name": "x-one", "value": "b"}],
          "add": [{"name": "x-two", "value": "c"}], "remove": ["cookie"]})"},
  };
  for (const auto& row : rows) {
    Problems problems;
    const auto bound = configs.parse("RequestHeaderModifier", "bench", row.config, problems);
    if (bound == nullptr) return 1;
    measure(row.name, static_cast<const proxy::FilterBinding&>(*bound));
  }
  return 0;
}

}  // namespace
}  // namespace hyperway::plugin

int main() { return hyperway::plugin::run(); }
