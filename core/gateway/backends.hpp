// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/authorities.hpp"
#include "gateway/object_store.hpp"
#include "gateway/translate.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// What the rules of a route, or the filters of a listener, depend on, so that a change of one of
/// these finds them again. May hold duplicates.
struct RouteDependencies {
  std::vector<std::string> services;    ///< Keys of Services, whether they exist or not.
  std::vector<std::string> namespaces;  ///< Namespaces whose ReferenceGrants matter.
  std::vector<std::string> filters;     ///< Keys of Filters, whether they exist or not.
  std::vector<std::string> upstreams;   ///< Keys of the upstreams that are named.
};

/// A backendRef, resolved.
struct BackendTarget {
  std::string upstream;  ///< Key of the upstream (route::Upstream::key); empty: it did not resolve.
  Verdict verdict;       ///< ResolvedRefs; the message is without pointer.
};

/// Resolves a reference of a route of that kind in `name_space` to a Service port, and notes what
/// that depends on. Source: Gateway API, HTTPBackendRef and BackendObjectReference; CVE-2021-25740
/// for ExternalName. What a GRPCRoute refers to is spoken to by HTTP/2 whether the Service says so
/// or not; TLSRoutes, TCPRoutes and UDPRoutes do not ask what it speaks. `spoken`: what is sent
/// there is as of another kind of route. `referrer`: it is an object of that kind, no route, for
/// which there must be a grant.
[[nodiscard]] BackendTarget resolveBackend(const BackendSpec& backend, route::RouteKind kind,
                                           std::string_view name_space, const ObjectStore& store,
                                           const TranslateOptions& options,
                                           RouteDependencies& dependencies,
                                           std::optional<route::RouteKind> spoken = {},
                                           std::string_view referrer = {});

/// The upstream behind `key`, with the endpoints of the Service's EndpointSlices: those that are
/// ready, and if none is, those that still serve while they terminate (Kubernetes,
/// EndpointConditions); beside ready ones these are `draining`. Endpoints are sorted and unique.
/// Empty endpoints if Service or port are gone, or if the BackendTLSPolicy in force is no good.
[[nodiscard]] route::Upstream buildUpstream(const std::string& key, const ObjectStore& store,
                                            AuthorityStore& authorities,
                                            const TranslateOptions& options);

/// Gives an upstream that a snapshot describes its endpoints, as buildUpstream() does: the rest was
/// decided by who wrote the snapshot.
void addEndpoints(route::Upstream& upstream, const ObjectStore& store,
                  const TranslateOptions& options);

/// The Service of an upstream's key.
[[nodiscard]] std::string serviceOfUpstream(std::string_view key);

/// The name of the Service's port that an upstream's key means; empty if it has none, or is gone.
[[nodiscard]] std::string portNameOf(const Service& service, std::string_view key);

}  // namespace hyperway::gateway
