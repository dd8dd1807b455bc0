// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace hyperway::http {

/// The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2): for tunnels that
/// HTTP/2 opened, which knows neither (RFC 8441 §5). No secret is involved.
[[nodiscard]] std::array<char, 28> webSocketAccept(std::string_view key) noexcept;

}  // namespace hyperway::http
