// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "hyperway/abi/base.h"

namespace hyperway::plugin {

/// Bytes for the plugin's side; borrowed from `text`.
[[nodiscard]] inline hw_bytes bytesOf(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// A view of bytes from the plugin's side. A null pointer is an empty view, whatever the size says.
[[nodiscard]] inline std::string_view viewOf(hw_bytes bytes) noexcept {
  if (bytes.data == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

}  // namespace hyperway::plugin
