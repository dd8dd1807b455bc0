// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Frames of HTTP/2, made and read by hand (RFC 9113 §4).
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

inline std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift & 255);
  return out;
}

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                         std::string_view payload = {}) {
  return number(payload.size(), 3) + number(type, 1) + number(flags, 1) + number(stream, 4) +
         std::string(payload);
}

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// A block of literal fields that no table keeps (RFC 7541 §6.2.2), names and values below 127
/// bytes or so.
inline std::string block(Fields fields) {
  std::string out;
  const auto text = [&out](std::string_view value) {
    if (value.size() < 127) {
      out += static_cast<char>(value.size());
    } else {
      out += '\x7f';
      std::size_t rest = value.size() - 127;
      for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
      out += static_cast<char>(rest);
    }
    out += value;
  };
  for (const auto& [name, value] : fields) {
    out += '\0';
    text(name);
    text(value);
  }
  return out;
}

inline std::string headers(std::uint32_t stream, Fields fields, std::uint8_t flags = 0) {
  return frame(kHeaders, flags | kEndHeaders, stream, block(fields));
}

inline std::string data(std::uint32_t stream, std::string_view bytes, std::uint8_t flags = 0) {
  return frame(kData, flags, stream, bytes);
}

inline std::string settings(std::initializer_list<std::pair<int, std::uint32_t>> values = {}) {
  std::string payload;
  for (const auto& [id, value] : values)
    payload += number(static_cast<unsigned>(id), 2) + number(value, 4);
  return frame(kSettings, 0, 0, payload);
}

inline std::string reset(std::uint32_t stream, std::uint32_t code) {
  return frame(kReset, 0, stream, number(code, 4));
}

inline std::string goaway(std::uint32_t last, std::uint32_t code) {
  return frame(kGoaway, 0, 0, number(last, 4) + number(code, 4));
}

/// What one side sent, frame by frame. Heads are decoded: "name: value" lines.
class FrameReader {
 public:
  struct Frame {
    std::uint8_t type, flags;
    std::uint32_t stream;
    std::string payload;
  };

  FrameReader() { nghttp2_hd_inflate_new(&inflater_); }
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  ~FrameReader() { nghttp2_hd_inflate_del(inflater_); }

  /// The complete frames of what came so far.
  std::vector<Frame> read(std::string_view bytes) {
    rest_ += bytes;
    if (!preface_ && rest_.size() >= 24) {
      preface_ = rest_.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      if (preface_) rest_.erase(0, 24);
    }
    std::vector<Frame> frames;
    const auto at = [this](std::size_t i) { return static_cast<unsigned char>(rest_[i]); };
    while (preface_ && rest_.size() >= 9) {
      const std::size_t size = at(0) << 16 | at(1) << 8 | at(2);
      if (rest_.size() < 9 + size) break;
      Frame next{at(3), at(4),
                 static_cast<std::uint32_t>(at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8)),
                 rest_.substr(9, size)};
      rest_.erase(0, 9 + size);
      if (next.type == kHeaders) next.payload = decode(next.payload);
      frames.push_back(std::move(next));
    }
    return frames;
  }

 private:
  std::string decode(std::string_view bytes) {
    std::string out;
    const auto* in = reinterpret_cast<const std::uint8_t*>(bytes.data());
    std::size_t left = bytes.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const auto used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, in, left, 1);
      if (used < 0) return "bad block";
      in += used;
      left -= static_cast<std::size_t>(used);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
        out.append(reinterpret_cast<const char*>(field.name), field.namelen)
            .append(": ")
            .append(reinterpret_cast<const char*>(field.value), field.valuelen)
            .append("\n");
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return out;
  }

  std::string rest_;
  bool preface_ = false;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace hyperway::codec::test
