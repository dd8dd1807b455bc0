// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "route/model.hpp"

namespace hyperway::app {

/// "1h30m", "500ms": up to four numbers of up to five digits, each with a unit out of h, m, s, ms
/// (Gateway API Duration, GEP-2257).
[[nodiscard]] std::optional<std::chrono::milliseconds> parseDuration(std::string_view text);

/// "127.0.0.1:8080" or "[::1]:8080", port 1 to 65535.
[[nodiscard]] std::optional<route::Bind> parseEndpoint(std::string_view text);

/// A port, 1 to 65535.
[[nodiscard]] std::optional<std::uint16_t> parsePort(std::string_view text);

/// True for "namespace/name:port".
[[nodiscard]] bool isServicePort(std::string_view text);

}  // namespace hyperway::app
