// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "k8s_client/gateway_names.hpp"

namespace hyperway::gateway_deployer {

using k8s_client::hashOf;
using k8s_client::kAppliedAnnotation;
using k8s_client::kGatewayAnnotation;
using k8s_client::kGatewayNameLabel;
using k8s_client::kManagedBy;
using k8s_client::kManagedByLabel;
using k8s_client::kPodsAnnotation;
using k8s_client::labelValue;
using k8s_client::serviceName;

/// Who keeps an EndpointSlice; the cluster's own controllers keep away from those of others.
inline constexpr std::string_view kSliceManagedByLabel = "endpointslice.kubernetes.io/managed-by";
/// The value for us.
inline constexpr std::string_view kSliceManagedBy = "hyperway.arloor.dev";
/// Whose an EndpointSlice is.
inline constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
/// Name of an EndpointSlice: `family` is "IPv4" or "IPv6", `part` counts from 0.
[[nodiscard]] std::string sliceName(std::string_view service, std::string_view family,
                                    std::size_t part);

/// Name of a port in a Service and its EndpointSlices, "tcp-80".
[[nodiscard]] std::string portName(std::uint16_t port, std::string_view protocol);

}  // namespace hyperway::gateway_deployer
