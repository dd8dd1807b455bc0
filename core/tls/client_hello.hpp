// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace hyperway::tls {

/// The host name inside a server_name extension's body (RFC 6066 §3), a view into it; empty if it
/// holds none. Nothing if the body is malformed: lengths that do not fit, an empty name, two host
/// names, a NUL byte.
[[nodiscard]] std::optional<std::string_view> parseServerName(
    std::span<const unsigned char> extension) noexcept;

}  // namespace hyperway::tls
