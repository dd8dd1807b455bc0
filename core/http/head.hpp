// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "http/field.hpp"

namespace hyperway::http {

/// Request methods that matter to framing, retries and matching; any other token is Other.
enum class Method : std::uint8_t {
  Other,
  Get,
  Head,
  Post,
  Put,
  Delete,
  Connect,
  Options,
  Trace,
  Patch
};

/// The id of a method token; methods are case-sensitive (RFC 9110 §9.1).
[[nodiscard]] Method methodId(std::string_view token) noexcept;

/// True if repeating the request has no effect beyond the first (RFC 9110 §9.2.2).
[[nodiscard]] bool isIdempotent(Method method) noexcept;

/// Protocol version of a message.
enum class Version : std::uint8_t { Http10, Http11, Http2 };

/// How the length of a message body is known. Decided once, when the head is parsed.
enum class BodyKind : std::uint8_t {
  None,        ///< There is no body.
  Length,      ///< Exactly `Framing::length` bytes, at least 1.
  Chunked,     ///< HTTP/1.1 chunked coding; on HTTP/2: until END_STREAM, length unknown.
  UntilClose,  ///< Responses only: until the peer closes.
  Tunnel,      ///< After a 101: raw bytes in both directions.
};

/// The one framing decision of a message.
struct Framing {
  BodyKind kind = BodyKind::None;  ///< Which form.
  std::uint64_t length = 0;        ///< Bytes; only for BodyKind::Length.
};

/// Form of the request target (RFC 9112 §3.2).
enum class TargetForm : std::uint8_t { Origin, Absolute, Asterisk };

/// Head of a request. All views point into the stream's arena and end with the stream.
struct RequestHead {
  /// An empty head whose fields live in `arena`.
  explicit RequestHead(Arena& arena) noexcept : fields(arena) {}

  std::string_view method;     ///< As received.
  std::string_view authority;  ///< As received in Host or the absolute target; may be empty (1.0).
  std::string_view host;   ///< Lower case, no port, no brackets, no final dot; what routes match.
  std::string_view path;   ///< Normalised, begins with '/', no query; "*" for the asterisk form.
  std::string_view query;  ///< As received, without '?'.
  bool has_query = false;  ///< Tells "/a?" from "/a".
  bool keep_alive = true;  ///< The connection may serve another request after this one.
  bool expect_continue = false;                 ///< Expect: 100-continue (HTTP/1.1 only).
  Method method_id = Method::Other;             ///< methodId(method).
  Version version = Version::Http11;            ///< As received.
  TargetForm target_form = TargetForm::Origin;  ///< As received.
  std::string_view upgrade;  ///< The single Upgrade token if this is a well-formed upgrade request.
  Framing framing;           ///< Body of the request.
  HeaderMap fields;  ///< All lines but those that framing, Host and Connection handling own.
};

/// Head of a response. All views point into the stream's arena and end with the stream.
struct ResponseHead {
  /// An empty head whose fields live in `arena`.
  explicit ResponseHead(Arena& arena) noexcept : fields(arena) {}

  std::uint16_t status = 0;           ///< 100 to 599.
  std::string_view reason;            ///< As received; may be empty.
  bool keep_alive = true;             ///< The backend lets the connection be used again.
  Version version = Version::Http11;  ///< As received.
  Framing framing;                    ///< Body of the response.
  std::string_view upgrade;           ///< Upgrade token of a 101.
  HeaderMap fields;                   ///< All lines but those that framing and Connection own.
};

}  // namespace hyperway::http
