// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/filters.hpp"
#include "gateway/httproute.hpp"
#include "gateway/listeners.hpp"
#include "gateway/objects.hpp"
#include "gateway/status.hpp"
#include "gateway/verdict.hpp"

namespace hyperway::gateway {

/// Status of a GatewayClass of ours. [GatewayClass: Accepted]
[[nodiscard]] ObjectStatus classStatus(const GatewayClass& object);

/// Status of a Gateway of ours with its listeners. [Gateway: Accepted, Programmed, ResolvedRefs;
/// listeners: Accepted, Programmed, ResolvedRefs, Conflicted, OverlappingTLSConfig]
[[nodiscard]] ObjectStatus gatewayStatus(const GatewayState& gateway);

/// The entry of a route's status for one parent. `attached` is the outcome of attach(); `rules` may
/// be null for kinds that are refused as a whole. [Routes: Accepted, ResolvedRefs,
/// PartiallyInvalid]
[[nodiscard]] ParentStatus parentStatus(const ParentRef& ref, const Verdict& attached,
                                        const RouteRules* rules, std::int64_t generation);

/// Status of a ListenerSet, which this version refuses. [ListenerSet: Accepted, Programmed]
[[nodiscard]] ObjectStatus listenerSetStatus(const ListenerSet& object);

/// Status of a Filter. [Filter: Accepted]
[[nodiscard]] ObjectStatus filterStatus(const FilterObject& object, const FilterVerdict& judged);

}  // namespace hyperway::gateway
