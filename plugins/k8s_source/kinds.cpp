// SPDX-License-Identifier: Apache-2.0
#include "kinds.hpp"

namespace hyperway::k8s_source {
namespace {

constexpr std::string_view kV1[] = {"v1"};
constexpr std::string_view kOurs[] = {"v1alpha1"};
constexpr std::string_view kBeta[] = {"v1", "v1beta1"};
constexpr std::string_view kPolicy[] = {"v1", "v1alpha3"};
constexpr std::string_view kBundle[] = {"v1", "v1beta1", "v1alpha1"};
constexpr std::string_view kAlpha[] = {"v1", "v1alpha3", "v1alpha2"};

constexpr bool kNamespaced = true, kCluster = false;

constexpr KindSpec kKinds[] = {
    {kGatewayGroup, "GatewayClass", "gatewayclasses", kBeta, kCluster, true},
    {kGatewayGroup, "Gateway", "gateways", kBeta, kNamespaced, true},
    {kGatewayGroup, "HTTPRoute", "httproutes", kBeta, kNamespaced, true},
    {kGatewayGroup, "ReferenceGrant", "referencegrants", kBeta, kNamespaced},
    {kGatewayGroup, "BackendTLSPolicy", "backendtlspolicies", kPolicy, kNamespaced, true, false,
     false, true},
    {"", "Service", "services", kV1, kNamespaced},
    {"", "Namespace", "namespaces", kV1, kCluster},
    {"discovery.k8s.io", "EndpointSlice", "endpointslices", kV1, kNamespaced},
    {"hyperway.arloor.dev", "Filter", "filters", kOurs, kNamespaced, true, false, false, true},
    {"", "Secret", "secrets", kV1, kNamespaced, false, false, true},
    {"", "ConfigMap", "configmaps", kV1, kNamespaced, false, false, true},
    {kCertificatesGroup, "ClusterTrustBundle", "clustertrustbundles", kBundle, kCluster, false,
     true, true},
    {kGatewayGroup, "GRPCRoute", "grpcroutes", kAlpha, kNamespaced, true, true},
    {kGatewayGroup, "TLSRoute", "tlsroutes", kAlpha, kNamespaced, true, true},
    {kGatewayGroup, "TCPRoute", "tcproutes", kAlpha, kNamespaced, true, true},
    {kGatewayGroup, "UDPRoute", "udproutes", kAlpha, kNamespaced, true, true},
    {kGatewayGroup, "ListenerSet", "listenersets", kV1, kNamespaced, true, true},
};

}  // namespace

std::span<const KindSpec> kinds() noexcept { return kKinds; }

const KindSpec* findKind(std::string_view kind) noexcept {
  for (const KindSpec& spec : kKinds)
    if (spec.kind == kind) return &spec;
  return nullptr;
}

}  // namespace hyperway::k8s_source
