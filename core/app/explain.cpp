// SPDX-License-Identifier: Apache-2.0
#include "app/explain.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "app/config_values.hpp"
#include "base/arena.hpp"
#include "base/bytes.hpp"
#include "http/error.hpp"
#include "http/h1.hpp"
#include "http/uri.hpp"
#include "route/model_json.hpp"

namespace hyperway::app {
namespace {

std::string bindText(const route::Bind& bind) {
  const bool v6 = bind.address.find(':') != std::string::npos;
  return (v6 ? '[' + bind.address + ']' : bind.address) + ':' + std::to_string(bind.port);
}

// A table's group of TLS listeners has the protocol of HTTPS ones, with which they may share it.
route::Protocol familyOf(route::Protocol protocol) {
  return protocol == route::Protocol::Tls ? route::Protocol::Https : protocol;
}

// The groups that a client who asks for this port may reach: by the Gateway's port or the bound
// one.
std::vector<const route::BindGroup*> groupsFor(const route::RouteTable& table,
                                               const Question& question) {
  std::vector<const route::BindGroup*> out;
  for (const auto& group : table.groups()) {
    if (familyOf(group->protocol()) != familyOf(question.protocol)) continue;
    bool fits = group->bind().port == question.port;
    for (const auto& listener : group->listeners())
      fits = fits || listener->model().port == question.port;
    if (fits) out.push_back(group.get());
  }
  return out;
}

struct Scheme {
  std::string_view text;
  route::Protocol protocol;
  std::uint16_t port;  // 0: it has to be named
};

constexpr std::array<Scheme, 5> kSchemes = {{{"http://", route::Protocol::Http, 80},
                                             {"https://", route::Protocol::Https, 443},
                                             {"tls://", route::Protocol::Tls, 443},
                                             {"tcp://", route::Protocol::Tcp, 0},
                                             {"udp://", route::Protocol::Udp, 0}}};

bool isFlow(route::Protocol protocol) {
  return protocol != route::Protocol::Http && protocol != route::Protocol::Https;
}

class Explanation {
 public:
  Explanation(const route::Compiler& compiler, const http::RequestHead& head)
      : compiler_(compiler), head_(head) {}

  void listener(const route::CompiledListener& listener, const route::BindGroup& group,
                const std::string& name) {
    const route::Listener& model = listener.model();
    const std::string host =
        model.protocol == route::Protocol::Tcp || model.protocol == route::Protocol::Udp
            ? ""
            : ", hostname " + (model.hostname.empty() ? "any" : model.hostname);
    line("listener", model.key + ", port " + std::to_string(model.port) + ", bound on " +
                         bindText(group.bind()) + host);
    if (isFlow(model.protocol)) return flow(listener, name);
    for (const route::Filter& filter : model.filters)
      line("filter",
           filter.type + " of " + filter.owner +
               (filter.refused.empty() ? ", before the match" : ", refused: " + filter.refused));
    if (listener.hasFilters())
      for (const route::CompiledCallouts& each : listener.filters()->callouts)
        for (const route::SlotMap::SlotPtr& upstream : each.upstreams)
          line("asks", upstream->key() + ", before the match");
    if (listener.refused()) return line("answer", "500: a filter of this listener cannot run");
    if (head_.method.empty())
      return line("answer", "requests, by their own rules: ask for one with https://");
    std::vector<route::NearMiss> misses;
    const route::MatchResult result = listener.explain(head_, head_.method, misses);
    if (result.rule == nullptr)
      line("answer", "404: no rule of this listener matches");
    else
      rule(*result.rule, result);
    if (!misses.empty()) out_ += "not chosen\n";
    for (const route::NearMiss& miss : misses)
      out_ += "  " + miss.rule_id + ", match " + std::to_string(miss.match_index) + ": " +
              miss.reason + '\n';
  }

  void line(std::string_view what, const std::string& text) {
    std::string head(what);
    head.resize(10, ' ');
    out_ += head + text + '\n';
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void flow(const route::CompiledListener& listener, const std::string& name) {
    if (listener.model().protocol == route::Protocol::Tls)
      line("tls", listener.model().passthrough ? "passed on as it is" : "ends here");
    const auto* holder = listener.flow(name);
    if (holder == nullptr) return line("answer", "none: no route of this listener takes it");
    const route::CompiledRule& rule = **holder;
    route(rule);
    line("rule", std::to_string(rule.rule_index) +
                     (rule.rule->name.empty() ? "" : " (" + rule.rule->name + ")"));
    for (const route::CompiledBackend& backend : rule.backends) this->backend(rule, backend);
    if (rule.backends.empty()) line("answer", "none: the rule has no backend with weight");
  }

  void route(const route::CompiledRule& rule) {
    const std::string_view key = rule.route_key;  // "HTTPRoute/namespace/name"
    flow_ = !key.starts_with("HTTPRoute/") && !key.starts_with("GRPCRoute/");
    line("route", std::string(key.substr(0, key.find('/'))) + ' ' +
                      std::string(key.substr(key.find('/') + 1)));
  }

  void rule(const route::CompiledRule& rule, const route::MatchResult& result) {
    route(rule);
    line("rule", std::to_string(rule.rule_index) +
                     (rule.rule->name.empty() ? "" : " (" + rule.rule->name + ")") + ", match " +
                     std::to_string(result.match_index));
    for (const route::FilterInfo& filter : rule.rule->filters)
      line("filter", filter.type + " of " + filter.owner +
                         (filter.refused.empty() ? "" : ", refused: " + filter.refused));
    if (rule.callouts)
      for (const route::CompiledCallouts& each : *rule.callouts)
        for (const route::SlotMap::SlotPtr& upstream : each.upstreams)
          line("asks",
               upstream->key() + (each.backend == route::CompiledCallouts::kRule
                                      ? std::string()
                                      : ", for " + std::string(rule.backendAt(each.backend).name)));
    if (rule.refused) return line("answer", "500: a filter of this rule cannot run");
    if (rule.session) session(rule.session->model);
    for (const route::CompiledBackend& backend : rule.backends) this->backend(rule, backend);
    if (rule.session)
      for (const route::CompiledBackend& backend : rule.session->parked)
        line("backend", std::string(backend.name) + ", weight 0: only sessions that it has");
    for (const route::CompiledMirror& mirror : rule.mirrors)
      line("mirror", mirror.upstream->key() + ", " + std::to_string(mirror.numerator) + " of " +
                         std::to_string(mirror.denominator));
    if (rule.backends.empty())
      line("answer", rule.rule->filters.empty()
                         ? "500: the rule has no backend with weight"
                         : "by a filter, else 500: the rule has no backend with weight");
  }

  void session(const route::Session& session) {
    line("session", (session.header ? "by header " : "by cookie ") + session.name +
                        (session.header ? "" : ", path " + session.path) +
                        ": stays with its endpoint, whatever the weights");
  }

  void backend(const route::CompiledRule& rule, const route::CompiledBackend& backend) {
    const std::uint64_t before = &backend == rule.backends.data() ? 0 : (&backend - 1)->weight_end;
    std::string text = std::string(backend.name) + ", weight " +
                       std::to_string(backend.weight_end - before) + " of " +
                       std::to_string(rule.totalWeight());
    if (backend.refused) {
      text += ", answers 500: a filter of it cannot run";
    } else if (!backend.upstream) {
      text += flow_ ? ", refused: it does not resolve" : ", answers 500: it does not resolve";
    } else if (const auto upstream = compiler_.upstream(backend.upstream->key())) {
      const std::string_view none =
          flow_ ? ", refused: no endpoint is ready" : ", answers 503: no endpoint is ready";
      text += upstream->endpoints.empty() ? none : ", endpoints";
      constexpr std::size_t kShown = 5;
      for (std::size_t i = 0; i < upstream->endpoints.size() && i < kShown; ++i)
        text += ' ' + bindText({upstream->endpoints[i].address, upstream->endpoints[i].port});
      if (upstream->endpoints.size() > kShown)
        text += " and " + std::to_string(upstream->endpoints.size() - kShown) + " more";
    }
    line("backend", text);
  }

  const route::Compiler& compiler_;
  const http::RequestHead& head_;
  bool flow_ = false;
  std::string out_;
};

// The name that a client sends: brackets and port are none of it.
std::string nameOf(std::string_view authority) {
  std::string out(authority.substr(0, authority.find(':')));
  for (char& c : out) c = toLower(c);
  return out;
}

std::string schemeOf(route::Protocol protocol) {
  for (const Scheme& scheme : kSchemes)
    if (scheme.protocol == protocol) return std::string(scheme.text);
  return {};
}

void noGroup(const route::RouteTable& table, const Question& question, Explanation& out) {
  out.line("answer", std::string("none: no ") + route::protocolText(question.protocol) +
                         " listener has port " + std::to_string(question.port));
  std::string known;
  for (const auto& group : table.groups())
    for (const auto& listener : group->listeners())
      known += "\n  " + listener->model().key + ", port " + std::to_string(listener->model().port) +
               ", bound on " + bindText(group->bind());
  if (!known.empty()) out.line("there are", known.substr(3));
}

// Goes on once it is known what is asked: what serves the name, on each group.
void answer(const route::Compiler& compiler, const Question& question, const std::string& name,
            Explanation& out) {
  const auto groups = groupsFor(*compiler.current(), question);
  if (groups.empty()) return noGroup(*compiler.current(), question, out);
  const route::CompiledListener* before = nullptr;
  for (const route::BindGroup* group : groups) {
    const route::CompiledListener* listener = group->listenerFor(name);
    if (listener != nullptr && listener == before) continue;  // the same behind IPv4 and IPv6
    if (listener == nullptr)
      out.line("answer",
               (isFlow(question.protocol) ? std::string("none on ") : std::string("404 on ")) +
                   bindText(group->bind()) + ": no listener there serves the host " + name);
    else
      out.listener(*listener, *group, name);
    before = listener;
  }
}

}  // namespace

Result<Question, std::string> makeQuestion(
    std::string_view method, std::string_view url,
    std::vector<std::pair<std::string, std::string>> headers) {
  Question out;
  out.method = method;
  out.headers = std::move(headers);
  const auto* scheme = std::find_if(kSchemes.begin(), kSchemes.end(),
                                    [&](const Scheme& one) { return url.starts_with(one.text); });
  const std::string quoted = '"' + std::string(url) + '"';
  if (scheme == kSchemes.end())
    return fail(quoted + " is no URL that begins with http://, https://, tls://, tcp:// or udp://");
  out.protocol = scheme->protocol;
  out.port = scheme->port;
  std::string_view rest = url.substr(scheme->text.size());
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = rest.find_first_of("/?");
  out.authority = rest.substr(0, end);
  const bool flow = isFlow(out.protocol);
  if (flow && end != std::string_view::npos)
    return fail(quoted + " has a path, and flows have none");
  if (flow && (!out.method.empty() || !out.headers.empty()))
    return fail(quoted + " is a flow, which has no method and no headers");
  if (!flow && out.method.empty()) return fail(quoted + " needs a method before it");
  if (!flow) out.target = end == std::string_view::npos ? "/" : std::string(rest.substr(end));
  if (out.target.starts_with('?')) out.target.insert(0, "/");
  if (!flow && out.authority.empty()) return fail(quoted + " names no host");
  const std::size_t colon = out.authority.rfind(':');
  if (colon != std::string::npos && out.authority.find(']', colon) == std::string::npos) {
    const auto port = parsePort(out.authority.substr(colon + 1));
    if (!port) return fail(quoted + " has no usable port");
    out.port = *port;
  }
  if (out.port == 0) return fail(quoted + " names no port");
  return out;
}

std::string writeQuestion(std::string_view method, std::string_view url,
                          const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string out = std::string(method) + '\n' + std::string(url) + '\n';
  for (const auto& [name, value] : headers) out += name + ": " + value + '\n';
  return out;
}

Result<Question, std::string> readQuestion(std::string_view text) {
  const auto next = [&] {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return line;
  };
  const std::string_view method = next();
  const std::string_view url = next();
  std::vector<std::pair<std::string, std::string>> headers;
  while (!text.empty()) {
    const std::string_view line = next();
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return fail(std::string("a header needs \"Name: value\""));
    headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  return makeQuestion(method, url, std::move(headers));
}

std::string explainText(const route::Compiler& compiler, const Question& question) {
  if (isFlow(question.protocol)) {
    alignas(16) std::array<std::byte, 64> none;
    Arena arena(none);
    const http::RequestHead head(arena);
    Explanation out(compiler, head);
    out.line("flow", schemeOf(question.protocol) + question.authority);
    answer(compiler, question, nameOf(question.authority), out);
    return out.take();
  }
  std::string wire =
      question.method + ' ' + question.target + " HTTP/1.1\r\nHost: " + question.authority + "\r\n";
  for (const auto& [name, value] : question.headers) wire += name + ": " + value + "\r\n";
  wire += "\r\n";
  alignas(16) std::array<std::byte, 8192> block;
  Arena arena(block);
  http::RequestHead head(arena);
  std::size_t scanned = 0;
  const http::H1Parse parsed = http::parseRequestHead(wire, {}, scanned, head);
  Explanation out(compiler, head);
  if (parsed.state != http::H1Parse::State::Done || parsed.consumed != wire.size()) {
    out.line("answer",
             "400: the request itself is refused (" +
                 std::string(parsed.state == http::H1Parse::State::Bad ? http::nameOf(parsed.error)
                                                                       : "it does not end") +
                 ")");
    return out.take();
  }
  out.line("request", question.method + ' ' + schemeOf(question.protocol) +
                          std::string(head.authority) + std::string(head.path) +
                          (head.has_query ? '?' + std::string(head.query) : ""));
  answer(compiler, question, std::string(head.host), out);
  return out.take();
}

}  // namespace hyperway::app
