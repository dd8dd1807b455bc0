// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace hyperway::gateway {

/// Parses a Gateway API Duration (GEP-2257): one to four of digits (at most five) with h, m, s or
/// ms, as in "1h2m3s4ms". Absent if `text` is anything else.
[[nodiscard]] std::optional<std::chrono::milliseconds> parseDuration(
    std::string_view text) noexcept;

}  // namespace hyperway::gateway
