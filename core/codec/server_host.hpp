// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/message_link.hpp"
#include "codec/transport.hpp"
#include "http/h1.hpp"
#include "net/event_loop.hpp"

namespace hyperway::codec {

/// How long a client may take.
struct ServerTimeouts {
  std::chrono::milliseconds head{15000};  ///< Whole head, from its first byte: total, not per read.
  std::chrono::milliseconds idle{75000};  ///< Between requests.
  std::chrono::milliseconds body{60000};  ///< Without any byte of an unfinished body.
  std::chrono::milliseconds write{60000};  ///< Without taking any byte of an answer.
  std::chrono::milliseconds linger{
      2000};  ///< Reading on after an answer that ended an unfinished request.
  std::chrono::milliseconds tunnel{3600000};  ///< Without any byte through a tunnel.
};

/// A client connection of either version, as its worker keeps it. [worker]
class ServerConnection : public net::EventHandler {
 public:
  /// Closes at once, whatever is under way.
  virtual void closeNow() noexcept = 0;
  /// Closes when idle, else after what is under way (drain, or the listener has gone).
  virtual void closeWhenIdle() noexcept = 0;
  /// Facts about it.
  [[nodiscard]] virtual const ConnectionInfo& connection() const noexcept = 0;
  /// Membership in the worker's list of connections.
  ServerConnection* prev = nullptr;
  /// Membership in the worker's list of connections.
  ServerConnection* next = nullptr;
};

/// Why a codec ended a connection whose client only made it work.
enum class Flood : std::uint8_t {
  Resets,   ///< Streams reset again and again, by the client or because of what it did.
  Frames,   ///< Frames that move nothing on.
  Headers,  ///< Header blocks without end, or far beyond the limit.
};

/// What server connections of one worker share, and whom they tell. Implemented by the worker.
class ServerHost {
 public:
  /// Opens a stream for a request whose first bytes are here. Null: overloaded; the connection
  /// closes.
  [[nodiscard]] virtual RequestEvents* openStream(ServerLink& link) noexcept = 0;
  /// Takes back a stream whose head never came.
  virtual void dropStream(RequestEvents& stream) noexcept = 0;
  /// The connection is closed; the host forgets and retires it.
  virtual void onServerConnectionClosed(ServerConnection& connection) noexcept = 0;
  /// True if connections end after their current answer (drain, or the listener has gone).
  [[nodiscard]] virtual bool closing(const ConnectionInfo& connection) noexcept = 0;
  /// The first bytes of `from` are HTTP/2's preface (RFC 9113 §3.3): its transport goes on as
  /// HTTP/2, `read` is what came already, valid during the call. `from` tells of its end
  /// afterwards. `readable`: there may be more.
  virtual void onPreface(const ServerConnection& from, Transport transport, std::span<char> read,
                         bool readable) noexcept = 0;
  /// A request was refused without a stream that could tell of it.
  virtual void onMalformed() noexcept = 0;
  /// A client's flood ended its connection.
  virtual void onFlood(Flood kind) noexcept = 0;

  net::EventLoop& loop;            ///< The worker's loop.
  BlockPool& pool;                 ///< The worker's blocks.
  std::span<char> scratch;         ///< Read buffer, valid within one event.
  const http::H1Limits& limits;    ///< Bounds of a head.
  const ServerTimeouts& timeouts;  ///< Bounds of time.

 protected:
  ServerHost(net::EventLoop& the_loop, BlockPool& the_pool, std::span<char> the_scratch,
             const http::H1Limits& the_limits, const ServerTimeouts& the_timeouts) noexcept
      : loop(the_loop),
        pool(the_pool),
        scratch(the_scratch),
        limits(the_limits),
        timeouts(the_timeouts) {}
  ~ServerHost() = default;
};

}  // namespace hyperway::codec
