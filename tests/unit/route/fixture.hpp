// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.hpp"
#include "http/head.hpp"
#include "route/compile.hpp"
#include "route/model.hpp"
#include "route/table.hpp"

/// Values for the tests of the route layer, with defaults for what a case is not about.
namespace hyperway::route::fixture {

/// A request head with the memory that it needs.
class Request {
 public:
  explicit Request(std::string host, std::string path = "/", std::string method = "GET")
      : host_(std::move(host)), path_(std::move(path)), method_(std::move(method)) {
    head_.host = head_.authority = host_;
    head_.method = method_;
    head_.method_id = http::methodId(method_);
    const std::string_view target = path_;
    const std::size_t mark = target.find('?');
    head_.path = target.substr(0, mark);
    head_.has_query = mark != std::string_view::npos;
    if (head_.has_query) head_.query = target.substr(mark + 1);
  }
  Request& with(std::string_view name, std::string_view value) {
    head_.fields.add(name, value);
    return *this;
  }
  [[nodiscard]] http::RequestHead& head() { return head_; }
  [[nodiscard]] const http::RequestHead& head() const { return head_; }

 private:
  std::string host_, path_, method_;
  std::byte block_[2048];
  Arena arena_{block_};
  http::RequestHead head_{arena_};
};

inline PathMatch exact(std::string value) { return {MatchKind::Exact, std::move(value)}; }
inline PathMatch prefix(std::string value) { return {MatchKind::Prefix, std::move(value)}; }
inline PathMatch regex(std::string value) { return {MatchKind::Regex, std::move(value)}; }

inline Match matchOf(PathMatch path, std::string method = {}, std::vector<ValueMatch> headers = {},
                     std::vector<ValueMatch> query = {}) {
  return {std::move(path), std::move(method), std::move(headers), std::move(query)};
}

inline Listener listener(std::string key = "infra/gw/http", std::string hostname = {},
                         std::uint16_t port = 8080) {
  Listener made;
  made.key = std::move(key);
  made.port = port;
  made.binds = {{"0.0.0.0", port}};
  made.hostname = std::move(hostname);
  return made;
}

inline Backend backend(std::string service = "svc", std::uint32_t weight = 1) {
  Backend made;
  made.upstream = "default/" + service + ":80";
  made.weight = weight;
  made.name_space = "default";
  made.name = std::move(service);
  made.port = 80;
  return made;
}

/// A route "default/NAME" with one rule for each entry of `rules`.
inline Route route(std::string name, std::vector<std::string> hostnames,
                   std::vector<std::vector<Match>> rules,
                   std::vector<std::string> listeners = {"infra/gw/http"},
                   std::int64_t created = 0) {
  Route made;
  made.key = "HTTPRoute/default/" + name;
  made.name_space = "default";
  made.name = name;
  made.created = created;
  for (std::string& key : listeners) made.attachments.push_back({std::move(key), hostnames});
  auto list = std::make_shared<std::vector<Rule>>();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Rule rule;
    rule.id = "default/" + name + "/" + std::to_string(i);
    rule.matches = std::move(rules[i]);
    rule.backends = {backend()};
    list->push_back(std::move(rule));
  }
  made.rules = std::move(list);
  return made;
}

/// A session by cookie in which no member is as it is by default, but `header`.
inline Session timedSession() {
  return {"sticky",
          false,
          "/a",
          true,
          std::chrono::milliseconds(90'000),
          std::chrono::milliseconds(7),
          "u1 HTTPRoute default/r/0"};
}

inline const CompiledListener* listenerOf(const RouteTable& table, std::string_view host,
                                          std::uint16_t port = 8080) {
  const BindGroup* group = table.group({"0.0.0.0", port});
  return group == nullptr ? nullptr : group->listenerFor(host);
}

/// The id of the rule that answers, "" for 404.
inline std::string answer(const RouteTable& table, const Request& request) {
  const CompiledListener* at = listenerOf(table, request.head().host);
  if (at == nullptr) return {};
  const MatchResult result = at->match(request.head(), request.head().method);
  return result.rule == nullptr ? std::string() : result.rule->rule->id;
}

}  // namespace hyperway::route::fixture
