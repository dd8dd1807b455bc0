// SPDX-License-Identifier: Apache-2.0
#include "app/admin_page.hpp"

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "plugin/sha256.hpp"

namespace hyperway::app {
namespace {

// What is between the tags, the first of that name.
std::string_view inside(std::string_view page, std::string_view tag) {
  const std::string open = '<' + std::string(tag) + '>', close = "</" + std::string(tag) + '>';
  const std::size_t begin = page.find(open);
  if (begin == std::string_view::npos) return {};
  const std::size_t end = page.find(close, begin);
  return page.substr(begin + open.size(), end - begin - open.size());
}

unsigned nibble(char digit) {
  return static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

// Base64 (RFC 4648 §4) of a SHA-256, which is 32 bytes.
std::string base64OfHex(std::string_view hex) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < hex.size(); at += 6) {
    std::uint32_t bits = 0;
    const std::size_t digits = std::min<std::size_t>(6, hex.size() - at);
    for (std::size_t i = 0; i < 6; ++i) bits = bits << 4 | (i < digits ? nibble(hex[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      out += i <= digits / 2 ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

std::string hashSource(std::string_view text) {
  return "'sha256-" + base64OfHex(plugin::sha256Hex(std::as_bytes(std::span(text)))) + "'";
}

// Adds the headers of a text, one in a line. False: `why` says which is none.
bool addHeaders(std::string_view text, std::vector<std::pair<std::string, std::string>>& headers,
                std::string& why) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimOws(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::string_view header =
        line.ends_with('\r') ? trimOws(line.substr(0, line.size() - 1)) : line;
    if (header.empty()) continue;
    const std::size_t colon = header.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      why = '"' + std::string(header) + "\" is no header, as in \"X-Tenant: a\"";
      return false;
    }
    headers.emplace_back(header.substr(0, colon), trimOws(header.substr(colon + 1)));
  }
  return true;
}

}  // namespace

std::string pagePolicy(std::string_view page) {
  return "default-src 'none'; script-src " + hashSource(inside(page, "script")) + "; style-src " +
         hashSource(inside(page, "style")) +
         "; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
         "frame-ancestors 'none'";
}

Result<Question, std::string> questionOfForm(std::string_view query) {
  std::string method = "GET", url, scheme = "http", host, path, why;
  std::vector<std::pair<std::string, std::string>> headers;
  try {
    Poco::URI uri;
    uri.setRawQuery(std::string(query));
    for (const auto& [name, value] : uri.getQueryParameters()) {
      if (name == "method") method = value;
      if (name == "url") url = value;
      if (name == "scheme") scheme = value;
      if (name == "host") host = value;
      if (name == "path") path = value;
      if (name == "header" && !addHeaders(value, headers, why)) return fail(std::move(why));
    }
  } catch (const Poco::Exception&) {
    return fail(std::string("the query is not well-formed"));
  }
  if (url.empty() && !host.empty()) {
    const bool whole =
        path.starts_with('/') || path.starts_with('?') || !scheme.starts_with("http");
    url = scheme + "://" + host + (whole ? "" : "/") + path;
  }
  return makeQuestion(method, url, std::move(headers));
}

}  // namespace hyperway::app
