// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace hyperway::http {

/// Everything that can be wrong with a message, for a small error on the request path.
enum class HttpError : std::uint8_t {
  None,
  BadRequestLine,
  BadMethod,
  BadVersion,  ///< 505 for a well-formed other version, else 400: see statusOf().
  UnsupportedVersion,
  BadTarget,
  BadPath,        ///< Bad escape, control byte, backslash, %00, above the root.
  UriTooLong,     ///< 414.
  HeadTooLarge,   ///< 431: bytes.
  TooManyFields,  ///< 431: count.
  BadFieldName,
  BadFieldValue,
  BadLineEnd,  ///< Bare CR or bare LF.
  ObsoleteFold,
  SpaceBeforeColon,
  MissingHost,
  DuplicateHost,
  BadHost,
  HostMismatch,  ///< Host and absolute-form target name different authorities.
  BadContentLength,
  ConflictingLength,  ///< Transfer-Encoding and Content-Length, or two lengths.
  BadTransferEncoding,
  UnsupportedTransferEncoding,  ///< 501.
  BadChunk,
  BadTrailer,
  BodyTooLarge,  ///< 413.
  BadUpgrade,
  BadExpect,  ///< 417.
  BadConnection,
  MethodNotSupported,  ///< 501/405: CONNECT, TRACE with body.
  BadStatusLine,       ///< Responses: 502.
  UnexpectedUpgrade,   ///< Responses: a 101 nobody asked for, 502.
  Truncated,           ///< The peer closed inside a message.
  BadFrame,            ///< HTTP/2: a peer broke the rules of frames, streams, HPACK or heads.
};

/// The status that a client gets for an error in its request (RFC 9110 §15).
[[nodiscard]] std::uint16_t statusOf(HttpError error) noexcept;

/// A short stable word for logs and metrics, e.g. "bad_chunk".
[[nodiscard]] std::string_view nameOf(HttpError error) noexcept;

/// The usual reason phrase of a status; empty if unknown.
[[nodiscard]] std::string_view reasonPhrase(std::uint16_t status) noexcept;

}  // namespace hyperway::http
