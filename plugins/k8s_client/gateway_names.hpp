// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// How objects that are made for a Gateway are called and marked, whichever sink makes them.
namespace hyperway::k8s_client {

/// Label of the standard's (GEP-1762) on what is made for a Gateway: its name, or labelValue() of
/// it.
inline constexpr std::string_view kGatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
/// Who made an object.
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
/// The value for us.
inline constexpr std::string_view kManagedBy = "hyperway";
/// The Gateway as "namespace/name", in full.
inline constexpr std::string_view kGatewayAnnotation = "hyperway.arloor.dev/gateway";
/// Which installation of hyperway an object belongs to: the `pods_service`, or, in the deployed
/// shape, the controller's name.
inline constexpr std::string_view kPodsAnnotation = "hyperway.arloor.dev/pods";
/// Whose controller it is that made an object of snapshot_sink's.
inline constexpr std::string_view kControllerAnnotation = "hyperway.arloor.dev/controller";
/// What was written last, as a hash: a field that is wanted no more leaves no other trace.
inline constexpr std::string_view kAppliedAnnotation = "hyperway.arloor.dev/applied";

/// A stable hash of `text`, 16 hex digits.
[[nodiscard]] std::string hashOf(std::string_view text);

/// Name of what is made for a Gateway: "hyperway-NAME" if that is a DNS-1035 label of at most 63
/// characters, else a readable beginning of it and a hash of NAME.
[[nodiscard]] std::string serviceName(std::string_view gateway);

/// `name` as the value of a label: itself if it fits, else a beginning of it and a hash. (A
/// Gateway's name may have 253 characters, a label's value 63.)
[[nodiscard]] std::string labelValue(std::string_view name);

}  // namespace hyperway::k8s_client
