// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace hyperway::gateway {

/// Features of the Gateway API v1.7 that this version implements, sorted, as GatewayClass status
/// lists them (ARCHITECTURE decision 20).
[[nodiscard]] std::span<const std::string_view> supportedFeatures() noexcept;

}  // namespace hyperway::gateway
