// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "route/boxed.hpp"
#include "route/filter_binding.hpp"

/// The route model: what the cluster wants, as plain data, free of Kubernetes and of execution.
/// Keys are text so that a snapshot can carry them; every host is lower case without a final dot.
namespace hyperway::route {

/// Protocol of a listener (Gateway API ProtocolType).
enum class Protocol : std::uint8_t { Http, Https, Tls, Tcp, Udp };

/// An address and port that the proxy binds. TCP and UDP of one number do not meet.
struct Bind {
  std::string address;     ///< IPv4 or IPv6 literal without brackets; "0.0.0.0" or "::" for any.
  std::uint16_t port = 0;  ///< 1 to 65535.
  bool udp = false;        ///< Datagrams; what a table has follows from its listeners' protocol.

  /// Field-wise order, so that binds can be map keys.
  friend auto operator<=>(const Bind&, const Bind&) = default;
};

/// True if both are absent, or both there with the same content.
template <class T>
[[nodiscard]] bool sameIn(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}

/// PEM texts of trust anchors, each from one object. Public; shared by whoever trusts them.
using CaBundles = std::vector<std::shared_ptr<const std::string>>;

/// True if both hold the same texts.
[[nodiscard]] inline bool sameBundles(const CaBundles& a, const CaBundles& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x == y || *x == *y; });
}

/// Client certificates that a listener asks for (Gateway API FrontendTLSValidation).
struct ClientValidation {
  CaBundles authorities;  ///< Whose certificates are good; at least one.
  bool required = true;   ///< False: clients without a certificate, or with a bad one, pass too.

  /// True if both ask for the same.
  friend bool operator==(const ClientValidation& a, const ClientValidation& b) {
    return a.required == b.required && sameBundles(a.authorities, b.authorities);
  }
};

/// One filter of a listener, rule or backend, in list order.
struct Filter {
  std::string type;  ///< Class id: "RequestHeaderModifier", …, or the plugin's for ExtensionRef.
  std::string config;         ///< JSON as the plugin gets it.
  std::string owner;          ///< "HTTPRoute ns/name" or "Filter ns/name": whose state it is.
  FilterBindingPtr binding;   ///< Parsed configuration; null if unparsed (read from JSON).
  std::string refused;        ///< Not empty: why it cannot run. The rule answers 500.
  bool refused_here = false;  ///< It was this process that refused what a snapshot had.
  /// Keys of the Upstreams that it may send requests of its own to, in the order in which its
  /// configuration names them. None if it is refused.
  std::vector<std::string> upstreams = {};
};

/// True if both lists are the same, bindings included.
[[nodiscard]] inline bool sameFilters(const std::vector<Filter>& a, const std::vector<Filter>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Filter& x, const Filter& y) {
    return x.binding == y.binding && x.type == y.type && x.config == y.config &&
           x.owner == y.owner && x.refused == y.refused && x.upstreams == y.upstreams;
  });
}

/// A listener that was accepted. Refused listeners are in the status, not in the model.
struct Listener {
  /// "gatewayNamespace/gatewayName/listenerName", or, where it stands in a ListenerSet,
  /// "gatewayNamespace/gatewayName/setNamespace/setName/listenerName"; unique.
  std::string key;
  Protocol protocol = Protocol::Http;  ///< What is spoken.
  std::uint16_t port = 0;              ///< The port in the Gateway's spec, as redirects see it.
  std::vector<Bind> binds;             ///< Where it is bound; at least one.
  std::string hostname;                ///< Exact, "*.suffix", or empty for any.
  bool passthrough = false;  ///< Tls only: bytes go on as they are, by SNI; no certificate.
  std::vector<std::string>
      certificates;  ///< Keys of Certificate; Https, and Tls without passthrough: at least one.
  std::shared_ptr<const ClientValidation> validation =
      nullptr;                           ///< Https only; null: none are asked for.
  std::string backend_certificate = {};  ///< Key of the Certificate that backends get to see with
                                         ///< TLS; empty: none.
  std::vector<Filter> filters = {};  ///< Http and Https: run on each request before it is matched.
};

/// The part of a Listener::key that is the key of its Gateway.
[[nodiscard]] inline std::string_view gatewayOfListener(std::string_view key) noexcept {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return key;
  return key.substr(0, key.find('/', slash + 1));
}

/// The part of a Listener::key behind its Gateway: the listener's name, behind that of its
/// ListenerSet if it stands in one.
[[nodiscard]] inline std::string_view nameOfListener(std::string_view key) noexcept {
  const std::size_t gateway = gatewayOfListener(key).size();
  return gateway < key.size() ? key.substr(gateway + 1) : std::string_view();
}

/// True if both listeners are the same.
[[nodiscard]] inline bool sameListener(const Listener& a, const Listener& b) {
  return a.key == b.key && a.protocol == b.protocol && a.port == b.port && a.binds == b.binds &&
         a.hostname == b.hostname && a.passthrough == b.passthrough &&
         a.certificates == b.certificates && sameIn(a.validation, b.validation) &&
         a.backend_certificate == b.backend_certificate && sameFilters(a.filters, b.filters);
}

/// How a value is compared.
enum class MatchKind : std::uint8_t { Exact, Prefix, Regex };

/// HTTPPathMatch.
struct PathMatch {
  MatchKind kind = MatchKind::Prefix;  ///< Any of the three.
  std::string value = "/";             ///< Normalised as request paths are, except for Regex.
};

/// HTTPHeaderMatch or HTTPQueryParamMatch.
struct ValueMatch {
  std::string name;                   ///< Lower case for headers; as given for query parameters.
  std::string value;                  ///< Text or RE2 expression (full match).
  MatchKind kind = MatchKind::Exact;  ///< Exact or Regex.
};

/// HTTPRouteMatch: all conditions must hold.
struct Match {
  PathMatch path;                   ///< Always present; the default is prefix "/".
  std::string method;               ///< Empty for any.
  std::vector<ValueMatch> headers;  ///< At most one per name.
  std::vector<ValueMatch> query;    ///< At most one per name.
};

/// A share of a rule's requests.
struct Backend {
  std::string upstream;      ///< Key of an Upstream; empty if the reference did not resolve (500).
  std::uint32_t weight = 1;  ///< 0 to 1,000,000.
  std::vector<Filter> filters;  ///< Run after the draw, once for each attempt.
  std::string name_space;       ///< Of the Service, for snapshots and explain.
  std::string name;             ///< Of the Service.
  std::uint16_t port = 0;       ///< Of the Service.
};

/// HTTPRequestMirrorFilter.
struct Mirror {
  std::string upstream;         ///< Key of an Upstream; empty if it did not resolve: no mirroring.
  std::uint32_t numerator = 1;  ///< Share of requests that are mirrored…
  std::uint32_t denominator = 1;  ///< …out of this many, at least 1.
};

/// HTTPRouteRetry.
struct Retry {
  std::uint32_t attempts = 1;            ///< Additional attempts; 0 switches retries off.
  std::vector<std::uint16_t> codes;      ///< Response statuses that are retried, 400 to 599.
  std::chrono::milliseconds backoff{0};  ///< Least wait before a retry.
};

/// SessionPersistence: a client that brings back what it was given stays with its endpoint.
struct Session {
  std::string name;     ///< Of the cookie or header field.
  bool header = false;  ///< A header field carries it; else a cookie.
  std::string path;     ///< Cookies: the Path attribute, beginning with '/'.
  bool permanent =
      false;  ///< Cookies: Max-Age says how long; else until the client's session ends.
  std::optional<std::chrono::milliseconds> absolute_timeout;  ///< From its begin; above 0.
  std::optional<std::chrono::milliseconds> idle_timeout;      ///< Since its last request; above 0.
  /// What the key of its tokens is made of: the same for all replicas, for this rule alone.
  std::string scope;

  /// Field-wise equality.
  friend bool operator==(const Session&, const Session&) = default;
};

/// One rule of a route. TLSRoute, TCPRoute and UDPRoute rules have an id, a name and backends only.
struct Rule {
  std::string id;                 ///< "namespace/route/ruleIndex".
  std::string name;               ///< HTTPRouteRule.name; may be empty.
  std::vector<Match> matches;     ///< At least one for HTTPRoute and GRPCRoute.
  std::vector<Filter> filters;    ///< In list order; CORS first wherever it is listed.
  std::vector<Mirror> mirrors;    ///< In list order.
  std::vector<Backend> backends;  ///< May be empty: 500, unless a filter answers.
  std::optional<std::chrono::milliseconds>
      request_timeout;  ///< 0: none; absent: the proxy's default.
  std::optional<std::chrono::milliseconds> backend_timeout;  ///< Per attempt; the same.
  Boxed<Retry> retry;      ///< Absent: connection errors of idempotent requests only.
  Boxed<Session> session;  ///< Absent: each request is drawn anew.
};

/// Calls `visit` with the key of each Upstream that a rule names and that resolved: of its
/// backends, its mirrors, and its filters' own. Some come twice.
template <class Visit>
void forEachUpstream(const Rule& rule, Visit&& visit) {
  const auto of_filters = [&](const std::vector<Filter>& filters) {
    for (const Filter& filter : filters)
      for (const std::string& key : filter.upstreams) visit(key);
  };
  of_filters(rule.filters);
  for (const Mirror& mirror : rule.mirrors)
    if (!mirror.upstream.empty()) visit(mirror.upstream);
  for (const Backend& backend : rule.backends) {
    if (!backend.upstream.empty()) visit(backend.upstream);
    of_filters(backend.filters);
  }
}

/// Where a route is attached.
struct Attachment {
  std::string listener;  ///< Listener::key.
  /// The route's own hostnames that meet the listener's, not the intersection: routes are ranked by
  /// their own (Gateway API v1.7). One empty entry stands for any host of the listener.
  std::vector<std::string> hostnames;
};

/// What a route routes. HTTP and gRPC routes are matched request by request, the others once for
/// each connection or session: the oldest route that serves the name wins.
enum class RouteKind : std::uint8_t { Http, Grpc, Tls, Tcp, Udp };

/// Behind the port in the key of an Upstream: what routes of that kind speak to a Service port
/// may differ from what others speak to it, so each has an Upstream of its own.
[[nodiscard]] constexpr std::string_view upstreamSuffix(RouteKind kind) noexcept {
  switch (kind) {
    case RouteKind::Http: break;
    case RouteKind::Grpc: return "+grpc";
    case RouteKind::Tls:
    case RouteKind::Tcp: return "+tcp";
    case RouteKind::Udp: return "+udp";
  }
  return "";
}

/// The kind by which an Upstream's key was made; Tcp stands for Tls too.
[[nodiscard]] constexpr RouteKind kindOfUpstream(std::string_view key) noexcept {
  for (const RouteKind kind : {RouteKind::Grpc, RouteKind::Tcp, RouteKind::Udp})
    if (key.ends_with(upstreamSuffix(kind))) return kind;
  return RouteKind::Http;
}

/// All of them.
inline constexpr std::array kRouteKinds{RouteKind::Http, RouteKind::Grpc, RouteKind::Tls,
                                        RouteKind::Tcp, RouteKind::Udp};

/// The kind of the object: "HTTPRoute", …
[[nodiscard]] constexpr std::string_view kindText(RouteKind kind) noexcept {
  switch (kind) {
    case RouteKind::Http: return "HTTPRoute";
    case RouteKind::Grpc: return "GRPCRoute";
    case RouteKind::Tls: return "TLSRoute";
    case RouteKind::Tcp: return "TCPRoute";
    case RouteKind::Udp: return "UDPRoute";
  }
  return "HTTPRoute";
}

/// True for what is routed by connection or session, not by request.
[[nodiscard]] constexpr bool isFlow(RouteKind kind) noexcept {
  return kind != RouteKind::Http && kind != RouteKind::Grpc;
}

/// A route as far as it takes effect.
struct Route {
  std::string key;           ///< "HTTPRoute/namespace/name", with its own kind; unique.
  std::string name_space;    ///< Of the object.
  std::string name;          ///< Of the object.
  std::int64_t created = 0;  ///< creationTimestamp, seconds since the epoch; the oldest wins.
  std::vector<Attachment> attachments;  ///< Where it serves; none: it has no effect.
  std::shared_ptr<const std::vector<Rule>>
      rules;                         ///< Shared by all attachments and tables; not null.
  RouteKind kind = RouteKind::Http;  ///< As in the key.
};

/// What a backend connection speaks (Service appProtocol).
enum class UpstreamProtocol : std::uint8_t { Http1, Http2, WebSocket, WebSocketTls };

/// A header that tells a backend who the client is, in front of a connection's bytes (PROXY
/// protocol).
enum class ProxyHeader : std::uint8_t { None, V1, V2 };

/// One address that can take a request.
struct Endpoint {
  std::string address;     ///< IPv4 or IPv6 literal.
  std::uint16_t port = 0;  ///< 1 to 65535.

  /// Field-wise order.
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// Endpoint choice.
enum class Balance : std::uint8_t { RoundRobin, LeastRequest };

/// How connections to a backend are secured (Gateway API BackendTLSPolicy).
struct UpstreamTls {
  std::string hostname;                ///< SNI; what the certificate must name if nothing else is.
  std::vector<std::string> dns_names;  ///< DNS names and…
  std::vector<std::string> uris;       ///< …URIs, of which the certificate must have one, if any.
  CaBundles authorities;               ///< Whose certificates are good…
  bool system_authorities = false;     ///< …or those that the machine trusts.
  std::string refused;  ///< Not empty: why nothing can be trusted. Requests are answered 500.

  /// Equality of what is said.
  friend bool operator==(const UpstreamTls& a, const UpstreamTls& b) {
    return a.hostname == b.hostname && a.dns_names == b.dns_names && a.uris == b.uris &&
           sameBundles(a.authorities, b.authorities) &&
           a.system_authorities == b.system_authorities && a.refused == b.refused;
  }
};

/// The endpoints behind one port of one Service.
struct Upstream {
  std::string key;  ///< "namespace/service:port" and upstreamSuffix() of the kind; unique.
  UpstreamProtocol protocol = UpstreamProtocol::Http1;  ///< Spoken to it.
  Balance balance = Balance::RoundRobin;                ///< Policy.
  std::vector<Endpoint> endpoints;  ///< Ready ones, sorted, no duplicates; none: 503.
  std::shared_ptr<const UpstreamTls> tls = nullptr;  ///< Null: plain text.
  ProxyHeader proxy_header = ProxyHeader::None;      ///< What each connection to it begins with.
  /// Those that terminate and still serve, beside ready ones: for sessions that they have alone.
  /// Sorted, no duplicates.
  std::vector<Endpoint> draining = {};
};

/// True if both upstreams are the same, whatever their keys.
[[nodiscard]] inline bool sameUpstream(const Upstream& a, const Upstream& b) {
  return a.protocol == b.protocol && a.balance == b.balance && a.endpoints == b.endpoints &&
         a.draining == b.draining && sameIn(a.tls, b.tls) && a.proxy_header == b.proxy_header;
}

/// A certificate chain with its key. Never printed, never in a snapshot.
struct Certificate {
  std::string key;          ///< "namespace/secret"; unique.
  std::string chain_pem;    ///< Leaf first.
  std::string private_pem;  ///< PKCS#8 or traditional PEM.
};

/// A Gateway as a whole, for sinks that give it a place in the network. Listeners in the model may
/// be fewer than it has ports.
struct Gateway {
  /// A port that clients connect to.
  struct Port {
    std::uint16_t port = 0;        ///< 1 to 65535.
    std::string protocol = "TCP";  ///< TCP or UDP.
    /// Field-wise equality.
    friend bool operator==(const Port&, const Port&) = default;
  };
  /// An object with parameters for what is made for it.
  struct Parameters {
    std::string owner;       ///< Who refers to it, if it is not the Gateway: "GatewayClass NAME".
    std::string group;       ///< Empty: the core API.
    std::string kind;        ///< Of the object.
    std::string name_space;  ///< Of the object.
    std::string name;        ///< Of the object.
    /// Field-wise equality.
    friend bool operator==(const Parameters&, const Parameters&) = default;
  };
  std::string name_space;       ///< Of the object.
  std::string name;             ///< Of the object.
  std::string uid;              ///< Of the object, so that what is made for it can refer to it.
  std::int64_t generation = 0;  ///< Of the object.
  std::int64_t created = 0;     ///< Seconds since the epoch; the oldest comes first.
  bool accepted = true;         ///< False: it gets nothing new, and keeps what it has.
  std::vector<std::pair<std::string, std::string>> labels;       ///< For what is made for it.
  std::vector<std::pair<std::string, std::string>> annotations;  ///< Likewise.
  std::vector<std::string> addresses;                            ///< IP addresses that it asks for.
  bool cluster_only = false;  ///< It asks for addresses within the cluster, and for no others.
  std::vector<Port> ports;    ///< Sorted, no duplicates; of listeners that are valid.
  std::vector<Parameters> parameters;  ///< Those of its class, then its own.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
  /// Field-wise equality.
  friend bool operator==(const Gateway&, const Gateway&) = default;
};

/// A change of the model: upserts and removals keyed by object. Removals and upserts of one kind
/// are disjoint. `full` says that what is not named is gone.
struct ModelBatch {
  bool full = false;                              ///< Replaces everything.
  std::vector<Listener> listeners;                ///< Upserts.
  std::vector<std::string> removed_listeners;     ///< Keys.
  std::vector<Route> routes;                      ///< Upserts.
  std::vector<std::string> removed_routes;        ///< Keys.
  std::vector<Upstream> upstreams;                ///< Upserts.
  std::vector<std::string> removed_upstreams;     ///< Keys.
  std::vector<Certificate> certificates;          ///< Upserts.
  std::vector<std::string> removed_certificates;  ///< Keys.
  std::vector<Gateway> gateways;                  ///< Upserts.
  std::vector<std::string> removed_gateways;      ///< Keys.

  /// True if nothing changes.
  [[nodiscard]] bool empty() const noexcept {
    return !full && listeners.empty() && removed_listeners.empty() && routes.empty() &&
           removed_routes.empty() && upstreams.empty() && removed_upstreams.empty() &&
           certificates.empty() && removed_certificates.empty() && gateways.empty() &&
           removed_gateways.empty();
  }
};

}  // namespace hyperway::route
