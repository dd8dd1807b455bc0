// SPDX-License-Identifier: Apache-2.0
#include "gateway/hostname.hpp"

#include "base/bytes.hpp"
#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::size_t kLongest = 253;

constexpr bool isAlphanumeric(char c) noexcept {
  const char lower = toLower(c);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

bool isLabel(std::string_view label) noexcept {
  if (label.empty() || !isAlphanumeric(label.front()) || !isAlphanumeric(label.back()))
    return false;
  for (const char c : label)
    if (!isAlphanumeric(c) && c != '-') return false;
  return true;
}

bool isWildcard(std::string_view host) noexcept { return host.starts_with("*."); }

// True if "*.suffix" covers an exact host or a longer wildcard: a label more, at least.
bool covers(std::string_view wildcard, std::string_view host) noexcept {
  const std::string_view suffix = wildcard.substr(1);
  return host.size() > suffix.size() && host.ends_with(suffix);
}

}  // namespace

bool isHostname(std::string_view text) noexcept {
  if (text.empty() || text.size() > kLongest || isIpLiteral(text)) return false;
  if (isWildcard(text)) text.remove_prefix(2);
  while (true) {
    const std::size_t dot = text.find('.');
    if (!isLabel(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool hostnamesMeet(std::string_view a, std::string_view b) noexcept {
  if (a.empty() || b.empty() || a == b) return true;
  return (isWildcard(a) && covers(a, b)) || (isWildcard(b) && covers(b, a));
}

std::vector<std::string> meetingHostnames(const std::vector<std::string>& route,
                                          std::string_view listener) {
  std::vector<std::string> meeting;
  if (route.empty()) meeting.emplace_back();
  for (const std::string& host : route)
    if (hostnamesMeet(host, listener)) meeting.push_back(host);
  return meeting;
}

}  // namespace hyperway::gateway
