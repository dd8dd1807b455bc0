// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "net/event_loop.hpp"
#include "proxy/acceptor.hpp"

namespace hyperway::proxy {

class UdpFlows;

/// Takes datagrams from one socket of a listening address, for one worker. What a worker does not
/// come to waits in the kernel, which drops what is too much. [worker]
class UdpListener final : public net::EventHandler {
 public:
  /// `socket` is one of net::bindUdp().
  UdpListener(UdpFlows& flows, std::uint32_t bind, ListeningSocket socket) noexcept
      : flows_(flows), bind_(bind), socket_(std::move(socket)) {}

  void onEvents(std::uint32_t events) noexcept override;
  /// The proxy's number of the address.
  [[nodiscard]] std::uint32_t bind() const noexcept { return bind_; }
  /// Its socket.
  [[nodiscard]] const ListeningSocket& socket() const noexcept { return socket_; }

 private:
  UdpFlows& flows_;
  std::uint32_t bind_;
  ListeningSocket socket_;
};

}  // namespace hyperway::proxy
