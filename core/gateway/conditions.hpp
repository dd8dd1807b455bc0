// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gateway/backend_tls.hpp"
#include "gateway/filters.hpp"
#include "gateway/listeners.hpp"
#include "gateway/objects.hpp"
#include "gateway/route_rules.hpp"
#include "gateway/status.hpp"
#include "gateway/verdict.hpp"

namespace hyperway::gateway {

/// Status of a GatewayClass of ours. Infrastructure labels are a feature only where something is
/// made for each Gateway, which `addresses` says. [GatewayClass: Accepted]
[[nodiscard]] ObjectStatus classStatus(const GatewayClass& object, AddressSource addresses);

/// Status of a Gateway of ours with its listeners. [Gateway: Accepted, Programmed, ResolvedRefs,
/// InsecureFrontendValidationMode, DefaultGateway; listeners: Accepted, Programmed, ResolvedRefs,
/// Conflicted, OverlappingTLSConfig]
[[nodiscard]] ObjectStatus gatewayStatus(const GatewayState& gateway);

/// The entry of a route's status for one parent. `attached` is the outcome of attach(); `rules` may
/// be null for kinds that are refused as a whole. [Routes: Accepted, ResolvedRefs,
/// PartiallyInvalid]
[[nodiscard]] ParentStatus parentStatus(const ParentRef& ref, const Verdict& attached,
                                        const RouteRules* rules, std::int64_t generation);

/// Status of a ListenerSet that refers to a Gateway of ours, which is one of `gateway.sets`.
/// [ListenerSet: Accepted, Programmed; listeners: as of Gateways]
[[nodiscard]] ObjectStatus listenerSetStatus(const GatewayState& gateway, const SetState& set);

/// Status of a BackendTLSPolicy at the Gateways of ours ("namespace/name") that it matters to, each
/// with what is in its way there; the first 16, as many as the API has room for.
/// [BackendTLSPolicy: Accepted, ResolvedRefs]
[[nodiscard]] ObjectStatus policyStatus(const BackendTlsPolicy& policy, const PolicyState& judged,
                                        const std::map<std::string, Verdict>& ancestors);

/// Status of a Filter. [Filter: Accepted]
[[nodiscard]] ObjectStatus filterStatus(const FilterObject& object, const FilterVerdict& judged);

}  // namespace hyperway::gateway
