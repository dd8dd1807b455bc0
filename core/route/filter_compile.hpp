// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "route/model.hpp"
#include "route/slots.hpp"
#include "route/table.hpp"

namespace hyperway::route {

/// Gives upstreams their numbers, and notes those that nobody had before. [control]
struct UpstreamSlots {
  SlotMap& slots;                        ///< Of all upstreams.
  std::vector<SlotMap::SlotPtr>& fresh;  ///< Out: slots that nobody had before.

  /// The slot of an upstream.
  [[nodiscard]] SlotMap::SlotPtr of(const std::string& key) const;
};

/// Takes the bindings of filters, in order; true if one of them cannot run.
[[nodiscard]] bool bindFilters(const std::vector<Filter>& filters,
                               std::vector<FilterBindingPtr>& out);

/// What the filters that bindFilters() takes may call. `backend`: see CompiledCallouts.
[[nodiscard]] std::vector<CompiledCallouts> compileCallouts(const std::vector<Filter>& filters,
                                                            std::uint32_t backend,
                                                            const UpstreamSlots& upstreams);

/// The filters of a listener; null if it has none.
[[nodiscard]] std::shared_ptr<const ListenerFilters> compileFilters(const Listener& listener,
                                                                    const UpstreamSlots& upstreams);

}  // namespace hyperway::route
