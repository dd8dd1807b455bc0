// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/objects.hpp"
#include "gateway/translate.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// From a port, and whether it is of UDP, to where a Service sends it.
using TargetPorts = std::map<std::pair<std::uint16_t, bool>, std::uint16_t>;

/// Where a Gateway is bound.
struct GatewayAddresses {
  std::vector<std::string>
      bound;  ///< Addresses of its own; empty: those of the configuration, shared with others.
  Verdict accepted;      ///< UnsupportedAddress.
  Verdict programmed;    ///< AddressNotUsable or AddressNotAssigned.
  bool assigned = true;  ///< False: it has no address at all and serves nothing.
  /// Where its Service sends each of its ports (hasServices() only): a port without an
  /// entry waits for one.
  TargetPorts targets;
  /// Its addresses for the status, if they are not those that it is bound to.
  std::optional<std::vector<std::string>> published;
  /// Those that it asks for with routability Cluster, for the status: of its Service.
  std::vector<std::string> cluster;
};

/// Gives Gateways their addresses (ARCHITECTURE decision 8). Where Services have the addresses,
/// those are read there, and nothing is given. With a pool, each gets an address of
/// its own: one it asks for, or the first free one, which it keeps for as long as it lives.
/// Without, all are bound where the configuration says, or on the addresses in their spec that the
/// configuration covers. [control]
class AddressAssigner {
 public:
  /// The addresses of `gateway`, assigned now if it has none. Those that it no longer asks for
  /// become free.
  /// `service` is the one that its addresses come from, where a Service is; null: it is not there.
  [[nodiscard]] GatewayAddresses assign(const Gateway& gateway, const TranslateOptions& options,
                                        const Service* service = nullptr);
  /// The Gateway `key` is gone; its addresses become free.
  void release(const std::string& key);
  /// Forgets all, when the pool changes.
  void clear() { taken_.clear(); }

 private:
  GatewayAddresses assignFromPool(const Gateway& gateway, const std::vector<std::string>& wanted,
                                  bool any, const TranslateOptions& options);

  std::map<std::string, std::string> taken_;  // pool address -> Gateway
};

/// Where a listener on `port` is bound: the configuration's place for the port, on the Gateway's
/// own addresses if it has any. Empty if its addresses are not covered by the configuration.
[[nodiscard]] std::vector<route::Bind> bindsOf(std::uint16_t port,
                                               const std::vector<std::string>& bound,
                                               const TranslateOptions& options);

}  // namespace hyperway::gateway
