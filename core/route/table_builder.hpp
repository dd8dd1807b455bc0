// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "route/host_table.hpp"
#include "route/table.hpp"

namespace hyperway::route {

/// Makes the immutable parts of a table. [control]
class TableBuilder {
 public:
  /// Compiled listeners by key.
  using Listeners = std::map<std::string, std::shared_ptr<const CompiledListener>>;

  /// A listener with its routes; `flows` and `filters` are null for none, `tls_slot` is null for
  /// plain ones, `identity_slot` for those that show no certificate to backends.
  [[nodiscard]] static std::shared_ptr<const CompiledListener> listener(
      std::shared_ptr<const Listener> model, std::shared_ptr<const HostTable> hosts,
      std::shared_ptr<const HostTable> flows, std::shared_ptr<const ListenerFilters> filters,
      SlotMap::SlotPtr tls_slot, SlotMap::SlotPtr identity_slot);
  /// A table with new groups of all listeners.
  [[nodiscard]] static std::shared_ptr<const RouteTable> table(const Listeners& listeners,
                                                               std::uint64_t generation,
                                                               std::size_t rules);
  /// A table for the same listeners by key, bind and hostname, of which those in `changed` have
  /// other routes.
  [[nodiscard]] static std::shared_ptr<const RouteTable> replaced(const RouteTable& table,
                                                                  const Listeners& changed,
                                                                  std::uint64_t generation,
                                                                  std::size_t rules);
};

}  // namespace hyperway::route
