// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace hyperway::http {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// SHA-1 (FIPS 180-4 §6.1), which RFC 6455 asks for and nothing else here does.
class Sha1 {
 public:
  void add(std::string_view bytes) noexcept {
    for (const char byte : bytes) addByte(static_cast<std::uint8_t>(byte));
  }
  std::array<std::uint8_t, 20> finish() noexcept {
    const std::uint64_t bits = size_ * 8;
    addByte(0x80);
    while (size_ % 64 != 56) addByte(0);
    for (int shift = 56; shift >= 0; shift -= 8) addByte(static_cast<std::uint8_t>(bits >> shift));
    std::array<std::uint8_t, 20> digest;
    for (std::size_t i = 0; i < digest.size(); ++i)
      digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - i % 4 * 8));
    return digest;
  }

 private:
  void addByte(std::uint8_t byte) noexcept {
    block_[size_++ % 64] = byte;
    if (size_ % 64 == 0) mix();
  }
  void mix() noexcept {
    std::array<std::uint32_t, 80> words;
    for (std::size_t i = 0; i < 16; ++i)
      words[i] = std::uint32_t{block_[4 * i]} << 24 | std::uint32_t{block_[4 * i + 1]} << 16 |
                 std::uint32_t{block_[4 * i + 2]} << 8 | std::uint32_t{block_[4 * i + 3]};
    for (std::size_t i = 16; i < 80; ++i)
      words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    auto [a, b, c, d, e] = state_;
    for (std::size_t i = 0; i < 80; ++i) {
      const std::uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                              : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                              : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                       : (b ^ c ^ d) + 0xca62c1d6;
      const std::uint32_t next = std::rotl(a, 5) + f + e + words[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
  }

  std::array<std::uint32_t, 5> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::array<std::uint8_t, 64> block_{};
  std::uint64_t size_ = 0;
};

}  // namespace

std::array<char, 28> webSocketAccept(std::string_view key) noexcept {
  Sha1 hash;
  hash.add(key);
  hash.add(kGuid);
  const std::array<std::uint8_t, 20> digest = hash.finish();
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<char, 28> text;
  std::size_t at = 0;
  for (std::size_t i = 0; i < 21; i += 3) {
    const std::uint32_t third = i + 2 < digest.size() ? digest[i + 2] : 0U;
    const std::uint32_t bits =
        std::uint32_t{digest[i]} << 16 | std::uint32_t{digest[i + 1]} << 8 | third;
    for (int shift = 18; shift >= 0; shift -= 6) text[at++] = kAlphabet[bits >> shift & 63];
  }
  text[27] = '=';  // 20 bytes are 6 groups of three and one of two
  return text;
}

}  // namespace hyperway::http
