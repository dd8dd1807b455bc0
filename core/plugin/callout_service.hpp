// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "hyperway/abi/draft/callout.h"

namespace hyperway::plugin {

/// Longest time that a plugin may give a callout.
inline constexpr std::uint32_t kMaxCalloutMs = 300'000;

/// The table of "hyperway.callout/draft-1". Lives for ever.
[[nodiscard]] const hw_callout_api& calloutApi() noexcept;

}  // namespace hyperway::plugin
