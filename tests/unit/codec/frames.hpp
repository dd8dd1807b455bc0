// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Frames of HTTP/2 by hand, for tests of both codecs. Header blocks are literals without indexing.
namespace hyperway::codec::test {

enum FrameType : std::uint8_t {
  kData,
  kHeaders,
  kPriority,
  kReset,
  kSettings,
  kPush,
  kPing,
  kGoaway,
  kWindow,
  kContinuation
};
constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kAck = 1;
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

using FieldLines = std::vector<std::pair<std::string, std::string>>;

/// A number as four bytes.
inline std::string word(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  return out;
}

/// One frame.
inline std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                         std::string_view payload = {}) {
  std::string out = word(static_cast<std::uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out + word(stream) + std::string(payload);
}

/// A string of HPACK without Huffman.
inline std::string hpackText(std::string_view text) {
  std::string out;
  if (text.size() < 127) {
    out += static_cast<char>(text.size());
  } else {
    out += static_cast<char>(127);
    std::size_t rest = text.size() - 127;
    for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
    out += static_cast<char>(rest);
  }
  return out + std::string(text);
}

/// A header block.
inline std::string block(const FieldLines& lines) {
  std::string out;
  for (const auto& [name, value] : lines) {
    out += '\0';
    out += hpackText(name);
    out += hpackText(value);
  }
  return out;
}

/// The usual lines, and more.
inline FieldLines request(std::string_view method, std::string_view path, FieldLines more = {}) {
  FieldLines all = {{":method", std::string(method)},
                    {":scheme", "http"},
                    {":authority", "h"},
                    {":path", std::string(path)}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// HEADERS.
inline std::string headers(std::uint32_t stream, const FieldLines& lines, bool end = true) {
  return frame(kHeaders, static_cast<std::uint8_t>(kEndHeaders | (end ? kEndStream : 0)), stream,
               block(lines));
}

/// DATA.
inline std::string data(std::uint32_t stream, std::string_view body, bool end = false) {
  return frame(kData, end ? kEndStream : 0, stream, body);
}

/// WINDOW_UPDATE.
inline std::string window(std::uint32_t stream, std::uint32_t by) {
  return frame(kWindow, 0, stream, word(by));
}

/// RST_STREAM.
inline std::string reset(std::uint32_t stream, std::uint32_t code) {
  return frame(kReset, 0, stream, word(code));
}

/// A frame that was heard.
struct Heard {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string payload;
  /// The 32 bit number at `at`.
  [[nodiscard]] std::uint32_t number(std::size_t at = 0) const {
    std::uint32_t value = 0;
    for (std::size_t i = at; i < at + 4 && i < payload.size(); ++i)
      value = value << 8 | static_cast<unsigned char>(payload[i]);
    return value;
  }
};

/// Takes frames apart; what is left of `bytes` is no whole frame.
inline std::vector<Heard> parse(std::string& bytes) {
  std::vector<Heard> out;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  while (bytes.size() >= 9) {
    const std::size_t size = static_cast<std::size_t>(at(0)) << 16 | at(1) << 8 | at(2);
    if (bytes.size() < 9 + size) break;
    Heard one{at(3), at(4), 0, bytes.substr(9, size)};
    for (std::size_t i = 5; i < 9; ++i) one.stream = one.stream << 8 | at(i);
    out.push_back(std::move(one));
    bytes.erase(0, 9 + size);
  }
  return out;
}

}  // namespace hyperway::codec::test
