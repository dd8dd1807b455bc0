// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "batch.hpp"

namespace hyperway::gateway_deployer {

/// Ports that may be allotted, both ends included.
struct PortRange {
  std::uint16_t first = 10000;  ///< The lowest.
  std::uint16_t last = 19999;   ///< The highest.
  /// True if `port` is one of them.
  [[nodiscard]] bool has(std::int64_t port) const noexcept { return port >= first && port <= last; }
};

/// Where the ports of a Gateway lead.
using Targets = std::map<Port, std::uint16_t>;

/// What allot() came to.
struct Allotment {
  std::map<std::string, Targets> targets;       ///< By Gateway; ports without a target are missing.
  std::map<std::string, std::string> problems;  ///< By Gateway: why some are missing.
};

/// Gives each port of each Gateway a target port of its own: the recorded one if there is one in
/// the range, else the lowest free, the oldest Gateway first. What anybody's record names is not
/// free, also if it is not wanted any more: it is, once the record is gone. Of two records with one
/// target the older Gateway keeps it. `recorded` may have Gateways that are in no list.
/// O(n log n) in the number of ports.
[[nodiscard]] Allotment allot(std::vector<const Gateway*> gateways,
                              const std::map<std::string, Targets>& recorded,
                              const PortRange& range);

}  // namespace hyperway::gateway_deployer
