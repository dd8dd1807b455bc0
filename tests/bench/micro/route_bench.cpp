// SPDX-License-Identifier: Apache-2.0
// What the route table costs: nanoseconds for a match, time to build and to edit, bytes for a plain
// route. Prints one line for each figure; run it pinned to one core, on a quiet machine.

// LINK: hw_route hw_http hw_base

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "http/head.hpp"
#include "route/compile.hpp"
#include "route/model.hpp"
#include "route/table.hpp"

namespace {

std::size_t g_live_bytes = 0;  // of the heap, as the allocator counts them
std::size_t g_allocations = 0;

void* counted(void* block) {
  if (block == nullptr) std::abort();
  g_live_bytes += malloc_usable_size(block) + sizeof(std::size_t);
  ++g_allocations;
  return block;
}

void uncounted(void* block) {
  if (block == nullptr) return;
  g_live_bytes -= malloc_usable_size(block) + sizeof(std::size_t);
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size)); }
void operator delete(void* block) noexcept { uncounted(block); }
void operator delete(void* block, std::size_t) noexcept { uncounted(block); }

namespace {

using namespace hyperway;
using namespace hyperway::route;

/// Processor time of this process: what else runs on the machine costs cache, but does not count as
/// time.
double nowUs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double elapsedUs(double since) { return nowUs() - since; }

enum class Shape { ManyHosts, ManyPrefixes, ManyExact };

const char* text(Shape shape) {
  switch (shape) {
    case Shape::ManyHosts: return "hosts with one prefix";
    case Shape::ManyPrefixes: return "prefixes of one host";
    case Shape::ManyExact: return "exact paths of one host";
  }
  return "";
}

std::string number(std::size_t i) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "%05zu", i);
  return buffer;
}

std::string hostOf(Shape shape, std::size_t i) {
  return shape == Shape::ManyHosts ? "host-" + number(i) + ".example.com" : "www.example.com";
}

std::string pathOf(Shape shape, std::size_t i) {
  return shape == Shape::ManyHosts ? "/" : "/service-" + number(i);
}

Route plainRoute(Shape shape, std::size_t i, std::size_t edition = 0) {
  Route route;
  route.name_space = "default";
  route.name = "route-" + number(i);
  route.key = "HTTPRoute/default/" + route.name;
  route.created = 1'700'000'000;
  for (const char* listener : {"default/gateway/http", "default/gateway/https"}) {
    route.attachments.push_back({listener, {hostOf(shape, i)}});
  }
  Rule rule;
  rule.id = "default/" + route.name + "/0";
  rule.matches.resize(1);
  rule.matches[0].path = {shape == Shape::ManyExact ? MatchKind::Exact : MatchKind::Prefix,
                          pathOf(shape, i)};
  rule.backends.resize(1);
  rule.backends[0].upstream = "default/backend:8080";
  rule.backends[0].weight = static_cast<std::uint32_t>(1 + edition);
  rule.backends[0].name_space = "default";
  rule.backends[0].name = "backend";
  rule.backends[0].port = 8080;
  route.rules = std::make_shared<const std::vector<Rule>>(1, std::move(rule));
  return route;
}

ModelBatch model(Shape shape, std::size_t routes) {
  ModelBatch batch;
  batch.full = true;
  for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{443}}) {
    Listener listener;
    listener.key = port == 80 ? "default/gateway/http" : "default/gateway/https";
    listener.protocol = port == 80 ? Protocol::Http : Protocol::Https;
    listener.port = port;
    listener.binds = {{"0.0.0.0", port}};
    batch.listeners.push_back(listener);
  }
  batch.routes.reserve(routes);
  for (std::size_t i = 0; i < routes; ++i) batch.routes.push_back(plainRoute(shape, i));
  return batch;
}

/// Median and 99th percentile of editing one route and dropping the table before.
void editCost(Shape shape, std::size_t routes, Compiler& compiler) {
  std::vector<double> costs;
  for (std::size_t i = 0; i < 1000; ++i) {
    ModelBatch edit;
    edit.routes.push_back(plainRoute(shape, (i * 7919) % routes, i + 1));
    const auto start = nowUs();
    (void)compiler.apply(edit);
    costs.push_back(elapsedUs(start));
  }
  std::sort(costs.begin(), costs.end());
  std::printf("  edit of one: median %.1f us, p99 %.1f us, most %.1f us\n", costs[500], costs[990],
              costs[999]);
}

struct Asked {
  std::string host, path;
};

/// Nanoseconds for finding listener and rule, over requests in the order given.
double matchCost(const RouteTable& table, const std::vector<Asked>& asked) {
  std::byte block[512];
  Arena arena(block);
  http::RequestHead head(arena);
  head.method = "GET";
  const BindGroup* group = table.group({"0.0.0.0", 443});
  std::size_t misses = 0;
  double best = 1e9;
  for (int round = 0; round < 7; ++round) {
    const std::size_t turns = std::max<std::size_t>(1, 1'000'000 / asked.size());
    const auto start = nowUs();
    for (std::size_t turn = 0; turn < turns; ++turn) {
      for (const Asked& each : asked) {
        head.host = each.host;
        head.path = each.path;
        misses += group->listenerFor(head.host)->match(head, head.method).rule == nullptr;
      }
    }
    best = std::min(best, elapsedUs(start) * 1000 / static_cast<double>(turns * asked.size()));
  }
  if (misses != 0) std::abort();
  return best;
}

std::vector<Asked> requests(Shape shape, std::size_t routes, std::size_t stride) {
  std::vector<Asked> out;
  out.reserve(routes);
  for (std::size_t i = 0; i < routes; ++i) {
    const std::size_t route = (i * stride) % routes;
    out.push_back({hostOf(shape, route), pathOf(shape, route)});
  }
  return out;
}

void run(Shape shape, std::size_t routes) {
  std::printf("%zu %s, 2 listeners\n", routes, text(shape));
  const std::vector<Asked> in_order = requests(shape, routes, 1);
  const std::vector<Asked> scattered = requests(shape, routes, 7919);
  const std::size_t before = g_live_bytes;
  const auto perRoute = [&] {
    return static_cast<double>(g_live_bytes - before) / static_cast<double>(routes);
  };
  const auto compiler = std::make_unique<Compiler>();
  double build = 0;
  {
    const ModelBatch batch = model(shape, routes);
    const auto start = nowUs();
    (void)compiler->apply(batch);
    build = elapsedUs(start);
  }
  std::printf("  full build: %.1f ms; retained: %.0f bytes a route\n", build / 1000, perRoute());
  {
    const ModelBatch again = model(shape, routes);
    const auto start = nowUs();
    (void)compiler->apply(again);
    std::printf("  re-list without change: %.1f ms\n", elapsedUs(start) / 1000);
  }
  const std::size_t allocations = g_allocations;
  const double ordered_ns = matchCost(*compiler->current(), in_order);
  const double scattered_ns = matchCost(*compiler->current(), scattered);
  std::printf("  match: %.0f ns over all in order, %.0f ns scattered; %zu allocations\n",
              ordered_ns, scattered_ns, g_allocations - allocations);
  editCost(shape, routes, *compiler);
  std::printf("  retained after 1,000 edits: %.0f bytes a route\n", perRoute());
}

}  // namespace

int main() {
  for (const Shape shape : {Shape::ManyHosts, Shape::ManyPrefixes, Shape::ManyExact}) {
    run(shape, 10);
    run(shape, 10'000);
  }
  run(Shape::ManyHosts, 100'000);
}
