// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace hyperway::k8s_source {

/// Group of the Gateway API.
inline constexpr std::string_view kGatewayGroup = "gateway.networking.k8s.io";
/// Group of ClusterTrustBundles.
inline constexpr std::string_view kCertificatesGroup = "certificates.k8s.io";

/// A kind that is followed, and how the API calls it.
struct KindSpec {
  std::string_view group;                      ///< "" for the core API.
  std::string_view kind;                       ///< "HTTPRoute"
  std::string_view resource;                   ///< "httproutes"
  std::span<const std::string_view> versions;  ///< That we can read, newest first.
  bool namespaced = true;                      ///< Lives in namespaces.
  bool has_status = false;                     ///< We write its status.
  bool newer = false;     ///< Older definitions and channels lack it, and nobody is told that it is
                          ///< not served.
  bool by_name = false;   ///< Only those that are referred to, one by one.
  bool optional = false;  ///< Clusters without it are whole; a missing right is still told.
};

/// All of them.
[[nodiscard]] std::span<const KindSpec> kinds() noexcept;

/// The kind called so, or null.
[[nodiscard]] const KindSpec* findKind(std::string_view kind) noexcept;

}  // namespace hyperway::k8s_source
