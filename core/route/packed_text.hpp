// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hyperway::route {

/// Appends numbers and texts to one string: what is kept for each of 10,000 routes should be one
/// block of memory, not twenty.
class PackedWriter {
 public:
  /// Appends a number, seven bits a byte.
  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  /// Appends a text with its size.
  void text(std::string_view value) {
    number(value.size());
    bytes_ += value;
  }
  /// What was written, without room to spare.
  [[nodiscard]] std::string take() { return std::string(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what PackedWriter wrote, in the same order. Views point into the packed text.
class PackedReader {
 public:
  /// Reads from the start of `bytes`, which came from a PackedWriter and is trusted.
  explicit PackedReader(std::string_view bytes) noexcept : rest_(bytes) {}
  /// True if there is nothing left.
  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  /// The next number.
  [[nodiscard]] std::uint64_t number() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  /// The next text.
  [[nodiscard]] std::string_view text() noexcept {
    const std::size_t size = number();
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

 private:
  std::string_view rest_;
};

}  // namespace hyperway::route
