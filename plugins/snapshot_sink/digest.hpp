// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hyperway::snapshot_sink {

/// 128 bits that stand for a text, or for a set of texts: digests are added and subtracted, so the
/// digest of a set is that of its members in any order. Half of a SHA-256.
class Digest {
 public:
  Digest() = default;
  /// Of a text.
  explicit Digest(std::string_view text);

  /// Takes a member in.
  Digest& operator+=(const Digest& other) noexcept;
  /// Takes a member out.
  Digest& operator-=(const Digest& other) noexcept;
  /// 32 hexadecimal digits.
  [[nodiscard]] std::string hex() const;
  /// Some of its bits.
  [[nodiscard]] std::uint64_t bits() const noexcept { return lanes_[0]; }
  /// Equality.
  friend bool operator==(const Digest&, const Digest&) = default;

 private:
  std::array<std::uint64_t, 2> lanes_{};
};

}  // namespace hyperway::snapshot_sink
