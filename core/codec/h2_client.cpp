// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_client.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "codec/h2_exchange.hpp"
#include "net/socket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kScratchBytes = 64 * 1024;
constexpr std::uint32_t kMostNoise = 1000;      // frames without progress…
constexpr std::chrono::seconds kNoiseTime{10};  // …in this time
// gRPC servers take more frequent pings for an attack.
constexpr std::chrono::seconds kSilence{305};
constexpr std::chrono::seconds kPingTime{20};

}  // namespace

// ---- life of a connection ----

H2ClientConnection::H2ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                                       const ClientSecurity* security) noexcept
    : ClientConnection(owner), host_(host), transport_(std::move(socket)), security_(security) {}

H2ClientConnection::~H2ClientConnection() {
  HW_ASSERT(list_ == nullptr);
  out_.clear(host_.pool);
}

bool H2ClientConnection::start() noexcept {
  if (!makeSession()) return false;
  if (host_.shared_scratch == nullptr)
    host_.shared_scratch = std::make_unique_for_overwrite<char[]>(kScratchBytes);
  // A host that is gone is noticed while streams are silent, without a word to the backend.
  net::keepAlive(transport_.fd());
  arm(host_.timeouts.connect);
  return host_.loop.add(transport_.fd(), net::kConnectionEvents, *this);
}

void H2ClientConnection::arm(std::chrono::milliseconds limit) noexcept {
  set(host_.loop.timers(), host_.loop.now() + limit);
}

/// What is watched for now: a backend that takes nothing, an idle connection, or silence.
void H2ClientConnection::rearm() noexcept {
  if (phase_ != Phase::Up) return;
  pinged_ = false;
  heard_at_look_ = heard_;
  if (blocked_)
    arm(StallWatch::interval(host_.timeouts.write));
  else if (count_ == 0)
    arm(host_.timeouts.idle);
  else
    arm(kSilence);
}

void H2ClientConnection::onTimer() noexcept {
  switch (phase_) {
    case Phase::Closed: return;
    case Phase::Connecting:
    case Phase::Handshake: return failAll(Broken::Unreachable, http::HttpError::None);
    case Phase::Up: break;
  }
  if (blocked_) {
    if (stall_.stalled(transport_.fd())) return failAll(Broken::Timeout, http::HttpError::None);
    return arm(StallWatch::interval(host_.timeouts.write));
  }
  if (count_ == 0) return closeNow();
  if (heard_ != heard_at_look_) return rearm();
  if (pinged_) return failAll(Broken::Timeout, http::HttpError::None);
  pinged_ = true;
  (void)nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
  arm(kPingTime);
  schedule();
}

void H2ClientConnection::onEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Closed) return;
  if (phase_ == Phase::Connecting) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || net::socketError(transport_.fd()) != 0)
      return failAll(Broken::Refused, http::HttpError::None);
    if ((events & EPOLLOUT) == 0) return;
    connected();
    if (phase_ == Phase::Closed) return;
  } else if ((events & EPOLLOUT) != 0 && phase_ == Phase::Handshake) {
    shakeHands();
    if (phase_ == Phase::Closed) return;
  } else if ((events & EPOLLOUT) != 0 && blocked_) {
    write();
    schedule();
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) == 0) return;
  readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) half_closed_ = true;
  if (transport_.tls() != nullptr) transport_.tls()->onReadable(half_closed_);
  if (phase_ == Phase::Handshake) return shakeHands();
  receive();
}

void H2ClientConnection::connected() noexcept {
  if (!sendPreface(transport_)) return failAll(Broken::Refused, http::HttpError::None);
  if (security_ == nullptr) return established();
  phase_ = Phase::Handshake;
  if (host_.tls != nullptr)
    transport_.secure(tls::Session::connect(transport_.fd(), *security_->context, security_->peer,
                                            *host_.tls, tls::Alpn::Http2));
  if (transport_.tls() == nullptr) return failAll(Broken::Handshake, http::HttpError::None);
  shakeHands();
}

void H2ClientConnection::shakeHands() noexcept {
  tls::Session& session = *transport_.tls();
  const tls::IoResult result = session.handshake();
  if (result.state == tls::Io::WantRead || result.state == tls::Io::WantWrite) return;
  if (result.state == tls::Io::Ok && session.alpn() == "h2") return established();
  const bool untrusted = session.peerRefused();
  host_.onClientTlsFailed(*this, result.state == tls::Io::Ok ? "the backend offers no HTTP/2 (ALPN)"
                                 : result.state == tls::Io::Closed
                                     ? "closed by the backend in the handshake"
                                     : session.lastError());
  failAll(untrusted ? Broken::Untrusted : Broken::Handshake, http::HttpError::None);
}

/// What was kept until now can leave.
void H2ClientConnection::established() noexcept {
  connected_ = true;
  phase_ = Phase::Up;
  rearm();
  drained();
  schedule();
  if (transport_.tls() != nullptr && readable_) receive();
}

void H2ClientConnection::settingsCame() noexcept {
  if (!std::exchange(settings_seen_, true))
    for (cursor_ = list_; cursor_ != nullptr;) {
      H2Exchange& exchange = *cursor_;
      cursor_ = exchange.next_;
      exchange.submit();
    }
  host_.onClientConnectionRoom(*this, false);
  // One that takes no request at all is of no use.
  if (phase_ == Phase::Up && count_ == 0 && !hasRoom()) going_away_ = true;
}

// ---- for the pool and exchanges ----

bool H2ClientConnection::hasRoom() const noexcept {
  if (phase_ == Phase::Closed || going_away_) return false;
  nghttp2_session* const session = session_.get();
  const std::uint32_t most =
      nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return count_ < (settings_seen_ ? most : std::min(most, expected_)) &&
         nghttp2_session_check_request_allowed(session) != 0;
}

std::uint32_t H2ClientConnection::allowed() const noexcept {
  if (!settings_seen_ || phase_ == Phase::Closed) return 0;
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/// False once an exchange is over, whatever is in its memory then.
bool H2ClientConnection::serves(std::int32_t stream, const H2Exchange& exchange) const noexcept {
  return phase_ != Phase::Closed &&
         nghttp2_session_get_stream_user_data(session_.get(), stream) == &exchange;
}

ClientLink& H2ClientConnection::begin(ResponseEvents& events) noexcept {
  events.responseTrailers().clear();
  void* const room = events.arena().allocate(sizeof(H2Exchange), alignof(H2Exchange));
  auto* const exchange = new (room) H2Exchange(host_, *this, events);
  exchange->heard_before_ = heard_;
  exchange->idle_before_ = phase_ == Phase::Up && count_ == 0;
  exchange->next_ = list_;
  if (list_ != nullptr) list_->prev_ = exchange;
  list_ = exchange;
  if (count_++ == 0 && !blocked_) rearm();
  return *exchange;
}

bool H2ClientConnection::offersTunnels() const noexcept {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

void H2ClientConnection::reset(H2Exchange& exchange, std::uint32_t code) noexcept {
  if (phase_ == Phase::Closed) return;
  (void)nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, exchange.stream_, code);
  schedule();
}

/// The answer is complete. What is left of the request nobody wants.
void H2ClientConnection::answered(H2Exchange& exchange) noexcept {
  if (!exchange.end_sent_ || !exchange.pending_.empty()) reset(exchange, NGHTTP2_CANCEL);
}

void H2ClientConnection::resume(H2Exchange& exchange) noexcept {
  (void)nghttp2_session_resume_data(session_.get(), exchange.stream_);
}

void H2ClientConnection::consume(const H2Exchange& exchange, std::size_t size) noexcept {
  (void)nghttp2_session_consume_stream(session_.get(), exchange.stream_, size);
  schedule();
}

void H2ClientConnection::unlink(H2Exchange& exchange) noexcept {
  if (cursor_ == &exchange) cursor_ = exchange.next_;
  (exchange.prev_ != nullptr ? exchange.prev_->next_ : list_) = exchange.next_;
  if (exchange.next_ != nullptr) exchange.next_->prev_ = exchange.prev_;
  exchange.prev_ = exchange.next_ = nullptr;
  if (exchange.touched_) *std::find(touched_.begin(), touched_.end(), &exchange) = nullptr;
  exchange.touched_ = false;
  if (exchange.stream_ > 0)
    (void)nghttp2_session_set_stream_user_data(session_.get(), exchange.stream_, nullptr);
  exchange.connection_ = nullptr;
  --count_;
  if (phase_ == Phase::Closed) return;
  if (count_ == 0) {
    rearm();
    if (going_away_) schedule();
  }
  host_.onClientConnectionRoom(*this, true);
}

void H2ClientConnection::touch(H2Exchange& exchange) {
  if (std::exchange(exchange.touched_, true)) return;
  touched_.push_back(&exchange);
}

void H2ClientConnection::tellLater() noexcept {
  tell_ = true;
  schedule();
}

void H2ClientConnection::schedule() noexcept {
  if (phase_ != Phase::Up || std::exchange(scheduled_, true)) return;
  host_.loop.atEndOfTurn([](void* self) { static_cast<H2ClientConnection*>(self)->endOfTurn(); },
                         this);
}

// ---- out ----

bool H2ClientConnection::mayPump() const noexcept {
  return phase_ == Phase::Up && !in_library_ && out_.size() < kMostGathered;
}

/// Gathers the frames that may leave.
void H2ClientConnection::pump() noexcept {
  if (!mayPump()) return;
  in_library_ = true;
  while (out_.size() < kMostGathered) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
    if (size < 0) refused_ = nghttp2_strerror(static_cast<int>(size));
    if (size <= 0) break;
    out_.append(host_.pool, {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
  }
  in_library_ = false;
  if (out_.size() >= kMostGathered) write();
}

void H2ClientConnection::write() noexcept {
  if (phase_ != Phase::Up) return;
  bool progress = false;
  while (!out_.empty()) {
    const std::string_view pieces[] = {out_.view()};
    const Transport::Outcome sent = transport_.write(pieces);
    if (sent.state != Transport::State::Moved || sent.bytes == 0) break;  // reading tells why
    out_.consume(host_.pool, sent.bytes);
    progress = true;
  }
  if (transport_.wantsFlush()) (void)transport_.tls()->flush();
  const bool was = blocked_;
  blocked_ = !out_.empty() || transport_.wantsFlush();
  if (blocked_ && (!was || progress)) {
    stall_.begin();
    arm(StallWatch::interval(host_.timeouts.write));
  }
  if (!was || blocked_) return;
  rearm();
  drained();  // whoever called us: the socket's own word comes too late to find us blocked
}

/// There is room in the socket: all requests may go on.
void H2ClientConnection::drained() noexcept {
  for (H2Exchange* exchange = list_; exchange != nullptr; exchange = exchange->next_)
    exchange->drained_ = true;
  tellLater();
}

/// Tells exchanges what could not be told inside nghttp2.
void H2ClientConnection::tell() noexcept {
  if (!std::exchange(tell_, false)) return;
  for (cursor_ = list_; cursor_ != nullptr;) {
    H2Exchange& exchange = *cursor_;
    cursor_ = exchange.next_;
    if (exchange.broken_)
      exchange.broken(exchange.how_, exchange.error_);
    else if (std::exchange(exchange.drained_, false) && exchange.pending_.empty())
      exchange.events_->onUpstreamDrained();
  }
}

/// Requests, window updates and resets of a turn leave together.
void H2ClientConnection::endOfTurn() noexcept {
  scheduled_ = false;
  for (bool more = true; more && phase_ == Phase::Up;) {
    pump();
    more = tell_ || out_.size() >= kMostGathered;
    write();
    tell();
    more = more && !blocked_;
  }
  if (phase_ != Phase::Up) return;
  if (!refused_.empty()) return violated(refused_);
  if (going_away_ && count_ == 0) return closeNow();
  nghttp2_session* const session = session_.get();
  if (nghttp2_session_want_read(session) != 0 || nghttp2_session_want_write(session) != 0) return;
  // nghttp2 has said GOAWAY: the backend broke the rules.
  violated(reason_.empty() ? std::string_view("connection error") : reason_);
}

// ---- in ----

void H2ClientConnection::receive() noexcept {
  while (readable_ && phase_ == Phase::Up) {
    char* const buffer = host_.shared_scratch.get();
    const Transport::Outcome got = transport_.read(buffer, kScratchBytes);
    if (got.state == Transport::State::Again) {
      readable_ = false;
      break;
    }
    if (got.state != Transport::State::Moved) return lost(got.state);
    if (got.drained && !half_closed_) readable_ = false;
    ++heard_;
    input(buffer, got.bytes);
  }
  schedule();
}

void H2ClientConnection::input(const char* bytes, std::size_t size) noexcept {
  // RFC 9113 §3.4: a backend begins with SETTINGS. One of HTTP/1 complains in its own words.
  if (!settings_seen_ && std::string_view(bytes, size).starts_with("HTTP/1."))
    return violated("it answers in HTTP/1");
  in_library_ = true;
  const ssize_t used =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(bytes), size);
  in_library_ = false;
  if (phase_ != Phase::Up) return;
  if (!refused_.empty()) {
    (void)nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
    return violated(refused_);
  }
  if (used < 0) return violated(nghttp2_strerror(static_cast<int>(used)));
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    H2Exchange* const exchange = touched_[i];
    if (exchange == nullptr) continue;
    exchange->touched_ = false;
    exchange->events_->onResponseFlush();
    if (phase_ != Phase::Up) break;
  }
  touched_.clear();
}

void H2ClientConnection::countNoise() noexcept {
  if (host_.loop.now() - noise_since_ > kNoiseTime) {
    noise_since_ = host_.loop.now();
    noise_ = 0;
  }
  if (++noise_ > kMostNoise) refused_ = "too many frames without progress";
}

// ---- the end ----

/// The backend closed, or the connection broke.
void H2ClientConnection::lost(Transport::State state) noexcept {
  if (transport_.tls() != nullptr && state == Transport::State::Broken) {
    const std::string_view reason = transport_.tls()->lastError();
    if (!reason.empty() && reason != "connection reset") host_.onClientTlsFailed(*this, reason);
  }
  failAll(state == Transport::State::End ? Broken::Truncated : Broken::Reset,
          http::HttpError::None);
}

void H2ClientConnection::violated(std::string_view reason) noexcept {
  if (phase_ != Phase::Up) return;
  host_.onClientHttp2Failed(*this, reason);
  pump();
  write();  // GOAWAY, as far as the socket takes it
  failAll(Broken::Protocol, http::HttpError::BadFrame);
}

void H2ClientConnection::fail() noexcept { failAll(Broken::Reset, http::HttpError::None); }

/// Closes first, so that whoever tries again meets another connection.
void H2ClientConnection::failAll(Broken how, http::HttpError error) noexcept {
  if (phase_ == Phase::Closed) return;
  close();
  while (list_ != nullptr) {
    H2Exchange& exchange = *list_;
    const bool lost = how == Broken::Truncated || how == Broken::Reset;
    if (exchange.broken_)
      exchange.broken(exchange.how_, exchange.error_);
    else if (lost && exchange.idle_before_ && exchange.heard_before_ == heard_)
      exchange.broken(Broken::Stale, http::HttpError::None);  // it had gone before it was asked
    else
      exchange.broken(how, error);
  }
}

void H2ClientConnection::closeNow() noexcept {
  if (phase_ == Phase::Closed) return;
  if (phase_ == Phase::Up && !in_library_) {
    (void)nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
    pump();
    write();
  }
  given_up = true;
  close();
  while (list_ != nullptr) (void)list_->release();
}

void H2ClientConnection::close() noexcept {
  phase_ = Phase::Closed;
  net::Timer::cancel();
  if (transport_.tls() != nullptr && connected_) transport_.tls()->shutdown();
  transport_.close();
  host_.onClientConnectionClosed(*this, connected_);
}

}  // namespace hyperway::codec
