// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/error.hpp"
#include "http/head.hpp"

namespace hyperway::http {

/// Bounds on a message head (RELIABILITY: bytes and count).
struct H1Limits {
  std::size_t head_bytes = 64 * 1024;    ///< Start line and fields together; above: 431.
  std::size_t target_bytes = 16 * 1024;  ///< Request target; above: 414.
  std::uint32_t fields = 128;            ///< Field lines; above: 431.
};

/// What a parse of a head came to.
struct H1Parse {
  /// What is known about the head so far.
  enum class State : std::uint8_t {
    NeedMore,  ///< It is not complete: call again with the same bytes and more behind them.
    Done,      ///< It is complete and accepted.
    Bad,       ///< It is refused; the connection must not be read further.
  };
  State state;           ///< What is known.
  HttpError error;       ///< Set if Bad.
  std::size_t consumed;  ///< Bytes of the head with its empty line, if Done.
};

/// Parses one HTTP/1.x request head at the start of `input` (RFC 9112), strictly: CRLF only, no
/// bare CR, no folding, no white space before the colon, tokens and field values as in RFC 9110.
/// Decides framing once and refuses whatever two parsers could read differently: Content-Length
/// with Transfer-Encoding, repeated or list lengths, any coding but exactly one final `chunked`,
/// Transfer-Encoding in HTTP/1.0, repeated Host, Host unlike an absolute target. Up to one empty
/// line before the request line is skipped (RFC 9112 §2.2).
///
/// `head` takes views into `input` (and its own arena where text had to change, as a normalised
/// path), so `input` must live as long as the stream. Fields named by Connection, and Connection,
/// Keep-Alive, Proxy-Connection, TE, Trailer, Expect, Upgrade, HTTP2-Settings, Host, Content-Length
/// and Transfer-Encoding are not in `head.fields`: the serializer rebuilds what belongs there. A
/// Connection option may not name a field that carries routing, framing or forwarding meaning
/// (Host, Content-Length, Authorization, Cookie, X-Forwarded-*, ...): BadConnection (a client must
/// not strip what we add). `scanned` carries how far the search for the head's end got, 0 at first;
/// it makes dripping input linear. An Upgrade that counts (HTTP/1.1, named by Connection, not only
/// h2c) must be one token on a GET without body, else BadUpgrade; any other Upgrade is dropped.
/// Names in which '_' stands for the '-' of a field that carries such meaning are BadFieldName.
/// CONNECT and TRACE with a body are MethodNotSupported. noexcept but for memory; any thread.
[[nodiscard]] H1Parse parseRequestHead(std::string_view input, const H1Limits& limits,
                                       std::size_t& scanned, RequestHead& head);

/// Parses one HTTP/1.x response head at the start of `input`. `request` decides whether a body can
/// follow (HEAD, 1xx, 204, 304) and whether 101 may come (`upgrade_offered` is the token that we
/// forwarded, or empty). The same strictness as for requests; anything ambiguous is Bad, and the
/// caller answers 502. Fields of one hop are left out as in parseRequestHead().
[[nodiscard]] H1Parse parseResponseHead(std::string_view input, const H1Limits& limits,
                                        Method request, std::string_view upgrade_offered,
                                        std::size_t& scanned, ResponseHead& head);

/// Options for a serialised request head.
struct H1RequestOut {
  std::string_view authority;    ///< Value of Host; empty sends an empty Host.
  bool close = false;            ///< Adds Connection: close.
  std::string_view upgrade;      ///< If not empty: Connection: upgrade and this Upgrade token.
  bool expect_continue = false;  ///< Forwards Expect: 100-continue.
};

/// Upper bound of the bytes that writeRequestHead() writes.
[[nodiscard]] std::size_t requestHeadBound(const RequestHead& head,
                                           const H1RequestOut& out) noexcept;

/// Writes `head` as HTTP/1.1, origin form, path and query as in `head`, framing rebuilt from
/// `head.framing` (Content-Length: 0 for a bodyless POST, PUT or PATCH; none for GET). Returns the
/// end of what was written; `to` has at least requestHeadBound() bytes.
[[nodiscard]] char* writeRequestHead(const RequestHead& head, const H1RequestOut& out,
                                     char* to) noexcept;

/// Options for a serialised response head.
struct H1ResponseOut {
  Version client =
      Version::Http11;        ///< To HTTP/1.0 no chunked coding is sent: the body ends by close.
  bool head_request = false;  ///< The request was HEAD: framing fields stay, no body follows.
  bool keep_alive = true;     ///< Else Connection: close is sent.
};

/// Upper bound of the bytes that writeResponseHead() writes.
[[nodiscard]] std::size_t responseHeadBound(const ResponseHead& head) noexcept;

/// Writes `head` as HTTP/1.1 with framing rebuilt from `head.framing`: BodyKind::None is
/// Content-Length: 0 (nothing for 1xx and 204), UntilClose brings Connection: close (set Chunked to
/// send chunks instead); an empty reason becomes the usual phrase. For BodyKind::Tunnel (101)
/// Connection: upgrade and Upgrade. For HEAD and 304 a length that the backend named is kept as
/// Content-Length (`head.framing.kind` None, `head.framing.length` then carries it plus one; 0:
/// none named). Returns the end of what was written; `to` has at least responseHeadBound() bytes.
[[nodiscard]] char* writeResponseHead(const ResponseHead& head, const H1ResponseOut& out,
                                      char* to) noexcept;

}  // namespace hyperway::http
