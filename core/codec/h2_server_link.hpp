// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/h2_server.hpp"
#include "http/h2_request.hpp"

namespace hyperway::codec {

/// One stream of the client's. Lives until both nghttp2 and the RequestEvents have let go of it.
class H2ServerConnection::Link final : public ServerLink, private net::Timer {
 public:
  /// Stream `id` of a connection that outlives it.
  Link(H2ServerConnection& owner, std::int32_t id) noexcept : owner_(owner), id_(id) {}
  ~Link() override { forgetBytes(); }

  void sendContinue() noexcept override;
  void sendInterim(const http::ResponseHead& head) noexcept override;
  void sendHead(http::ResponseHead& head, bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void abort() noexcept override;
  void flush() noexcept override { owner_.schedule(); }
  [[nodiscard]] std::size_t queued() const noexcept override { return out_.size(); }
  void setReading(bool on) noexcept override;
  void streamDone() noexcept override;
  [[nodiscard]] const ConnectionInfo& connection() const noexcept override { return owner_.info_; }
  [[nodiscard]] bool canSpliceResponse() const noexcept override { return false; }
  [[nodiscard]] std::size_t spliceResponse(int /*pipe*/, std::size_t /*size*/,
                                           bool /*end*/) noexcept override {
    return 0;
  }
  [[nodiscard]] std::uint64_t spliceableRequest() const noexcept override { return 0; }
  void beginSpliceRequest() noexcept override {}
  [[nodiscard]] SpliceResult spliceRequest(int /*pipe*/, std::size_t /*size*/) noexcept override {
    return {};
  }

  // ---- what nghttp2 tells ----
  /// The client begins it: asks for who takes the request, and resets it if nobody does.
  void open() noexcept;
  /// A line of the head or of the trailers; its text is needed during the call only.
  void field(std::string_view name, std::string_view value) noexcept;
  /// The head is complete; `end`: so is the request.
  void headDone(bool end) noexcept;
  /// The trailers are complete, and the request with them.
  void trailersDone() noexcept;
  /// Bytes of the body, writable during the call. Counts them against the announced length.
  void body(std::span<char> data) noexcept;
  /// END_STREAM came with or behind the body.
  void bodyDone() noexcept;
  /// Our END_STREAM is out: what the client still sends is nobody's business (RFC 9113 §8.1),
  /// but through a tunnel, whose directions end one by one.
  void endSent() noexcept;
  /// The client resets it.
  void remoteReset() noexcept { remote_ended_ = remote_reset_ = true; }
  /// nghttp2 refuses its head or trailers, of which it showed all lines or not; closed() follows.
  void malformed(bool all_shown, bool end) noexcept;
  /// nghttp2 lets go of it, for the reason `code`.
  void closed(std::uint32_t code) noexcept;
  /// nghttp2 could not send our head.
  void refused() noexcept;
  /// nghttp2 asks what of the answer's body can be sent, `most` bytes of it. NGHTTP2_ERR_DEFERRED
  /// if nothing can.
  [[nodiscard]] ssize_t offer(std::size_t most, std::uint32_t& flags) noexcept;
  /// True if `size` bytes that were offered are still to be sent.
  [[nodiscard]] bool has(std::size_t size) const noexcept {
    return !aborted_ && out_.size() + lent_.size() >= size;
  }
  /// `size` bytes go into the connection's output.
  void give(std::size_t size) noexcept;

  // ---- what the connection tells and asks ----
  /// The client's direction of the connection has ended: what is not complete never will be.
  void inputEnded() noexcept;
  /// We end the connection, for what its client did.
  void cutOff() noexcept;
  /// The connection is gone.
  void lost() noexcept;
  /// True if we cut the answer: that is no fault of the client's.
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  /// Bytes of the head or the trailers so far.
  [[nodiscard]] std::size_t headBytes() const noexcept {
    return reader_ != nullptr ? reader_->bytes() : trailer_bytes_;
  }
  /// True if nothing of the answer waits for a window.
  [[nodiscard]] bool drained() const noexcept { return out_.empty(); }
  /// Who takes the request; null: nobody any more.
  [[nodiscard]] RequestEvents* events() const noexcept { return events_; }

  Link* prev = nullptr;          ///< In the list of live or dead ones.
  Link* next = nullptr;          ///< The same.
  Link* touched_next = nullptr;  ///< In the list of those to be told that a batch is over.
  Link* drained_next = nullptr;  ///< In the list of those to be told that nothing waits.
  bool touched = false;          ///< In the first of these.
  bool in_drained = false;       ///< In the second.

 private:
  void onTimer() noexcept override;
  void arm(std::chrono::milliseconds limit) noexcept {
    set(owner_.host_.loop.timers(), owner_.host_.loop.now() + limit);
  }
  /// More of a body or tunnel is awaited; an answer that the client does not take has its own
  /// limit.
  void armRead() noexcept {
    if (!out_.empty()) return;
    if (tunnel_)
      arm(timeouts().tunnel);
    else if (request_done_ || remote_ended_)
      cancel();
    else
      arm(bodyLimit());
  }
  /// Calls of gRPC stay open for as long as they like, whoever speaks; a length that was announced
  /// is owed in any case.
  [[nodiscard]] std::chrono::milliseconds bodyLimit() const noexcept {
    return grpc_ && !has_length_ ? timeouts().tunnel : timeouts().body;
  }
  [[nodiscard]] const ServerTimeouts& timeouts() const noexcept { return owner_.host_.timeouts; }
  [[nodiscard]] bool usable() const noexcept {
    return events_ != nullptr && !closed_ && !aborted_ && owner_.phase_ != Phase::Closed;
  }
  /// All that was announced is here, and the end of the stream is not: see body().
  [[nodiscard]] bool holdsEnd() const noexcept {
    return has_length_ && body_bytes_ == length_ && !end_pending_;
  }
  void deliver() noexcept;
  void finishRequest() noexcept;
  void resume() noexcept;
  void reset(std::uint32_t code) noexcept;
  void refuse(http::HttpError why) noexcept;
  void cut(std::uint32_t code, http::HttpError why = http::HttpError::None) noexcept;
  void consume(std::size_t size) noexcept;
  void forgetBytes() noexcept;
  void submitTrailers() noexcept;
  void submitHead(std::uint16_t status, const http::HeaderMap& fields, std::string_view length,
                  bool interim, bool end) noexcept;

  H2ServerConnection& owner_;
  RequestEvents* events_ = nullptr;
  http::H2RequestReader* reader_ = nullptr;  // in the stream's arena, while the head is read
  ByteBuffer in_;                            // body that the stream does not read yet
  ByteBuffer out_;                           // body of the answer that has no window yet
  std::string_view websocket_key_;           // ours, in the stream's arena
  std::string_view lent_;                    // body that sendBody() was given, during the call
  std::unique_ptr<std::vector<std::pair<std::string, std::string>>> trailers_;  // of the answer
  std::uint64_t body_bytes_ = 0;
  std::uint64_t length_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::int32_t id_;
  http::HttpError trailer_error_ = http::HttpError::None;
  bool has_length_ = false;
  bool head_done_ = false;
  bool head_request_ = false;
  bool reading_ = true;
  bool delivering_ = false;
  bool tunnel_ = false;
  bool tunnel_asked_ = false;
  bool grpc_ = false;
  bool remote_ended_ = false;  // END_STREAM came
  bool remote_reset_ = false;  // RST_STREAM came
  bool end_pending_ = false;   // and is to be told
  bool trailers_pending_ = false;
  bool request_done_ = false;  // nothing more is told
  bool head_sent_ = false;
  bool no_body_ = false;
  bool response_done_ = false;  // all of the answer is here
  bool local_ended_ = false;    // our END_STREAM was handed to nghttp2 or sent
  bool deferred_ = false;       // nghttp2 waits for resume()
  bool aborted_ = false;
  bool closed_ = false;  // nghttp2 knows it no more
};

}  // namespace hyperway::codec
