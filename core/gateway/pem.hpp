// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hyperway::gateway {

/// True if `pem` holds a block "-----BEGIN …label-----" whose content is base64 (RFC 7468).
[[nodiscard]] bool hasPemBlock(std::string_view pem, std::string_view label);

}  // namespace hyperway::gateway
