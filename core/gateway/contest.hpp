// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "route/model.hpp"

namespace hyperway::gateway {

/// HTTPRoutes and GRPCRoutes that ask for hostnames of one listener. Where one of each kind ask for
/// the same, the older is accepted alone, else the first by name; one that lost stands in nobody's
/// way. Source: Gateway API, GRPCRouteSpec.hostnames.
class HostContest {
 public:
  /// A route that asks.
  struct Entrant {
    route::RouteKind kind = route::RouteKind::Http;  ///< Http or Grpc.
    std::int64_t created = 0;                        ///< The oldest goes first.
    std::vector<std::string> hostnames;  ///< Those that meet the listener's; one empty: any.
    /// Field-wise equality.
    friend bool operator==(const Entrant&, const Entrant&) = default;
  };

  /// A route ("Kind/namespace/name") asks, from now on in this way.
  void enter(const std::string& key, Entrant entrant);
  /// A route no longer asks.
  void leave(const std::string& key);
  /// Works out who loses; keys of the routes for which that is not what it was.
  [[nodiscard]] std::set<std::string> settle();
  /// Key of the route that one lost to; null if it did not.
  [[nodiscard]] const std::string* winnerOver(const std::string& key) const;
  /// True if there is a GRPCRoute among them: without, nobody can lose.
  [[nodiscard]] bool hasGrpc() const noexcept { return grpc_ > 0; }

 private:
  std::map<std::string, Entrant> entrants_;
  std::map<std::string, std::string> losers_;  // with whom they lost to
  std::size_t grpc_ = 0;
  bool changed_ = false;
};

}  // namespace hyperway::gateway
