// SPDX-License-Identifier: Apache-2.0
#include "proxy/acceptor.hpp"

#include <cerrno>

#include "net/socket.hpp"
#include "proxy/handshake.hpp"
#include "proxy/tcp_flow.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr int kAcceptsPerTurn =
    64;  // then others get their turn; the socket is watched level-triggered
constexpr std::chrono::milliseconds kLookAgain{100};

}  // namespace

Acceptor::Acceptor(Worker& worker, std::uint32_t bind, ListeningSocket socket) noexcept
    : worker_(worker), socket_(std::move(socket)), bind_(bind), retry_(*this) {}

void Acceptor::serve(const route::BindGroup& group) noexcept {
  protocol_ = group.protocol();
  wants_header_ = false;
  for (const auto& listener : group.listeners())
    wants_header_ = wants_header_ || worker_.settings().wantsProxyHeader(listener->model().port);
}

bool Acceptor::start() noexcept { return worker_.loop.add(socket_->get(), EPOLLIN, *this); }

void Acceptor::stop() noexcept {
  retry_.cancel();
  worker_.loop.remove(socket_->get());
}

void Acceptor::onEvents(std::uint32_t) noexcept {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (!worker_.mayAccept()) return pause();
    codec::ConnectionInfo info;
    auto accepted = net::acceptTcp(socket_->get(), info.peer);
    if (!accepted) {
      const int error = accepted.error();
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) pause();
      return;
    }
    worker_.counters().accepted.add();
    info.bind = bind_;
    info.fd = accepted->get();
    info.secure = protocol_ == route::Protocol::Https;
    info.peer_text_size = static_cast<std::uint8_t>(info.peer.writeIp(info.peer_text));
    if (wants_header_ || info.secure)
      Handshake::begin(worker_, std::move(*accepted), info, protocol_, wants_header_);
    else if (protocol_ == route::Protocol::Tcp)
      TcpFlow::begin(worker_, codec::Transport(std::move(*accepted)), info, TcpFlow::Kind::Tcp, {},
                     false);
    else
      worker_.serve(codec::Transport(std::move(*accepted)), info, false, false);
  }
}

void Acceptor::pause() noexcept {
  worker_.counters().shed.add();
  (void)worker_.loop.modify(socket_->get(), 0, *this);
  retry_.set(worker_.loop.timers(), worker_.loop.now() + kLookAgain);
}

void Acceptor::resume() noexcept { (void)worker_.loop.modify(socket_->get(), EPOLLIN, *this); }

}  // namespace hyperway::proxy
