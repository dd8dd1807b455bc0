// SPDX-License-Identifier: Apache-2.0
#include "gateway/matches.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "http/char_class.hpp"
#include "http/field.hpp"
#include "http/uri.hpp"
#include "route/regex.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::size_t kLongestPath = 1024;
constexpr std::size_t kLongestHeaderValue = 4096;
constexpr std::size_t kLongestQueryValue = 1024;
constexpr std::size_t kLongestName = 256;
constexpr std::array<std::string_view, 9> kMethods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

Problem problem(std::string pointer, std::string message) {
  return {std::move(pointer), std::move(message), Severity::Error};
}

// The rules of HTTPPathMatch's schema; empty if `path` keeps them.
std::string plainPathProblem(std::string_view path) {
  if (!path.starts_with('/')) return "must begin with '/'";
  constexpr std::array<std::string_view, 6> kForbidden = {"//", "/./", "/../", "%2f", "%2F", "#"};
  for (const std::string_view part : kForbidden)
    if (path.find(part) != std::string_view::npos)
      return "must not contain '" + std::string(part) + "'";
  if (path.ends_with("/..") || path.ends_with("/.")) return "must not end with a dot segment";
  constexpr std::string_view kPunctuation = "-/._~!$&'()*+,;=:@%";
  const auto allowed = [&](char c) {
    const char lower = toLower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           kPunctuation.find(c) != std::string_view::npos;
  };
  if (!std::all_of(path.begin(), path.end(), allowed))
    return "has a character that cannot stand in a path";
  return {};
}

std::string regexProblem(const std::string& expression) {
  const std::string problem = route::regexProblem(expression);
  return problem.empty() ? problem : "is not a regular expression that RE2 takes: " + problem;
}

Result<route::PathMatch, Problem> translatePath(const MatchSpec& spec) {
  route::PathMatch match;
  if (spec.path.size() > kLongestPath)
    return fail(problem("/path/value", "must not be longer than 1024 bytes"));
  if (spec.path_type == "RegularExpression") {
    match.kind = route::MatchKind::Regex;
    match.value = spec.path;
    if (std::string bad = regexProblem(spec.path); !bad.empty())
      return fail(problem("/path/value", std::move(bad)));
    return match;
  }
  if (spec.path_type == "Exact")
    match.kind = route::MatchKind::Exact;
  else if (spec.path_type != "PathPrefix")
    return fail(problem("/path/type",
                        "must be Exact, PathPrefix or RegularExpression, not " + spec.path_type));
  if (std::string bad = plainPathProblem(spec.path); !bad.empty())
    return fail(problem("/path/value", std::move(bad)));
  std::array<std::byte, 2 * kLongestPath> room;
  Arena arena(room);
  const auto normal = http::normalisePath(spec.path, arena);
  if (!normal) return fail(problem("/path/value", "is not a path that a request could have"));
  match.value = *normal;
  return match;
}

bool isToken(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kLongestName &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return http::isClass(c, http::kToken); });
}

// Fields between two neighbours on the way: they frame a message or govern its connection, and are
// gone before a request is matched.
bool isOfOneHop(std::string_view name) noexcept {
  switch (http::fieldId(name)) {
    case http::FieldId::Connection:
    case http::FieldId::ContentLength:
    case http::FieldId::TransferEncoding:
    case http::FieldId::Upgrade:
    case http::FieldId::Expect:
    case http::FieldId::Te:
    case http::FieldId::Trailer:
    case http::FieldId::KeepAlive:
    case http::FieldId::ProxyConnection:
    case http::FieldId::Http2Settings: return true;
    default: return false;
  }
}

constexpr std::string_view kAnyName = "[^/]+";

bool isNameStart(char c) noexcept {
  const char lower = toLower(c);
  return (lower >= 'a' && lower <= 'z') || c == '_';
}

// One identifier of a method's or service's name.
bool isIdentifier(std::string_view text) noexcept {
  return !text.empty() && isNameStart(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return isNameStart(c) || (c >= '0' && c <= '9'); });
}

// Identifiers with dots between them; the schema lets one stand in front, too.
bool isServiceName(std::string_view text) noexcept {
  if (text.starts_with('.')) text.remove_prefix(1);
  while (true) {
    const std::size_t dot = text.find('.');
    if (!isIdentifier(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// The path by which a method is called is "/service/method".
Result<route::PathMatch, Problem> translateExactMethod(const MethodSpec& spec) {
  if (!spec.service.empty() && !isServiceName(spec.service))
    return fail(problem("/method/service", "'" + spec.service + "' is not the name of a service"));
  if (!spec.method.empty() && !isIdentifier(spec.method))
    return fail(problem("/method/method", "'" + spec.method + "' is not the name of a method"));
  route::PathMatch match;
  if (spec.service.empty()) {
    match.kind = route::MatchKind::Regex;
    match.value = '/' + std::string(kAnyName) + '/' + spec.method;
  } else {
    match.kind = spec.method.empty() ? route::MatchKind::Prefix : route::MatchKind::Exact;
    match.value = '/' + spec.service + '/' + spec.method;
  }
  return match;
}

Result<route::PathMatch, Problem> translateMethodPattern(const MethodSpec& spec) {
  for (const auto& [name, value] :
       {std::pair("service", &spec.service), std::pair("method", &spec.method)})
    if (std::string bad = value->empty() ? std::string() : regexProblem(*value); !bad.empty())
      return fail(problem(std::string("/method/") + name, std::move(bad)));
  const auto part = [](const std::string& pattern) {
    return pattern.empty() ? std::string(kAnyName) : "(?:" + pattern + ')';
  };
  route::PathMatch match;
  match.kind = route::MatchKind::Regex;
  match.value = '/' + part(spec.service) + '/' + part(spec.method);
  return match;
}

Result<route::PathMatch, Problem> translateMethod(const MethodSpec& spec) {
  if (!spec.named) return route::PathMatch();
  if (spec.service.size() > kLongestPath || spec.method.size() > kLongestPath)
    return fail(problem("/method", "must not have names of more than 1024 bytes"));
  if (spec.type == "RegularExpression") return translateMethodPattern(spec);
  if (spec.type != "Exact")
    return fail(problem("/method/type", "must be Exact or RegularExpression, not " + spec.type));
  if (spec.service.empty() && spec.method.empty())
    return fail(problem("/method", "needs a service or a method"));
  return translateExactMethod(spec);
}

enum class ValueKind { Header, Query };

std::optional<Problem> translateValues(const std::vector<MatchSpec::Value>& specs, ValueKind kind,
                                       std::vector<route::ValueMatch>& matches) {
  const bool is_header = kind == ValueKind::Header;
  const std::size_t longest = is_header ? kLongestHeaderValue : kLongestQueryValue;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const MatchSpec::Value& spec = specs[i];
    const std::string here = (is_header ? "/headers/" : "/queryParams/") + std::to_string(i);
    route::ValueMatch match;
    match.name = is_header ? lowered(spec.name) : spec.name;
    match.value = spec.value;
    if (!isToken(spec.name)) return problem(here + "/name", "'" + spec.name + "' is not a name");
    if (is_header && isOfOneHop(spec.name))
      return problem(here + "/name", spec.name +
                                         " belongs to one connection or frames a message: no "
                                         "request can be matched by it");
    if (spec.value.empty() || spec.value.size() > longest)
      return problem(here + "/value", "must have 1 to " + std::to_string(longest) + " bytes");
    if (spec.type == "RegularExpression") {
      match.kind = route::MatchKind::Regex;
      if (std::string bad = regexProblem(spec.value); !bad.empty())
        return problem(here + "/value", std::move(bad));
    } else if (spec.type != "Exact") {
      return problem(here + "/type", "must be Exact or RegularExpression, not " + spec.type);
    }
    // Gateway API, HTTPHeaderMatch.name: of entries with an equivalent name only the first is
    // considered.
    const auto same_name = [&](const route::ValueMatch& other) { return other.name == match.name; };
    if (std::none_of(matches.begin(), matches.end(), same_name))
      matches.push_back(std::move(match));
  }
  return std::nullopt;
}

}  // namespace

Result<route::Match, Problem> translateMatch(const MatchSpec& spec) {
  route::Match match;
  auto path = translatePath(spec);
  if (!path) return fail(std::move(path).error());
  match.path = *std::move(path);
  if (!spec.method.empty() &&
      std::find(kMethods.begin(), kMethods.end(), spec.method) == kMethods.end())
    return fail(
        problem("/method", "'" + spec.method + "' is not one of the methods that can be matched"));
  match.method = spec.method;
  if (auto bad = translateValues(spec.headers, ValueKind::Header, match.headers))
    return fail(*std::move(bad));
  if (auto bad = translateValues(spec.query, ValueKind::Query, match.query))
    return fail(*std::move(bad));
  return match;
}

Result<route::Match, Problem> translateMatch(const MethodSpec& spec) {
  route::Match match;
  auto path = translateMethod(spec);
  if (!path) return fail(std::move(path).error());
  match.path = *std::move(path);
  match.method = "POST";
  if (auto bad = translateValues(spec.headers, ValueKind::Header, match.headers))
    return fail(*std::move(bad));
  return match;
}

}  // namespace hyperway::gateway
