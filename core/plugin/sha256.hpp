// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace hyperway::plugin {

/// SHA-256 (FIPS 180-4), incremental. Here because this layer does not know OpenSSL, and a plugin's
/// file is hashed once per load.
class Sha256 {
 public:
  /// Adds bytes.
  void update(std::span<const std::byte> bytes) noexcept;
  /// Ends the message and returns the digest as 64 lower-case hex digits. Call once.
  [[nodiscard]] std::string finish();

 private:
  void block(const std::byte* bytes) noexcept;

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t total_ = 0;
};

/// The digest of one piece of memory.
[[nodiscard]] std::string sha256Hex(std::span<const std::byte> bytes);

}  // namespace hyperway::plugin
