// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/client_connection.hpp"
#include "codec/message_link.hpp"
#include "http/h2_response.hpp"
#include "net/timer.hpp"

namespace hyperway::codec {

class H2ClientConnection;

/// One exchange on an HTTP/2 connection to a backend: one stream of it. Lives in the arena of who
/// waits for the answer, and outlives neither that nor the end of the exchange. While the answer is
/// not read, what comes of it waits here, up to the stream's window. [worker]
class H2Exchange final : public ClientLink, private net::Timer {
 public:
  /// Of H2ClientConnection::begin().
  H2Exchange(ClientHost& host, H2ClientConnection& connection, ResponseEvents& events) noexcept;

  void sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void flush() noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override;
  void setReading(bool on) noexcept override;
  void cancel() noexcept override;
  [[nodiscard]] bool connected() const noexcept override;
  /// False: an HTTP/2 backend may say at any time that it did not process a request, so whoever can
  /// repeat it keeps what that takes.
  [[nodiscard]] bool reused() const noexcept override { return false; }
  [[nodiscard]] std::uint64_t spliceableResponse() const noexcept override { return 0; }
  void beginSpliceResponse() noexcept override {}
  [[nodiscard]] SpliceResult spliceResponse(int, std::size_t) noexcept override { return {}; }
  [[nodiscard]] bool canSpliceRequest() const noexcept override { return false; }
  [[nodiscard]] std::size_t spliceRequest(int, std::size_t, bool) noexcept override { return 0; }

 private:
  friend class H2ClientConnection;
  enum class Phase : std::uint8_t {
    New,      // no head yet, or one that waits for the backend's SETTINGS
    Head,     // asked; no final head yet
    Hold,     // a head that can have no body, whose end is still to come
    Body,     // the head is out
    Tunnel,   // both directions are raw
    Trailers  // being read; then the end
  };

  // ---- what the connection tells ----
  void beginFields() noexcept;
  void field(std::string_view name, std::string_view value) noexcept;
  void fieldsDone(bool end) noexcept;
  void headDone(bool end) noexcept;
  void data(std::span<char> bytes, bool last_frame) noexcept;
  void ended() noexcept;
  // Breaks off, in a context where the stream may be told.
  void broken(Broken how, http::HttpError error) noexcept;
  // The same as soon as there is such a context.
  void breakLater(Broken how, http::HttpError error) noexcept;
  // ---- of the request's body ----
  [[nodiscard]] std::size_t waiting() const noexcept {
    return pending_.empty() ? direct_.size() : pending_.size();
  }
  void take(ByteBuffer& out, std::size_t size) noexcept;
  void resume() noexcept;
  void requestDone() noexcept;

  void submit() noexcept;
  void protocolError(http::HttpError error) noexcept;
  void deliver() noexcept;
  void finish() noexcept;
  [[nodiscard]] ResponseEvents* release() noexcept;
  void onTimer() noexcept override;
  [[nodiscard]] std::chrono::milliseconds limit() const noexcept;
  void arm(std::chrono::milliseconds after) noexcept;

  ClientHost& host_;
  H2ClientConnection* connection_;  // null: the stream is over, or the connection
  ResponseEvents* events_;          // null: nobody waits any more
  H2Exchange* prev_ = nullptr;      // in the connection's list
  H2Exchange* next_ = nullptr;
  const http::RequestHead* head_out_ = nullptr;  // until it is sent
  http::H1RequestOut options_;
  http::ResponseHead* head_in_ = nullptr;
  http::H2ResponseReader reader_;
  ByteBuffer pending_;       // of the request, not yet in frames
  std::string_view direct_;  // of the request, during sendBody()
  ByteBuffer in_;            // of the answer, not yet wanted
  std::optional<http::HeaderMap> trailers_out_;
  std::string_view tunnel_;         // the protocol that is asked for, or spoken
  std::string_view accept_;         // what answers the client's Sec-WebSocket-Key
  std::uint64_t left_ = 0;          // bytes of a body of known length
  std::uint64_t heard_before_ = 0;  // what the connection had received when this began
  std::int32_t stream_ = 0;
  http::Method method_ = http::Method::Other;
  Phase phase_ = Phase::New;
  Broken how_ = Broken::Reset;
  http::HttpError error_ = http::HttpError::None;
  std::uint8_t interim_ = 0;
  char last_ = 0;  // the last byte of a body of known length, until the backend says that it ends
  bool reading_ = true;
  bool delivering_ = false;
  bool known_length_ = false;
  bool holds_last_ = false;
  bool grpc_ = false;
  bool trailers_in_ = false;
  bool request_done_ = false;  // no more is to come from the client
  bool end_ = false;           // END_STREAM follows what waits
  bool end_sent_ = false;
  bool deferred_ = false;     // nghttp2 waits for resume()
  bool complete_ = false;     // the answer has ended
  bool held_end_ = false;     // and is to be told
  bool idle_before_ = false;  // the connection was up and did nothing when this began
  bool broken_ = false;
  bool drained_ = false;
  bool moved_ = false;  // something left since the last look
  bool touched_ = false;
  bool reset_ = false;  // by the backend
};

}  // namespace hyperway::codec
