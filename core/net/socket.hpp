// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"
#include "net/address.hpp"
#include "net/fd.hpp"

namespace hyperway::net {

/// Opens a listening TCP socket (non-blocking, close-on-exec, SO_REUSEADDR, TCP_NODELAY,
/// IPV6_V6ONLY for IPv6). With `reuse_port` several may share the address, one for each worker.
/// Error: text with the address and what to do (busy port, missing right).
[[nodiscard]] Result<Fd, std::string> listenTcp(const SocketAddress& at, bool reuse_port,
                                                int backlog);

/// Binds the address once without SO_REUSEPORT and lets go again: tells whether another process has
/// it, which SO_REUSEPORT of the same user would hide (ARCHITECTURE decision 18). Error as in
/// listenTcp().
[[nodiscard]] Result<void, std::string> probeBind(const SocketAddress& at);

/// Starts to connect (non-blocking, close-on-exec, TCP_NODELAY). The connection is up when the
/// socket is writable and SO_ERROR is 0. Error: errno.
[[nodiscard]] Result<Fd, int> connectTcp(const SocketAddress& to);

/// Accepts one connection (non-blocking, close-on-exec, TCP_NODELAY inherited from listenTcp());
/// passes over those that died in the queue. Error: errno, EAGAIN when there is none, EMFILE and
/// the like when descriptors are used up.
[[nodiscard]] Result<Fd, int> acceptTcp(int listener, SocketAddress& peer);

/// The pending error of a socket (SO_ERROR), 0 if none.
[[nodiscard]] int socketError(int fd) noexcept;

/// Lets the kernel ask a silent TCP peer whether it is still there: after 30 s, and gives it up
/// another 30 s later. For connections that may be silent for long.
void keepAlive(int fd) noexcept;

/// Bytes written to a TCP socket that the peer has not acknowledged yet (SIOCOUTQ); 0 if unknown.
[[nodiscard]] int unsentBytes(int fd) noexcept;

/// Local address of a socket.
[[nodiscard]] SocketAddress localAddress(int fd) noexcept;

}  // namespace hyperway::net
