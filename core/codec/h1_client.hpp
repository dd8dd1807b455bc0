// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/client_connection.hpp"
#include "codec/message_link.hpp"
#include "codec/stall_watch.hpp"
#include "codec/transport.hpp"
#include "http/body_decoder.hpp"
#include "http/h1.hpp"
#include "net/event_loop.hpp"

namespace hyperway::codec {

/// Client side of HTTP/1.1 on one connection to an endpoint: one exchange at a time. Goes back to
/// its pool only when request and response both ended exactly and nothing was left over. Source:
/// RFC 9112. [worker]
class H1ClientConnection final : public ClientConnection, public ClientLink, private net::Timer {
 public:
  /// Takes a socket that is connecting; registers it with the loop. `owner` is the pool's own mark.
  /// `security`: TLS, whose handshake counts to the time for connecting; null: plain text.
  H1ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                     const ClientSecurity* security = nullptr) noexcept;
  ~H1ClientConnection() override;

  /// Registers with the loop; false if the kernel refuses.
  [[nodiscard]] bool start() noexcept;
  /// Begins an exchange; the link's calls follow. The connection must be idle or new.
  void begin(ResponseEvents& events) noexcept;
  void closeNow() noexcept override;
  void fail() noexcept override { broken(Broken::Reset, http::HttpError::None); }

  void onEvents(std::uint32_t events) noexcept override;
  void sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void flush() noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override { return out_.size(); }
  void setReading(bool on) noexcept override;
  void cancel() noexcept override;
  [[nodiscard]] bool connected() const noexcept override { return connected_; }
  [[nodiscard]] bool reused() const noexcept override { return exchanges_ > 1; }
  [[nodiscard]] std::uint64_t spliceableResponse() const noexcept override;
  void beginSpliceResponse() noexcept override { raw_ = true; }
  [[nodiscard]] SpliceResult spliceResponse(int pipe, std::size_t size) noexcept override;
  [[nodiscard]] bool canSpliceRequest() const noexcept override;
  [[nodiscard]] std::size_t spliceRequest(int pipe, std::size_t size, bool end) noexcept override;

 private:
  enum class Phase : std::uint8_t { Connecting, Handshake, Idle, Head, Body, Tunnel, Closed };

  void onTimer() noexcept override;
  void socketUp() noexcept;
  void shakeHands() noexcept;
  void established() noexcept;
  void tellTlsFailure() noexcept;
  void process() noexcept;
  bool readHead() noexcept;
  bool parseHead() noexcept;
  bool readBody() noexcept;
  std::size_t decode(std::span<char> input, bool buffered) noexcept;
  void write(std::string_view prefix, std::string_view data, std::string_view suffix) noexcept;
  void responseDone(std::size_t left_over) noexcept;
  void broken(Broken how, http::HttpError error) noexcept;
  void close() noexcept;
  void arm(std::chrono::milliseconds limit) noexcept;
  void armWrite() noexcept;
  void requestDone() noexcept;

  ClientHost& host_;
  Transport transport_;
  const ClientSecurity* security_;
  ResponseEvents* events_ = nullptr;
  ByteBuffer in_;
  ByteBuffer out_;
  http::BodyDecoder decoder_;
  char* head_ = nullptr;
  std::uint32_t head_size_ = 0;
  std::uint32_t head_capacity_ = 0;
  std::size_t scanned_ = 0;
  std::uint32_t rest_begin_ = 0;
  std::uint32_t exchanges_ = 0;
  std::string_view upgrade_offered_;  // in the stream's arena
  StallWatch stall_;
  std::uint8_t interim_ = 0;
  http::Method method_ = http::Method::Other;
  Phase phase_ = Phase::Connecting;
  bool connected_ = false;
  bool readable_ = false;
  bool half_closed_ = false;
  bool raw_ = false;  // the stream moves the body past us
  bool reading_ = true;
  bool processing_ = false;
  bool request_done_ = false;
  bool keep_alive_ = false;
  bool chunked_out_ = false;
  bool blocked_ = false;
  bool shutdown_out_ = false;
  bool length_body_ = false;
};

}  // namespace hyperway::codec
