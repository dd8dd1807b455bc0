// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace hyperway::http {

/// Longest Path attribute of a cookie that we set (Gateway API, session persistence).
inline constexpr std::size_t kMaxCookiePath = 1024;

/// True for what can be the Path attribute of a cookie: it begins with '/', and no byte of it ends
/// the attribute or is a control byte (RFC 6265 §4.1.1).
[[nodiscard]] bool isCookiePath(std::string_view path) noexcept;

/// Takes the next value of the cookie `name` off `pairs`, what is left of a Cookie field's value
/// (RFC 6265 §4.2.1); a client may send several of one name. Names are compared as they are; quotes
/// around a value do not belong to it. A view of no data if there is none left.
[[nodiscard]] std::string_view nextCookie(std::string_view& pairs, std::string_view name) noexcept;

}  // namespace hyperway::http
