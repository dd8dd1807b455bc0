// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/bytes.hpp"
#include "http/head.hpp"
#include "route/model.hpp"
#include "route/regex.hpp"

/// The Gateway API's text, written down a second time as a linear scan over the model, with none of
/// the table's code: what the table answers has to be what this answers.
namespace hyperway::route::oracle {

/// What won; `rule` is empty for 404.
struct Answer {
  std::string rule;
  std::size_t match_index = 0;
  std::size_t prefix_size = 0;
  friend bool operator==(const Answer&, const Answer&) = default;
};

/// How well a route hostname fits: 0 not at all, else more is better.
inline std::size_t hostRank(const std::string& pattern, std::string_view host) {
  if (pattern.empty()) return 1;
  if (!pattern.starts_with("*.")) return pattern == host ? 100'000 : 0;
  const std::string suffix = pattern.substr(1);
  return host.size() > suffix.size() && host.ends_with(suffix) ? 1 + suffix.size() : 0;
}

/// The path elements: "/a//b" is "a", "", "b"; a trailing slash adds nothing.
inline std::vector<std::string> elements(std::string_view path) {
  std::vector<std::string> out;
  std::string current;
  for (const char c : path.substr(1)) {
    if (c != '/') {
      current += c;
      continue;
    }
    out.push_back(current);
    current.clear();
  }
  if (!current.empty()) out.push_back(current);
  return out;
}

/// RE2's word on a pattern; compiled once, or the scan would spend all its time there.
inline bool regexFits(const std::string& pattern, std::string_view text) {
  static std::map<std::string, RegexPtr> known;
  RegexPtr& regex = known[pattern];
  if (!regex) regex = std::make_shared<const Regex>(pattern);
  return regex->matches(text);
}

inline bool pathFits(const PathMatch& wanted, std::string_view path) {
  if (wanted.kind == MatchKind::Exact) return wanted.value == path;
  if (wanted.kind == MatchKind::Regex) return regexFits(wanted.value, path);
  const auto prefix = elements(wanted.value);
  const auto whole = elements(path);
  return prefix.size() <= whole.size() && std::equal(prefix.begin(), prefix.end(), whole.begin());
}

inline bool valueFits(const ValueMatch& wanted, const std::optional<std::string>& value) {
  if (!value) return false;
  return wanted.kind == MatchKind::Regex ? regexFits(wanted.value, *value) : *value == wanted.value;
}

inline std::optional<std::string> header(const http::RequestHead& head, std::string_view name) {
  if (equalsIgnoreCase(name, "host")) {
    return head.authority.empty() ? std::nullopt : std::optional(std::string(head.authority));
  }
  std::optional<std::string> value;
  for (const http::Field& line : head.fields.lines()) {
    if (line.removed || !equalsIgnoreCase(line.name(), name)) continue;
    value = value ? *value + ", " + std::string(line.value()) : std::string(line.value());
  }
  return value;
}

inline std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto hex = [](char c) { return std::string_view("0123456789abcdef").find(toLower(c)); };
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) < 16 && hex(text[i + 2]) < 16) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

inline std::optional<std::string> query(std::string_view text, std::string_view name) {
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find('&', from), text.size());
    const std::string_view part = text.substr(from, to - from);
    const std::size_t equals = std::min(part.find('='), part.size());
    if (!part.empty() && decoded(part.substr(0, equals)) == name) {
      return decoded(part.substr(std::min(equals + 1, part.size())));
    }
    from = to + 1;
  }
  return std::nullopt;
}

inline bool fits(const Match& match, const http::RequestHead& head, std::string_view method) {
  if (!pathFits(match.path, head.path)) return false;
  if (!match.method.empty() && match.method != method) return false;
  for (const ValueMatch& wanted : match.headers)
    if (!valueFits(wanted, header(head, wanted.name))) return false;
  for (const ValueMatch& wanted : match.query)
    if (!valueFits(wanted, query(head.query, wanted.name))) return false;
  return true;
}

/// A prefix without its trailing slash.
inline std::string trimmed(std::string prefix) {
  if (prefix.ends_with('/')) prefix.pop_back();
  return prefix;
}

/// The answer of `listener`, by looking at every match of every route.
inline Answer answer(const std::vector<Route>& routes, const std::string& listener,
                     const http::RequestHead& head, std::string_view method) {
  // Less is better, criterion by criterion.
  using Rank = std::tuple<std::int64_t, int, std::int64_t, bool, std::int64_t, std::int64_t,
                          std::int64_t, std::string, std::size_t, std::size_t>;
  std::optional<Rank> best;
  Answer out;
  for (const Route& route : routes) {
    std::size_t host = 0;
    for (const Attachment& attachment : route.attachments) {
      if (attachment.listener != listener) continue;
      for (const std::string& name : attachment.hostnames) {
        host = std::max(host, hostRank(name, head.host));
      }
    }
    if (host == 0) continue;
    for (std::size_t rule = 0; rule < route.rules->size(); ++rule) {
      const Rule& each = (*route.rules)[rule];
      // A route may be there with a less specific hostname too; its best one decides where it
      // stands.
      for (std::size_t match = 0; match < each.matches.size(); ++match) {
        const Match& candidate = each.matches[match];
        if (!fits(candidate, head, method)) continue;
        const MatchKind kind = candidate.path.kind;
        const int place = kind == MatchKind::Exact ? 0 : kind == MatchKind::Regex ? 1 : 2;
        const std::size_t size = trimmed(candidate.path.value).size();
        Rank rank{-static_cast<std::int64_t>(host),
                  place,
                  place == 2 ? -static_cast<std::int64_t>(size) : 0,
                  candidate.method.empty(),
                  -static_cast<std::int64_t>(candidate.headers.size()),
                  -static_cast<std::int64_t>(candidate.query.size()),
                  route.created,
                  route.name_space + "/" + route.name,
                  rule,
                  match};
        if (best && *best <= rank) continue;
        best = std::move(rank);
        out = {each.id, match, place == 2 ? size : head.path.size()};
      }
    }
  }
  return out;
}

}  // namespace hyperway::route::oracle
