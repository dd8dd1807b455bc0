// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/flood_watch.hpp"
#include "codec/message_link.hpp"
#include "codec/server_host.hpp"
#include "codec/stall_watch.hpp"
#include "codec/transport.hpp"
#include "net/timer.hpp"

struct nghttp2_session;

namespace hyperway::codec {

/// Server side of HTTP/2 on one connection: a ServerLink for each stream of the client's. Frames
/// and HPACK are nghttp2's; what a request may look like is http::H2RequestReader's. A turn of the
/// loop reads 64 KiB at most, and what it gathers leaves with one send at its end. Bodies of
/// requests wait in their stream's window (64 KiB) while nobody reads them, and share the
/// connection's (1 MiB); answers wait at their stream while the client gives no window.
/// Source: RFC 9113, RFC 8441. [worker]
class H2ServerConnection final : public ServerConnection, private net::Timer {
 public:
  static constexpr std::uint32_t kMaxStreams = 128;           ///< At a time.
  static constexpr std::uint32_t kStreamWindow = 65535;       ///< Bytes of one unread body.
  static constexpr std::int32_t kConnectionWindow = 1 << 20;  ///< Bytes of all unread bodies.

  /// Takes a connection whose socket is in the loop, or will be, with this as handler.
  H2ServerConnection(ServerHost& host, Transport transport, const ConnectionInfo& info) noexcept;
  ~H2ServerConnection() override;

  /// Begins with bytes that were read already, writable during the call; `readable` if more may be
  /// there.
  void start(std::span<char> read, bool readable) noexcept;
  /// GOAWAY in two steps: first that no more streams are wanted, a round trip later the last one
  /// that is served; then closes when those are done.
  void closeWhenIdle() noexcept override;
  void closeNow() noexcept override;
  [[nodiscard]] const ConnectionInfo& connection() const noexcept override { return info_; }
  void onEvents(std::uint32_t events) noexcept override;
  /// True if no stream is under way.
  [[nodiscard]] bool idle() const noexcept { return live_ == nullptr; }

 private:
  class Link;
  struct Callbacks;  // what nghttp2 calls
  enum class Phase : std::uint8_t { Open, Ending, Linger, Closed };
  enum class Drain : std::uint8_t { None, Announced, Final };
  static constexpr std::size_t kSendAt = 48 * 1024;  // with one more frame it still fits 64 KiB
  static constexpr std::array<std::uint8_t, 8> kDrainPing = {'d', 'r', 'a', 'i', 'n'};

  void onTimer() noexcept override;
  void wakeAt(net::TimePoint at) noexcept;
  [[nodiscard]] bool openSession() noexcept;
  void process() noexcept;
  void feed(std::span<char> bytes) noexcept;
  void scan(std::span<char> bytes) noexcept;
  bool receive(std::span<const char> bytes) noexcept;
  [[nodiscard]] bool admit() noexcept;
  [[nodiscard]] bool onEndedStream(std::uint32_t id) const noexcept;
  void noteClosed(std::uint32_t id, bool late_frames_may_come) noexcept;
  [[nodiscard]] bool inHead() const noexcept {
    return block_open_ || (head_frame_ && payload_left_ != 0);
  }
  void inputEnded() noexcept;
  void handOn() noexcept;
  void pump() noexcept;
  void write() noexcept;
  void schedule() noexcept;
  void endOfTurn() noexcept;
  void tellDrained() noexcept;
  void finishDrain() noexcept;
  void terminate(std::uint32_t code) noexcept;
  void flood(Flood kind) noexcept;
  void lingerRead() noexcept;
  void gone() noexcept;
  void touch(Link& link) noexcept;
  void bury(Link& link) noexcept;
  void freeDead() noexcept;
  [[nodiscard]] bool mayPump() const noexcept {
    return !in_session_ && !blocked_ && phase_ != Phase::Closed && phase_ != Phase::Linger;
  }

  ServerHost& host_;
  Transport transport_;
  nghttp2_session* session_ = nullptr;
  ByteBuffer out_;           // frames that the socket did not take yet
  Link* live_ = nullptr;     // streams that nghttp2 or their RequestEvents still know
  Link* dead_ = nullptr;     // to be freed when no call can be inside of them
  Link* touched_ = nullptr;  // to be told that a batch is over
  Link* drained_ = nullptr;  // to be told that what was queued has left
  ConnectionInfo info_;
  StallWatch stall_;
  FloodWatch floods_;
  net::TimePoint due_;          // when the timer fires
  net::TimePoint idle_since_;   // while live_ is empty
  net::TimePoint head_since_;   // while a header block is unfinished
  net::TimePoint drain_since_;  // of the first GOAWAY
  std::size_t lingered_ = 0;
  // Where the client's frames begin: payload_left_ bytes are to come of what frame_head_ begins.
  std::array<char, 9> frame_head_{};
  std::uint32_t frame_head_size_ = 0;
  std::uint32_t payload_left_ = 24;   // at first the preface's
  std::uint32_t highest_stream_ = 0;  // that the client began
  // Streams that ended lately. What still comes on one that we reset was on its way.
  std::array<std::uint32_t, 16> closed_streams_{};
  std::array<std::uint32_t, 2 * kMaxStreams> forgiven_streams_{};
  std::uint32_t closed_count_ = 0;
  std::uint32_t forgiven_count_ = 0;
  Phase phase_ = Phase::Open;
  Drain drain_ = Drain::None;
  bool readable_ = false;
  bool half_closed_ = false;
  bool input_ended_ = false;  // the client sends nothing more, and may still read
  bool head_frame_ = false;   // the frame is part of a header block
  bool block_open_ = false;   // a header block goes on in the next frame
  bool in_session_ = false;   // nghttp2 is our caller: it must not be entered again
  bool scheduled_ = false;    // endOfTurn() is asked for
  bool processing_ = false;
  bool blocked_ = false;    // the socket took less than we had
  bool head_late_ = false;  // a head took too long, which ended the connection
  bool failed_ = false;     // to be closed when nghttp2 has returned
};

}  // namespace hyperway::codec
