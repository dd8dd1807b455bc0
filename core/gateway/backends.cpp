// SPDX-License-Identifier: Apache-2.0
#include "gateway/backends.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "gateway/backend_tls.hpp"
#include "gateway/ip_literal.hpp"
#include "gateway/references.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kRefNotPermitted = "RefNotPermitted";
constexpr std::string_view kInvalidKind = "InvalidKind";
constexpr std::string_view kBackendNotFound = "BackendNotFound";
constexpr std::string_view kUnsupportedProtocol = "UnsupportedProtocol";

std::string_view transportOf(route::RouteKind kind) {
  return kind == route::RouteKind::Udp ? "UDP" : "TCP";
}

// A Service may use one number for TCP and UDP; what goes over which is the route's matter.
const Service::Port* portOf(const Service& service, std::int64_t number, route::RouteKind kind) {
  const Service::Port* found = nullptr;
  for (const Service::Port& port : service.ports)
    if (port.port == number && (found == nullptr || port.protocol == transportOf(kind)))
      found = &port;
  return found;
}

// KEP-3726 and IANA names, and "grpc", which many clusters use; absent for what is not spoken.
std::optional<route::UpstreamProtocol> protocolOf(std::string_view app_protocol,
                                                  route::RouteKind kind) {
  // Whatever a flow's bytes are, they are passed on.
  if (kind != route::RouteKind::Http && kind != route::RouteKind::Grpc)
    return route::UpstreamProtocol::Http1;
  if (app_protocol == "kubernetes.io/h2c" || equalsIgnoreCase(app_protocol, "grpc"))
    return route::UpstreamProtocol::Http2;
  if (app_protocol.empty() || equalsIgnoreCase(app_protocol, "http") ||
      equalsIgnoreCase(app_protocol, "https"))
    return kind == route::RouteKind::Grpc ? route::UpstreamProtocol::Http2
                                          : route::UpstreamProtocol::Http1;
  if (kind == route::RouteKind::Grpc) return std::nullopt;
  if (app_protocol == "kubernetes.io/ws") return route::UpstreamProtocol::WebSocket;
  if (app_protocol == "kubernetes.io/wss") return route::UpstreamProtocol::WebSocketTls;
  return std::nullopt;
}

// Protocols that are TLS by name: plain text, for want of a policy, would be worse than a refusal.
bool needsPolicy(std::string_view app_protocol, route::RouteKind kind) {
  if (kind != route::RouteKind::Http && kind != route::RouteKind::Grpc) return false;
  return equalsIgnoreCase(app_protocol, "https") || app_protocol == "kubernetes.io/wss";
}

// What an annotation asks for; absent for a value that nobody knows. A datagram has no beginning to
// put a header at.
std::optional<route::ProxyHeader> proxyHeaderOf(const Service& service, route::RouteKind kind) {
  if (service.proxy_protocol.empty() || kind == route::RouteKind::Udp)
    return route::ProxyHeader::None;
  if (service.proxy_protocol == "v1") return route::ProxyHeader::V1;
  if (service.proxy_protocol == "v2") return route::ProxyHeader::V2;
  return std::nullopt;
}

bool isOwnPort(const TranslateOptions& options, const std::string& address, std::uint16_t port) {
  const auto reaches = [&](const route::Bind& bind) {
    // A wildcard stands for addresses of the machine that only the machine knows, so its port is
    // taken everywhere.
    return bind.port == port &&
           (isWildcardIp(bind.address) || canonicalIp(bind.address) == address);
  };
  if (std::any_of(options.own_ports.begin(), options.own_ports.end(), reaches)) return true;
  return std::any_of(options.listen_map.begin(), options.listen_map.end(), [&](const auto& entry) {
    return std::any_of(entry.second.begin(), entry.second.end(), reaches);
  });
}

// Why an ExternalName Service cannot be a backend; empty if it can.
std::string externalNameProblem(const Service& service, std::int64_t port,
                                const TranslateOptions& options) {
  const auto& opted_in = options.external_name_namespaces;
  const auto allows = [&](const std::string& name) {
    return name == "*" || name == service.meta.name_space;
  };
  const std::string who = "Service " + service.meta.key() + " is of type ExternalName, which ";
  if (std::none_of(opted_in.begin(), opted_in.end(), allows))
    return who + "the configuration does not allow in namespace " + service.meta.name_space;
  const std::string address = canonicalIp(service.external_name);
  if (address.empty())
    return who + "this version follows only if externalName is an IP address, not " +
           service.external_name;
  if (isLocalIp(address)) return who + "must not name a loopback or link-local address";
  if (isOwnPort(options, address, static_cast<std::uint16_t>(port)))
    return who + "must not name a port of the gateway";
  return {};
}

Verdict judgeService(const Service& service, std::int64_t port_number, route::RouteKind kind,
                     const ObjectStore& store, const TranslateOptions& options) {
  const std::string key = service.meta.key();
  if (!proxyHeaderOf(service, kind))
    return {std::string(kUnsupportedProtocol), "annotation " + std::string(kProxyAnnotation) +
                                                   " of Service " + key + " is \"" +
                                                   service.proxy_protocol + "\", not v1 or v2"};
  if (service.external) {
    std::string problem = externalNameProblem(service, port_number, options);
    return problem.empty() ? Verdict() : Verdict{std::string(kInvalidKind), std::move(problem)};
  }
  const Service::Port* const port = portOf(service, port_number, kind);
  if (port == nullptr)
    return {std::string(kBackendNotFound),
            "Service " + key + " has no port " + std::to_string(port_number)};
  if (port->protocol != transportOf(kind))
    return {std::string(kUnsupportedProtocol),
            "port " + std::to_string(port_number) + " of Service " + key + " is for " +
                port->protocol + ", not " + std::string(transportOf(kind))};
  if (!protocolOf(port->app_protocol, kind))
    return {std::string(kUnsupportedProtocol),
            "appProtocol " + port->app_protocol + " of Service " + key +
                (kind == route::RouteKind::Grpc
                     ? " is not supported for gRPC; kubernetes.io/h2c, grpc, http and https are"
                     : " is not supported; http, https, kubernetes.io/h2c, grpc, kubernetes.io/ws "
                       "and kubernetes.io/wss are")};
  if (needsPolicy(port->app_protocol, kind) && policyFor(store, key, port->name) == nullptr)
    return {std::string(kUnsupportedProtocol),
            "appProtocol " + port->app_protocol + " of Service " + key +
                " needs a BackendTLSPolicy that says whom to trust"};
  return {};
}

struct UpstreamKey {
  std::string service;
  std::int64_t port = 0;
  route::RouteKind kind;
};

UpstreamKey split(std::string_view key) {
  const std::size_t colon = key.rfind(':');
  UpstreamKey parts{std::string(key.substr(0, colon)), 0, route::kindOfUpstream(key)};
  std::from_chars(key.data() + colon + 1, key.data() + key.size(), parts.port);
  return parts;
}

void addSlice(const EndpointSlice& slice, const Service::Port& of,
              std::vector<route::Endpoint>& ready, std::vector<route::Endpoint>& draining) {
  if (slice.address_type != "IPv4" && slice.address_type != "IPv6") return;
  for (const EndpointSlice::Port& port : slice.ports) {
    if (port.name != of.name || port.protocol != of.protocol || port.port < 1 || port.port > 65535)
      continue;
    for (const EndpointSlice::Endpoint& endpoint : slice.endpoints) {
      const bool drains = endpoint.serving && endpoint.terminating;
      if (!endpoint.ready && !drains) continue;
      for (const std::string& address : endpoint.addresses) {
        std::string literal = canonicalIp(address);
        if (literal.empty()) continue;
        const auto number = static_cast<std::uint16_t>(port.port);
        if (drains) draining.push_back({literal, number});
        if (endpoint.ready) ready.push_back({std::move(literal), number});
      }
    }
  }
}

// As the configuration names it: whatever is spoken to it.
std::string plainKey(std::string_view key) {
  key.remove_suffix(route::upstreamSuffix(route::kindOfUpstream(key)).size());
  return std::string(key);
}

void sortUnique(std::vector<route::Endpoint>& endpoints) {
  std::sort(endpoints.begin(), endpoints.end());
  endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
}

// Of a Service without EndpointSlices: what the configuration says.
std::vector<route::Endpoint> givenEndpoints(const std::string& key,
                                            const TranslateOptions& options) {
  auto given = options.default_endpoints.find(key);
  if (given == options.default_endpoints.end()) given = options.default_endpoints.find("*");
  if (given == options.default_endpoints.end()) return {};
  std::vector<route::Endpoint> endpoints = given->second;
  sortUnique(endpoints);
  return endpoints;
}

// Gives an upstream its endpoints: those that are ready, and beside them those that still serve
// while they terminate, or these alone if none is ready.
void findEndpoints(route::Upstream& upstream, const Service& service, const Service::Port& port,
                   const ObjectStore& store, const TranslateOptions& options) {
  const auto* slices = store.slicesOf(service.meta.key());
  if (slices == nullptr) {
    upstream.endpoints = givenEndpoints(plainKey(upstream.key), options);
    return;
  }
  for (const std::string& slice : *slices)
    addSlice(*store.find<EndpointSlice>(slice), port, upstream.endpoints, upstream.draining);
  sortUnique(upstream.endpoints);
  sortUnique(upstream.draining);
  if (upstream.endpoints.empty()) upstream.endpoints = std::exchange(upstream.draining, {});
}

}  // namespace

BackendTarget resolveBackend(const BackendSpec& backend, route::RouteKind kind,
                             std::string_view name_space, const ObjectStore& store,
                             const TranslateOptions& options, RouteDependencies& dependencies,
                             std::optional<route::RouteKind> spoken, std::string_view referrer) {
  BackendTarget target;
  const route::RouteKind as = spoken.value_or(kind);
  const std::string_view who = referrer.empty() ? route::kindText(kind) : referrer;
  const auto refuse = [&](std::string_view reason, std::string message) {
    target.verdict = {std::string(reason), std::move(message)};
    return target;
  };
  if (!backend.group.empty() || backend.kind != "Service")
    return refuse(kInvalidKind, "only Services of the core API can be backends, not " +
                                    backend.kind +
                                    (backend.group.empty() ? "" : " of " + backend.group));
  const std::string_view there =
      backend.name_space.empty() ? name_space : std::string_view(backend.name_space);
  if (there != name_space) dependencies.namespaces.emplace_back(there);
  if (!mayRefer(store, {kGatewayGroup, who, name_space, {}}, {"", "Service", there, backend.name}))
    return refuse(kRefNotPermitted, "no ReferenceGrant in namespace " + std::string(there) +
                                        " permits " + std::string(who) + "s of namespace " +
                                        std::string(name_space) + " to use Service " +
                                        backend.name);
  const std::string key = objectKey(there, backend.name);
  dependencies.services.push_back(key);
  if (backend.port < 1 || backend.port > 65535)
    return refuse(kBackendNotFound, "needs a port from 1 to 65535");
  const auto* service = store.find<Service>(key);
  if (service == nullptr) return refuse(kBackendNotFound, "Service " + key + " does not exist");
  target.verdict = judgeService(*service, backend.port, as, store, options);
  if (!target.verdict.fine()) return target;
  target.upstream = (key + ':' + std::to_string(backend.port)).append(route::upstreamSuffix(as));
  dependencies.upstreams.push_back(target.upstream);
  return target;
}

route::Upstream buildUpstream(const std::string& key, const ObjectStore& store,
                              AuthorityStore& authorities, const TranslateOptions& options) {
  route::Upstream upstream;
  upstream.key = key;
  const auto [service_key, number, kind] = split(key);
  auto balance = options.balance.find(plainKey(key));
  if (balance == options.balance.end()) balance = options.balance.find("*");
  if (balance != options.balance.end()) upstream.balance = balance->second;
  const auto* service = store.find<Service>(service_key);
  if (service == nullptr || !judgeService(*service, number, kind, store, options).fine())
    return upstream;
  const Service::Port* const port = portOf(*service, number, kind);
  const auto* policy = policyFor(store, service_key, port != nullptr ? port->name : "");
  // There is no TLS over datagrams.
  if (policy != nullptr && kind != route::RouteKind::Udp) {
    auto judged = judgePolicy(*policy, store, authorities, options.check_authorities);
    const bool refused = !judged.tls.refused.empty();
    upstream.tls = std::make_shared<const route::UpstreamTls>(std::move(judged.tls));
    if (refused) return upstream;
  }
  upstream.proxy_header = *proxyHeaderOf(*service, kind);
  upstream.protocol = *protocolOf(service->external ? "" : port->app_protocol, kind);
  if (service->external) {
    upstream.endpoints.push_back(
        {canonicalIp(service->external_name), static_cast<std::uint16_t>(number)});
    return upstream;
  }
  if (upstream.tls && upstream.protocol == route::UpstreamProtocol::WebSocket)
    upstream.protocol = route::UpstreamProtocol::WebSocketTls;
  findEndpoints(upstream, *service, *port, store, options);
  return upstream;
}

void addEndpoints(route::Upstream& upstream, const ObjectStore& store,
                  const TranslateOptions& options) {
  upstream.endpoints.clear();
  upstream.draining.clear();
  if (upstream.tls && !upstream.tls->refused.empty()) return;
  const auto [service_key, number, kind] = split(upstream.key);
  const auto* service = store.find<Service>(service_key);
  if (service == nullptr) {
    upstream.endpoints = givenEndpoints(plainKey(upstream.key), options);
  } else if (service->external) {
    if (std::string address = canonicalIp(service->external_name); !address.empty())
      upstream.endpoints.push_back({std::move(address), static_cast<std::uint16_t>(number)});
  } else if (const Service::Port* const port = portOf(*service, number, kind)) {
    findEndpoints(upstream, *service, *port, store, options);
  }
}

std::string serviceOfUpstream(std::string_view key) { return split(key).service; }

std::string portNameOf(const Service& service, std::string_view key) {
  const UpstreamKey parts = split(key);
  const Service::Port* const port = portOf(service, parts.port, parts.kind);
  return port != nullptr ? port->name : std::string();
}

}  // namespace hyperway::gateway
