// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include "base/arena.hpp"
#include "base/bytes.hpp"
#include "http/cookie.hpp"
#include "http/field.hpp"
#include "http/uri.hpp"
#include "route/host_table.hpp"
#include "route/json_node.hpp"
#include "route/json_writer.hpp"
#include "route/model_json.hpp"

namespace hyperway::route {

namespace {

namespace dom = simdjson::dom;
using json::choice;
using json::Node;

constexpr std::int64_t kMaxWeight = 1'000'000;  // Gateway API BackendRef.weight
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
// The most that a Duration of the Gateway API can say. More is read as that much: a clock that
// counts nanoseconds has room for six times as many.
constexpr std::int64_t kMostMs = std::int64_t{4} * 99'999 * 3'600'000;

using Kinds = std::array<std::pair<std::string_view, MatchKind>, 3>;
constexpr Kinds kPathKinds{{{"exact", MatchKind::Exact},
                            {"pathPrefix", MatchKind::Prefix},
                            {"regularExpression", MatchKind::Regex}}};
constexpr std::array<std::pair<std::string_view, MatchKind>, 2> kValueKinds{
    {{"exact", MatchKind::Exact}, {"regularExpression", MatchKind::Regex}}};
constexpr std::array<std::pair<std::string_view, Protocol>, 5> kProtocols{
    {{"HTTP", Protocol::Http},
     {"HTTPS", Protocol::Https},
     {"TLS", Protocol::Tls},
     {"TCP", Protocol::Tcp},
     {"UDP", Protocol::Udp}}};
constexpr std::array<std::pair<std::string_view, UpstreamProtocol>, 4> kUpstreamProtocols{
    {{"http1", UpstreamProtocol::Http1},
     {"h2c", UpstreamProtocol::Http2},
     {"ws", UpstreamProtocol::WebSocket},
     {"wss", UpstreamProtocol::WebSocketTls}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kClientsRequired{
    {{"AllowValidOnly", true}, {"AllowInsecureFallback", false}}};
constexpr std::array<std::pair<std::string_view, bool>, 1> kWellKnown{{{"System", true}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kPassthrough{
    {{"Terminate", false}, {"Passthrough", true}}};
constexpr std::array<std::pair<std::string_view, ProxyHeader>, 2> kProxyHeaders{
    {{"v1", ProxyHeader::V1}, {"v2", ProxyHeader::V2}}};
constexpr std::array<std::pair<std::string_view, Balance>, 2> kBalances{
    {{"roundRobin", Balance::RoundRobin}, {"leastRequest", Balance::LeastRequest}}};

/// A hostname in lower case, without final dot, if it is one: exact or "*.suffix" (Gateway API
/// Hostname).
std::optional<std::string> hostOf(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string host = lowered(text);
  std::string_view rest = host;
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  bool ok = !rest.empty() && host.size() <= kMaxHostBytes;
  char before = '.';
  for (const char c : rest) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    ok = ok && (plain || (c == '.' && before != '.'));
    before = c;
  }
  if (!ok || before == '.') return {};
  return host;
}

/// A length of time, if present and right.
std::optional<std::chrono::milliseconds> readMs(const Node& node, std::string_view name) {
  const auto ms = node.number(name, 0, std::numeric_limits<std::int64_t>::max());
  if (!ms) return {};
  return std::chrono::milliseconds(std::min(*ms, kMostMs));
}

constexpr const char* kBadHost = "has to be a host name, or \"*.\" and one";

PathMatch readPath(const Node& node) {
  PathMatch path;
  path.kind = choice(node, "matchType", MatchKind::Prefix, kPathKinds);
  const std::string value = node.text("value");
  if (value.empty()) return path.kind == MatchKind::Regex ? PathMatch{path.kind, ""} : path;
  path.value = value;
  if (path.kind == MatchKind::Regex) return path;
  std::byte block[512];
  Arena arena(block);
  const auto normal = http::normalisePath(value, arena);
  if (value.front() != '/' || !normal) {
    node.wrong("value", "has to be an absolute path");
    return path;
  }
  path.value = std::string(*normal);
  return path;
}

std::vector<ValueMatch> readValues(const Node& node, std::string_view name, bool headers) {
  std::vector<ValueMatch> out;
  node.eachObject(name, [&](const Node& item) {
    ValueMatch value;
    value.name = item.needText("name");
    if (headers) value.name = lowered(value.name);
    value.value = item.text("value");
    value.kind = choice(item, "matchType", MatchKind::Exact, kValueKinds);
    // Gateway API: of several conditions with one name only the first counts.
    const bool repeated = std::any_of(
        out.begin(), out.end(), [&](const ValueMatch& each) { return each.name == value.name; });
    if (!repeated) out.push_back(std::move(value));
  });
  return out;
}

std::vector<Match> readMatches(const Node& node) {
  std::vector<Match> out;
  node.eachObject("matches", [&](const Node& item) {
    Match match;
    if (const auto path = item.object("path")) match.path = readPath(*path);
    match.method = item.text("method");
    match.headers = readValues(item, "headers", true);
    match.query = readValues(item, "queryParams", false);
    out.push_back(std::move(match));
  });
  if (out.empty()) out.emplace_back();
  return out;
}

/// A redirect or rewrite of the contract in the form of the Gateway API: `path.modifierType` is
/// `type` there.
std::string withType(const Node& node, dom::object members) {
  JsonWriter out;
  out.beginObject();
  for (const auto& member : members) {
    dom::object path;
    if (member.key != "path" || member.value.get_object().get(path) != simdjson::SUCCESS) {
      out.raw(member.key, simdjson::minify(member.value));
      continue;
    }
    out.beginObject("path");
    for (const auto& part : path) {
      std::string_view type;
      if (part.key != "modifierType") {
        out.raw(part.key, simdjson::minify(part.value));
      } else if (part.value.get_string().get(type) == simdjson::SUCCESS &&
                 (type == "replaceFullPath" || type == "replacePrefixMatch")) {
        out.text("type", type == "replaceFullPath" ? "ReplaceFullPath" : "ReplacePrefixMatch");
      } else {
        node.problems().add(node.where() / "path" / "modifierType",
                            "can be replacePrefixMatch or replaceFullPath");
      }
    }
    out.endObject();
  }
  out.endObject();
  return out.take();
}

/// The filters of a writer that has no `filters[]`.
std::vector<Filter> readKnownFilters(const Node& node, const std::string& owner) {
  struct Known {
    std::string_view type, member;
    bool has_path;
  };
  std::vector<Filter> out;
  for (const Known& known :
       {Known{"RequestHeaderModifier", "requestHeaderModifier", false},
        Known{"RequestRedirect", "requestRedirect", true}, Known{"URLRewrite", "urlRewrite", true},
        Known{"ResponseHeaderModifier", "responseHeaderModifier", false}}) {
    const auto found = node.object(known.member);
    if (!found) continue;
    const dom::element element = *node.member(known.member);
    Filter filter;
    filter.type = known.type;
    filter.owner = owner;
    filter.config = known.has_path ? withType(*found, element.get_object())
                                   : std::string(simdjson::minify(element));
    out.push_back(std::move(filter));
  }
  return out;
}

CaBundles readBundles(const Node& node) {
  CaBundles out;
  node.each("caCertificates", [&](dom::element element, const JsonPointer& where) {
    std::string_view text;
    if (element.get_string().get(text) == simdjson::SUCCESS)
      out.push_back(std::make_shared<const std::string>(text));
    else
      node.problems().add(where, "has to be a text");
  });
  return out;
}

std::shared_ptr<const UpstreamTls> readTls(const Node& node) {
  auto tls = std::make_shared<UpstreamTls>();
  tls->hostname = node.needText("hostname");
  tls->authorities = readBundles(node);
  tls->system_authorities = choice(node, "wellKnownCACertificates", false, kWellKnown);
  tls->refused = node.text("refused");
  node.eachObject("subjectAltNames", [&](const Node& name) {
    if (name.text("type") == "URI")
      tls->uris.push_back(name.needText("uri"));
    else
      tls->dns_names.push_back(name.needText("hostname"));
  });
  if (tls->authorities.empty() && !tls->system_authorities && tls->refused.empty())
    node.wrong("caCertificates", "is missing");
  return tls;
}

/// True for "listener" and "setNamespace/setName/listener".
bool isListenerName(std::string_view name) {
  const auto slashes = std::count(name.begin(), name.end(), '/');
  return slashes == 0 || (slashes == 2 && name.front() != '/' && name.back() != '/' &&
                          name.find("//") == std::string_view::npos);
}

/// Collects the upstreams that backends, mirrors and filters name.
class UpstreamSet {
 public:
  /// Key of the upstream that `node`, in a route of that kind, describes.
  std::string add(const Node& node, RouteKind kind, const std::string& name_space,
                  const std::string& name, std::uint16_t port) {
    Upstream upstream;
    upstream.key = fmt::format("{}/{}:{}{}", name_space, name, port, upstreamSuffix(kind));
    upstream.protocol = choice(node, "protocol", UpstreamProtocol::Http1, kUpstreamProtocols);
    upstream.balance = choice(node, "balance", Balance::RoundRobin, kBalances);
    upstream.proxy_header = choice(node, "proxyProtocol", ProxyHeader::None, kProxyHeaders);
    if (const auto tls = node.object("tls")) upstream.tls = readTls(*tls);
    std::string key = upstream.key;
    known_.emplace(key, std::move(upstream));
    return key;
  }
  [[nodiscard]] std::vector<Upstream> take() {
    std::vector<Upstream> out;
    for (auto& [key, upstream] : known_) out.push_back(std::move(upstream));
    return out;
  }

 private:
  std::map<std::string, Upstream> known_;
};

std::vector<Filter> readFilters(const Node& node, UpstreamSet& upstreams) {
  std::vector<Filter> out;
  node.eachObject("filters", [&](const Node& item) {
    Filter filter;
    filter.type = item.needText("type");
    if (const auto config = item.member("config")) {
      std::string_view text;
      filter.config = config->get_string().get(text) == simdjson::SUCCESS
                          ? std::string(text)
                          : std::string(simdjson::minify(*config));
    }
    filter.owner = item.text("owner");
    filter.refused = item.text("refused");
    item.eachObject("backends", [&](const Node& backend) {
      const RouteKind kind = backend.flag("grpc") ? RouteKind::Grpc : RouteKind::Http;
      filter.upstreams.push_back(upstreams.add(backend, kind, backend.needName("namespace"),
                                               backend.needName("name"), backend.needPort("port")));
    });
    out.push_back(std::move(filter));
  });
  return out;
}

/// Reads the routes; entries of one route come in any order, one for each rule and listener.
class RouteReader {
 public:
  explicit RouteReader(UpstreamSet& upstreams) : upstreams_(upstreams) {}

  void add(const Node& node, RouteKind kind) {
    // A list of its own shows whether this entry is sound.
    Problems found;
    read(node.withProblems(found), kind);
    for (const Problem& problem : found.list()) node.problems().push(problem);
  }

  void finish(ModelBatch& model) {
    for (auto& [key, draft] : routes_) {
      for (auto& [listener, hosts] : draft.hosts) {
        draft.route.attachments.push_back({listener, std::move(hosts)});
      }
      std::vector<Rule> rules;
      for (auto& [index, rule] : draft.rules) rules.push_back(std::move(rule));
      draft.route.rules = std::make_shared<const std::vector<Rule>>(std::move(rules));
      model.routes.push_back(std::move(draft.route));
    }
  }

 private:
  struct Draft {
    Route route;
    std::map<std::uint64_t, Rule> rules;
    std::map<std::string, std::vector<std::string>> hosts;
  };

  void read(const Node& node, RouteKind kind) {
    Draft entry;
    Route& route = entry.route;
    route.kind = kind;
    route.name_space = node.needName("routeNamespace");
    route.name = node.needName("routeName");
    route.key = fmt::format("{}/{}/{}", kindText(kind), route.name_space, route.name);
    constexpr std::int64_t kAnyTime = std::numeric_limits<std::int64_t>::max();
    route.created = node.number("routeCreated", 0, kAnyTime).value_or(0);
    const std::string listener = fmt::format("{}/{}/{}", node.needName("gatewayNamespace"),
                                             node.needName("gatewayName"), readListenerName(node));
    const std::optional<std::uint64_t> index = ruleIndex(node, route);
    std::vector<std::string> hosts = readHosts(node);
    Rule rule = readRule(node, route);
    if (node.problems().failed() || !index) return;

    Draft& draft = routes_.try_emplace(route.key, std::move(entry)).first->second;
    rule.id = fmt::format("{}/{}/{}", draft.route.name_space, draft.route.name, *index);
    draft.rules.try_emplace(*index, std::move(rule));
    draft.hosts.try_emplace(listener, std::move(hosts));
  }

  /// "listener", or "setNamespace/setName/listener".
  static std::string readListenerName(const Node& node) {
    std::string name = node.needText("listenerName");
    if (name.empty() && node.member("listenerName")) {
      node.wrong("listenerName", "is empty");
    } else if (name.find(':') != std::string::npos || !isListenerName(name)) {
      node.wrong("listenerName", fmt::format("\"{}\" has a '/' or ':' in it", name));
    }
    return name;
  }

  /// From `id`: "namespace/route/ruleIndex:gatewayNamespace:gateway:listener".
  static std::optional<std::uint64_t> ruleIndex(const Node& node, const Route& route) {
    const std::string id = node.needText("id");
    if (id.empty()) return {};
    const std::string head = fmt::format("{}/{}/", route.name_space, route.name);
    std::string_view digits = id;
    if (digits.starts_with(head)) digits.remove_prefix(head.size());
    digits = digits.substr(0, digits.find(':'));
    std::uint32_t index = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, index);
    if (error == std::errc{} && stop == end) return index;
    node.wrong("id", fmt::format("has to begin with \"{}\" and the rule's number", head));
    return {};
  }

  static std::vector<std::string> readHosts(const Node& node) {
    std::vector<std::string> hosts;
    node.each("hostnames", [&](dom::element element, const JsonPointer& where) {
      std::string_view host;
      if (element.get_string().get(host) != simdjson::SUCCESS) {
        node.problems().add(where, "has to be a text");
      } else if (auto name = host.empty() ? std::optional<std::string>("") : hostOf(host)) {
        hosts.push_back(std::move(*name));
      } else {
        node.problems().add(where, kBadHost);
      }
    });
    if (hosts.empty()) hosts.emplace_back();
    return hosts;
  }

  Rule readRule(const Node& node, const Route& route) {
    Rule rule;
    rule.name = node.text("routeRuleName");
    if (isFlow(route.kind)) {
      node.eachObject("backends",
                      [&](const Node& item) { readBackend(item, route.kind, rule.backends); });
      return rule;
    }
    rule.matches = readMatches(node);
    rule.filters = node.member("filters") || route.kind != RouteKind::Http
                       ? readFilters(node, upstreams_)
                       : readKnownFilters(node, "HTTPRoute " + route.name_space + "/" + route.name);
    node.eachObject("requestMirrors",
                    [&](const Node& item) { readMirror(item, route.kind, rule.mirrors); });
    node.eachObject("backends",
                    [&](const Node& item) { readBackend(item, route.kind, rule.backends); });
    rule.request_timeout = readMs(node, "requestTimeoutMs");
    rule.backend_timeout = readMs(node, "backendRequestTimeoutMs");
    if (const auto retry = node.object("retry")) rule.retry = readRetry(*retry);
    if (const auto session = node.object("sessionPersistence"))
      rule.session = readSession(*session);
    return rule;
  }

  void readMirror(const Node& node, RouteKind kind, std::vector<Mirror>& out) {
    const auto backend = node.object("backend");
    if (!backend) return node.wrong("backend", "is missing");
    Mirror mirror;
    mirror.upstream = upstreams_.add(*backend, kind, backend->needName("namespace"),
                                     backend->needName("name"), backend->needPort("port"));
    if (const auto fraction = node.object("fraction")) {
      const auto whole = fraction->number("denominator", 1, kMaxInt32).value_or(100);
      mirror.denominator = static_cast<std::uint32_t>(whole);
      mirror.numerator =
          static_cast<std::uint32_t>(fraction->number("numerator", 0, whole).value_or(0));
    } else if (const auto percent = node.number("fractionPercent", 0, 100);
               percent && *percent < 100) {
      mirror.numerator = static_cast<std::uint32_t>(*percent);
      mirror.denominator = 100;
    }
    out.push_back(std::move(mirror));
  }

  void readBackend(const Node& node, RouteKind kind, std::vector<Backend>& out) {
    Backend backend;
    const bool unresolved = node.flag("unresolved");
    // Its names stand for nothing, and may be any text.
    backend.name_space = unresolved ? node.needText("namespace") : node.needName("namespace");
    backend.name = unresolved ? node.needText("name") : node.needName("name");
    backend.weight = static_cast<std::uint32_t>(node.number("weight", 0, kMaxWeight).value_or(1));
    backend.filters = readFilters(node, upstreams_);
    if (unresolved) {
      // What did not resolve may have no port either.
      backend.port = static_cast<std::uint16_t>(node.number("port", 0, 65535).value_or(0));
    } else {
      backend.port = node.needPort("port");
      backend.upstream = upstreams_.add(node, kind, backend.name_space, backend.name, backend.port);
    }
    out.push_back(std::move(backend));
  }

  static Session readSession(const Node& node) {
    Session session;
    session.name = node.needText("name");
    if (node.member("name") && !http::isValidFieldName(session.name))
      node.wrong("name", "has to be a token");
    session.header = node.text("type") == "Header";
    if (!session.header) {
      session.path = node.text("path");
      if (!http::isCookiePath(session.path))
        node.wrong("path", "is not one that a cookie can have");
      session.permanent = node.text("lifetimeType") == "Permanent";
    }
    session.absolute_timeout = readMs(node, "absoluteTimeoutMs");
    session.idle_timeout = readMs(node, "idleTimeoutMs");
    session.scope = node.needText("scope");  // without one, anybody could make tokens
    return session;
  }

  static Retry readRetry(const Node& node) {
    Retry retry;
    retry.attempts = static_cast<std::uint32_t>(node.number("attempts", 0, kMaxInt32).value_or(1));
    node.each("codes", [&](dom::element element, const JsonPointer& where) {
      std::int64_t code = 0;
      if (element.get_int64().get(code) != simdjson::SUCCESS || code < 400 || code > 599) {
        node.problems().add(where, "has to be a status from 400 to 599");
      } else {
        retry.codes.push_back(static_cast<std::uint16_t>(code));
      }
    });
    retry.backoff = readMs(node, "backoffMs").value_or(std::chrono::milliseconds{0});
    return retry;
  }

  std::map<std::string, Draft> routes_;
  UpstreamSet& upstreams_;
};

std::optional<Listener> readListener(const Node& node, UpstreamSet& upstreams) {
  Listener listener;
  listener.key = node.needText("name");
  if (const std::size_t gateway = listener.key.find('/', listener.key.find('/') + 1);
      gateway == std::string::npos || !isListenerName(listener.key.substr(gateway + 1))) {
    node.wrong("name",
               "has to be gatewayNamespace/gatewayName/listener, or "
               "gatewayNamespace/gatewayName/setNamespace/setName/listener");
  }
  listener.port = node.needPort("port");
  if (const std::string host = node.text("hostname"); !host.empty()) {
    const auto name = hostOf(host);
    if (name)
      listener.hostname = *name;
    else
      node.wrong("hostname", kBadHost);
  }
  const auto tls = node.object("tls");
  if (tls) {
    tls->eachObject("certificateRefs", [&](const Node& ref) {
      listener.certificates.push_back(ref.needName("namespace") + "/" + ref.needName("name"));
    });
    if (const auto clients = tls->object("clientValidation")) {
      auto validation = std::make_shared<ClientValidation>();
      validation->authorities = readBundles(*clients);
      validation->required = choice(*clients, "mode", true, kClientsRequired);
      if (validation->authorities.empty()) clients->wrong("caCertificates", "is missing");
      listener.validation = std::move(validation);
    }
  }
  if (const auto ref = node.object("backendCertificateRef"))
    listener.backend_certificate = ref->needName("namespace") + "/" + ref->needName("name");
  listener.filters = readFilters(node, upstreams);
  // Also without certificateRefs: what is meant to be secret is not served in plain text.
  listener.protocol = choice(node, "protocol", tls ? Protocol::Https : Protocol::Http, kProtocols);
  // Of others it says nothing, and opens nothing in plain text that was meant to be secret.
  if (tls && listener.protocol == Protocol::Tls)
    listener.passthrough = choice(*tls, "mode", false, kPassthrough);
  if (listener.passthrough) {
    listener.certificates.clear();
    listener.validation.reset();
  }
  const bool udp = listener.protocol == Protocol::Udp;
  node.eachObject("binds", [&](const Node& bind) {
    listener.binds.push_back({bind.needText("address"), bind.needPort("port"), udp});
  });
  if (listener.binds.empty())
    listener.binds = {{"0.0.0.0", listener.port, udp}, {"::", listener.port, udp}};
  if (node.problems().failed()) return {};
  return listener;
}

}  // namespace

std::optional<SnapshotContent> readSnapshot(std::string_view json, Problems& problems) {
  dom::parser parser;
  dom::element root;
  if (const auto error = parser.parse(json.data(), json.size(), true).get(root)) {
    problems.add({}, fmt::format("is not JSON: {}", simdjson::error_message(error)));
    return {};
  }
  dom::object object;
  if (root.get_object().get(object) != simdjson::SUCCESS) {
    problems.add({}, "has to be an object");
    return {};
  }
  const Node document(object, {}, problems);
  const Node spec = document.object("spec").value_or(document);
  SnapshotContent content;
  content.header.controller_name = spec.text("controllerName");
  content.header.updated_at = spec.text("updatedAt");
  // The ancestor wrote a number.
  if (const auto checksum = spec.member("checksum")) {
    std::string_view text;
    content.header.checksum = checksum->get_string().get(text) == simdjson::SUCCESS
                                  ? std::string(text)
                                  : std::string(simdjson::minify(*checksum));
  }
  content.header.part_of = spec.text("partOf");
  if (const auto metadata = document.object("metadata"))
    content.header.generation =
        metadata->number("generation", 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
  content.model.full = true;
  UpstreamSet upstreams;
  std::map<std::string, Listener> listeners;
  spec.eachObject("listeners", [&](const Node& node) {
    Problems found;
    if (auto listener = readListener(node.withProblems(found), upstreams)) {
      std::string key = listener->key;
      listeners.try_emplace(std::move(key), std::move(*listener));
    }
    for (const Problem& problem : found.list()) problems.push(problem);
  });
  for (auto& [key, listener] : listeners) content.model.listeners.push_back(std::move(listener));
  RouteReader routes(upstreams);
  const auto add_all = [&](const Node& from) {
    for (const RouteKind kind : kRouteKinds)
      from.eachObject(listOf(kind), [&](const Node& node) { routes.add(node, kind); });
  };
  add_all(spec);
  if (const std::string text = spec.text("content"); !text.empty()) {
    dom::parser inner;
    dom::object members;
    if (inner.parse(text).get_object().get(members) != simdjson::SUCCESS)
      spec.wrong("content", "has to be the text of a JSON object");
    else
      add_all(Node(members, spec.where() / "content", problems));
  }
  routes.finish(content.model);
  content.model.upstreams = upstreams.take();
  return content;
}

}  // namespace hyperway::route
