// SPDX-License-Identifier: Apache-2.0
#include "app/explain.hpp"

#include <array>
#include <cstddef>

#include "app/config_values.hpp"
#include "base/arena.hpp"
#include "http/error.hpp"
#include "http/h1.hpp"
#include "http/uri.hpp"

namespace hyperway::app {
namespace {

std::string bindText(const route::Bind& bind) {
  const bool v6 = bind.address.find(':') != std::string::npos;
  return (v6 ? '[' + bind.address + ']' : bind.address) + ':' + std::to_string(bind.port);
}

// The groups that a client who asks for this port may reach: by the Gateway's port or the bound
// one.
std::vector<const route::BindGroup*> groupsFor(const route::RouteTable& table,
                                               const Question& question) {
  std::vector<const route::BindGroup*> out;
  const route::Protocol wanted = question.https ? route::Protocol::Https : route::Protocol::Http;
  for (const auto& group : table.groups()) {
    if (group->protocol() != wanted) continue;
    bool fits = group->bind().port == question.port;
    for (const auto& listener : group->listeners())
      fits = fits || listener->model().port == question.port;
    if (fits) out.push_back(group.get());
  }
  return out;
}

class Explanation {
 public:
  Explanation(const route::Compiler& compiler, const http::RequestHead& head)
      : compiler_(compiler), head_(head) {}

  void listener(const route::CompiledListener& listener, const route::BindGroup& group) {
    const route::Listener& model = listener.model();
    line("listener", model.key + ", port " + std::to_string(model.port) + ", bound on " +
                         bindText(group.bind()) + ", hostname " +
                         (model.hostname.empty() ? "any" : model.hostname));
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
  void rule(const route::CompiledRule& rule, const route::MatchResult& result) {
    const std::string_view key = rule.route_key;  // "HTTPRoute/namespace/name"
    line("route", std::string(key.substr(0, key.find('/'))) + ' ' +
                      std::string(key.substr(key.find('/') + 1)));
    line("rule", std::to_string(rule.rule_index) +
                     (rule.rule->name.empty() ? "" : " (" + rule.rule->name + ")") + ", match " +
                     std::to_string(result.match_index));
    for (const route::FilterInfo& filter : rule.rule->filters)
      line("filter", filter.type + " of " + filter.owner +
                         (filter.refused.empty() ? "" : ", refused: " + filter.refused));
    if (rule.refused) return line("answer", "500: a filter of this rule cannot run");
    for (const route::CompiledBackend& backend : rule.backends) this->backend(rule, backend);
    for (const route::CompiledMirror& mirror : rule.mirrors)
      line("mirror", mirror.upstream->key() + ", " + std::to_string(mirror.numerator) + " of " +
                         std::to_string(mirror.denominator));
    if (rule.backends.empty())
      line("answer", rule.rule->filters.empty()
                         ? "500: the rule has no backend with weight"
                         : "by a filter, else 500: the rule has no backend with weight");
  }

  void backend(const route::CompiledRule& rule, const route::CompiledBackend& backend) {
    const std::uint64_t before = &backend == rule.backends.data() ? 0 : (&backend - 1)->weight_end;
    std::string text = std::string(backend.name) + ", weight " +
                       std::to_string(backend.weight_end - before) + " of " +
                       std::to_string(rule.totalWeight());
    if (backend.refused) {
      text += ", answers 500: a filter of it cannot run";
    } else if (!backend.upstream) {
      text += ", answers 500: it does not resolve";
    } else if (const auto upstream = compiler_.upstream(backend.upstream->key())) {
      text += upstream->endpoints.empty() ? ", answers 503: no endpoint is ready" : ", endpoints";
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
  std::string out_;
};

}  // namespace

Result<Question, std::string> makeQuestion(
    std::string_view method, std::string_view url,
    std::vector<std::pair<std::string, std::string>> headers) {
  Question out;
  out.method = method;
  out.headers = std::move(headers);
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    out.https = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return fail("\"" + std::string(url) + "\" is no URL that begins with http:// or https://");
  }
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = rest.find_first_of("/?");
  out.authority = rest.substr(0, end);
  out.target = end == std::string_view::npos ? "/" : std::string(rest.substr(end));
  if (out.target.front() == '?') out.target.insert(0, "/");
  if (out.authority.empty()) return fail("\"" + std::string(url) + "\" names no host");
  out.port = out.https ? 443 : 80;
  const std::size_t colon = out.authority.rfind(':');
  if (colon != std::string::npos && out.authority.find(']', colon) == std::string::npos) {
    const auto port = parsePort(out.authority.substr(colon + 1));
    if (!port) return fail("\"" + std::string(url) + "\" has no usable port");
    out.port = *port;
  }
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
  out.line("request", question.method + ' ' + (question.https ? "https://" : "http://") +
                          std::string(head.authority) + std::string(head.path) +
                          (head.has_query ? '?' + std::string(head.query) : ""));
  const auto groups = groupsFor(*compiler.current(), question);
  if (groups.empty()) {
    out.line("answer", "none: no " + std::string(question.https ? "HTTPS" : "HTTP") +
                           " listener has port " + std::to_string(question.port));
    std::string known;
    for (const auto& group : compiler.current()->groups())
      for (const auto& listener : group->listeners())
        known += "\n  " + listener->model().key + ", port " +
                 std::to_string(listener->model().port) + ", bound on " + bindText(group->bind());
    if (!known.empty()) out.line("there are", known.substr(3));
    return out.take();
  }
  const route::CompiledListener* before = nullptr;
  for (const route::BindGroup* group : groups) {
    const route::CompiledListener* listener = group->listenerFor(head.host);
    if (listener != nullptr && listener == before) continue;  // the same behind IPv4 and IPv6
    if (listener == nullptr)
      out.line("answer", "404 on " + bindText(group->bind()) +
                             ": no listener there serves the host " + std::string(head.host));
    else
      out.listener(*listener, *group);
    before = listener;
  }
  return out.take();
}

}  // namespace hyperway::app
