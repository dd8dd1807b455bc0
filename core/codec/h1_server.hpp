// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "codec/byte_buffer.hpp"
#include "codec/message_link.hpp"
#include "codec/server_host.hpp"
#include "codec/stall_watch.hpp"
#include "codec/transport.hpp"
#include "http/body_decoder.hpp"
#include "http/h1.hpp"

namespace hyperway::codec {

/// Server side of HTTP/1.x on one connection: one stream at a time, pipelined requests wait in
/// order. Owns no buffer while idle. Registered edge-triggered once; no epoll_ctl, no timer
/// operation and no allocation per request. A plain connection that begins with HTTP/2's preface is
/// handed to ServerHost::onPreface(). Source: RFC 9112. [worker]
class H1ServerConnection final : public ServerConnection, public ServerLink, private net::Timer {
 public:
  /// Takes a connection whose socket is in the loop, or will be, with this as handler.
  H1ServerConnection(ServerHost& host, Transport transport, const ConnectionInfo& info) noexcept;
  ~H1ServerConnection() override;

  /// Begins; `readable` if bytes may be there already (after a TLS handshake).
  void start(bool readable) noexcept;
  void closeWhenIdle() noexcept override;
  void closeNow() noexcept override;
  /// True between requests.
  [[nodiscard]] bool idle() const noexcept { return events_ == nullptr; }

  void onEvents(std::uint32_t events) noexcept override;
  void sendContinue() noexcept override;
  void sendInterim(const http::ResponseHead& head) noexcept override;
  void sendHead(http::ResponseHead& head, bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void abort() noexcept override;
  void flush() noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override { return out_.size(); }
  void setReading(bool on) noexcept override;
  void streamDone() noexcept override;
  [[nodiscard]] const ConnectionInfo& connection() const noexcept override { return info_; }
  [[nodiscard]] bool canSpliceResponse() const noexcept override;
  [[nodiscard]] std::size_t spliceResponse(int pipe, std::size_t size, bool end) noexcept override;
  [[nodiscard]] std::uint64_t spliceableRequest() const noexcept override;
  void beginSpliceRequest() noexcept override { raw_ = true; }
  [[nodiscard]] SpliceResult spliceRequest(int pipe, std::size_t size) noexcept override;

 private:
  enum class Phase : std::uint8_t { Idle, Head, Body, Answer, Tunnel, Linger, Closed };

  void onTimer() noexcept override;
  void process() noexcept;
  bool advance() noexcept;
  bool readHead() noexcept;
  bool takeHeadBytes() noexcept;
  bool parseHead() noexcept;
  [[nodiscard]] bool beginsPreface() const noexcept;
  void handOver() noexcept;
  bool readBody() noexcept;
  std::size_t decode(std::span<char> input, std::uint32_t* progress) noexcept;
  bool lingerRead() noexcept;
  void endOfInput() noexcept;
  void requestBroken(Broken how, http::HttpError error) noexcept;
  void write(std::string_view prefix, std::string_view data, std::string_view suffix) noexcept;
  void finishClose() noexcept;
  void gone() noexcept;
  void arm(std::chrono::milliseconds limit) noexcept;
  void armWrite() noexcept;
  void armRead() noexcept;
  void comeBack() noexcept;

  ServerHost& host_;
  Transport transport_;
  RequestEvents* events_ = nullptr;
  ByteBuffer in_;   // bytes read ahead of what the stream could take
  ByteBuffer out_;  // bytes the socket did not take yet
  http::BodyDecoder decoder_;
  char* head_ = nullptr;  // head being read, in the stream's arena
  std::uint32_t head_size_ = 0;
  std::uint32_t head_capacity_ = 0;
  std::size_t scanned_ = 0;
  std::uint32_t rest_begin_ = 0;     // bytes behind the head in head_, not yet decoded
  std::uint32_t turn_requests_ = 0;  // that began since the loop last called
  ConnectionInfo info_;
  StallWatch stall_;
  Phase phase_ = Phase::Idle;
  bool fresh_ = true;  // no request was served yet
  bool readable_ = false;
  bool half_closed_ = false;  // EPOLLRDHUP seen: a short read is no proof that nothing more comes
  bool reading_ = true;
  bool raw_ = false;  // the stream moves the request body past us
  bool processing_ = false;
  bool length_body_ = false;  // the request's body has a known length
  bool request_done_ = false;
  bool keep_alive_ = true;
  bool head_request_ = false;
  bool old_client_ = false;  // HTTP/1.0
  bool head_sent_ = false;
  bool chunked_out_ = false;
  bool no_body_out_ = false;
  bool response_done_ = false;
  bool blocked_ = false;  // the socket took less than we had
  bool close_when_idle_ = false;
  bool shutdown_out_ = false;  // tunnel: FIN after what is queued
};

}  // namespace hyperway::codec
