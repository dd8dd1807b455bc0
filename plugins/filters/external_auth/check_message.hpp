// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The few messages of Envoy's external authorization protocol that pass here, in the wire format
/// of Protocol Buffers: envoy.service.auth.v3 CheckRequest and CheckResponse. Source: Envoy's
/// api/envoy/service/auth/v3/external_auth.proto and attribute_context.proto; protobuf.dev,
/// "Encoding".
namespace hyperway::external_auth {

/// What is said of a request. Views of the caller's.
struct CheckRequest {
  std::string_view id;            ///< Of the request.
  std::string_view method;        ///< "GET".
  std::string_view path;          ///< With its query.
  std::string_view host;          ///< As the client sent it.
  std::string_view scheme;        ///< "http", "https".
  std::string_view protocol;      ///< "HTTP/1.1".
  std::string_view peer_address;  ///< Of the client; empty: not known.
  std::uint32_t peer_port = 0;    ///< Of the client.
  std::string_view server_name;   ///< The host that the client asked for, without port.
  std::uint32_t server_port = 0;  ///< The port that it came to.
  std::int64_t time_ns = 0;       ///< When, since 1970.
  std::int64_t size = -1;         ///< Bytes of the body; -1: not known.
  std::string_view body;          ///< As far as it goes to the server.
  std::vector<std::pair<std::string, std::string>> headers;  ///< By lower-case name, each once.
};

/// A message that says that.
[[nodiscard]] std::string encodeCheckRequest(const CheckRequest& request);

/// One edit of a header map.
struct HeaderChange {
  /// How.
  enum class How : std::uint8_t { Set, Add, AddIfAbsent, SetIfPresent };
  std::string name;    ///< As sent; not yet checked.
  std::string value;   ///< As sent; not yet checked.
  How how = How::Set;  ///< How.
};

/// What an authorization server says.
struct CheckVerdict {
  bool allowed = false;                ///< The request may go on.
  std::vector<HeaderChange> request;   ///< Allowed: of the request's fields.
  std::vector<std::string> removed;    ///< Allowed: names of fields that go; before `request`.
  std::vector<HeaderChange> response;  ///< Of the answer's fields, whose ever answer it is.
  std::vector<std::pair<std::string, std::string>> query_set;  ///< Allowed: query parameters…
  std::vector<std::string> query_removed;                      ///< …and those that go.
  int status = 403;                                            ///< Denied: 200..599.
  std::string body;                                            ///< Denied: of the answer.
};

/// Most edits of a verdict, and names in it.
inline constexpr std::size_t kMostChanges = 128;

/// Reads a CheckResponse. Allowed is only what says so: code OK in a status or beside an
/// ok_response, and no other response with it. Nothing if it is no such message, or has too much
/// in it.
[[nodiscard]] std::optional<CheckVerdict> decodeCheckResponse(std::string_view bytes);

/// A message as gRPC frames it, not compressed.
[[nodiscard]] std::string grpcFrame(std::string_view message);
/// The one message of a body; nothing if it is not exactly one, complete and not compressed.
[[nodiscard]] std::optional<std::string_view> grpcMessage(std::string_view body) noexcept;

/// True for well-formed UTF-8, as protobuf texts must be.
[[nodiscard]] bool isUtf8(std::string_view text) noexcept;
/// The text with each byte that is no part of UTF-8 replaced by '!', as Envoy does.
[[nodiscard]] std::string asUtf8(std::string_view text);

}  // namespace hyperway::external_auth
