// SPDX-License-Identifier: Apache-2.0
#include "ports.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace hyperway::gateway_deployer {

Allotment allot(std::vector<const Gateway*> gateways,
                const std::map<std::string, Targets>& recorded, const PortRange& range) {
  std::sort(gateways.begin(), gateways.end(), [](const Gateway* a, const Gateway* b) {
    return std::tie(a->created, a->name_space, a->name) <
           std::tie(b->created, b->name_space, b->name);
  });
  Allotment out;
  std::set<std::uint16_t> taken;
  for (const Gateway* gateway : gateways) {
    Targets& targets = out.targets[gateway->key()];
    const auto record = recorded.find(gateway->key());
    if (record == recorded.end()) continue;
    for (const Port& port : gateway->ports) {
      const auto found = record->second.find(port);
      if (found == record->second.end() || !range.has(found->second)) continue;
      if (taken.insert(found->second).second) targets.emplace(port, found->second);
    }
  }
  for (const auto& [key, targets] : recorded)
    for (const auto& [port, target] : targets) taken.insert(target);

  std::uint32_t next = range.first;
  for (const Gateway* gateway : gateways) {
    Targets& targets = out.targets[gateway->key()];
    for (const Port& port : gateway->ports) {
      if (targets.contains(port)) continue;
      while (next <= range.last && taken.contains(static_cast<std::uint16_t>(next))) ++next;
      if (next > range.last) {
        out.problems.try_emplace(gateway->key(),
                                 "no target port is free for port " + std::to_string(port.number) +
                                     ": all of " + std::to_string(range.first) + " to " +
                                     std::to_string(range.last) +
                                     " are taken; give gateway_deployer more target_ports");
        continue;
      }
      targets.emplace(port, static_cast<std::uint16_t>(next++));
    }
  }
  return out;
}

}  // namespace hyperway::gateway_deployer
