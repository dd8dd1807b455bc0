// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "net/address.hpp"
#include "net/fd.hpp"

namespace hyperway::net {

/// Opens a UDP socket (non-blocking, close-on-exec, IPV6_V6ONLY for IPv6) that tells of each
/// datagram which address it was sent to. With `reuse_port` several may share the address, one for
/// each worker: the kernel spreads clients over them by address and port. Error as in listenTcp().
[[nodiscard]] Result<Fd, std::string> bindUdp(const SocketAddress& at, bool reuse_port);

/// Binds the address once without SO_REUSEPORT and lets go again, see probeBind().
[[nodiscard]] Result<void, std::string> probeUdp(const SocketAddress& at);

/// A UDP socket (non-blocking, close-on-exec) that sends to, and hears from, one peer alone; what
/// ICMP says of that peer comes back as an error of the socket. Error: errno.
[[nodiscard]] Result<Fd, int> connectUdp(const SocketAddress& to);

/// The errors that say that a peer is not there: what ICMP says comes back as one of them.
[[nodiscard]] bool isUnreachable(int error) noexcept;

/// A datagram as it came. Its bytes are the batch's.
struct Datagram {
  std::span<const char> bytes;  ///< The whole of it; may be empty.
  SocketAddress peer;           ///< Who sent it.
  SocketAddress asked;          ///< Address that it was sent to, port 0; for answers.
};

/// Memory for datagrams that are received and sent together, in one system call each. Pages that
/// no datagram was long enough for are never touched.
class UdpBatch {
 public:
  /// Datagrams in a call.
  static constexpr std::size_t kMost = 16;
  /// Bytes of each: more than a UDP datagram can have.
  static constexpr std::size_t kBytes = 64 * 1024;

  UdpBatch();
  UdpBatch(const UdpBatch&) = delete;
  UdpBatch& operator=(const UdpBatch&) = delete;
  ~UdpBatch();

  /// Receives what is there, up to kMost. `asked` and `peer` are set for sockets of bindUdp().
  /// Error: errno; EAGAIN when there is nothing. The datagrams are good until the next receive().
  [[nodiscard]] Result<std::span<const Datagram>, int> receive(int fd) noexcept;
  /// Sends all of `datagrams` on a connected socket. Returns how many went out; if not all of
  /// them, errno is the error of the next one.
  [[nodiscard]] std::size_t send(int fd, std::span<const Datagram> datagrams) noexcept;
  /// Sends all of `datagrams` on a socket of bindUdp() to `to`, as answers from the address `from`.
  /// Returns the same.
  [[nodiscard]] std::size_t sendTo(int fd, std::span<const Datagram> datagrams,
                                   const SocketAddress& to, const SocketAddress& from) noexcept;

 private:
  struct Room;
  [[nodiscard]] std::size_t sendAll(int fd, std::size_t count) noexcept;
  std::unique_ptr<Room> room_;
};

}  // namespace hyperway::net
