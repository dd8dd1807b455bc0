// SPDX-License-Identifier: Apache-2.0
#include "gateway/sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"
#include "gateway/duration.hpp"
#include "http/cookie.hpp"
#include "http/field.hpp"
#include "http/h1_hop.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::size_t kLongestName = 256;

// What of a regular expression stands for itself: the path that all it matches begin with.
std::string_view plainPart(std::string_view expression) {
  if (expression.starts_with('^')) expression.remove_prefix(1);
  const std::size_t special = expression.find_first_of("\\.+*?()[]{}|^$");
  if (special == std::string_view::npos) return expression;
  // The byte before a quantifier may be there or not; an alternative may begin otherwise.
  if (expression.find('|') != std::string_view::npos) return "/";
  const bool quantified =
      std::string_view("+*?{").find(expression[special]) != std::string_view::npos;
  return expression.substr(0, special - (quantified && special > 0 ? 1 : 0));
}

// The longest path of whole elements under which all matches are; "/" at least.
std::string commonPath(const std::vector<route::Match>& matches) {
  std::optional<std::string> common;
  for (const route::Match& match : matches) {
    std::string path(match.path.value);
    if (match.path.kind == route::MatchKind::Regex) {
      path = plainPart(match.path.value);
      path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
    }
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (!common) {
      common = path;
      continue;
    }
    const auto [a, b] = std::mismatch(common->begin(), common->end(), path.begin(), path.end());
    const bool whole = (a == common->end() || *a == '/') && (b == path.end() || *b == '/');
    common->erase(a, common->end());
    if (!whole) common->resize(std::min(common->size(), common->rfind('/') + 1));
    while (common->size() > 1 && common->ends_with('/')) common->pop_back();
  }
  return common && http::isCookiePath(*common) ? *common : "/";
}

// A field that a session may have: one that means nothing to the gateway or to other recipients.
bool isFree(std::string_view name) {
  return http::fieldId(name) == http::FieldId::Other && !http::h1::isProtectedName(name) &&
         !http::h1::isAliasOfProtected(name);
}

}  // namespace

Result<route::Session, Problem> translateSession(const SessionSpec& spec, const SessionOwner& owner,
                                                 const std::vector<route::Match>& matches) {
  const auto refuse = [](std::string pointer, std::string message) {
    return fail(Problem{std::move(pointer), std::move(message), Severity::Error});
  };
  const std::string rule = owner.rule_name.empty()
                               ? std::string(owner.rule)
                               : owner.route + ' ' + std::string(owner.rule_name);
  const std::string whose = std::string(route::kindText(owner.kind)) + ' ' + rule;
  route::Session session;
  session.scope = std::string(owner.secret) + ' ' + whose;
  session.header = spec.type == "Header";
  if (!session.header && spec.type != "Cookie")
    return refuse("/type", "must be Cookie or Header, not " + spec.type);
  session.name = spec.name.empty() ? fmt::format("hw-session-{:016x}", fnv1a(whose)) : spec.name;
  const std::string name = session.header ? "/header/name" : "/cookie/name";
  if (session.name.size() > kLongestName || !http::isValidFieldName(session.name))
    return refuse(name, "must be a token of at most 256 characters");
  if (session.header && !isFree(session.name))
    return refuse(name, "must not be a field that means something else, as " + session.name);
  if (!session.header) {
    session.path = spec.path ? *spec.path : spec.by_path ? commonPath(matches) : "/";
    if (!http::isCookiePath(session.path))
      return refuse("/cookie/path",
                    "must begin with '/', and must have neither ';' nor control characters");
    session.permanent = spec.lifetime == "Permanent";
    if (!session.permanent && spec.lifetime != "Session")
      return refuse("/cookie/lifetimeType", "must be Session or Permanent, not " + spec.lifetime);
  }
  const auto parse = [](const std::optional<std::string>& text,
                        std::optional<std::chrono::milliseconds>& out) {
    if (!text) return true;
    out = parseDuration(*text);
    return out && *out > std::chrono::milliseconds::zero();
  };
  if (!parse(spec.absolute, session.absolute_timeout))
    return refuse("/absoluteTimeout", "must be a duration above 0, not " + *spec.absolute);
  if (!parse(spec.idle, session.idle_timeout))
    return refuse("/idleTimeout", "must be a duration above 0, not " + *spec.idle);
  if (session.permanent && !session.absolute_timeout)
    return refuse("/absoluteTimeout", "is needed where the cookie is Permanent");
  return session;
}

}  // namespace hyperway::gateway
