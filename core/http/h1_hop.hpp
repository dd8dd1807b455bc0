// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "http/error.hpp"
#include "http/field.hpp"
#include "http/h1_scan.hpp"
#include "http/head.hpp"

/// Fields that mean something between two neighbours only: framing, Host, Connection and what it
/// governs. They are taken out of a head while it is parsed. Internal to core/http.
namespace hyperway::http::h1 {

/// A field that may come once, with the number of times it came.
struct Single {
  std::string_view value;   ///< The last value.
  std::uint32_t count = 0;  ///< Lines of that name.

  /// Notes one more line.
  void note(std::string_view text) noexcept {
    value = text;
    ++count;
  }
};

/// The fields of one hop in a head, as received.
struct HopFields {
  static constexpr std::size_t kMaxConnectionLines = 4;  ///< More is refused: nobody needs them.

  Single host;               ///< Host.
  Single content_length;     ///< Content-Length.
  Single transfer_encoding;  ///< Transfer-Encoding.
  Single expect;             ///< Expect.
  Single upgrade;            ///< Upgrade; several lines are told by the count.
  std::array<std::string_view, kMaxConnectionLines> connection;  ///< Values of Connection lines.
  std::uint32_t connection_count = 0;                            ///< Lines, may exceed the array.

  /// Takes the field if it is one of a hop (it then does not belong into the HeaderMap).
  [[nodiscard]] bool take(FieldId id, std::string_view value) noexcept;
};

/// What the Connection lines of a message say.
struct ConnectionOptions {
  bool close = false;          ///< "close" was among them.
  bool keep_alive = false;     ///< "keep-alive" was among them.
  std::uint32_t upgrades = 0;  ///< How often "upgrade" was among them.
};

/// Parses the Connection lines and removes the fields that they name from `fields`.
/// Errors: BadConnection for a malformed list and for names that no hop may remove.
[[nodiscard]] Result<ConnectionOptions, HttpError> applyConnection(const HopFields& hop,
                                                                   HeaderMap& fields) noexcept;

/// True for a name that carries framing, routing, authentication, forwarding or content meaning,
/// and so may neither be named by Connection nor come with '_' in place of '-'.
[[nodiscard]] bool isProtectedName(std::string_view name) noexcept;

/// True if `name` with every '_' read as '-' is a protected name or one of ours: CGI-like backends
/// cannot tell the two apart.
[[nodiscard]] bool isAliasOfProtected(std::string_view name) noexcept;

/// True if a field of that name may not come in trailers (RFC 9110 §6.5.1).
[[nodiscard]] bool isForbiddenTrailer(std::string_view name) noexcept;

/// Parses a Content-Length value, in bytes: 1 to 19 digits (RFC 9110 §8.6). Errors:
/// BadContentLength.
[[nodiscard]] Result<std::uint64_t, HttpError> parseContentLength(std::string_view text) noexcept;

/// The framing that Content-Length and Transfer-Encoding say, or None with `named` false without
/// them. Errors: ConflictingLength, BadContentLength, BadTransferEncoding,
/// UnsupportedTransferEncoding.
struct StatedFraming {
  Framing framing;     ///< Length 0 is BodyKind::None.
  bool named = false;  ///< One of the two fields was there.
};

/// See StatedFraming. RFC 9112 §6.1 to §6.3, read so that nothing ambiguous passes.
[[nodiscard]] Result<StatedFraming, HttpError> statedFraming(const HopFields& hop,
                                                             Version version) noexcept;

/// The one protocol that an Upgrade value names besides h2c, which we never speak this way; empty
/// if only h2c is named. Errors: BadUpgrade for a malformed list or several protocols.
[[nodiscard]] Result<std::string_view, HttpError> upgradeToken(std::string_view value) noexcept;

}  // namespace hyperway::http::h1
