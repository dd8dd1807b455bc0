// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "http/field.hpp"

namespace hyperway::plugin {

/// A header name that a plugin interned. Lives until the process ends.
struct HeaderName {
  std::string_view text;  ///< As the plugin wrote it; a token.
  http::FieldId id;       ///< http::fieldId(text).
};

/// Gives `name` its handle; the same name, in any case, may get another one per spelling. 0 if it
/// is no token or kMaxHeaderNames are taken. [control]
[[nodiscard]] std::uint32_t internHeaderName(std::string_view name);

/// The name behind a handle; null for 0 and for numbers never given out. No lock. [any]
[[nodiscard]] const HeaderName* headerName(std::uint32_t handle) noexcept;

/// Most names that the process keeps.
inline constexpr std::uint32_t kMaxHeaderNames = 65536;

}  // namespace hyperway::plugin
