// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hyperway::gateway_deployer {

/// Label of the standard's (GEP-1762) on what is made for a Gateway: its name, or labelValue() of
/// it.
inline constexpr std::string_view kGatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
/// Who made an object.
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
/// The value for us.
inline constexpr std::string_view kManagedBy = "hyperway";
/// Who keeps an EndpointSlice; the cluster's own controllers keep away from those of others.
inline constexpr std::string_view kSliceManagedByLabel = "endpointslice.kubernetes.io/managed-by";
/// The value for us.
inline constexpr std::string_view kSliceManagedBy = "hyperway.arloor.dev";
/// Whose an EndpointSlice is.
inline constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
/// The Gateway as "namespace/name", in full.
inline constexpr std::string_view kGatewayAnnotation = "hyperway.arloor.dev/gateway";
/// `pods_service`: which installation of hyperway an object belongs to.
inline constexpr std::string_view kPodsAnnotation = "hyperway.arloor.dev/pods";
/// What was written last, as a hash: a field that is wanted no more leaves no other trace.
inline constexpr std::string_view kAppliedAnnotation = "hyperway.arloor.dev/applied";

/// A stable hash of `text`, 16 hex digits.
[[nodiscard]] std::string hashOf(std::string_view text);

/// Name of the Service of a Gateway: "hyperway-NAME" if that is a DNS-1035 label of at most 63
/// characters, else a readable beginning of it and a hash of NAME.
[[nodiscard]] std::string serviceName(std::string_view gateway);

/// `name` as the value of a label: itself if it fits, else a beginning of it and a hash. (A
/// Gateway's name may have 253 characters, a label's value 63.)
[[nodiscard]] std::string labelValue(std::string_view name);

/// Name of an EndpointSlice: `family` is "IPv4" or "IPv6", `part` counts from 0.
[[nodiscard]] std::string sliceName(std::string_view service, std::string_view family,
                                    std::size_t part);

/// Name of a port in a Service and its EndpointSlices, "tcp-80".
[[nodiscard]] std::string portName(std::uint16_t port, std::string_view protocol);

}  // namespace hyperway::gateway_deployer
