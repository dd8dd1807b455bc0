// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/error.hpp"
#include "http/h1.hpp"
#include "http/h1_hop.hpp"
#include "http/head.hpp"

namespace hyperway::http {

/// Builds a RequestHead from the field lines of an HTTP/2 request, one by one, as strictly as
/// parseRequestHead() does it from text: whatever it accepts can be written as HTTP/1.1 and read in
/// one way only. Source: RFC 9113 §8.2, §8.3; RFC 8441 for extended CONNECT, which becomes a GET
/// with `RequestHead::upgrade`, as HTTP/1 asks for the same. Trivially destructible: it may live in
/// the stream's arena. Any thread.
class H2RequestReader {
 public:
  /// `head` is empty; its arena gets copies of all text. Limits outlive the reader: `head_bytes`
  /// counts a line as HTTP/1 would write it.
  H2RequestReader(const H1Limits& limits, RequestHead& head) noexcept
      : limits_(limits), head_(head) {
    head_.version = Version::Http2;  // also of one that is refused
  }

  /// Takes the next line; its text is needed during the call only. After the first error further
  /// lines are counted and dropped.
  void field(std::string_view name, std::string_view value);
  /// The head is complete; `end`: so is the request. None, or why it is refused.
  [[nodiscard]] HttpError finish(bool end);
  /// Why the lines so far are refused; None if they are not.
  [[nodiscard]] HttpError refusal() const noexcept { return error_; }
  /// Bytes of all lines so far, those that were dropped included.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// After finish(): true if content-length was given, 0 included. The body has exactly length()
  /// bytes.
  [[nodiscard]] bool hasLength() const noexcept { return has_length_; }
  /// The value of content-length.
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }

 private:
  void refuse(HttpError why) noexcept;
  bool refused(HttpError why) noexcept;
  void pseudo(std::string_view name, std::string_view value);
  void regular(std::string_view name, std::string_view value);
  bool finishFraming(bool end) noexcept;
  bool finishMethod(bool end) noexcept;
  bool finishTarget();
  bool finishAuthority();
  void joinCookies();

  const H1Limits& limits_;
  RequestHead& head_;
  h1::HopFields hop_;
  std::string_view method_;  // a null pointer: not there
  std::string_view scheme_;
  std::string_view path_;
  std::string_view authority_;
  std::string_view protocol_;
  std::size_t bytes_ = 0;
  std::uint64_t length_ = 0;
  std::uint32_t fields_ = 0;
  std::uint32_t cookies_ = 0;
  HttpError error_ = HttpError::None;
  bool regular_seen_ = false;
  bool has_length_ = false;
};

/// Takes one line of an HTTP/2 request's or response's trailers into `trailers`, by the rules of a
/// chunked body's (RFC 9110 §6.5.1). `bytes` carries their size so far, 0 at first. None, or why
/// the message is refused.
[[nodiscard]] HttpError takeH2Trailer(std::string_view name, std::string_view value,
                                      HeaderMap& trailers, std::size_t& bytes);

/// True for a field name as HTTP/2 sends it: a token without upper case (RFC 9113 §8.2.1).
[[nodiscard]] bool isValidH2Name(std::string_view name) noexcept;

/// True for fields that speak about one connection and may not come in HTTP/2 (RFC 9113 §8.2.2).
[[nodiscard]] bool isConnectionField(FieldId id) noexcept;

}  // namespace hyperway::http
