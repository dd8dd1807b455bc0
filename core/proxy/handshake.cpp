// SPDX-License-Identifier: Apache-2.0
#include "proxy/handshake.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "base/bytes.hpp"
#include "proxy/proxy_header.hpp"
#include "proxy/tcp_flow.hpp"
#include "proxy/worker.hpp"
#include "tls/client_hello.hpp"

namespace hyperway::proxy {
namespace {

// An alert (RFC 8446 §6.2).
constexpr char kDecodeError = 50;

bool passesThrough(const route::CompiledListener& listener) noexcept {
  return listener.model().protocol == route::Protocol::Tls && listener.model().passthrough;
}

}  // namespace

Handshake::Handshake(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info,
                     route::Protocol protocol) noexcept
    : worker_(worker), socket_(std::move(socket)), info_(info), protocol_(protocol) {}

Handshake::~Handshake() = default;

void Handshake::begin(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info,
                      route::Protocol protocol, bool wants_header) noexcept {
  auto* const handshake = new Handshake(worker, std::move(socket), info, protocol);
  worker.handshakeBegun(*handshake);
  if (!worker.loop.add(handshake->socket_.get(), net::kConnectionEvents, *handshake))
    return handshake->closeNow();
  handshake->set(worker.loop.timers(), worker.loop.now() + worker.settings().tls_handshake);
  if (wants_header) {
    handshake->step_ = Step::Header;
    // Whom nobody trusts could say anything.
    if (!worker.settings().header_trusted.contains(info.peer)) handshake->refuseHeader();
    return;
  }
  handshake->headerDone();
}

void Handshake::onEvents(std::uint32_t events) noexcept {
  if (over_) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return closeNow();
  if ((events & EPOLLRDHUP) != 0) peer_ended_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0 && session_) session_->onReadable(peer_ended_);
  advance();
}

void Handshake::advance() noexcept {
  switch (step_) {
    case Step::Header: return readHeader();
    case Step::Hello: return lookAtHello();
    case Step::Session: return shakeHands();
  }
}

/// What the socket has, up to `most` bytes, without taking it. Nothing, and the end of this, if the
/// client is gone.
std::span<unsigned char> Handshake::peek(std::size_t most) noexcept {
  const std::span<char> to = worker_.scratch.first(std::min(most, worker_.scratch.size()));
  const ssize_t got = ::recv(socket_.get(), to.data(), to.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return {reinterpret_cast<unsigned char*>(to.data()), static_cast<std::size_t>(got)};
  if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) closeNow();
  return {};
}

// ---- PROXY header ----

void Handshake::readHeader() noexcept {
  const auto bytes = peek(kMaxProxyHeaderIn);
  if (bytes.empty()) return;
  const ProxyHeaderIn header = parseProxyHeader(bytes);
  if (header.state == ProxyHeaderIn::State::NeedMore) {
    if (peer_ended_) refuseHeader();
    return;
  }
  if (header.state == ProxyHeaderIn::State::Bad) return refuseHeader();
  const ssize_t taken = ::recv(socket_.get(), bytes.data(), header.size, MSG_DONTWAIT);
  if (taken != static_cast<ssize_t>(header.size)) return refuseHeader();
  if (header.has_addresses) {
    info_.peer = header.source;
    info_.peer_text_size = static_cast<std::uint8_t>(info_.peer.writeIp(info_.peer_text));
    info_.has_destination = true;
    info_.destination = header.destination;
  }
  headerDone();
  if (!over_ && (session_ || step_ == Step::Hello)) advance();  // what came with the header
}

void Handshake::refuseHeader() noexcept {
  worker_.counters().proxy_headers_refused.add();
  closeNow();
}

/// From here on the bytes are the client's.
void Handshake::headerDone() noexcept {
  if (protocol_ == route::Protocol::Https) {
    const route::BindGroup* const group = worker_.group(info_.bind);
    if (group != nullptr &&
        std::any_of(group->listeners().begin(), group->listeners().end(),
                    [](const auto& listener) { return passesThrough(*listener); }))
      step_ = Step::Hello;
    else
      startSession();
    return;
  }
  leave();
  if (protocol_ == route::Protocol::Tcp)
    TcpFlow::begin(worker_, codec::Transport(std::move(socket_)), info_, TcpFlow::Kind::Tcp, {},
                   true);
  else
    worker_.serve(codec::Transport(std::move(socket_)), info_, true, true);
  worker_.handshakeDone(*this);
}

// ---- ClientHello ----

/// Only to find out whether this connection is to be passed through: if it is not, the session
/// reads the same bytes again.
void Handshake::lookAtHello() noexcept {
  const auto bytes = peek(tls::kMaxClientHelloBytes);
  if (bytes.empty()) return;
  const tls::ClientHello hello = tls::parseClientHello(bytes);
  if (hello.state == tls::ClientHello::State::NeedMore) {
    if (peer_ended_) closeNow();
    return;
  }
  if (hello.state == tls::ClientHello::State::Bad) return refuseHello(bytes.size(), kDecodeError);
  const std::string name = lowered(hello.server_name);
  const route::CompiledListener* const listener = listenerOf(name);
  const bool passes = listener != nullptr && passesThrough(*listener);
  if (listener == nullptr || (passes && listener->flow(name) == nullptr)) {
    worker_.counters().no_route.add();
    return refuseHello(bytes.size());
  }
  if (passes) return passThrough(name);
  startSession();
  if (over_) return;
  session_->onReadable(peer_ended_);
  shakeHands();
}

void Handshake::passThrough(std::string_view name) noexcept {
  leave();
  info_.secure = false;
  TcpFlow::begin(worker_, codec::Transport(std::move(socket_)), info_, TcpFlow::Kind::Passthrough,
                 name, true);
  worker_.handshakeDone(*this);
}

/// Closes, with a fatal alert as it is sent before any key is agreed on, if there is one: where TLS
/// passes through nobody here speaks it, so a name that nothing serves gets none (Gateway API,
/// TLSRouteHostnameIntersection). What is here is taken first: closing over unread bytes would be a
/// reset, which may overtake the alert.
void Handshake::refuseHello(std::size_t here, char alert) noexcept {
  (void)::recv(socket_.get(), worker_.scratch.data(), here, MSG_DONTWAIT);
  const char record[] = {21, 3, 3, 0, 2, 2, alert};
  if (alert != 0) (void)::send(socket_.get(), record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT);
  closeNow();
}

const route::CompiledListener* Handshake::listenerOf(std::string_view sni) const noexcept {
  const route::BindGroup* const group = worker_.group(info_.bind);
  if (group == nullptr) return nullptr;
  return sni.empty() ? group->fallback() : group->listenerFor(sni);
}

// ---- TLS ----

void Handshake::startSession() noexcept {
  step_ = Step::Session;
  session_ = tls::Session::accept(socket_.get(), *this, worker_.tlsBuffers());
  if (!session_) closeNow();
}

void Handshake::shakeHands() noexcept {
  const tls::IoResult result = session_->handshake();
  if (result.state == tls::Io::WantRead || result.state == tls::Io::WantWrite) return;
  if (result.state != tls::Io::Ok) return closeNow();
  worker_.counters().tls_handshakes.add();
  secured();
}

void Handshake::secured() noexcept {
  info_.sni = session_->sni();
  info_.session = session_.get();
  const route::CompiledListener* const listener = listenerOf(info_.sni);
  const bool is_flow = listener != nullptr && listener->model().protocol == route::Protocol::Tls;
  leave();
  codec::Transport transport(std::move(socket_), std::move(session_));
  if (is_flow)
    TcpFlow::begin(worker_, std::move(transport), info_, TcpFlow::Kind::Tls, info_.sni, true);
  else
    worker_.serve(std::move(transport), info_, true, true);
  worker_.handshakeDone(*this);
}

const tls::Context* Handshake::chooseContext(std::string_view sni) noexcept {
  const route::CompiledListener* const listener = listenerOf(sni);
  if (listener == nullptr || !listener->tlsSlot() || passesThrough(*listener)) return nullptr;
  // A name that nothing is behind: refusing the handshake says so better than closing it later.
  if (listener->model().protocol == route::Protocol::Tls && listener->flow(sni) == nullptr) {
    worker_.counters().no_route.add();
    return nullptr;
  }
  info_.tls_slot = listener->tlsSlot()->number();
  info_.security = worker_.security(info_.tls_slot);
  return worker_.tlsContext(info_.tls_slot);
}

// ---- the end ----

void Handshake::onTimer() noexcept {
  if (step_ == Step::Header) return refuseHeader();
  closeNow();
}

/// Somebody else has the connection from now on.
void Handshake::leave() noexcept {
  cancel();
  over_ = true;
  failed_ = false;
}

void Handshake::closeNow() noexcept {
  if (over_) return;
  over_ = true;
  cancel();
  if (step_ != Step::Header) worker_.counters().tls_failures.add();
  session_.reset();
  socket_.reset();
  worker_.handshakeDone(*this);
}

}  // namespace hyperway::proxy
