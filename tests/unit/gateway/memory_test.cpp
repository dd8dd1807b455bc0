// SPDX-License-Identifier: Apache-2.0
// Counts what the translator keeps of what it was given. The counters are global, so these cases
// have the allocator of the whole test program; each looks at differences only.
#include <doctest/doctest.h>
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "world.hpp"

namespace {

std::size_t g_bytes = 0;  // live, with eight bytes for the allocator's header

}  // namespace

void* operator new(std::size_t size) {
  void* block = std::malloc(size);
  if (block == nullptr) std::abort();
  g_bytes += malloc_usable_size(block) + sizeof(std::size_t);
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

namespace hyperway::gateway {
namespace {

constexpr std::size_t kRoutes = 2000, kPerPart = 100;

// A route of a snapshot as a controller writes it: of usual size, its Service bears its name.
std::string entry(const std::string& name_space, const std::string& name) {
  return "{'id':'" + name_space + "/" + name + "/0:default:shop:http','routeNamespace':'" +
         name_space + "','routeName':'" + name +
         "','routeCreated':1700000000,'gatewayNamespace':'default','gatewayName':'shop',"
         "'listenerName':'http','listenerPort':80,'hostnames':['" +
         name +
         ".example'],'matches':[{'path':{'type':'PathPrefix','value':'/'}}],"
         "'backends':[{'namespace':'" +
         name_space + "','name':'" + name + "','port':80,'weight':1}]}";
}

std::string spaceOf(std::size_t i) { return "space-" + std::to_string(i % 50); }
std::string nameOf(std::size_t i) { return "r-" + std::to_string(i); }

void addPart(Translator& translator, std::size_t number) {
  std::string routes;
  for (std::size_t i = number * kPerPart; i < (number + 1) * kPerPart; ++i)
    routes += (routes.empty() ? "" : ",") + entry(spaceOf(i), nameOf(i));
  const auto outcome = translator.apply(
      {World::change("RouteSnapshot", "default", "hyperway-" + std::to_string(number),
                     "'spec':{'checksum':'c','partOf':'hyperway','httpRoutesV1':[" + routes + "]}",
                     "'generation':1")});
  REQUIRE(outcome.model.routes.size() == kPerPart);
}

// Bytes for each route.
template <class Add>
std::size_t kept(Add&& add) {
  const std::size_t before = g_bytes;
  for (std::size_t i = 0; i < kRoutes; ++i) add(i);
  return (g_bytes - before) / kRoutes;
}

TEST_CASE("Of a route in a snapshot little is kept beside the table, and of its backend as well") {
  FakeParser parser;
  Translator translator({}, parser);
  const std::size_t backends = kept([&](std::size_t i) {
    (void)translator.apply(
        {World::change("Service", spaceOf(i), nameOf(i),
                       "'spec':{'ports':[{'port':80,'targetPort':8000,'protocol':'TCP'}],"
                       "'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1']}",
                       "'uid':'cb9e9bd8-6d3f-4e0c-9e4f-0d9a6b1f7a10'"),
         World::change("EndpointSlice", spaceOf(i), nameOf(i),
                       "'addressType':'IPv4','ports':[{'name':'','port':8000,'protocol':'TCP'}],"
                       "'endpoints':[{'addresses':['10.77.0.1'],'conditions':{'ready':true}}]",
                       "'labels':{'kubernetes.io/service-name':'" + nameOf(i) + "'}")});
  });
  const std::size_t routes = kept([&](std::size_t i) {
    if (i % kPerPart == 0) addPart(translator, i / kPerPart);
  });
  CAPTURE(backends);
  CAPTURE(routes);
  MESSAGE("bytes kept: " << routes << " of a route, " << backends << " of a backend");
  CHECK(routes < 1300);
  CHECK(backends < 1300);
  // Also when each part was replaced.
  const std::size_t before = g_bytes;
  for (std::size_t turn = 0; turn < 5; ++turn)
    for (std::size_t part = 0; part < kRoutes / kPerPart; ++part) {
      std::string list;
      for (std::size_t i = part * kPerPart; i < (part + 1) * kPerPart; ++i)
        list += (list.empty() ? "" : ",") + entry(spaceOf(i), nameOf(i));
      const auto outcome = translator.apply({World::change(
          "RouteSnapshot", "default", "hyperway-" + std::to_string(part),
          "'spec':{'checksum':'d','partOf':'hyperway','httpRoutesV1':[" + list + "]}",
          "'generation':1")});
      REQUIRE(outcome.model.routes.empty());
    }
  CHECK(g_bytes < before + before / 100);
}

}  // namespace
}  // namespace hyperway::gateway
