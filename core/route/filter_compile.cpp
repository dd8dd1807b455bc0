// SPDX-License-Identifier: Apache-2.0
#include "route/filter_compile.hpp"

#include <utility>

namespace hyperway::route {
namespace {

bool cannotRun(const Filter& filter) { return !filter.refused.empty() || !filter.binding; }

}  // namespace

SlotMap::SlotPtr UpstreamSlots::of(const std::string& key) const {
  if (SlotMap::SlotPtr known = slots.find(key)) return known;
  SlotMap::SlotPtr made = slots.acquire(key);
  fresh.push_back(made);
  return made;
}

bool bindFilters(const std::vector<Filter>& filters, std::vector<FilterBindingPtr>& out) {
  bool refused = false;
  out.reserve(filters.size());
  for (const Filter& filter : filters) {
    if (cannotRun(filter))
      refused = true;
    else
      out.push_back(filter.binding);
  }
  return refused;
}

std::vector<CompiledCallouts> compileCallouts(const std::vector<Filter>& filters,
                                              std::uint32_t backend,
                                              const UpstreamSlots& upstreams) {
  std::vector<CompiledCallouts> made;
  std::uint32_t place = 0;
  for (const Filter& filter : filters) {
    if (cannotRun(filter)) continue;
    const std::uint32_t own = place++;
    if (filter.upstreams.empty()) continue;
    CompiledCallouts& out = made.emplace_back(CompiledCallouts{backend, own, {}});
    out.upstreams.reserve(filter.upstreams.size());
    for (const std::string& key : filter.upstreams) out.upstreams.push_back(upstreams.of(key));
  }
  return made;
}

std::shared_ptr<const ListenerFilters> compileFilters(const Listener& listener,
                                                      const UpstreamSlots& upstreams) {
  if (listener.filters.empty()) return nullptr;
  auto made = std::make_shared<ListenerFilters>();
  made->refused = bindFilters(listener.filters, made->bindings);
  made->callouts = compileCallouts(listener.filters, CompiledCallouts::kRule, upstreams);
  return made;
}

}  // namespace hyperway::route
