// SPDX-License-Identifier: Apache-2.0
// Counts what the route table takes from the heap. The counters are global, so these cases have the
// allocator of the whole test program; each looks at differences only.
#include <doctest/doctest.h>
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace {

std::size_t g_bytes = 0;   // live, with eight bytes for the allocator's header
std::size_t g_blocks = 0;  // ever allocated

}  // namespace

void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) std::abort();
  g_bytes += malloc_usable_size(block) + sizeof(std::size_t);
  ++g_blocks;
  return block;
}

// The library's own forms without exceptions would pair with another allocator under
// AddressSanitizer.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }

void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  g_bytes -= malloc_usable_size(block) + sizeof(std::size_t);
  std::free(block);
}

void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { operator delete(block); }

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

constexpr std::size_t kRoutes = 10'000;

std::string numbered(const char* name, std::size_t i) {
  const std::string digits = std::to_string(100'000 + i);
  return name + digits.substr(1);
}

Route plainRoute(std::size_t i, std::int64_t edition = 0) {
  return route(numbered("route-", i), {numbered("host-", i) + ".example.com"},
               {{matchOf(prefix("/shop"))}}, {"infra/gateway/http", "infra/gateway/https"},
               edition);
}

ModelBatch plainModel() {
  ModelBatch batch;
  batch.full = true;
  batch.listeners = {listener("infra/gateway/http", "", 80),
                     listener("infra/gateway/https", "", 443)};
  for (std::size_t i = 0; i < kRoutes; ++i) batch.routes.push_back(plainRoute(i));
  return batch;
}

}  // namespace

TEST_CASE("A plain route on two listeners costs less than 1 KiB in all, also after edits") {
  const std::size_t before = g_bytes;
  Compiler compiler;
  (void)compiler.apply(plainModel());
  const std::size_t built = (g_bytes - before) / kRoutes;
  CAPTURE(built);
  CHECK(built < 1024);
  for (std::size_t i = 0; i < 2000; ++i) {
    ModelBatch edit;
    edit.routes = {plainRoute(i * 3, static_cast<std::int64_t>(i + 1))};
    (void)compiler.apply(edit);
  }
  const std::size_t edited = (g_bytes - before) / kRoutes;
  CAPTURE(edited);
  CHECK(edited < 1024);
  MESSAGE("bytes for a plain route: " << built << " built, " << edited << " after 2,000 edits");
}

TEST_CASE("An edit's allocations do not grow with the number of routes") {
  Compiler compiler;
  (void)compiler.apply(plainModel());
  for (std::size_t i = 0; i < 100; ++i) {
    ModelBatch edit;
    edit.routes = {plainRoute(i * 97, static_cast<std::int64_t>(i + 1))};
    const std::size_t before = g_blocks;
    (void)compiler.apply(edit);
    CHECK(g_blocks - before < 120);
  }
}

TEST_CASE("All memory comes back when compiler and tables are gone") {
  const std::size_t before = g_bytes;
  {
    Compiler compiler;
    (void)compiler.apply(plainModel());
    const auto held = compiler.current();
    ModelBatch edit;
    edit.routes = {plainRoute(1, 1)};
    (void)compiler.apply(edit);
  }
  CHECK(g_bytes == before);
}

TEST_CASE("A match allocates nothing, also where header lines have to be joined") {
  ModelBatch batch = plainModel();
  batch.routes.push_back(
      route("conditions", {"*.example.com"},
            {{matchOf(prefix("/"), "GET",
                      {{"x-a", "1, 2", MatchKind::Exact}, {"x-b", "a, .*", MatchKind::Regex}},
                      {{"q", "a b", MatchKind::Exact}, {"r", "[a-z ]+", MatchKind::Regex}})}},
            {"infra/gateway/http"}));
  Compiler compiler;
  (void)compiler.apply(batch);
  Request plain("host-00042.example.com", "/shop/x");
  Request full("a.b.c.example.com", "/x?q=a+b&r=x%20y");
  full.with("X-A", "1").with("x-b", "a").with("x-a", "2").with("x-b", "c");
  const CompiledListener* at = listenerOf(*compiler.current(), "", 80);
  // RE2 fills its cache of states at the first match.
  REQUIRE(at->match(full.head(), "GET").rule != nullptr);
  const std::size_t before = g_blocks;
  bool found = true;
  for (int i = 0; i < 100; ++i) {
    found = found && at->match(plain.head(), "GET").rule && at->match(full.head(), "GET").rule;
  }
  CHECK(g_blocks == before);
  CHECK(found);
}
