// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hyperway::app {

/// `text` as a JSON string, with its quotes. Bytes that are no valid UTF-8 become U+FFFD.
[[nodiscard]] std::string jsonString(std::string_view text);

/// A decimal number as JSON writes it: no plus sign, no leading zeros.
[[nodiscard]] std::string jsonNumber(std::string_view text);

}  // namespace hyperway::app
