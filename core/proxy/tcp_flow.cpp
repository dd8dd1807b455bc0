// SPDX-License-Identifier: Apache-2.0
#include "proxy/tcp_flow.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "net/socket.hpp"
#include "proxy/proxy_header.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint16_t kMostAttempts = 3;  // nothing was delivered: as HTTP without a retry policy

// What one direction moves before others get their turn.
constexpr std::uint64_t kTurnBytes = 4U << 20;

// A read of so much begins to splice, turns below the other figure end it: measured on loopback,
// both cost the same at 16 to 24 KiB a turn if the bytes are in the cache, and splicing less if
// not. Records of TLS are of 16 KiB, so what passes through in bulk must not count as small.
constexpr std::size_t kBulkRead = 32 * 1024;
constexpr std::uint64_t kSmallTurn = 16 * 1024;
constexpr std::uint8_t kMostSmallTurns = 4;

}  // namespace

/// The connection to a backend, on its way or up.
class TcpFlow::Backend final : public net::EventHandler {
 public:
  Backend(TcpFlow& flow, net::Fd socket) noexcept : transport(std::move(socket)), flow_(flow) {}
  void onEvents(std::uint32_t events) noexcept override { flow_.onBackendEvents(events); }

  codec::Transport transport;

 private:
  TcpFlow& flow_;
};

TcpFlow::TcpFlow(Worker& worker, codec::Transport client, const codec::ConnectionInfo& info,
                 Kind kind, std::string_view name) noexcept
    : worker_(worker),
      client_transport_(std::move(client)),
      info_(info),
      name_(name),
      connect_timer_(*this),
      idle_timer_(*this),
      begun_(worker.loop.now()),
      kind_(kind) {
  client_.transport = &client_transport_;
}

TcpFlow::~TcpFlow() {
  if (rule_ref_) worker_.environment().reclaim(std::move(rule_ref_));
}

void TcpFlow::begin(Worker& worker, codec::Transport client, const codec::ConnectionInfo& info,
                    Kind kind, std::string_view name, bool registered) noexcept {
  const int fd = client.fd();
  auto* const flow = new TcpFlow(worker, std::move(client), info, kind, name);
  flow->info_.sni = {};  // name_ is what lives as long as the flow
  worker.flowBegun(*flow, registered);
  const bool watched = registered ? worker.loop.modify(fd, net::kConnectionEvents, *flow)
                                  : worker.loop.add(fd, net::kConnectionEvents, *flow);
  flow->client_.readable = registered;
  if (!watched) return flow->finish(FlowOutcome::Unserved, "not_watched");
  flow->route();
}

// ---- from the listener to a backend ----

void TcpFlow::route() noexcept {
  pin_ = worker_.pin();
  const route::BindGroup* const group = worker_.group(info_.bind);
  const route::CompiledListener* listener = nullptr;
  if (group != nullptr) listener = name_.empty() ? group->fallback() : group->listenerFor(name_);
  if (listener == nullptr) return finish(FlowOutcome::Unserved, "no_listener");
  listener_key_ = listener->model().key;
  identity_ = listener->identity();
  passes_ = listener->model().passthrough;
  rule_slot_ = listener->flow(name_);
  if (rule_slot_ == nullptr) {
    worker_.counters().no_route.add();
    return finish(FlowOutcome::Unserved, "no_route");
  }
  rule_ = rule_slot_->get();
  if (rule_->backends.empty()) return finish(FlowOutcome::Unserved, "no_backend");
  drawn_ = &rule_->backends.front();
  if (rule_->backends.size() > 1) {
    const std::uint64_t ticket = worker_.random() % rule_->totalWeight();
    for (const route::CompiledBackend& candidate : rule_->backends) {
      drawn_ = &candidate;
      if (ticket < candidate.weight_end) break;
    }
  }
  if (drawn_->upstream_number == route::CompiledBackend::kUnresolved)
    return finish(FlowOutcome::Unserved, "backend_unresolved");
  startAttempt();
}

void TcpFlow::unpin() noexcept {
  if (pin_ == nullptr || phase_ == Phase::Over) return;
  listener_copy_ = listener_key_;
  listener_key_ = listener_copy_;
  if (rule_slot_ != nullptr) rule_ref_ = *rule_slot_;
  rule_slot_ = nullptr;
  worker_.unpin(std::exchange(pin_, nullptr));
}

void TcpFlow::startAttempt() noexcept {
  UpstreamSet& upstreams = worker_.upstreams();
  const std::uint32_t number = drawn_->upstream_number;
  while (attempts_ < kMostAttempts) {
    endpoint_ = upstreams.choose(number, identity_, endpoint_);
    if (endpoint_ == nullptr) {
      const bool is_refused = upstreams.refused(number, identity_);
      return finish(FlowOutcome::Unserved, is_refused ? "backend_tls_refused" : "no_endpoint");
    }
    ++attempts_;
    net::Fd socket = upstreams.connectRaw(*endpoint_);
    if (!socket) continue;
    const int fd = socket.get();
    backend_ = new Backend(*this, std::move(socket));
    upstream_ = {};
    upstream_.transport = &backend_->transport;
    phase_ = Phase::Connecting;
    connect_timer_.set(worker_.loop.timers(),
                       worker_.loop.now() + worker_.settings().upstream.connect);
    if (worker_.loop.add(fd, net::kConnectionEvents, *backend_)) return;
    failure_ = "not_watched";
    dropBackend(false);
  }
  finish(FlowOutcome::Unserved, failure_);
}

void TcpFlow::attemptFailed(std::string_view why) noexcept {
  failure_ = why;
  dropBackend(true);
  startAttempt();
}

void TcpFlow::dropBackend(bool failed) noexcept {
  connect_timer_.cancel();
  if (backend_ == nullptr) return;
  Backend* const backend = std::exchange(backend_, nullptr);
  upstream_.transport = nullptr;
  backend->transport.close();
  worker_.loop.retire(backend);
  worker_.upstreams().rawDone(*endpoint_, failed);
}

void TcpFlow::onConnectTimer() noexcept { attemptFailed("connect_timeout"); }

void TcpFlow::onBackendEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Over) return;
  if (phase_ == Phase::Connecting) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || net::socketError(backend_->transport.fd()) != 0)
      return attemptFailed("connect_failed");
    if ((events & EPOLLOUT) == 0) return;
  }
  const bool is_readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
  if (is_readable) {
    upstream_.readable = true;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) upstream_.half_closed = true;
    if (upstream_.transport->tls() != nullptr)
      upstream_.transport->tls()->onReadable(upstream_.half_closed);
  }
  if (phase_ == Phase::Connecting) return connected();
  if (phase_ == Phase::Handshake) return shakeHands();
  if ((events & EPOLLOUT) != 0) pump(up_, client_, upstream_);
  if ((is_readable || isLeft(down_, upstream_)) && phase_ != Phase::Over)
    pump(down_, upstream_, client_);
  if ((events & EPOLLERR) != 0 && phase_ != Phase::Over) broken(upstream_);
}

void TcpFlow::connected() noexcept {
  if (!sendProxyHeader()) return attemptFailed("connect_failed");
  const codec::ClientSecurity* const security = endpoint_->key->security.get();
  // What passes through is TLS already, of the client's own.
  if (security == nullptr || passes_) return open();
  phase_ = Phase::Handshake;
  backend_->transport.secure(tls::Session::connect(backend_->transport.fd(), *security->context,
                                                   security->peer, worker_.tlsBuffers(),
                                                   tls::Alpn::None));
  if (backend_->transport.tls() == nullptr) return attemptFailed("backend_tls_failed");
  shakeHands();
}

void TcpFlow::shakeHands() noexcept {
  tls::Session& session = *backend_->transport.tls();
  const tls::IoResult result = session.handshake();
  if (result.state == tls::Io::WantRead || result.state == tls::Io::WantWrite) return;
  if (result.state == tls::Io::Ok) return open();
  worker_.upstreams().rawTlsFailed(*endpoint_, result.state == tls::Io::Closed
                                                   ? "closed by the backend in the handshake"
                                                   : session.lastError());
  attemptFailed(session.peerRefused() ? "backend_untrusted" : "backend_tls_failed");
}

/// Tells the backend who the client is, where it asks for that. A socket that is new takes all of
/// it.
bool TcpFlow::sendProxyHeader() noexcept {
  char header[kMaxProxyHeaderOut];
  const std::size_t size =
      writeProxyHeader(worker_.upstreams().proxyHeader(drawn_->upstream_number), info_, header);
  if (size == 0) return true;
  const std::string_view piece(header, size);
  const auto sent = backend_->transport.write({&piece, 1});
  return sent.state == codec::Transport::State::Moved && sent.bytes == size;
}

void TcpFlow::open() noexcept {
  phase_ = Phase::Open;
  connect_timer_.cancel();
  // A peer that has vanished says nothing, and silence alone may last for timeouts.flow.
  net::keepAlive(client_transport_.fd());
  net::keepAlive(backend_->transport.fd());
  worker_.upstreams().rawUp(*endpoint_);
  idle_timer_.set(worker_.loop.timers(), worker_.loop.now() + worker_.settings().flow_idle);
  pump(up_, client_, upstream_);
  if (phase_ != Phase::Over) pump(down_, upstream_, client_);
}

// ---- bytes ----

void TcpFlow::onEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Over) return;
  const bool is_readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
  if (is_readable) {
    client_.readable = true;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) client_.half_closed = true;
    if (client_.transport->tls() != nullptr)
      client_.transport->tls()->onReadable(client_.half_closed);
  }
  if (phase_ == Phase::Open) {
    if ((events & EPOLLOUT) != 0) pump(down_, upstream_, client_);
    if ((is_readable || isLeft(up_, client_)) && phase_ != Phase::Over)
      pump(up_, client_, upstream_);
    if (phase_ == Phase::Over) return;
  }
  if ((events & EPOLLERR) != 0) broken(client_);
}

/// True if a turn ended over bytes that the target would have taken. They may all be inside of a
/// TLS session, and the socket has none that it could tell of.
bool TcpFlow::isLeft(const Direction& way, const Side& from) noexcept {
  return from.readable && way.queue.empty() && !way.pipe;
}

void TcpFlow::pump(Direction& way, Side& from, Side& to) noexcept {
  const std::uint64_t before = way.bytes;
  Take taken = Take::More;
  while (taken == Take::More && deliver(way, to)) {
    if (way.ended) {
      passEnd(way, to);
      break;
    }
    if (!from.readable) break;
    if (way.bytes - before >= kTurnBytes) {
      // Others first: asking for events anew brings us back in the next turn.
      watch(from, net::kConnectionEvents);
      break;
    }
    taken = take(way, from, to);
  }
  if (phase_ == Phase::Over) return;
  settle(way, way.bytes - before);
  mute(way, from);
}

void TcpFlow::watch(Side& side, std::uint32_t events) noexcept {
  net::EventHandler& handler =
      &side == &client_ ? static_cast<net::EventHandler&>(*this) : *backend_;
  side.muted = (events & EPOLLIN) == 0;
  if (!worker_.loop.modify(side.transport->fd(), events, handler)) broken(side);
}

/// While a slow target holds a large transfer up, each segment that still comes from the source
/// would wake us for nothing. Measured on uploads by TLS passthrough: 15 turns of the loop for a
/// MiB, and HAProxy, which does the same, 1.3.
void TcpFlow::mute(const Direction& way, Side& from) noexcept {
  const bool is_held = !way.queue.empty() || way.pipe;
  if (is_held && way.bulk && !way.ended && from.transport->tls() == nullptr) {
    from.readable = true;  // for all that we will hear
    if (!from.muted) watch(from, net::kConnectionEvents & ~std::uint32_t{EPOLLIN});
  } else if (from.muted && !from.readable) {
    watch(from, net::kConnectionEvents);  // tells, too, of what has come since we looked
  }
}

/// Sends what is queued. True if nothing is left, and more may be read.
bool TcpFlow::deliver(Direction& way, Side& to) noexcept {
  codec::Transport& transport = *to.transport;
  while (!way.queue.empty() || (way.pipe && way.pipe->bytes != 0)) {
    const bool is_queue = !way.queue.empty();  // older than what is in the pipe
    const std::string_view piece = way.queue.view();
    const codec::Transport::Outcome sent =
        is_queue ? transport.write({&piece, 1})
                 : transport.spliceOut(way.pipe->read.get(), way.pipe->bytes);
    if (sent.state == codec::Transport::State::Again) return false;
    if (sent.state != codec::Transport::State::Moved) return broken(to), false;
    way.bytes += sent.bytes;
    if (is_queue)
      way.queue.consume(worker_.pool, sent.bytes);
    else
      way.pipe->bytes -= sent.bytes;
  }
  if (!transport.wantsFlush()) return true;
  const tls::Io flushed = transport.tls()->flush().state;
  if (flushed == tls::Io::Failed) return broken(to), false;
  return flushed == tls::Io::Ok;
}

/// Reads once, and sends that on. Nothing is queued.
TcpFlow::Take TcpFlow::take(Direction& way, Side& from, Side& to) noexcept {
  if (way.bulk && !way.pipe && from.transport->tls() == nullptr && to.transport->tls() == nullptr)
    way.pipe = worker_.pipes().take();
  if (way.pipe) return splice(way, from);
  const codec::Transport::Outcome got =
      from.transport->read(worker_.scratch.data(), worker_.scratch.size());
  switch (got.state) {
    case codec::Transport::State::Again: from.readable = false; return Take::Nothing;
    case codec::Transport::State::End: way.ended = true; return Take::More;
    case codec::Transport::State::Broken: broken(from); return Take::Over;
    case codec::Transport::State::Moved: break;
  }
  if (got.drained && !from.half_closed) from.readable = false;
  if (got.bytes >= kBulkRead) way.bulk = true;
  std::string_view piece(worker_.scratch.data(), got.bytes);
  const codec::Transport::Outcome sent = to.transport->write({&piece, 1});
  if (sent.state == codec::Transport::State::Moved) {
    way.bytes += sent.bytes;
    piece.remove_prefix(sent.bytes);
  } else if (sent.state != codec::Transport::State::Again) {
    broken(to);
    return Take::Over;
  }
  way.queue.append(worker_.pool, piece);
  return piece.empty() ? Take::More : Take::Nothing;
}

TcpFlow::Take TcpFlow::splice(Direction& way, Side& from) noexcept {
  const codec::Transport::Outcome got =
      from.transport->spliceIn(way.pipe->write.get(), way.pipe->size);
  switch (got.state) {
    case codec::Transport::State::Again: from.readable = false; return Take::Nothing;
    case codec::Transport::State::End: way.ended = true; return Take::More;
    case codec::Transport::State::Broken: broken(from); return Take::Over;
    case codec::Transport::State::Moved: way.pipe->bytes += got.bytes; break;
  }
  return Take::More;
}

/// After a turn that moved so many bytes: notes that the flow lives, gives an empty pipe back, and
/// copies from now on if bytes come in small numbers.
void TcpFlow::settle(Direction& way, std::uint64_t moved) noexcept {
  if (moved != 0)
    idle_timer_.set(worker_.loop.timers(), worker_.loop.now() + worker_.settings().flow_idle);
  if (!way.pipe || way.pipe->bytes != 0) return;
  worker_.pipes().give(std::move(way.pipe));
  way.small_turns = moved < kSmallTurn ? static_cast<std::uint8_t>(way.small_turns + 1) : 0;
  if (way.small_turns < kMostSmallTurns) return;
  way.bulk = false;
  way.small_turns = 0;
}

/// Everything of a direction that has ended is out: its target may know.
void TcpFlow::passEnd(Direction& way, Side& to) noexcept {
  if (way.closed) return;
  if (tls::Session* const session = to.transport->tls(); session != nullptr) {
    if (!std::exchange(to.notified, true)) session->shutdown();
    if (session->wantsFlush()) return;  // deliver() goes on
  }
  ::shutdown(to.transport->fd(), SHUT_WR);
  way.closed = true;
  if (up_.closed && down_.closed) finish(FlowOutcome::Served, {});
}

// ---- the end ----

/// One side is no more. The other one must not take what it has got for all.
void TcpFlow::broken(const Side& side) noexcept {
  const bool is_client = &side == &client_;
  if (!is_client) worker_.counters().upstream_broken.add();
  if (phase_ != Phase::Open) return finish(FlowOutcome::Cut, "client_gone");  // nobody's failure
  finish(FlowOutcome::Served, is_client ? "client_reset" : "backend_reset");
}

void TcpFlow::onIdleTimer() noexcept { finish(FlowOutcome::Cut, "idle"); }

void TcpFlow::kill() noexcept { finish(FlowOutcome::Cut, "drained"); }

void TcpFlow::finish(FlowOutcome outcome, std::string_view why) noexcept {
  if (phase_ == Phase::Over) return;
  phase_ = Phase::Over;
  idle_timer_.cancel();
  FlowEnd end;
  end.protocol = kind_ == Kind::Tcp ? "TCP" : "TLS";
  end.client = {info_.peer_text, info_.peer_text_size};
  end.name = name_;
  end.listener = listener_key_;
  end.rule = rule_;
  if (endpoint_ != nullptr) end.upstream = endpoint_->text;
  end.why = why;
  end.begun = begun_;
  end.received = up_.bytes;
  end.sent = down_.bytes;
  end.attempts = attempts_;
  end.outcome = outcome;
  recordFlow(worker_, end);
  if (!why.empty()) {  // no orderly end: nobody may take what has come for all there is
    client_transport_.reset();
    if (backend_ != nullptr) backend_->transport.reset();
  }
  client_transport_.close();
  dropBackend(false);
  for (Direction* way : {&up_, &down_}) {
    way->queue.clear(worker_.pool);
    worker_.pipes().give(std::move(way->pipe));
  }
  if (pin_ != nullptr) worker_.unpin(std::exchange(pin_, nullptr));
  worker_.flowDone(*this);
}

}  // namespace hyperway::proxy
