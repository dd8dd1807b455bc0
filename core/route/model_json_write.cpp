// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "route/json_writer.hpp"
#include "route/model_json.hpp"
#include "route/text_hash.hpp"

namespace hyperway::route {

const char* protocolText(Protocol protocol) noexcept {
  switch (protocol) {
    case Protocol::Http: return "HTTP";
    case Protocol::Https: return "HTTPS";
    case Protocol::Tls: return "TLS";
    case Protocol::Tcp: return "TCP";
    case Protocol::Udp: return "UDP";
  }
  return "HTTP";
}

const char* listOf(RouteKind kind) noexcept {
  switch (kind) {
    case RouteKind::Http: return "httpRoutesV1";
    case RouteKind::Grpc: return "grpcRoutes";
    case RouteKind::Tls: return "tlsRoutes";
    case RouteKind::Tcp: return "tcpRoutes";
    case RouteKind::Udp: return "udpRoutes";
  }
  return "httpRoutesV1";
}

namespace {

const char* text(MatchKind kind) {
  switch (kind) {
    case MatchKind::Exact: return "exact";
    case MatchKind::Prefix: return "pathPrefix";
    case MatchKind::Regex: return "regularExpression";
  }
  return "exact";
}

/// Empty for what is spoken unless said otherwise.
const char* text(UpstreamProtocol protocol) {
  switch (protocol) {
    case UpstreamProtocol::Http1: return "";
    case UpstreamProtocol::Http2: return "h2c";
    case UpstreamProtocol::WebSocket: return "ws";
    case UpstreamProtocol::WebSocketTls: return "wss";
  }
  return "";
}

/// A key "a/b/c" taken apart at its first two slashes.
struct KeyParts {
  std::string_view first, second, third;
};

KeyParts splitKey(std::string_view key) {
  const std::size_t one = std::min(key.find('/'), key.size());
  const std::string_view rest = key.substr(std::min(one + 1, key.size()));
  const std::size_t two = std::min(rest.find('/'), rest.size());
  return {key.substr(0, one), rest.substr(0, two), rest.substr(std::min(two + 1, rest.size()))};
}

/// The document without white space, or nothing if it is not a JSON object.
std::string compact(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(json.data(), json.size(), true).get(root) != simdjson::SUCCESS ||
      !root.is_object()) {
    return {};
  }
  return simdjson::minify(root);
}

/// The contract's form of a redirect or rewrite: its `path.type` is called `modifierType`, in
/// another case.
std::string withModifierType(const std::string& config) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::object members;
  if (parser.parse(config).get(root) != simdjson::SUCCESS ||
      root.get_object().get(members) != simdjson::SUCCESS) {
    return {};
  }
  JsonWriter out;
  out.beginObject();
  for (const auto& member : members) {
    simdjson::dom::object path;
    if (member.key != "path" || member.value.get_object().get(path) != simdjson::SUCCESS) {
      out.raw(member.key, simdjson::minify(member.value));
      continue;
    }
    out.beginObject("path");
    for (const auto& part : path) {
      std::string_view type;
      if (part.key != "type" || part.value.get_string().get(type) != simdjson::SUCCESS) {
        out.raw(part.key, simdjson::minify(part.value));
      } else {
        out.text("modifierType",
                 type == "ReplaceFullPath" ? "replaceFullPath" : "replacePrefixMatch");
      }
    }
    out.endObject();
  }
  out.endObject();
  return out.take();
}

/// The first filter of each type that the contract knows, under the contract's name.
void writeKnownFilters(JsonWriter& out, const std::vector<Filter>& filters) {
  struct Known {
    std::string_view type, member;
    bool has_path;
  };
  for (const Known& known : {Known{"RequestHeaderModifier", "requestHeaderModifier", false},
                             Known{"ResponseHeaderModifier", "responseHeaderModifier", false},
                             Known{"RequestRedirect", "requestRedirect", true},
                             Known{"URLRewrite", "urlRewrite", true}}) {
    const auto filter = std::find_if(filters.begin(), filters.end(),
                                     [&](const Filter& each) { return each.type == known.type; });
    if (filter == filters.end()) continue;
    const std::string object = compact(filter->config);
    if (object.empty()) continue;
    out.raw(known.member, known.has_path ? withModifierType(object) : object);
  }
}

void writeValues(JsonWriter& out, std::string_view name, const std::vector<ValueMatch>& values) {
  if (values.empty()) return;
  out.beginArray(name);
  for (const ValueMatch& value : values) {
    out.beginObject();
    out.text("name", value.name);
    out.text("value", value.value);
    out.text("matchType", text(value.kind));
    out.endObject();
  }
  out.endArray();
}

void writeMatches(JsonWriter& out, const std::vector<Match>& matches) {
  out.beginArray("matches");
  for (const Match& match : matches) {
    out.beginObject();
    out.beginObject("path");
    out.text("matchType", text(match.path.kind));
    out.text("value", match.path.value);
    out.endObject();
    out.textIfAny("method", match.method);
    writeValues(out, "headers", match.headers);
    writeValues(out, "queryParams", match.query);
    out.endObject();
  }
  out.endArray();
}

void writeBundles(JsonWriter& out, const CaBundles& bundles) {
  if (bundles.empty()) return;
  out.beginArray("caCertificates");
  for (const auto& bundle : bundles) out.element(*bundle);
  out.endArray();
}

void writeTls(JsonWriter& out, const UpstreamTls& tls) {
  out.beginObject("tls");
  out.text("hostname", tls.hostname);
  writeBundles(out, tls.authorities);
  if (tls.system_authorities) out.text("wellKnownCACertificates", "System");
  if (!tls.dns_names.empty() || !tls.uris.empty()) {
    out.beginArray("subjectAltNames");
    const auto names = [&](const std::vector<std::string>& list, const char* type,
                           const char* member) {
      for (const std::string& name : list) {
        out.beginObject();
        out.text("type", type);
        out.text(member, name);
        out.endObject();
      }
    };
    names(tls.dns_names, "Hostname", "hostname");
    names(tls.uris, "URI", "uri");
    out.endArray();
  }
  out.textIfAny("refused", tls.refused);
  out.endObject();
}

void writeCertificateRef(JsonWriter& out, std::string_view certificate) {
  const KeyParts key = splitKey(certificate);
  out.text("namespace", key.first);
  out.text("name", key.second);
}

void writeUpstream(JsonWriter& out, const Upstream* upstream) {
  if (upstream == nullptr) return;
  if (upstream->tls) writeTls(out, *upstream->tls);
  out.textIfAny("protocol", text(upstream->protocol));
  if (upstream->balance == Balance::LeastRequest) out.text("balance", "leastRequest");
  if (upstream->proxy_header != ProxyHeader::None)
    out.text("proxyProtocol", upstream->proxy_header == ProxyHeader::V1 ? "v1" : "v2");
}

/// Namespace, name and port of an upstream's key, and what is spoken to it.
void writeUpstreamKey(JsonWriter& out, const std::string& upstream,
                      const UpstreamLookup& upstreams) {
  const KeyParts key = splitKey(upstream);
  const std::size_t colon = std::min(key.second.rfind(':'), key.second.size());
  out.text("namespace", key.first);
  out.text("name", key.second.substr(0, colon));
  out.number("port", std::atoi(std::string(key.second.substr(colon)).c_str() + 1));
  out.number("weight", 1);
  writeUpstream(out, upstreams(upstream));
}

void writeFilters(JsonWriter& out, const std::vector<Filter>& filters,
                  const UpstreamLookup& upstreams) {
  if (filters.empty()) return;
  out.beginArray("filters");
  for (const Filter& filter : filters) {
    out.beginObject();
    out.text("type", filter.type);
    if (const std::string object = compact(filter.config); !object.empty()) {
      out.raw("config", object);
    } else {
      out.textIfAny("config", filter.config);  // a plugin may take any text
    }
    out.textIfAny("owner", filter.owner);
    out.textIfAny("refused", filter.refused);
    if (!filter.upstreams.empty()) {
      out.beginArray("backends");
      for (const std::string& upstream : filter.upstreams) {
        out.beginObject();
        writeUpstreamKey(out, upstream, upstreams);
        if (kindOfUpstream(upstream) == RouteKind::Grpc) out.boolean("grpc", true);
        out.endObject();
      }
      out.endArray();
    }
    out.endObject();
  }
  out.endArray();
}

void writeMirror(JsonWriter& out, const Mirror& mirror, const UpstreamLookup& upstreams) {
  out.beginObject();
  out.beginObject("backend");
  writeUpstreamKey(out, mirror.upstream, upstreams);
  out.endObject();
  const std::uint64_t hundredths = std::uint64_t{100} * mirror.numerator;
  if (mirror.numerator < mirror.denominator) {
    out.number("fractionPercent", static_cast<std::int64_t>(hundredths / mirror.denominator));
    if (hundredths % mirror.denominator != 0) {
      out.beginObject("fraction");
      out.number("numerator", mirror.numerator);
      out.number("denominator", mirror.denominator);
      out.endObject();
    }
  }
  out.endObject();
}

void writeBackend(JsonWriter& out, const Backend& backend, const UpstreamLookup& upstreams) {
  out.beginObject();
  out.text("namespace", backend.name_space);
  out.text("name", backend.name);
  out.number("port", backend.port);
  out.number("weight", backend.weight);
  if (backend.upstream.empty())
    out.boolean("unresolved", true);
  else
    writeUpstream(out, upstreams(backend.upstream));
  writeFilters(out, backend.filters, upstreams);
  out.endObject();
}

void writeBackends(JsonWriter& out, const Rule& rule, const UpstreamLookup& upstreams) {
  out.beginArray("backends");
  for (const Backend& backend : rule.backends) writeBackend(out, backend, upstreams);
  out.endArray();
}

void writeSession(JsonWriter& out, const Session& session) {
  out.beginObject("sessionPersistence");
  out.text("type", session.header ? "Header" : "Cookie");
  out.text("name", session.name);
  if (!session.header) {
    out.text("path", session.path);
    out.text("lifetimeType", session.permanent ? "Permanent" : "Session");
  }
  if (session.absolute_timeout) out.number("absoluteTimeoutMs", session.absolute_timeout->count());
  if (session.idle_timeout) out.number("idleTimeoutMs", session.idle_timeout->count());
  out.text("scope", session.scope);
  out.endObject();
}

/// What a rule says, the same at all its listeners.
void writeRule(JsonWriter& out, RouteKind kind, const Rule& rule, const UpstreamLookup& upstreams) {
  if (isFlow(kind)) return writeBackends(out, rule, upstreams);
  writeMatches(out, rule.matches);
  writeFilters(out, rule.filters, upstreams);
  if (kind == RouteKind::Http) writeKnownFilters(out, rule.filters);
  out.beginArray("requestMirrors");
  for (const Mirror& mirror : rule.mirrors)
    if (!mirror.upstream.empty()) writeMirror(out, mirror, upstreams);
  out.endArray();
  writeBackends(out, rule, upstreams);
  if (rule.request_timeout) out.number("requestTimeoutMs", rule.request_timeout->count());
  if (rule.backend_timeout) out.number("backendRequestTimeoutMs", rule.backend_timeout->count());
  if (rule.session) writeSession(out, *rule.session);
  if (!rule.retry) return;
  out.beginObject("retry");
  out.number("attempts", rule.retry->attempts);
  out.beginArray("codes");
  for (const std::uint16_t code : rule.retry->codes) out.element(std::int64_t{code});
  out.endArray();
  if (rule.retry->backoff.count() != 0) out.number("backoffMs", rule.retry->backoff.count());
  out.endObject();
}

/// Hostnames by listener, each listener once.
std::map<std::string, std::vector<std::string>> hostsByListener(const Route& route) {
  std::map<std::string, std::vector<std::string>> out;
  for (const Attachment& attachment : route.attachments) {
    if (attachment.hostnames.empty()) continue;
    std::vector<std::string>& hosts = out[attachment.listener];
    for (const std::string& host : attachment.hostnames)
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(host);
  }
  return out;
}

void writeHosts(JsonWriter& out, const std::vector<std::string>& hosts) {
  out.beginArray("hostnames");
  // No hostname at all is how the contract says "any".
  if (hosts.size() != 1 || !hosts.front().empty())
    for (const std::string& host : hosts) out.element(host);
  out.endArray();
}

}  // namespace

std::string snapshotListener(const Listener& listener, const UpstreamLookup& upstreams) {
  JsonWriter out;
  out.beginObject();
  out.text("name", listener.key);
  out.number("port", listener.port);
  out.textIfAny("hostname", listener.hostname);
  out.text("protocol", protocolText(listener.protocol));
  out.beginArray("binds");
  for (const Bind& bind : listener.binds) {
    out.beginObject();
    out.text("address", bind.address);
    out.number("port", bind.port);
    out.endObject();
  }
  out.endArray();
  if (listener.passthrough) {
    out.beginObject("tls");
    out.text("mode", "Passthrough");
    out.endObject();
  } else if (!listener.certificates.empty()) {
    out.beginObject("tls");
    out.beginArray("certificateRefs");
    for (const std::string& certificate : listener.certificates) {
      out.beginObject();
      writeCertificateRef(out, certificate);
      out.endObject();
    }
    out.endArray();
    if (listener.validation) {
      out.beginObject("clientValidation");
      writeBundles(out, listener.validation->authorities);
      if (!listener.validation->required) out.text("mode", "AllowInsecureFallback");
      out.endObject();
    }
    out.endObject();
  }
  if (!listener.backend_certificate.empty()) {
    out.beginObject("backendCertificateRef");
    writeCertificateRef(out, listener.backend_certificate);
    out.endObject();
  }
  writeFilters(out, listener.filters, upstreams);
  out.endObject();
  return out.take();
}

std::string snapshotRoute(const Route& route, const UpstreamLookup& upstreams,
                          const PortLookup& ports) {
  JsonWriter out;
  const auto attachments = hostsByListener(route);
  for (const Rule& rule : *route.rules) {
    if (attachments.empty()) break;
    JsonWriter body;
    body.beginObject();
    writeRule(body, route.kind, rule, upstreams);
    const std::string content = body.take();  // "{…": goes behind each head, without its brace
    for (const auto& [listener, hosts] : attachments) {
      const KeyParts key = splitKey(listener);
      out.beginObject();
      out.text("id", fmt::format("{}:{}:{}:{}", rule.id, key.first, key.second, key.third));
      out.text("routeNamespace", route.name_space);
      out.text("routeName", route.name);
      out.textIfAny("routeRuleName", rule.name);
      if (route.created != 0) out.number("routeCreated", route.created);
      out.text("gatewayNamespace", key.first);
      out.text("gatewayName", key.second);
      out.text("listenerName", key.third);
      out.number("listenerPort", ports(listener));
      writeHosts(out, hosts);
      out.rawElements(std::string_view(content).substr(1));
      out.endObject();
    }
  }
  return out.take();
}

std::string snapshotChecksum(std::string_view listeners, std::string_view routes) {
  Fingerprint fingerprint;
  fingerprint.add(listeners);
  fingerprint.add(routes);
  return fingerprint.text();
}

std::string snapshotSpec(const ModelBatch& model, const SnapshotHeader& header) {
  std::map<std::string, const Upstream*> upstreams;
  for (const Upstream& upstream : model.upstreams) upstreams[upstream.key] = &upstream;
  std::map<std::string, const Listener*> listeners;
  for (const Listener& listener : model.listeners) listeners[listener.key] = &listener;
  std::map<std::string, const Route*> routes;
  for (const Route& route : model.routes) routes[route.key] = &route;

  const UpstreamLookup upstream = [&](const std::string& key) -> const Upstream* {
    const auto known = upstreams.find(key);
    return known == upstreams.end() ? nullptr : known->second;
  };
  JsonWriter listener_list;
  for (const auto& [key, listener] : listeners)
    listener_list.rawElements(snapshotListener(*listener, upstream));
  const std::string listener_text = listener_list.take();
  const PortLookup port = [&](const std::string& key) -> std::uint16_t {
    const auto known = listeners.find(key);
    return known == listeners.end() ? std::uint16_t{0} : known->second->port;
  };
  std::array<std::string, kRouteKinds.size()> lists;
  for (const RouteKind kind : kRouteKinds) {
    JsonWriter list;
    for (const auto& [key, route] : routes)
      if (route->kind == kind) list.rawElements(snapshotRoute(*route, upstream, port));
    lists[static_cast<std::size_t>(kind)] = list.take();
  }
  // Of HTTPRoutes alone as it was before there were others.
  std::string route_text = lists.front();
  for (const RouteKind kind : kRouteKinds)
    if (const std::string& list = lists[static_cast<std::size_t>(kind)];
        kind != RouteKind::Http && !list.empty())
      route_text += std::string("\n") + listOf(kind) + list;

  JsonWriter out;
  out.beginObject();
  out.text("controllerName", header.controller_name);
  out.text("updatedAt", header.updated_at);
  out.text("checksum",
           header.checksum.empty() ? snapshotChecksum(listener_text, route_text) : header.checksum);
  out.beginArray("listeners");
  out.rawElements(listener_text);
  out.endArray();
  for (const RouteKind kind : kRouteKinds) {
    const std::string& list = lists[static_cast<std::size_t>(kind)];
    if (kind != RouteKind::Http && list.empty()) continue;
    out.beginArray(listOf(kind));
    out.rawElements(list);
    out.endArray();
  }
  out.endObject();
  return out.take();
}

}  // namespace hyperway::route
