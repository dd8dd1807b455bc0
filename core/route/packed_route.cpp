// SPDX-License-Identifier: Apache-2.0
#include "route/packed_route.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "route/packed_text.hpp"

namespace hyperway::route {
namespace {

using Timeout = std::optional<std::chrono::milliseconds>;

// What a key mostly is, so that it need not be written.
std::string usualKey(const Route& route) {
  return std::string(kindText(route.kind)) + '/' + route.name_space + '/' + route.name;
}

std::string usualId(const Route& route, std::size_t rule) {
  return route.name_space + '/' + route.name + '/' + std::to_string(rule);
}

std::string usualUpstream(const Backend& backend, RouteKind kind) {
  return backend.name_space + '/' + backend.name + ':' + std::to_string(backend.port) +
         std::string(upstreamSuffix(kind));
}

class Packer {
 public:
  void route(const Route& route) {
    kind_ = route.kind;
    text(route.name_space);
    text(route.name);
    number(static_cast<std::uint64_t>(route.kind));
    unless(usualKey(route), route.key);
    number(static_cast<std::uint64_t>(route.created));
    list(route.attachments, [&](const Attachment& attachment) {
      text(attachment.listener);
      list(attachment.hostnames, [&](const std::string& host) { text(host); });
    });
    std::size_t index = 0;
    list(*route.rules, [&](const Rule& one) { rule(one, usualId(route, index++)); });
  }
  [[nodiscard]] std::string take() { return out_.take(); }
  [[nodiscard]] std::vector<FilterBindingPtr>& bindings() noexcept { return bindings_; }

 private:
  void number(std::uint64_t value) { out_.number(value); }
  void text(std::string_view value) { out_.text(value); }
  void unless(std::string_view usual, std::string_view value) {
    number(value == usual ? 0 : 1);
    if (value != usual) text(value);
  }
  template <class T, class Each>
  void list(const std::vector<T>& items, Each&& each) {
    number(items.size());
    for (const T& item : items) each(item);
  }
  void timeout(const Timeout& value) {
    number(value ? static_cast<std::uint64_t>(value->count()) + 1 : 0);
  }
  void values(const std::vector<ValueMatch>& values) {
    list(values, [&](const ValueMatch& value) {
      text(value.name);
      text(value.value);
      number(static_cast<std::uint64_t>(value.kind));
    });
  }
  void filters(const std::vector<Filter>& filters) {
    list(filters, [&](const Filter& filter) {
      text(filter.type);
      text(filter.config);
      text(filter.owner);
      text(filter.refused);
      number(filter.refused_here ? 1 : 0);
      list(filter.upstreams, [&](const std::string& upstream) { text(upstream); });
      bindings_.push_back(filter.binding);
    });
  }
  void session(const Session& session) {
    text(session.name);
    text(session.path);
    text(session.scope);
    number((session.header ? 1U : 0U) | (session.permanent ? 2U : 0U));
    timeout(session.absolute_timeout);
    timeout(session.idle_timeout);
  }
  void rule(const Rule& rule, const std::string& usual_id) {
    unless(usual_id, rule.id);
    text(rule.name);
    list(rule.matches, [&](const Match& match) {
      number(static_cast<std::uint64_t>(match.path.kind));
      text(match.path.value);
      text(match.method);
      values(match.headers);
      values(match.query);
    });
    filters(rule.filters);
    list(rule.mirrors, [&](const Mirror& mirror) {
      text(mirror.upstream);
      number(mirror.numerator);
      number(mirror.denominator);
    });
    list(rule.backends, [&](const Backend& backend) {
      text(backend.name_space);
      text(backend.name);
      number(backend.port);
      unless(usualUpstream(backend, kind_), backend.upstream);
      number(backend.weight);
      filters(backend.filters);
    });
    timeout(rule.request_timeout);
    timeout(rule.backend_timeout);
    number((rule.retry ? 1U : 0U) | (rule.session ? 2U : 0U));
    if (rule.session) session(*rule.session);
    if (!rule.retry) return;
    number(rule.retry->attempts);
    list(rule.retry->codes, [&](std::uint16_t code) { number(code); });
    number(static_cast<std::uint64_t>(rule.retry->backoff.count()));
  }

  PackedWriter out_;
  RouteKind kind_ = RouteKind::Http;
  std::vector<FilterBindingPtr> bindings_;
};

class Unpacker {
 public:
  Unpacker(std::string_view bytes, const std::vector<FilterBindingPtr>* bindings)
      : in_(bytes), bindings_(bindings) {}

  Route route() {
    Route out;
    out.name_space = text();
    out.name = text();
    number(out.kind);
    kind_ = out.kind;
    out.key = unless(usualKey(out));
    out.created = static_cast<std::int64_t>(in_.number());
    list(out.attachments, [&](Attachment& attachment) {
      attachment.listener = text();
      list(attachment.hostnames, [&](std::string& host) { host = text(); });
    });
    std::vector<Rule> rules;
    std::size_t index = 0;
    list(rules, [&](Rule& one) { rule(one, usualId(out, index++)); });
    out.rules = std::make_shared<const std::vector<Rule>>(std::move(rules));
    return out;
  }

 private:
  std::string text() { return std::string(in_.text()); }
  std::string unless(std::string usual) { return in_.number() == 0 ? std::move(usual) : text(); }
  template <class Number>
  void number(Number& out) {
    out = static_cast<Number>(in_.number());
  }
  template <class T, class Each>
  void list(std::vector<T>& items, Each&& each) {
    items.resize(in_.number());
    for (T& item : items) each(item);
  }
  void timeout(Timeout& out) {
    if (const std::uint64_t value = in_.number(); value != 0)
      out = std::chrono::milliseconds(static_cast<std::int64_t>(value - 1));
  }
  void values(std::vector<ValueMatch>& values) {
    list(values, [&](ValueMatch& value) {
      value.name = text();
      value.value = text();
      number(value.kind);
    });
  }
  void filters(std::vector<Filter>& filters) {
    list(filters, [&](Filter& filter) {
      filter.type = text();
      filter.config = text();
      filter.owner = text();
      filter.refused = text();
      filter.refused_here = in_.number() != 0;
      list(filter.upstreams, [&](std::string& upstream) { upstream = text(); });
      filter.binding = (*bindings_)[next_binding_++];
    });
  }
  void session(Session& session) {
    session.name = text();
    session.path = text();
    session.scope = text();
    const std::uint64_t flags = in_.number();
    session.header = (flags & 1) != 0;
    session.permanent = (flags & 2) != 0;
    timeout(session.absolute_timeout);
    timeout(session.idle_timeout);
  }
  void rule(Rule& rule, std::string usual_id) {
    rule.id = unless(std::move(usual_id));
    rule.name = text();
    list(rule.matches, [&](Match& match) {
      number(match.path.kind);
      match.path.value = text();
      match.method = text();
      values(match.headers);
      values(match.query);
    });
    filters(rule.filters);
    list(rule.mirrors, [&](Mirror& mirror) {
      mirror.upstream = text();
      number(mirror.numerator);
      number(mirror.denominator);
    });
    list(rule.backends, [&](Backend& backend) {
      backend.name_space = text();
      backend.name = text();
      number(backend.port);
      backend.upstream = unless(usualUpstream(backend, kind_));
      number(backend.weight);
      filters(backend.filters);
    });
    timeout(rule.request_timeout);
    timeout(rule.backend_timeout);
    const std::uint64_t more = in_.number();
    if ((more & 2) != 0) session(rule.session.emplace());
    if ((more & 1) == 0) return;
    Retry& retry = rule.retry.emplace();
    number(retry.attempts);
    list(retry.codes, [&](std::uint16_t& code) { number(code); });
    retry.backoff = std::chrono::milliseconds(static_cast<std::int64_t>(in_.number()));
  }

  PackedReader in_;
  RouteKind kind_ = RouteKind::Http;
  const std::vector<FilterBindingPtr>* bindings_;
  std::size_t next_binding_ = 0;
};

}  // namespace

PackedRoute::PackedRoute(const Route& route) {
  Packer packer;
  packer.route(route);
  bytes_ = packer.take();
  if (!packer.bindings().empty()) bindings_.emplace(std::move(packer.bindings()));
}

Route PackedRoute::unpack() const {
  return Unpacker(bytes_, bindings_ ? &*bindings_ : nullptr).route();
}

}  // namespace hyperway::route
