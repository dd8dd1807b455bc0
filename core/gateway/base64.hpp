// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hyperway::gateway {

/// Decodes base64 (RFC 4648 §4, with padding; line breaks and spaces are skipped), as in a Secret's
/// data. Absent if `text` is anything else.
[[nodiscard]] std::optional<std::string> decodeBase64(std::string_view text);

}  // namespace hyperway::gateway
