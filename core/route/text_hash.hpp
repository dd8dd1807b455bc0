// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace hyperway::route {

namespace detail {

__extension__ using Wide = unsigned __int128;

/// Multiplies to 128 bits and folds the halves: every input bit reaches every output bit.
[[nodiscard]] inline std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <class Word>
[[nodiscard]] std::uint64_t load(const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// The last 0 to 8 bytes of a text as one word.
[[nodiscard]] inline std::uint64_t tail(const char* data, std::size_t size) noexcept {
  if (size >= 4) {
    return load<std::uint32_t>(data) << 32 | load<std::uint32_t>(data + size - 4);
  }
  if (size == 0) return 0;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(data[i]));
  };
  return byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
}

inline constexpr std::uint64_t kOdd1 = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
inline constexpr std::uint64_t kOdd2 = 0xd1342543de82ef95;
inline constexpr std::uint64_t kOdd3 = 0xaf251af3b0f025b5;

}  // namespace detail

/// Hash of host names and paths. Eight bytes a step, because it runs on every request. Not secret:
/// whoever writes routes could make names collide and would slow down look-ups of those names only;
/// clients choose what is looked up, never what is stored.
[[nodiscard]] inline std::uint64_t hashText(std::string_view text,
                                            std::uint64_t seed = detail::kOdd1) noexcept {
  const char* data = text.data();
  std::size_t size = text.size();
  std::uint64_t hash = seed ^ (size * detail::kOdd3);
  for (; size > 8; data += 8, size -= 8) {
    hash = detail::fold(hash ^ detail::load<std::uint64_t>(data), detail::kOdd2);
  }
  hash = detail::fold(hash ^ detail::tail(data, size), detail::kOdd2);
  return detail::fold(hash, detail::kOdd3);
}

/// 128 bits that stand for a value. Used to tell "the same as before" from "changed" without
/// keeping what was before.
class Fingerprint {
 public:
  /// Adds a number.
  void add(std::uint64_t value) noexcept {
    low_ = detail::fold(low_ ^ value, detail::kOdd2) + detail::kOdd1;
    high_ = detail::fold(high_ + value, detail::kOdd3) ^ low_;
  }
  /// Adds a text, with its length, so that neighbours cannot run together.
  void add(std::string_view text) noexcept {
    add(std::uint64_t{text.size()});
    add(hashText(text));
    high_ ^= hashText(text, detail::kOdd3);
  }
  /// 32 hexadecimal digits.
  [[nodiscard]] std::string text() const {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (const std::uint64_t half : {high_, low_})
      for (int shift = 60; shift >= 0; shift -= 4) out += kHex[half >> shift & 15];
    return out;
  }
  /// Same value, for all practical purposes.
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;

 private:
  std::uint64_t low_ = detail::kOdd1;
  std::uint64_t high_ = detail::kOdd2;
};

}  // namespace hyperway::route
