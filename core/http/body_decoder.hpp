// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/error.hpp"
#include "http/head.hpp"

namespace hyperway::http {

/// Cuts an HTTP/1 body out of a byte stream, for every BodyKind (RFC 9112 §6, §7). Strict: CRLF
/// only, chunk sizes are 1 to 16 hexadecimal digits without overflow, chunk extensions are checked
/// (token, no bare CR or LF, bounded) and dropped, chunk data ends with CRLF exactly, trailers are
/// parsed like fields and bounded. Small (a few words), no buffer of its own: partial control bytes
/// are kept as state. Not thread-safe.
class BodyDecoder {
 public:
  /// What next() found.
  enum class Event : std::uint8_t {
    NeedMore,  ///< All input consumed; feed more.
    Data,      ///< `data` is body; call again with the rest.
    End,  ///< The body is complete (with trailers in `trailers`, if it was chunked). Bytes after
          ///< `consumed` belong to the next message.
    Bad,  ///< `error` says why; the connection must not be used again.
  };
  /// One step of decoding.
  struct Step {
    Event event;            ///< What happened.
    std::size_t consumed;   ///< Bytes of the input used up by this step, `data` included.
    std::string_view data;  ///< View into the input, if Data.
    HttpError error;        ///< If Bad.
  };

  static constexpr std::uint32_t kMaxExtensionBytes = 4096;  ///< Of one body; above: BadChunk.
  static constexpr std::uint32_t kMaxTrailerBytes = 8192;    ///< Of one body; above: BadTrailer.
  static constexpr std::uint16_t kMaxTrailerFields = 64;     ///< Of one body; above: BadTrailer.

  /// Begins a body. BodyKind::None ends at once; Tunnel and UntilClose never end by themselves.
  void begin(const Framing& framing) noexcept;
  /// Takes the next step over `input`. Trailer fields are copied into `trailers`; those that may
  /// not be in trailers (framing, routing, authentication, hop-by-hop: RFC 9110 §6.5.1) are
  /// Bad(BadTrailer).
  [[nodiscard]] Step next(std::string_view input, HeaderMap& trailers);
  /// Bytes of a Length body (or of the chunk begun) that are still to come; for splice, which moves
  /// them past the decoder.
  [[nodiscard]] std::uint64_t remaining() const noexcept { return remaining_; }
  /// Tells that `bytes` of a Length or UntilClose body were moved without the decoder's seeing
  /// them.
  void skip(std::uint64_t bytes) noexcept;
  /// True once End was returned (or the body is None).
  [[nodiscard]] bool done() const noexcept { return done_; }
  /// The peer closed: true if that is a proper end (UntilClose, Tunnel or done), else truncation.
  [[nodiscard]] bool closeIsEnd() const noexcept;

 private:
  enum class State : std::uint8_t;

  Step nextChunked(std::string_view input, HeaderMap& trailers);
  Step bad(HttpError why, std::size_t consumed) noexcept;
  HttpError takeControl(char c) noexcept;
  HttpError takeSize(char c) noexcept;
  HttpError takeExtension(char c) noexcept;
  HttpError takeExtensionText(char c) noexcept;
  HttpError takeTrailerText(std::string_view text, HeaderMap& trailers);
  HttpError endTrailerLine(std::string_view line, HeaderMap& trailers);

  State state_{};
  bool done_ = true;
  BodyKind kind_ = BodyKind::None;
  std::uint8_t digits_ = 0;  // Of the chunk size being read.
  std::uint16_t trailer_count_ = 0;
  std::uint64_t remaining_ = 0;        // Of the Length body, or of the chunk.
  std::uint32_t extension_bytes_ = 0;  // Of all chunk extensions of this body.
  std::uint32_t trailer_bytes_ = 0;    // Of all trailer lines.
  char* line_ = nullptr;               // A partial trailer line, in the arena of `trailers`.
  std::uint32_t line_bytes_ = 0;
  std::uint32_t line_capacity_ = 0;
};

}  // namespace hyperway::http
