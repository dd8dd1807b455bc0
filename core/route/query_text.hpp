// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace hyperway::route {

// Names and values in a query are compared decoded, as application/x-www-form-urlencoded (WHATWG
// URL §5.1): %XX is a byte and '+' a space. The Gateway API does not say how; this is what backends
// see in their own query maps. An escape that is not well formed stands for itself.

/// The value, still encoded, of the first parameter with that name (Gateway API
/// HTTPQueryParamMatch: of a repeated name only the first counts); empty for a name without '=';
/// nothing if there is none. `query` has no '?'.
[[nodiscard]] std::optional<std::string_view> findQueryParameter(std::string_view query,
                                                                 std::string_view name) noexcept;

/// True if `encoded` decodes to `plain`. No allocation.
[[nodiscard]] bool queryTextEquals(std::string_view encoded, std::string_view plain) noexcept;

/// Decodes into `buffer`, which has room for encoded.size() bytes; returns what it wrote.
[[nodiscard]] std::string_view decodeQueryText(std::string_view encoded, char* buffer) noexcept;

}  // namespace hyperway::route
