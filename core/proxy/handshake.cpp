// SPDX-License-Identifier: Apache-2.0
#include "proxy/handshake.hpp"

#include "proxy/worker.hpp"

namespace hyperway::proxy {

Handshake::Handshake(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info) noexcept
    : worker_(worker), socket_(std::move(socket)), info_(info) {}

Handshake::~Handshake() = default;

void Handshake::begin(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info) noexcept {
  auto* const handshake = new Handshake(worker, std::move(socket), info);
  handshake->session_ =
      tls::Session::accept(handshake->socket_.get(), *handshake, worker.tlsBuffers());
  worker.handshakeBegun(*handshake);
  if (!handshake->session_ ||
      !worker.loop.add(handshake->socket_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                       *handshake))
    return handshake->closeNow();
  handshake->set(worker.loop.timers(), worker.loop.now() + worker.settings().tls_handshake);
}

void Handshake::onEvents(std::uint32_t events) noexcept {
  if (over_) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return closeNow();
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) session_->onReadable((events & EPOLLRDHUP) != 0);
  advance();
}

void Handshake::advance() noexcept {
  const tls::IoResult result = session_->handshake();
  if (result.state == tls::Io::WantRead || result.state == tls::Io::WantWrite) return;
  if (result.state != tls::Io::Ok) return closeNow();
  worker_.counters().tls_handshakes.add();
  cancel();
  over_ = true;
  failed_ = false;
  info_.sni = session_->sni();
  info_.session = session_.get();
  worker_.serve(codec::Transport(std::move(socket_), std::move(session_)), info_, true, true);
  worker_.handshakeDone(*this);
}

const tls::Context* Handshake::chooseContext(std::string_view sni) noexcept {
  const route::BindGroup* const group = worker_.group(info_.bind);
  if (group == nullptr) return nullptr;
  const route::CompiledListener* const listener =
      sni.empty() ? group->fallback() : group->listenerFor(sni);
  if (listener == nullptr || !listener->tlsSlot()) return nullptr;
  info_.tls_slot = listener->tlsSlot()->number();
  info_.security = worker_.security(info_.tls_slot);
  return worker_.tlsContext(info_.tls_slot);
}

void Handshake::onTimer() noexcept { closeNow(); }

void Handshake::closeNow() noexcept {
  if (over_) return;
  over_ = true;
  cancel();
  worker_.counters().tls_failures.add();
  session_.reset();
  socket_.reset();
  worker_.handshakeDone(*this);
}

}  // namespace hyperway::proxy
