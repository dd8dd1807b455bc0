// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "net/fd.hpp"
#include "tls/session.hpp"

namespace hyperway::codec {

/// One non-blocking stream socket, plain or TLS, as codecs read and write it. [worker]
class Transport {
 public:
  /// How a read or write went.
  enum class State : std::uint8_t {
    Moved,   ///< `bytes` were moved.
    Again,   ///< Nothing now; an edge will tell.
    End,     ///< The peer ended its direction.
    Broken,  ///< Reset or protocol error.
  };
  /// Outcome of one call.
  struct Outcome {
    State state;            ///< How it went.
    std::size_t bytes = 0;  ///< If Moved.
    bool drained = false;   ///< Reads: the socket has no more now (a short read).
  };

  /// A plain socket.
  explicit Transport(net::Fd fd) noexcept : fd_(std::move(fd)) {}
  /// A TLS session over the socket, whose handshake is done or under way.
  Transport(net::Fd fd, std::unique_ptr<tls::Session> tls) noexcept
      : fd_(std::move(fd)), tls_(std::move(tls)) {}

  /// The descriptor.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The TLS session, or null.
  [[nodiscard]] tls::Session* tls() const noexcept { return tls_.get(); }
  /// Reads up to `size` bytes.
  [[nodiscard]] Outcome read(char* to, std::size_t size) noexcept;
  /// True if surely no byte and no end is waiting: a plain socket's, or a session's (records
  /// without content are taken). One system call.
  [[nodiscard]] bool nothingThere() noexcept;
  /// Writes up to three pieces in order with one system call (TLS: one record where they fit).
  [[nodiscard]] Outcome write(std::span<const std::string_view> pieces) noexcept;
  /// True if ciphertext of an earlier write still waits for the socket.
  [[nodiscard]] bool wantsFlush() const noexcept { return tls_ && tls_->wantsFlush(); }
  /// The handshake that begins as `session` is what all bytes go through from now on.
  void secure(std::unique_ptr<tls::Session> session) noexcept { tls_ = std::move(session); }
  /// Moves bytes from the socket into a pipe, plain sockets only.
  [[nodiscard]] Outcome spliceIn(int pipe, std::size_t size) noexcept;
  /// Moves bytes from a pipe to the socket, plain sockets only.
  [[nodiscard]] Outcome spliceOut(int pipe, std::size_t size) noexcept;
  /// Ends our direction: close_notify and FIN.
  void shutdownWrite() noexcept;
  /// Closes at once.
  void close() noexcept;
  /// Closes at once, with a reset: the peer learns that something is missing, and what it has not
  /// got yet is dropped.
  void reset() noexcept;

 private:
  [[nodiscard]] Outcome writeTls(std::span<const std::string_view> pieces) noexcept;

  net::Fd fd_;
  std::unique_ptr<tls::Session> tls_;
};

}  // namespace hyperway::codec
