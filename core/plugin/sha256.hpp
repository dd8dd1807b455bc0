// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace hyperway::plugin {

/// SHA-256 (FIPS 180-4) of one piece of memory, as 64 lower-case hex digits. By OpenSSL, which uses
/// the CPU's instructions: files of plugins are hashed at every start, and with their debug
/// information they are large.
[[nodiscard]] std::string sha256Hex(std::span<const std::byte> bytes);

}  // namespace hyperway::plugin
