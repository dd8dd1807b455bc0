// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.hpp"
#include "http/error.hpp"
#include "http/h1.hpp"
#include "http/head.hpp"
#include "net/address.hpp"
#include "tls/session.hpp"

/// The border between codecs, which know bytes, and streams, which know messages. A connection may
/// carry many streams at once: each has a link of its own, with its own flow control. All calls
/// belong to the worker's thread.
namespace hyperway::codec {

/// Facts about a client connection that its streams may read. Lives as long as the connection.
struct ConnectionInfo {
  net::SocketAddress peer;          ///< The client's address.
  char peer_text[46] = {};          ///< peer as text, without port.
  std::uint8_t peer_text_size = 0;  ///< Bytes of peer_text.
  bool secure = false;              ///< TLS.
  bool has_destination = false;     ///< `destination` is set.
  int fd = -1;                      ///< Its socket, for what only the kernel knows of it.
  net::SocketAddress destination;   ///< What the client connected to, where a PROXY header said.
  std::string_view
      sni;  ///< Name of the TLS handshake, lower case; lives as long as the connection.
  const tls::Session* session = nullptr;  ///< The TLS session; null: plain.
  std::uint32_t tls_slot = 0;  ///< Number of the TLS context's listener; the proxy's own.
  std::uint32_t security = 0;  ///< What the listener asked of clients then; the proxy's own number.
  std::uint32_t bind = 0;      ///< Number of the bound address that accepted it; the proxy's own.
};

/// Why a message from a peer ended before its end.
enum class Broken : std::uint8_t {
  Protocol,     ///< Not the protocol; `HttpError` says more.
  Truncated,    ///< The peer closed inside a message.
  Reset,        ///< The connection broke.
  Timeout,      ///< The peer was silent for too long.
  Refused,      ///< Upstream only: no connection could be made.
  Unreachable,  ///< Upstream only: the connection was not up in time.
  Handshake,    ///< Upstream only: no TLS session could be made.
  Untrusted,    ///< Upstream only: the backend's certificate is not good for it.
  Stale,        ///< Upstream only: a kept connection had gone before any byte of the answer came.
  Unprocessed,  ///< Upstream only: the backend says that it did nothing of it (RFC 9113 §8.7).
};

/// What one splice moved out of a connection.
struct SpliceResult {
  std::size_t bytes =
      0;  ///< 0: nothing there now, or the message broke off (which was told by an event).
  bool end = false;  ///< The message is complete.
};

/// The response side of one stream towards the client; implemented by each server codec.
class ServerLink {
 public:
  /// Sends an interim 100 (Continue) if nothing of the response is out.
  virtual void sendContinue() noexcept = 0;
  /// Passes on an interim response other than 100 and 101 (RFC 9110 §15.2), to clients that know
  /// them.
  virtual void sendInterim(const http::ResponseHead& head) noexcept = 0;
  /// Sends the final head; the codec adds what framing and the connection need. `end`: no body
  /// follows. A head with BodyKind::Tunnel turns both directions into raw bytes.
  virtual void sendHead(http::ResponseHead& head, bool end) noexcept = 0;
  /// Sends body bytes; the codec takes all of them. `end`: the response is complete.
  virtual void sendBody(std::string_view data, bool end) noexcept = 0;
  /// Sends trailers and ends the response (dropped where the protocol has none).
  virtual void sendTrailers(const http::HeaderMap& trailers) noexcept = 0;
  /// Gives up a response that cannot be completed: the client must see that it is cut.
  virtual void abort() noexcept = 0;
  /// Hands gathered bytes to the kernel.
  virtual void flush() noexcept = 0;
  /// Bytes taken and not yet sent; above 0 after flush() means the client is slower than we.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;
  /// Switches reading of the request body on or off (back-pressure).
  virtual void setReading(bool on) noexcept = 0;
  /// The stream has ended and will be destroyed on return; the codec goes on with the connection.
  virtual void streamDone() noexcept = 0;
  /// Facts about the connection.
  [[nodiscard]] virtual const ConnectionInfo& connection() const noexcept = 0;
  /// True if the response body can leave by splice from now on: plain socket, bytes as they are,
  /// nothing queued.
  [[nodiscard]] virtual bool canSpliceResponse() const noexcept = 0;
  /// Moves up to `size` bytes from a pipe to the client; returns how many. Fewer: the client is
  /// slower than we, onClientDrained() follows. `end`: these are the last ones.
  [[nodiscard]] virtual std::size_t spliceResponse(int pipe, std::size_t size,
                                                   bool end) noexcept = 0;
  /// Bytes of the request body that can be moved by splice from now on: plain socket, known length,
  /// nothing read ahead. 0: it cannot.
  [[nodiscard]] virtual std::uint64_t spliceableRequest() const noexcept = 0;
  /// From now on the codec reads no body: it calls onRequestRaw() when there is some. Until the end
  /// of the body.
  virtual void beginSpliceRequest() noexcept = 0;
  /// Moves up to `size` bytes of the request body into a pipe.
  [[nodiscard]] virtual SpliceResult spliceRequest(int pipe, std::size_t size) noexcept = 0;

 protected:
  ~ServerLink() = default;
};

/// What a server codec tells a stream.
class RequestEvents {
 public:
  /// Where the head is parsed into.
  [[nodiscard]] virtual http::RequestHead& requestHead() noexcept = 0;
  /// Memory of the stream.
  [[nodiscard]] virtual Arena& arena() noexcept = 0;
  /// Where trailers are parsed into, over as many reads as they take.
  [[nodiscard]] virtual http::HeaderMap& requestTrailers() noexcept = 0;
  /// The head is complete. `end`: no body follows.
  virtual void onRequestHead(bool end) noexcept = 0;
  /// Body bytes, valid during the call and writable. `end` may come with an empty span.
  virtual void onRequestBody(std::span<char> data, bool end) noexcept = 0;
  /// Trailers, after the body; they end the request.
  virtual void onRequestTrailers(http::HeaderMap& trailers) noexcept = 0;
  /// A batch of the calls above is over: hand on what was gathered.
  virtual void onRequestFlush() noexcept = 0;
  /// The codec refused the request and told the client so in its own way (HTTP/2: RST_STREAM or
  /// GOAWAY): nothing can be answered any more. The link is not to be used any more.
  virtual void onRequestRefused(Broken how, http::HttpError error) noexcept = 0;
  /// The request is not HTTP or broke off. If no response is out the stream answers; the connection
  /// closes after it.
  virtual void onRequestBroken(Broken how, http::HttpError error) noexcept = 0;
  /// After beginSpliceRequest(): there may be bytes to move.
  virtual void onRequestRaw() noexcept = 0;
  /// queued() fell to 0 after it was above, or a client that took less than was spliced takes more.
  virtual void onClientDrained() noexcept = 0;
  /// The client is gone; the link is not to be used any more except for streamDone().
  virtual void onClientGone() noexcept = 0;

 protected:
  ~RequestEvents() = default;
};

/// The request side of one exchange with a backend; implemented by each client codec.
class ClientLink {
 public:
  /// Sends the head. `end`: no body follows.
  virtual void sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                        bool end) noexcept = 0;
  /// Sends body bytes; the codec takes all of them.
  virtual void sendBody(std::string_view data, bool end) noexcept = 0;
  /// Sends trailers and ends the request.
  virtual void sendTrailers(const http::HeaderMap& trailers) noexcept = 0;
  /// Hands gathered bytes to the kernel.
  virtual void flush() noexcept = 0;
  /// Bytes taken and not yet sent.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;
  /// Switches reading of the response on or off (back-pressure).
  virtual void setReading(bool on) noexcept = 0;
  /// The stream no longer wants the answer; the link is not to be used after this.
  virtual void cancel() noexcept = 0;
  /// True once the connection is up, TLS included: before, nothing of the request was delivered.
  [[nodiscard]] virtual bool connected() const noexcept = 0;
  /// True if this exchange uses a connection that served another before.
  [[nodiscard]] virtual bool reused() const noexcept = 0;
  /// Bytes of the response body that can be moved by splice from now on: plain socket, known
  /// length, nothing read ahead. 0: it cannot.
  [[nodiscard]] virtual std::uint64_t spliceableResponse() const noexcept = 0;
  /// From now on the codec reads no body: it calls onResponseRaw() when there is some. Until the
  /// end of the body.
  virtual void beginSpliceResponse() noexcept = 0;
  /// Moves up to `size` bytes of the response body into a pipe. With `end` the link is gone.
  [[nodiscard]] virtual SpliceResult spliceResponse(int pipe, std::size_t size) noexcept = 0;
  /// True if the request body can leave by splice from now on: connected, bytes as they are,
  /// nothing queued.
  [[nodiscard]] virtual bool canSpliceRequest() const noexcept = 0;
  /// Moves up to `size` bytes from a pipe to the backend; returns how many. Fewer:
  /// onUpstreamDrained() follows.
  [[nodiscard]] virtual std::size_t spliceRequest(int pipe, std::size_t size,
                                                  bool end) noexcept = 0;

 protected:
  ~ClientLink() = default;
};

/// What a client codec tells the exchange that waits for an answer.
class ResponseEvents {
 public:
  /// Where the head is parsed into; the codec clears its fields before each (interim) head.
  [[nodiscard]] virtual http::ResponseHead& responseHead() noexcept = 0;
  /// Memory of the stream.
  [[nodiscard]] virtual Arena& arena() noexcept = 0;
  /// Where trailers are parsed into, over as many reads as they take; cleared before each exchange.
  [[nodiscard]] virtual http::HeaderMap& responseTrailers() noexcept = 0;
  /// An interim response (status 100 to 199, not 101).
  virtual void onInterimResponse() noexcept = 0;
  /// The final head. `end`: no body follows, and the link is gone.
  virtual void onResponseHead(bool end) noexcept = 0;
  /// Body bytes, valid during the call and writable. With `end` the link is gone.
  virtual void onResponseBody(std::span<char> data, bool end) noexcept = 0;
  /// Trailers; they end the response, and the link is gone.
  virtual void onResponseTrailers(http::HeaderMap& trailers) noexcept = 0;
  /// A batch of the calls above is over: hand on what was gathered. Not called after the end of the
  /// response, with which the stream hands on by itself.
  virtual void onResponseFlush() noexcept = 0;
  /// The answer broke off, or none came. The link is gone.
  virtual void onResponseBroken(Broken how, http::HttpError error) noexcept = 0;
  /// queued() fell to 0 after it was above, or a backend that took less than was spliced takes
  /// more.
  virtual void onUpstreamDrained() noexcept = 0;
  /// After beginSpliceResponse(): there may be bytes to move.
  virtual void onResponseRaw() noexcept = 0;

 protected:
  ~ResponseEvents() = default;
};

}  // namespace hyperway::codec
