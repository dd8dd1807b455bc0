// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/error.hpp"
#include "http/h1.hpp"
#include "http/h1_hop.hpp"
#include "http/head.hpp"

/// Responses that come as lists of fields, as in HTTP/2.
namespace hyperway::http {

/// Takes the fields of one response head or of trailers one by one, and holds them to the rules of
/// parseResponseHead() and of RFC 9113 §8: lower case names, no field of a connection, ":status"
/// first and once, nothing ambiguous about the length. Errors are for the caller to answer 502
/// with. No I/O; any thread.
class H2ResponseReader {
 public:
  /// Begins a head; clears it. `limits` outlive the reader; `head` lives until finish().
  void beginHead(const H1Limits& limits, ResponseHead& head) noexcept;
  /// Begins trailers; adds to `trailers`.
  void beginTrailers(const H1Limits& limits, HeaderMap& trailers) noexcept;
  /// One field. Both views outlive the head, for instance because they are in its arena. Trailers
  /// that may not be there (RFC 9110 §6.5.1) are left out.
  [[nodiscard]] HttpError field(std::string_view name, std::string_view value);
  /// The head is complete: decides its framing. `request` is the method that it answers; `end`: no
  /// body follows. With `tunnel` (RFC 8441) an answer of 2xx becomes the 101 that HTTP/1 has in its
  /// place, for that protocol. The framing is Length, or Chunked where the length is not known, or
  /// None if there can be no body; only the last may come with `end`.
  [[nodiscard]] HttpError finishHead(Method request, std::string_view tunnel, bool end) noexcept;

 private:
  [[nodiscard]] HttpError status(std::string_view value) noexcept;

  const H1Limits* limits_ = nullptr;
  ResponseHead* head_ = nullptr;  // null: trailers
  HeaderMap* fields_ = nullptr;
  h1::HopFields hop_;
  std::size_t bytes_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace hyperway::http
