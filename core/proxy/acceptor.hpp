// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "net/event_loop.hpp"
#include "net/fd.hpp"
#include "proxy/member_timer.hpp"
#include "route/table.hpp"

namespace hyperway::proxy {

class Worker;

/// A listening socket. Shared, because an upgrade hands on what workers accept from.
using ListeningSocket = std::shared_ptr<const net::Fd>;

/// Accepts on one listening socket of one worker. Pauses when descriptors or the connection limit
/// are used up, and looks again after a while: waiting clients stay in the kernel's queue. [worker]
class Acceptor final : public net::EventHandler {
 public:
  /// What it accepts is dropped until serve() says how connections begin.
  Acceptor(Worker& worker, std::uint32_t bind, ListeningSocket socket) noexcept;

  /// Begins; false if the kernel refuses to watch the socket.
  [[nodiscard]] bool start() noexcept;
  /// Ends; then it is to be retired. Closing alone would not do: the kernel goes on telling of a
  /// socket that somebody else has, too.
  void stop() noexcept;
  /// From now on, how connections begin: as the group's listeners say. Those that are there already
  /// go on as they are.
  void serve(const route::BindGroup& group) noexcept;
  void onEvents(std::uint32_t events) noexcept override;

 private:
  void pause() noexcept;
  void resume() noexcept;

  Worker& worker_;
  ListeningSocket socket_;
  std::uint32_t bind_;
  route::Protocol protocol_ = route::Protocol::Http;
  bool wants_header_ = false;
  MemberTimer<Acceptor, &Acceptor::resume> retry_;
};

}  // namespace hyperway::proxy
