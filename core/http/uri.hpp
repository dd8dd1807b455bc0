// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.hpp"
#include "base/result.hpp"
#include "http/error.hpp"

namespace hyperway::http {

/// Normalises the path of a request target once, for matching and forwarding alike: unreserved
/// escapes decoded, other escapes in upper case, dot segments (also %2e) removed; %2F and empty
/// segments kept. Control bytes, space, backslash, bytes above 0x7e, '#', %00, %5C, bad escapes and
/// rising above the root are BadPath, and so are segments like "..;x", which servlet containers
/// read as "..". Returns `path` itself when nothing had to change, else a copy in `arena`.
[[nodiscard]] Result<std::string_view, HttpError> normalisePath(std::string_view path,
                                                                Arena& arena);

/// An authority taken apart. Views point into the input or the arena.
struct Authority {
  std::string_view host;   ///< Lower case, without brackets, port and one final dot.
  std::uint16_t port = 0;  ///< 0 if absent.
};

/// Parses a Host value (RFC 9110 §7.2, RFC 3986 §3.2.2: reg-name limited to letters, digits, '-',
/// '.', '_'; IPv4; bracketed IPv6). No userinfo. Errors: BadHost.
[[nodiscard]] Result<Authority, HttpError> parseAuthority(std::string_view text, Arena& arena);

/// Checks a query as received: no control bytes, space, bytes above 0x7e or '#'; escapes well
/// formed.
[[nodiscard]] bool isValidQuery(std::string_view query) noexcept;

}  // namespace hyperway::http
