// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_pointer.hpp"
#include "route/model.hpp"

/// The Kubernetes objects that we read, reduced to what we use. Values are as written, apart from
/// defaults that an API server would have filled in; what they mean is decided by the rule groups.
/// Where a part of an object cannot be read (a number where text belongs), the problem is kept
/// beside the part, so that one bad rule or listener does not take the rest of its object along
/// (ARCHITECTURE decision 11).
namespace hyperway::gateway {

/// Group of the Gateway API's kinds.
inline constexpr std::string_view kGatewayGroup = "gateway.networking.k8s.io";
/// Group of our own kinds.
inline constexpr std::string_view kHyperwayGroup = "hyperway.arloor.dev";
/// Group of ClusterTrustBundles.
inline constexpr std::string_view kCertificatesGroup = "certificates.k8s.io";

/// The kinds that we read.
enum class Kind : std::uint8_t {
  GatewayClass,
  Gateway,
  Route,  ///< HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute.
  ListenerSet,
  BackendTlsPolicy,
  ReferenceGrant,
  Service,
  EndpointSlice,
  Secret,
  ConfigMap,
  ClusterTrustBundle,
  Namespace,
  Filter,
  RouteSnapshot,  ///< Kept in Snapshots, not in the store.
};

/// The kind for an API group and kind name; absent for kinds that we do not read.
[[nodiscard]] std::optional<Kind> kindOf(std::string_view group, std::string_view kind) noexcept;

/// "namespace/name", the key of an object among those of its kind; "/name" for cluster-scoped
/// kinds.
[[nodiscard]] std::string objectKey(std::string_view name_space, std::string_view name);

/// Label of objects that are made for a Gateway.
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";
/// Its value for us.
inline constexpr std::string_view kManagedBy = "hyperway";
/// Annotation of such an object: the Gateway as "namespace/name", of any length.
inline constexpr std::string_view kGatewayAnnotation = "hyperway.arloor.dev/gateway";
/// On a Service: "v1" or "v2", the PROXY header that its endpoints want in front of each
/// connection.
inline constexpr std::string_view kProxyAnnotation = "hyperway.arloor.dev/proxy-protocol";

/// What we use of metadata.
struct Meta {
  std::string name_space;       ///< Empty for cluster-scoped kinds.
  std::string name;             ///< metadata.name.
  std::int64_t generation = 0;  ///< metadata.generation; 0 where nobody counts.
  std::int64_t created = 0;  ///< metadata.creationTimestamp, seconds since the epoch; 0 if absent.

  /// objectKey() of the object.
  [[nodiscard]] std::string key() const { return objectKey(name_space, name); }
  /// Field-wise equality.
  friend bool operator==(const Meta&, const Meta&) = default;
};

/// Text pairs in the order of the document (labels).
using Labels = std::vector<std::pair<std::string, std::string>>;

/// metav1.LabelSelector.
struct LabelSelector {
  /// metav1.LabelSelectorRequirement.
  struct Expression {
    std::string key;                  ///< Label key.
    std::string op;                   ///< In, NotIn, Exists or DoesNotExist.
    std::vector<std::string> values;  ///< For In and NotIn.
    /// Field-wise equality.
    friend bool operator==(const Expression&, const Expression&) = default;
  };
  Labels match_labels;                  ///< All must be there with these values.
  std::vector<Expression> expressions;  ///< All must hold.
  /// Field-wise equality.
  friend bool operator==(const LabelSelector&, const LabelSelector&) = default;
};

/// ParametersReference, and LocalParametersReference.
struct ParametersRef {
  std::string group;       ///< Empty: the core API.
  std::string kind;        ///< Of the object.
  std::string name_space;  ///< Of the object; empty where it is that of the referrer, or none.
  std::string name;        ///< Of the object.
  /// Field-wise equality.
  friend bool operator==(const ParametersRef&, const ParametersRef&) = default;
};

/// GatewayClass.
struct GatewayClass {
  Meta meta;                                ///< Identity.
  std::string controller_name;              ///< spec.controllerName.
  std::optional<ParametersRef> parameters;  ///< spec.parametersRef.
  /// Field-wise equality.
  friend bool operator==(const GatewayClass&, const GatewayClass&) = default;
};

/// SecretObjectReference.
struct SecretRef {
  std::string group;            ///< "" for the core API.
  std::string kind = "Secret";  ///< Kind of the referent.
  std::string name_space;       ///< Empty: that of the referrer.
  std::string name;             ///< Name of the referent.
  /// Field-wise equality.
  friend bool operator==(const SecretRef&, const SecretRef&) = default;
};

/// ObjectReference, or LocalObjectReference, to trust anchors.
struct CaRef {
  std::string group;       ///< "" for the core API.
  std::string kind;        ///< Kind of the referent.
  std::string name_space;  ///< Empty: that of the referrer.
  std::string name;        ///< Name of the referent.
  /// Field-wise equality.
  friend bool operator==(const CaRef&, const CaRef&) = default;
};

/// FrontendTLSValidation.
struct FrontendValidation {
  std::vector<CaRef> authorities;       ///< caCertificateRefs.
  std::string mode = "AllowValidOnly";  ///< Or AllowInsecureFallback.
  /// Field-wise equality.
  friend bool operator==(const FrontendValidation&, const FrontendValidation&) = default;
};

/// TLSPortConfig.
struct PortValidation {
  std::int64_t port = 0;                         ///< Not yet checked.
  std::optional<FrontendValidation> validation;  ///< Absent: none on this port.
  /// Field-wise equality.
  friend bool operator==(const PortValidation&, const PortValidation&) = default;
};

/// RouteGroupKind.
struct RouteKind {
  std::string group{kGatewayGroup};  ///< API group.
  std::string kind;                  ///< Kind, e.g. "HTTPRoute".
  /// Field-wise equality.
  friend bool operator==(const RouteKind&, const RouteKind&) = default;
};

/// FromNamespaces of a listener, or of a Gateway.
enum class RoutesFrom : std::uint8_t { Same, All, Selector, None };

/// AllowedRoutes of a listener.
struct AllowedRoutes {
  RoutesFrom from = RoutesFrom::Same;     ///< Which namespaces.
  std::optional<LabelSelector> selector;  ///< For Selector; absent: none.
  std::vector<RouteKind> kinds;           ///< Empty: all that suit the protocol.
  /// Field-wise equality.
  friend bool operator==(const AllowedRoutes&, const AllowedRoutes&) = default;
};

/// AllowedListeners of a Gateway: whose ListenerSets it takes.
struct AllowedListeners {
  RoutesFrom from = RoutesFrom::None;     ///< Which namespaces.
  std::optional<LabelSelector> selector;  ///< For Selector; absent: none.
  /// Field-wise equality.
  friend bool operator==(const AllowedListeners&, const AllowedListeners&) = default;
};

/// ListenerTLSConfig.
struct ListenerTls {
  std::string mode = "Terminate";       ///< Terminate or Passthrough.
  std::vector<SecretRef> certificates;  ///< certificateRefs.
  std::vector<std::string> options;     ///< Keys of options.
  /// Field-wise equality.
  friend bool operator==(const ListenerTls&, const ListenerTls&) = default;
};

struct FilterSpec;

/// A listener as the Gateway or ListenerSet wrote it.
struct ListenerSpec {
  std::string name;                   ///< SectionName, unique in its object.
  std::string hostname;               ///< As written; empty: any.
  std::int64_t port = 0;              ///< Not yet checked.
  std::string protocol;               ///< "HTTP", "HTTPS", …
  std::optional<ListenerTls> tls;     ///< tls.
  AllowedRoutes allowed;              ///< allowedRoutes.
  std::vector<FilterSpec> filters;    ///< filters.requests.
  std::vector<std::string> problems;  ///< "/pointer: message" of what could not be read in it.
  /// Field-wise equality.
  friend bool operator==(const ListenerSpec&, const ListenerSpec&);
};

/// GatewaySpecAddress.
struct AddressSpec {
  std::string type = "IPAddress";    ///< AddressType.
  std::optional<std::string> value;  ///< Absent: any address of the type.
  std::string routability;           ///< Empty: whatever there is; else Cluster, or unknown.
  /// Field-wise equality.
  friend bool operator==(const AddressSpec&, const AddressSpec&) = default;
};

/// Gateway.
struct Gateway {
  Meta meta;                                            ///< Identity.
  std::string class_name;                               ///< spec.gatewayClassName.
  std::vector<ListenerSpec> listeners;                  ///< At least one.
  std::vector<AddressSpec> addresses;                   ///< spec.addresses.
  std::optional<ParametersRef> parameters;              ///< spec.infrastructure.parametersRef.
  std::optional<SecretRef> client_certificate;          ///< spec.tls.backend.clientCertificateRef.
  std::optional<FrontendValidation> client_validation;  ///< spec.tls.frontend.default.validation.
  std::vector<PortValidation> client_validation_ports;  ///< spec.tls.frontend.perPort.
  bool default_scope = false;          ///< defaultScope is All: it is a default Gateway.
  std::string uid;                     ///< metadata.uid; empty where nobody gives one.
  Labels infra_labels;                 ///< spec.infrastructure.labels.
  Labels infra_annotations;            ///< spec.infrastructure.annotations.
  AllowedListeners allowed_listeners;  ///< spec.allowedListeners.
  /// Field-wise equality.
  friend bool operator==(const Gateway&, const Gateway&) = default;
};

/// ParentReference, as the route wrote it.
struct ParentRef {
  std::optional<std::string> group;  ///< Absent: kGatewayGroup.
  std::string kind;                  ///< Empty: Gateway.
  std::string name_space;            ///< Empty: that of the route.
  std::string name;                  ///< Name of the parent.
  std::string section_name;          ///< Empty: absent.
  std::int32_t port = 0;             ///< 0: absent.
  /// Field-wise equality.
  friend bool operator==(const ParentRef&, const ParentRef&) = default;
};

struct FilterSpec;

/// HTTPBackendRef, and BackendObjectReference of a mirror.
struct BackendSpec {
  std::string group;                ///< "" for the core API.
  std::string kind = "Service";     ///< Kind of the referent.
  std::string name_space;           ///< Empty: that of the route.
  std::string name;                 ///< Name of the referent.
  std::int64_t port = 0;            ///< 0: absent.
  std::int64_t weight = 1;          ///< Not yet checked.
  std::vector<FilterSpec> filters;  ///< Filters of this backend.
  /// Field-wise equality.
  friend bool operator==(const BackendSpec&, const BackendSpec&);
};

/// A backend that a filter sends requests of its own to.
struct CalloutSpec {
  BackendSpec backend;   ///< A BackendObjectReference.
  std::string protocol;  ///< "HTTP" or "GRPC"; empty: absent.
  /// Field-wise equality.
  friend bool operator==(const CalloutSpec&, const CalloutSpec&) = default;
};

/// HTTPRouteFilter.
struct FilterSpec {
  std::string type;                 ///< "RequestRedirect", …
  std::string body;                 ///< JSON of the member that belongs to the type; empty: absent.
  bool replaces_prefix = false;     ///< A path modifier in `body` is ReplacePrefixMatch.
  std::vector<BackendSpec> mirror;  ///< RequestMirror: exactly one.
  std::optional<std::int64_t> percent;    ///< RequestMirror.
  std::optional<std::int64_t> numerator;  ///< RequestMirror: fraction is set.
  std::int64_t denominator = 100;         ///< RequestMirror.
  std::string group, kind, name;          ///< ExtensionRef.
  std::vector<CalloutSpec> callouts;      ///< ExternalAuth: exactly one.
  /// Field-wise equality.
  friend bool operator==(const FilterSpec&, const FilterSpec&) = default;
};

/// SessionPersistence, in the form of v1.7 or of the versions before.
struct SessionSpec {
  std::string type = "Cookie";          ///< Cookie or Header.
  std::string name;                     ///< Of the cookie or header; empty: one is made up.
  std::optional<std::string> path;      ///< cookie.path; absent: as `by_path` says.
  bool by_path = true;                  ///< The form that has no cookie.path: it is the matches'.
  std::string lifetime = "Session";     ///< Session or Permanent.
  std::optional<std::string> absolute;  ///< absoluteTimeout as written.
  std::optional<std::string> idle;      ///< idleTimeout as written; up to v1.4.
  /// Field-wise equality.
  friend bool operator==(const SessionSpec&, const SessionSpec&) = default;
};

/// HTTPRouteRetry.
struct RetrySpec {
  std::int64_t attempts = 1;        ///< Not yet checked.
  std::vector<std::int64_t> codes;  ///< Not yet checked.
  std::string backoff;              ///< Duration; empty: absent.
  /// Field-wise equality.
  friend bool operator==(const RetrySpec&, const RetrySpec&) = default;
};

/// HTTPPathMatch, HTTPHeaderMatch or HTTPQueryParamMatch as written.
struct MatchSpec {
  /// A named value.
  struct Value {
    std::string type = "Exact";  ///< Exact or RegularExpression.
    std::string name;            ///< Header or parameter.
    std::string value;           ///< Text or expression.
    /// Field-wise equality.
    friend bool operator==(const Value&, const Value&) = default;
  };
  std::string path_type = "PathPrefix";  ///< Exact, PathPrefix or RegularExpression.
  std::string path = "/";                ///< Value of the path match.
  std::string method;                    ///< Empty: any.
  std::vector<Value> headers;            ///< Header matches.
  std::vector<Value> query;              ///< Query parameter matches.
  /// Field-wise equality.
  friend bool operator==(const MatchSpec&, const MatchSpec&) = default;
};

/// GRPCRouteMatch as written.
struct MethodSpec {
  std::string type = "Exact";             ///< Exact or RegularExpression.
  bool named = false;                     ///< There is a method match.
  std::string service;                    ///< Empty: any.
  std::string method;                     ///< Empty: any.
  std::vector<MatchSpec::Value> headers;  ///< Header matches.
  /// Field-wise equality.
  friend bool operator==(const MethodSpec&, const MethodSpec&) = default;
};

/// A rule of a route. TLSRoutes, TCPRoutes and UDPRoutes have rules of a name and backends.
struct RuleSpec {
  std::string name;                                             ///< May be empty.
  std::vector<MatchSpec> matches;                               ///< HTTPRoute; empty: everything.
  std::vector<MethodSpec> methods;                              ///< GRPCRoute; empty: everything.
  std::vector<FilterSpec> filters;                              ///< In list order.
  std::vector<BackendSpec> backends;                            ///< backendRefs.
  std::optional<std::string> request_timeout, backend_timeout;  ///< Durations as written.
  std::optional<RetrySpec> retry;                               ///< retry.
  std::optional<SessionSpec> session;                           ///< sessionPersistence.
  std::vector<std::string> problems;  ///< "/pointer: message" of what could not be read in it.
  /// Field-wise equality.
  friend bool operator==(const RuleSpec&, const RuleSpec&) = default;
};

/// A route of any kind.
struct RouteObject {
  route::RouteKind kind = route::RouteKind::Http;  ///< Its kind.
  Meta meta;                                       ///< Identity.
  std::string uid;                     ///< metadata.uid, where a rule has session persistence.
  std::vector<ParentRef> parents;      ///< spec.parentRefs.
  bool use_default = false;            ///< useDefaultGateways is All: each of these is a parent.
  std::vector<std::string> hostnames;  ///< As written; TCPRoutes and UDPRoutes have none.
  std::vector<RuleSpec> rules;  ///< HTTPRoute, GRPCRoute: at least one (the API's default is filled
                                ///< in).
  /// Its kind as the API names it.
  [[nodiscard]] std::string_view kindName() const { return route::kindText(kind); }
  /// "Kind/namespace/name", its key in the store and in the model.
  [[nodiscard]] std::string key() const { return std::string(kindName()) + '/' + meta.key(); }
  /// Field-wise equality.
  friend bool operator==(const RouteObject&, const RouteObject&) = default;
};

/// ListenerSet: listeners that somebody else adds to a Gateway.
struct ListenerSet {
  Meta meta;                            ///< Identity.
  ParentRef parent;                     ///< spec.parentRef.
  std::vector<ListenerSpec> listeners;  ///< At least one.
  /// Field-wise equality.
  friend bool operator==(const ListenerSet&, const ListenerSet&) = default;
};

/// BackendTLSPolicy. What cannot be read beside its targets is kept with it: a policy that is no
/// good must still keep its Services from being spoken to in plain text.
struct BackendTlsPolicy {
  /// A Service in spec.targetRefs; other kinds are left out.
  struct Target {
    std::string service;  ///< Name of the Service.
    std::string section;  ///< sectionName, a port's name; empty: all ports.
    /// Field-wise equality.
    friend bool operator==(const Target&, const Target&) = default;
  };
  /// SubjectAltName.
  struct AltName {
    std::string type;   ///< Hostname or URI.
    std::string value;  ///< The member that belongs to the type.
    /// Field-wise equality.
    friend bool operator==(const AltName&, const AltName&) = default;
  };
  Meta meta;                          ///< Identity.
  std::vector<Target> targets;        ///< Services that it is for.
  std::vector<CaRef> authorities;     ///< spec.validation.caCertificateRefs.
  std::string well_known;             ///< spec.validation.wellKnownCACertificates.
  std::string hostname;               ///< spec.validation.hostname.
  std::vector<AltName> alt_names;     ///< spec.validation.subjectAltNames.
  std::vector<std::string> options;   ///< Keys of spec.options.
  std::vector<std::string> problems;  ///< "/pointer: message" of what could not be read in it.
  /// Field-wise equality.
  friend bool operator==(const BackendTlsPolicy&, const BackendTlsPolicy&) = default;
};

/// ReferenceGrant.
struct ReferenceGrant {
  /// Who may refer.
  struct From {
    std::string group, kind, name_space;  ///< All three must be equal.
    /// Field-wise equality.
    friend bool operator==(const From&, const From&) = default;
  };
  /// To what.
  struct To {
    std::string group, kind, name;  ///< Empty name: all of the kind.
    /// Field-wise equality.
    friend bool operator==(const To&, const To&) = default;
  };
  Meta meta;               ///< Identity; its namespace is the one of the referents.
  std::vector<From> from;  ///< Any of these…
  std::vector<To> to;      ///< …to any of those.
  /// Field-wise equality.
  friend bool operator==(const ReferenceGrant&, const ReferenceGrant&) = default;
};

/// Service.
struct Service {
  /// ServicePort.
  struct Port {
    std::string name;              ///< Empty if there is only one.
    std::int64_t port = 0;         ///< The number that backendRefs use.
    std::int64_t target = 0;       ///< targetPort, if it is a number; else 0.
    std::string protocol = "TCP";  ///< TCP, UDP or SCTP.
    std::string app_protocol;      ///< appProtocol; empty: absent.
    /// Field-wise equality.
    friend bool operator==(const Port&, const Port&) = default;
  };
  Meta meta;                   ///< Identity.
  std::string external_name;   ///< Set for type ExternalName only.
  bool external = false;       ///< type is ExternalName.
  std::vector<Port> ports;     ///< spec.ports.
  std::string gateway;         ///< Key of the Gateway that it was made for; empty: none of ours.
  std::string proxy_protocol;  ///< kProxyAnnotation; empty: absent.
  std::vector<std::string>
      addresses;  ///< Where it is reached from outside: of its load balancer, or its cluster
                  ///< addresses if it is none. Addresses canonical, or host names.
  std::vector<std::string> cluster_addresses;  ///< clusterIPs, canonical; none if it is headless.
  /// Field-wise equality.
  friend bool operator==(const Service&, const Service&) = default;
};

/// EndpointSlice.
struct EndpointSlice {
  /// EndpointPort.
  struct Port {
    std::string name;              ///< Name of the Service's port.
    std::int64_t port = 0;         ///< 0: absent.
    std::string protocol = "TCP";  ///< TCP, UDP or SCTP.
    /// Field-wise equality.
    friend bool operator==(const Port&, const Port&) = default;
  };
  /// One endpoint; its addresses are as good as each other.
  struct Endpoint {
    std::vector<std::string> addresses;  ///< IP literals.
    bool ready = true;                   ///< conditions.ready; unknown counts as ready.
    bool serving = true;                 ///< conditions.serving; unknown: as ready.
    bool terminating = false;            ///< conditions.terminating.
    /// Field-wise equality.
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };
  Meta meta;                        ///< Identity.
  std::string service;              ///< Label kubernetes.io/service-name; empty: of no Service.
  std::string address_type;         ///< IPv4, IPv6 or FQDN.
  std::vector<Port> ports;          ///< ports.
  std::vector<Endpoint> endpoints;  ///< endpoints.
  /// Field-wise equality.
  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

/// Secret, as far as it is a certificate.
struct Secret {
  Meta meta;                ///< Identity.
  std::string chain_pem;    ///< tls.crt, decoded; empty: absent.
  std::string private_pem;  ///< tls.key, decoded; empty: absent.
  std::string problem;      ///< Not empty: what of the two could not be decoded.
  /// Field-wise equality.
  friend bool operator==(const Secret&, const Secret&) = default;
};

/// ClusterTrustBundle: trust anchors for a whole cluster, in no namespace.
struct ClusterTrustBundle {
  Meta meta;           ///< Identity.
  std::string ca_pem;  ///< spec.trustBundle.
  /// Field-wise equality.
  friend bool operator==(const ClusterTrustBundle&, const ClusterTrustBundle&) = default;
};

/// ConfigMap, as far as it holds trust anchors.
struct ConfigMap {
  Meta meta;            ///< Identity.
  std::string ca_pem;   ///< ca.crt; empty: absent.
  std::string problem;  ///< Not empty: why ca.crt could not be decoded.
  /// Field-wise equality.
  friend bool operator==(const ConfigMap&, const ConfigMap&) = default;
};

/// Namespace.
struct Namespace {
  Meta meta;      ///< Identity; the name is in `name`.
  Labels labels;  ///< metadata.labels.
  /// Field-wise equality.
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

/// Filter of group hyperway.arloor.dev (ARCHITECTURE decision 14).
struct FilterObject {
  Meta meta;                               ///< Identity.
  std::string plugin;                      ///< spec.plugin: class id.
  std::string config;                      ///< spec.config as JSON; "{}" if absent.
  std::vector<CalloutSpec> backends = {};  ///< spec.backendRefs.
  /// Field-wise equality.
  friend bool operator==(const FilterObject&, const FilterObject&) = default;
};

/// Decodes objects from JSON with a streaming parser: no document tree is built or kept, and what
/// is not used (managedFields, status) is skipped. Keeps its buffers from call to call. Not
/// thread-safe. [control]
class ObjectDecoder {
 public:
  ObjectDecoder();
  ObjectDecoder(const ObjectDecoder&) = delete;
  ObjectDecoder& operator=(const ObjectDecoder&) = delete;
  ~ObjectDecoder();

  /// Reads `json` into `object`, whose meta.name_space and meta.name the caller has set (and `kind`
  /// of a route). False, with at least one error, if the object as a whole cannot be used;
  /// problems that concern one rule or listener stay with it. Pointers are relative to the object.
  [[nodiscard]] bool decode(std::string_view json, GatewayClass& object, Problems& problems);
  /// decode() for each kind.
  [[nodiscard]] bool decode(std::string_view json, Gateway& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, RouteObject& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, ListenerSet& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, BackendTlsPolicy& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, ReferenceGrant& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, Service& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, EndpointSlice& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, Secret& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, ConfigMap& object, Problems& problems);
  /// Decodes a ClusterTrustBundle.
  [[nodiscard]] bool decode(std::string_view json, ClusterTrustBundle& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, Namespace& object, Problems& problems);
  [[nodiscard]] bool decode(std::string_view json, FilterObject& object, Problems& problems);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hyperway::gateway
