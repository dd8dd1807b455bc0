// SPDX-License-Identifier: Apache-2.0
#include "gateway/route_rules.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.hpp"
#include "gateway/duration.hpp"
#include "gateway/hostname.hpp"
#include "gateway/matches.hpp"
#include "gateway/sessions.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kUnsupportedValue = "UnsupportedValue";
constexpr std::string_view kIncompatibleFilters = "IncompatibleFilters";
constexpr std::int64_t kMostWeight = 1'000'000;
constexpr std::int64_t kMostAttempts = 100;

// One rule; `problem` says why it is invalid in itself.
class RuleTranslator {
 public:
  RuleTranslator(const RouteObject& route, std::size_t index, const RuleContext& context,
                 RouteRules& out)
      : route_(route),
        kind_(route.kind),
        index_(index),
        spec_(route.rules[index]),
        pointer_("/spec/rules/" + std::to_string(index)),
        filters_{context.store,         context.options,
                 context.parser,        context.filters,
                 route.meta.name_space, std::string(route.kindName()) + ' ' + route.meta.key(),
                 out.dependencies,      route.kind},
        out_(out) {
    rule_.id = route.meta.key() + '/' + std::to_string(index);
    rule_.name = spec_.name;
  }

  // The rule, or nothing if it is invalid.
  std::optional<route::Rule> translate() {
    if (!spec_.problems.empty()) return drop(kUnsupportedValue, spec_.problems.front());
    if (route::isFlow(kind_)) return translateFlow();
    if (!checkFilters() || !translateMatches() || !checkPrefixReplacement() ||
        !translateTimeouts() || !translateRetry() || !translateOwnSession() || !checkBackends())
      return std::nullopt;
    translateOwnFilters();
    translateBackends();
    return std::move(rule_);
  }

 private:
  // Gateway API, TLSRouteSpec, TCPRouteSpec, UDPRouteSpec: one rule, with backends and nothing
  // else.
  std::optional<route::Rule> translateFlow() {
    if (!dropIf(index_ > 0, kUnsupportedValue, "",
                "a " + std::string(route::kindText(kind_)) + " has one rule") ||
        !dropIf(spec_.backends.empty(), kUnsupportedValue, "/backendRefs",
                "needs at least one backend") ||
        !checkBackends())
      return std::nullopt;
    translateBackends();
    return std::move(rule_);
  }

  std::nullopt_t drop(std::string_view reason, std::string message) {
    out_.dropped.push_back({std::string(reason), std::move(message)});
    return std::nullopt;
  }
  bool dropIf(bool bad, std::string_view reason, std::string_view where, std::string_view message) {
    if (bad) (void)drop(reason, pointer_ + std::string(where) + ": " + std::string(message));
    return !bad;
  }

  bool checkFilters() {
    if (const std::string problem = incompatibleFilters(spec_.filters); !problem.empty())
      return dropIf(true, kIncompatibleFilters, "/filters", problem);
    const bool redirects = hasFilter(spec_.filters, "RequestRedirect");
    return dropIf(redirects && !spec_.backends.empty(), kIncompatibleFilters, "/filters",
                  "RequestRedirect cannot be used together with backendRefs");
  }

  bool translateMatches() {
    return kind_ == route::RouteKind::Grpc ? translateEach(spec_.methods)
                                           : translateEach(spec_.matches);
  }

  template <class Spec>
  bool translateEach(const std::vector<Spec>& specs) {
    if (specs.empty()) rule_.matches.push_back(*translateMatch(Spec()));
    for (std::size_t i = 0; i < specs.size(); ++i) {
      auto match = translateMatch(specs[i]);
      if (!match)
        return dropIf(true, kUnsupportedValue,
                      "/matches/" + std::to_string(i) + match.error().pointer,
                      match.error().message);
      rule_.matches.push_back(*std::move(match));
    }
    return true;
  }

  // Gateway API, HTTPRouteRule: with ReplacePrefixMatch it must be clear which prefix is replaced.
  bool checkPrefixReplacement() {
    const auto replaces = [](const FilterSpec& filter) { return filter.replaces_prefix; };
    bool needed = std::any_of(spec_.filters.begin(), spec_.filters.end(), replaces);
    for (const BackendSpec& backend : spec_.backends)
      needed = needed || std::any_of(backend.filters.begin(), backend.filters.end(), replaces);
    const bool clear =
        rule_.matches.size() == 1 && rule_.matches[0].path.kind == route::MatchKind::Prefix;
    return dropIf(needed && !clear, kUnsupportedValue, "/matches",
                  "must be exactly one, by PathPrefix, where a filter has ReplacePrefixMatch");
  }

  bool translateTimeouts() {
    const auto parse = [&](const std::optional<std::string>& text, std::string_view where,
                           std::optional<std::chrono::milliseconds>& value) {
      if (!text) return true;
      value = parseDuration(*text);
      return dropIf(!value, kUnsupportedValue, where,
                    "must be a duration such as 10s or 1m30s, not " + *text);
    };
    if (!parse(spec_.request_timeout, "/timeouts/request", rule_.request_timeout) ||
        !parse(spec_.backend_timeout, "/timeouts/backendRequest", rule_.backend_timeout))
      return false;
    const auto zero = std::chrono::milliseconds::zero();
    const bool longer = rule_.request_timeout && rule_.backend_timeout &&
                        *rule_.request_timeout != zero &&
                        *rule_.backend_timeout > *rule_.request_timeout;
    return dropIf(longer, kUnsupportedValue, "/timeouts/backendRequest",
                  "cannot be longer than request");
  }

  bool translateRetry() {
    if (!spec_.retry) return true;
    const RetrySpec& spec = *spec_.retry;
    route::Retry& retry = rule_.retry.emplace();
    if (!dropIf(spec.attempts < 0 || spec.attempts > kMostAttempts, kUnsupportedValue,
                "/retry/attempts", "must be 0 to 100"))
      return false;
    retry.attempts = static_cast<std::uint32_t>(spec.attempts);
    for (std::size_t i = 0; i < spec.codes.size(); ++i) {
      if (!dropIf(spec.codes[i] < 400 || spec.codes[i] > 599, kUnsupportedValue,
                  "/retry/codes/" + std::to_string(i), "must be 400 to 599"))
        return false;
      retry.codes.push_back(static_cast<std::uint16_t>(spec.codes[i]));
    }
    if (spec.backoff.empty()) return true;
    const auto backoff = parseDuration(spec.backoff);
    if (backoff) retry.backoff = *backoff;
    return dropIf(!backoff, kUnsupportedValue, "/retry/backoff",
                  "must be a duration such as 100ms, not " + spec.backoff);
  }

  bool translateOwnSession() {
    if (!spec_.session) return true;
    // Names alone would do to make tokens.
    const std::string& secret = route_.uid.empty() ? filters_.options.session_secret : route_.uid;
    const SessionOwner owner{kind_, route_.meta.key(), secret, rule_.id, rule_.name};
    auto session = translateSession(*spec_.session, owner, rule_.matches);
    if (!session)
      return dropIf(true, kUnsupportedValue, "/sessionPersistence" + session.error().pointer,
                    session.error().message);
    rule_.session = *std::move(session);
    return true;
  }

  bool checkBackends() {
    for (std::size_t i = 0; i < spec_.backends.size(); ++i) {
      const BackendSpec& backend = spec_.backends[i];
      const std::string where = "/backendRefs/" + std::to_string(i);
      if (!dropIf(backend.weight < 0 || backend.weight > kMostWeight, kUnsupportedValue,
                  where + "/weight", "must be 0 to 1000000, not " + std::to_string(backend.weight)))
        return false;
      if (const std::string problem = incompatibleFilters(backend.filters); !problem.empty())
        return dropIf(true, kIncompatibleFilters, where + "/filters", problem);
    }
    return true;
  }

  void note(std::vector<Verdict>& unresolved) {
    std::move(unresolved.begin(), unresolved.end(), std::back_inserter(out_.unresolved));
  }

  void translateOwnFilters() {
    FilterList list = translateFilters(spec_.filters, pointer_ + "/filters", filters_);
    note(list.unresolved);
    rule_.filters = std::move(list.filters);
    rule_.mirrors = std::move(list.mirrors);
    if (!list.refused.empty()) rule_.filters.push_back(refusedMirror(list.refused));
  }

  void translateBackends() {
    for (std::size_t i = 0; i < spec_.backends.size(); ++i) {
      const BackendSpec& spec = spec_.backends[i];
      const std::string here = pointer_ + "/backendRefs/" + std::to_string(i);
      route::Backend& backend = rule_.backends.emplace_back();
      auto target = resolveBackend(spec, kind_, filters_.name_space, filters_.store,
                                   filters_.options, out_.dependencies);
      if (!target.verdict.fine())
        out_.unresolved.push_back({target.verdict.reason, here + ": " + target.verdict.message});
      backend.upstream = std::move(target.upstream);
      backend.weight = static_cast<std::uint32_t>(spec.weight);
      backend.name_space =
          spec.name_space.empty() ? std::string(filters_.name_space) : spec.name_space;
      backend.name = spec.name;
      backend.port =
          static_cast<std::uint16_t>(spec.port >= 1 && spec.port <= 65535 ? spec.port : 0);
      FilterList list = translateFilters(spec.filters, here + "/filters", filters_);
      note(list.unresolved);
      backend.filters = std::move(list.filters);
      if (!list.mirrors.empty() && list.refused.empty()) {
        list.refused = here + "/filters: RequestMirror is supported on rules, not on backends";
        out_.unresolved.push_back({"InvalidFilterConfig", list.refused});
      }
      if (!list.refused.empty()) backend.filters.push_back(refusedMirror(list.refused));
    }
  }

  route::Filter refusedMirror(const std::string& message) const {
    route::Filter filter;
    filter.type = "RequestMirror";
    filter.owner = filters_.owner;
    filter.refused = message;
    return filter;
  }

  static bool hasFilter(const std::vector<FilterSpec>& filters, std::string_view type) {
    return std::any_of(filters.begin(), filters.end(),
                       [&](const FilterSpec& f) { return f.type == type; });
  }

  const RouteObject& route_;
  route::RouteKind kind_;
  std::size_t index_;
  const RuleSpec& spec_;
  std::string pointer_;
  FilterContext filters_;
  RouteRules& out_;
  route::Rule rule_;
};

void translateHostnames(const RouteObject& route, RouteRules& out) {
  for (std::size_t i = 0; i < route.hostnames.size(); ++i) {
    const std::string& host = route.hostnames[i];
    if (!isHostname(host))
      out.accepted.keep({std::string(kUnsupportedValue),
                         "/spec/hostnames/" + std::to_string(i) + ": '" + host +
                             "' is not a host name, with *. before it or without"});
    out.hostnames.push_back(lowered(host));
  }
}

}  // namespace

RouteRules translateRules(const RouteObject& route, const RuleContext& context) {
  RouteRules out;
  translateHostnames(route, out);
  std::vector<route::Rule> rules;
  rules.reserve(route.rules.size());
  for (std::size_t i = 0; i < route.rules.size(); ++i)
    if (auto rule = RuleTranslator(route, i, context, out).translate())
      rules.push_back(*std::move(rule));
  if (route.rules.empty()) {
    out.accepted.keep({std::string(kUnsupportedValue), "/spec/rules: needs a rule"});
  } else if (rules.empty()) {
    const auto filters_only = [](const Verdict& v) { return v.reason == kIncompatibleFilters; };
    const bool filters = std::all_of(out.dropped.begin(), out.dropped.end(), filters_only);
    out.accepted.keep({std::string(filters ? kIncompatibleFilters : kUnsupportedValue),
                       "no rule is valid: " + out.dropped.front().message});
  }
  out.rules = std::make_shared<const std::vector<route::Rule>>(std::move(rules));
  return out;
}

bool sameRules(const std::vector<route::Rule>& a, const std::vector<route::Rule>& b) {
  const auto same_backend = [](const route::Backend& x, const route::Backend& y) {
    return x.upstream == y.upstream && sameFilters(x.filters, y.filters);
  };
  const auto same_mirror = [](const route::Mirror& x, const route::Mirror& y) {
    return x.upstream == y.upstream;
  };
  const auto same_rule = [&](const route::Rule& x, const route::Rule& y) {
    return x.id == y.id && sameFilters(x.filters, y.filters) &&
           std::equal(x.mirrors.begin(), x.mirrors.end(), y.mirrors.begin(), y.mirrors.end(),
                      same_mirror) &&
           std::equal(x.backends.begin(), x.backends.end(), y.backends.begin(), y.backends.end(),
                      same_backend);
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_rule);
}

}  // namespace hyperway::gateway
