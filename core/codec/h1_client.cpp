// SPDX-License-Identifier: Apache-2.0
#include "codec/h1_client.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "codec/chunk.hpp"
#include "net/socket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::uint32_t kFirstHeadBytes = 4096;
constexpr std::size_t kGatherBytes = 12 * 1024;
constexpr std::uint8_t kMaxInterim = 16;  // each takes memory of the stream

}  // namespace

H1ClientConnection::H1ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                                       const ClientSecurity* security) noexcept
    : ClientConnection(owner), host_(host), transport_(std::move(socket)), security_(security) {}

H1ClientConnection::~H1ClientConnection() {
  in_.clear(host_.pool);
  out_.clear(host_.pool);
}

bool H1ClientConnection::start() noexcept {
  arm(host_.timeouts.connect);
  return host_.loop.add(transport_.fd(), net::kConnectionEvents, *this);
}

void H1ClientConnection::arm(std::chrono::milliseconds limit) noexcept {
  set(host_.loop.timers(), host_.loop.now() + limit);
}

void H1ClientConnection::begin(ResponseEvents& events) noexcept {
  HW_ASSERT(events_ == nullptr);
  events_ = &events;
  events.responseTrailers().clear();
  ++exchanges_;
  head_ = nullptr;
  head_size_ = head_capacity_ = rest_begin_ = 0;
  scanned_ = 0;
  interim_ = 0;
  request_done_ = chunked_out_ = keep_alive_ = raw_ = false;
  reading_ = true;
  if (phase_ == Phase::Idle) {
    phase_ = Phase::Head;
    arm(host_.timeouts.response);
  }
}

/// From now on a peer that takes nothing is cut (StallWatch).
void H1ClientConnection::armWrite() noexcept {
  stall_.begin();
  arm(StallWatch::interval(host_.timeouts.write));
}

/// The request is complete: a backend that waited for its end has its whole time from here.
void H1ClientConnection::requestDone() noexcept {
  request_done_ = true;
  if (phase_ == Phase::Head && !blocked_) arm(host_.timeouts.response);
}

void H1ClientConnection::onEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Closed) return;
  if (phase_ == Phase::Connecting) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || net::socketError(transport_.fd()) != 0)
      return broken(Broken::Refused, http::HttpError::None);
    if ((events & EPOLLOUT) == 0) return;
    socketUp();
    if (phase_ == Phase::Closed) return;
  } else if ((events & EPOLLOUT) != 0 && phase_ == Phase::Handshake) {
    shakeHands();
    if (phase_ == Phase::Closed) return;
  } else if ((events & EPOLLOUT) != 0 && blocked_) {
    flush();
    if (phase_ == Phase::Closed) return;
    if (!blocked_ && events_ != nullptr) events_->onUpstreamDrained();
    if (phase_ == Phase::Closed) return;
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
    readable_ = true;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) half_closed_ = true;
    if (transport_.tls() != nullptr) transport_.tls()->onReadable(half_closed_);
    if (phase_ == Phase::Handshake) return shakeHands();
    // Bytes or an end without a question: the connection is no good for the next one. A backend's
    // TLS may have something to say to ours, though.
    if (phase_ == Phase::Idle) {
      if (transport_.tls() != nullptr && !half_closed_ && transport_.nothingThere()) {
        readable_ = false;
        return;
      }
      return close();
    }
    process();
  }
}

/// The socket is up.
void H1ClientConnection::socketUp() noexcept {
  if (!sendPreface(transport_)) return broken(Broken::Refused, http::HttpError::None);
  if (security_ == nullptr) return established();
  phase_ = Phase::Handshake;
  if (host_.tls != nullptr)
    transport_.secure(
        tls::Session::connect(transport_.fd(), *security_->context, security_->peer, *host_.tls));
  if (transport_.tls() == nullptr) return broken(Broken::Handshake, http::HttpError::None);
  shakeHands();
}

void H1ClientConnection::shakeHands() noexcept {
  const tls::IoResult result = transport_.tls()->handshake();
  if (result.state == tls::Io::WantRead || result.state == tls::Io::WantWrite) return;
  if (result.state == tls::Io::Ok) return established();
  const bool untrusted = transport_.tls()->peerRefused();
  host_.onClientTlsFailed(*this, result.state == tls::Io::Closed
                                     ? "closed by the backend in the handshake"
                                     : transport_.tls()->lastError());
  broken(untrusted ? Broken::Untrusted : Broken::Handshake, http::HttpError::None);
}

/// What was kept until now can leave.
void H1ClientConnection::established() noexcept {
  connected_ = true;
  phase_ = events_ != nullptr ? Phase::Head : Phase::Idle;
  arm(host_.timeouts.response);
  flush();
  if (phase_ == Phase::Closed) return;
  if (!blocked_ && events_ != nullptr) events_->onUpstreamDrained();
  if (phase_ != Phase::Closed && transport_.tls() != nullptr && readable_) process();
}

/// A backend that wants another certificate than ours says so behind the handshake (RFC 8446
/// §4.4.2).
void H1ClientConnection::tellTlsFailure() noexcept {
  if (transport_.tls() == nullptr) return;
  const std::string_view reason = transport_.tls()->lastError();
  if (!reason.empty() && reason != "connection reset") host_.onClientTlsFailed(*this, reason);
}

void H1ClientConnection::process() noexcept {
  if (processing_) return;
  processing_ = true;
  bool more = true;
  while (more) {
    switch (phase_) {
      case Phase::Head: more = reading_ && readHead(); break;
      case Phase::Body:
      case Phase::Tunnel: more = reading_ && readBody(); break;
      case Phase::Connecting:
      case Phase::Handshake:
      case Phase::Idle:
      case Phase::Closed: more = false; break;
    }
  }
  processing_ = false;
}

bool H1ClientConnection::readHead() noexcept {
  if (!readable_) return false;
  if (head_size_ == head_capacity_) {
    const std::uint32_t capacity = head_capacity_ == 0 ? kFirstHeadBytes : head_capacity_ * 4;
    auto* bigger = static_cast<char*>(events_->arena().allocate(capacity, 1));
    if (head_size_ != 0) std::memcpy(bigger, head_, head_size_);
    head_ = bigger;
    head_capacity_ = capacity;
  }
  const Transport::Outcome got = transport_.read(head_ + head_size_, head_capacity_ - head_size_);
  switch (got.state) {
    case Transport::State::Moved:
      if (got.drained && !half_closed_) readable_ = false;
      head_size_ += static_cast<std::uint32_t>(got.bytes);
      return parseHead();
    case Transport::State::Again: readable_ = false; return false;
    case Transport::State::Broken: tellTlsFailure(); break;
    case Transport::State::End: break;
  }
  if (head_size_ == 0 && reused())
    broken(Broken::Stale, http::HttpError::None);
  else
    broken(got.state == Transport::State::End ? Broken::Truncated : Broken::Reset,
           http::HttpError::None);
  return false;
}

bool H1ClientConnection::parseHead() noexcept {
  http::ResponseHead* parsed = nullptr;
  for (;;) {
    http::ResponseHead& head = *(parsed = &events_->responseHead());
    const std::string_view input(head_ + rest_begin_, head_size_ - rest_begin_);
    const http::H1Parse parse =
        http::parseResponseHead(input, host_.limits, method_, upgrade_offered_, scanned_, head);
    if (parse.state == http::H1Parse::State::NeedMore) return true;
    if (parse.state == http::H1Parse::State::Bad)
      return broken(Broken::Protocol, parse.error), false;
    rest_begin_ += static_cast<std::uint32_t>(parse.consumed);
    scanned_ = 0;
    if (head.status >= 200 || head.status == 101) break;
    if (++interim_ > kMaxInterim)
      return broken(Broken::Protocol, http::HttpError::HeadTooLarge), false;
    events_->onInterimResponse();
    if (events_ == nullptr) return false;
    if (rest_begin_ == head_size_) return true;
  }
  http::ResponseHead& head = *parsed;  // asking again would clear it
  // HTTP/1.0 backends close unless they say otherwise; a 101 leaves HTTP for good.
  keep_alive_ = head.keep_alive && head.framing.kind != http::BodyKind::UntilClose;
  length_body_ = head.framing.kind == http::BodyKind::Length;
  decoder_.begin(head.framing);
  if (head.framing.kind == http::BodyKind::None) {
    ResponseEvents* const events = events_;
    responseDone(head_size_ - rest_begin_);
    events->onResponseHead(true);
    return false;
  }
  phase_ = head.framing.kind == http::BodyKind::Tunnel ? Phase::Tunnel : Phase::Body;
  if (phase_ == Phase::Tunnel) {
    request_done_ = false;
    net::keepAlive(transport_.fd());  // it may be silent for long
  }
  arm(phase_ == Phase::Tunnel ? host_.timeouts.tunnel : host_.timeouts.response);
  events_->onResponseHead(false);
  if (events_ == nullptr) return false;
  if (rest_begin_ == head_size_ || !reading_) events_->onResponseFlush();
  return events_ != nullptr;
}

bool H1ClientConnection::readBody() noexcept {
  ResponseEvents* const events = events_;
  // The exchange may end in decode(), and the stream may begin another one on this very connection.
  const std::uint32_t exchange = exchanges_;
  const auto over = [&] { return events_ == nullptr || exchanges_ != exchange; };
  if (rest_begin_ < head_size_) {
    const std::size_t used = decode({head_ + rest_begin_, head_size_ - rest_begin_}, false);
    if (over()) return false;
    rest_begin_ += static_cast<std::uint32_t>(used);
  } else if (!in_.empty()) {
    const std::string_view waiting = in_.view();
    const std::size_t used = decode({const_cast<char*>(waiting.data()), waiting.size()}, true);
    if (over()) return false;
    in_.consume(host_.pool, used);
  } else {
    if (!readable_) return false;
    if (raw_) return events_->onResponseRaw(), false;
    const Transport::Outcome got = transport_.read(host_.scratch.data(), host_.scratch.size());
    if (got.state == Transport::State::Again) return readable_ = false, false;
    if (got.state != Transport::State::Moved) {
      readable_ = false;
      // Without close_notify a body that ends with the connection may be cut (RFC 9112 §9.8).
      const bool cut =
          phase_ == Phase::Body && transport_.tls() != nullptr && !transport_.tls()->endedByPeer();
      if (got.state == Transport::State::End && decoder_.closeIsEnd() && !cut) {
        if (phase_ == Phase::Tunnel) {
          reading_ = false;
          events->onResponseBody({}, true);
        } else {
          events_ = nullptr;
          close();
          events->onResponseBody({}, true);
        }
      } else {
        broken(got.state == Transport::State::End ? Broken::Truncated : Broken::Reset,
               http::HttpError::Truncated);
      }
      return false;
    }
    if (got.drained && !half_closed_) readable_ = false;
    arm(phase_ == Phase::Tunnel ? host_.timeouts.tunnel : host_.timeouts.response);
    const std::size_t used = decode(host_.scratch.first(got.bytes), false);
    if (over()) return false;
    if (used < got.bytes) in_.append(host_.pool, {host_.scratch.data() + used, got.bytes - used});
  }
  events_->onResponseFlush();
  return events_ != nullptr && reading_;
}

/// Hands body bytes on until the stream is full, the body ends or the input does. Returns the bytes
/// used; after the end of the exchange nothing of this connection may be touched but what over() in
/// readBody() reads. `buffered`: the input is our own buffer, which must not be given back while
/// the stream looks at it.
std::size_t H1ClientConnection::decode(std::span<char> input, bool buffered) noexcept {
  std::size_t used = 0;
  ResponseEvents* const events = events_;
  http::HeaderMap& trailers = events->responseTrailers();
  while (reading_ && !raw_) {
    const std::string_view rest(input.data() + used, input.size() - used);
    const http::BodyDecoder::Step step = decoder_.next(rest, trailers);
    used += step.consumed;
    switch (step.event) {
      case http::BodyDecoder::Event::NeedMore: return used;
      case http::BodyDecoder::Event::Data: {
        const bool last =
            !buffered && length_body_ && phase_ == Phase::Body && decoder_.remaining() == 0;
        if (last) responseDone(input.size() - used);
        events->onResponseBody({const_cast<char*>(step.data.data()), step.data.size()}, last);
        if (last) return used;
        break;
      }
      case http::BodyDecoder::Event::End:
        responseDone(input.size() - used);
        if (trailers.count() != 0)
          events->onResponseTrailers(trailers);
        else
          events->onResponseBody({}, true);
        return used;
      case http::BodyDecoder::Event::Bad: broken(Broken::Protocol, step.error); return used;
    }
    if (events_ == nullptr) return used;
  }
  return used;
}

/// The answer ended exactly; `left_over` bytes behind it were read already, which no honest backend
/// sends.
void H1ClientConnection::responseDone(std::size_t left_over) noexcept {
  events_ = nullptr;
  in_.clear(host_.pool);
  // After a read that filled its room, or a splice, bytes of a dishonest backend may wait in the
  // kernel: the next exchange would take them for its answer.
  const bool clean = left_over == 0 && request_done_ && out_.empty() && !transport_.wantsFlush() &&
                     keep_alive_ && !half_closed_ && (!readable_ || transport_.nothingThere());
  readable_ = false;
  if (!clean) return close();
  phase_ = Phase::Idle;
  arm(host_.timeouts.idle);
  host_.onClientConnectionIdle(*this);
}

void H1ClientConnection::sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                                  bool end) noexcept {
  if (phase_ == Phase::Closed) return;
  method_ = head.method_id;
  upgrade_offered_ = options.upgrade;
  chunked_out_ = head.framing.kind == http::BodyKind::Chunked;
  char* const at = out_.reserve(host_.pool, http::requestHeadBound(head, options));
  out_.commit(static_cast<std::size_t>(http::writeRequestHead(head, options, at) - at));
  if (end) request_done_ = true;
}

void H1ClientConnection::sendBody(std::string_view data, bool end) noexcept {
  if (phase_ == Phase::Closed || request_done_) return;
  if (!data.empty()) {
    char prefix[20];
    const std::size_t prefix_size = chunked_out_ ? writeChunkSize(data.size(), prefix) : 0;
    const std::string_view suffix = !chunked_out_ ? std::string_view{}
                                    : end         ? std::string_view{"\r\n0\r\n\r\n"}
                                                  : std::string_view{"\r\n"};
    write({prefix, prefix_size}, data, suffix);
  } else if (end && chunked_out_) {
    out_.append(host_.pool, "0\r\n\r\n");
  }
  if (phase_ == Phase::Tunnel && !blocked_) arm(host_.timeouts.tunnel);
  if (!end) return;
  requestDone();
  if (phase_ == Phase::Tunnel) shutdown_out_ = true;
}

void H1ClientConnection::sendTrailers(const http::HeaderMap& trailers) noexcept {
  if (phase_ == Phase::Closed || request_done_) return;
  if (chunked_out_) {
    out_.append(host_.pool, "0\r\n");
    appendFields(host_.pool, out_, trailers);
    out_.append(host_.pool, "\r\n");
  }
  requestDone();
}

void H1ClientConnection::write(std::string_view prefix, std::string_view data,
                               std::string_view suffix) noexcept {
  const std::size_t all = prefix.size() + data.size() + suffix.size();
  out_.append(host_.pool, prefix);
  if (blocked_ || phase_ == Phase::Connecting || phase_ == Phase::Handshake ||
      out_.size() + all <= kGatherBytes) {
    out_.append(host_.pool, data);
    out_.append(host_.pool, suffix);
    return;
  }
  const std::string_view pieces[] = {out_.view(), data, suffix};
  const Transport::Outcome sent = transport_.write(pieces);
  std::size_t bytes = sent.bytes;  // 0 if the connection broke: reading will tell why
  const std::size_t from_out = std::min(bytes, out_.size());
  if (from_out != 0) out_.consume(host_.pool, from_out);
  bytes -= from_out;
  const std::size_t from_data = std::min(bytes, data.size());
  out_.append(host_.pool, data.substr(from_data));
  out_.append(host_.pool, suffix.substr(bytes - from_data));
  if (!out_.empty() || transport_.wantsFlush()) {
    blocked_ = true;
    armWrite();
  }
}

void H1ClientConnection::flush() noexcept {
  if (phase_ == Phase::Closed || phase_ == Phase::Connecting || phase_ == Phase::Handshake) return;
  bool progress = false;
  while (!out_.empty()) {
    const std::string_view pieces[] = {out_.view()};
    const Transport::Outcome sent = transport_.write(pieces);
    // A backend may answer and close before it has read everything: what it said is read first, and
    // only reading decides that the exchange broke.
    if (sent.state == Transport::State::Broken || sent.state == Transport::State::Again ||
        sent.bytes == 0)
      break;
    out_.consume(host_.pool, sent.bytes);
    progress = true;
  }
  if (transport_.wantsFlush()) (void)transport_.tls()->flush();  // reading tells if it broke
  const bool waiting = !out_.empty() || transport_.wantsFlush();
  if (waiting && (!blocked_ || progress)) armWrite();
  if (!waiting && blocked_)
    arm(phase_ == Phase::Tunnel ? host_.timeouts.tunnel : host_.timeouts.response);
  blocked_ = waiting;
  if (!blocked_ && shutdown_out_) {
    shutdown_out_ = false;
    transport_.shutdownWrite();
  }
}

void H1ClientConnection::setReading(bool on) noexcept {
  if (reading_ == on) return;
  reading_ = on;
  if (!on) return;
  if (phase_ == Phase::Body || phase_ == Phase::Tunnel || phase_ == Phase::Head) {
    arm(phase_ == Phase::Tunnel ? host_.timeouts.tunnel : host_.timeouts.response);
    process();
  }
}

void H1ClientConnection::cancel() noexcept {
  events_ = nullptr;
  given_up = true;
  close();
}

std::uint64_t H1ClientConnection::spliceableResponse() const noexcept {
  const bool possible = phase_ == Phase::Body && length_body_ && transport_.tls() == nullptr &&
                        in_.empty() && rest_begin_ == head_size_;
  return possible ? decoder_.remaining() : 0;
}

SpliceResult H1ClientConnection::spliceResponse(int pipe, std::size_t size) noexcept {
  if (!readable_ || phase_ != Phase::Body) return {};
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(size, decoder_.remaining()));
  const Transport::Outcome moved = transport_.spliceIn(pipe, most);
  if (moved.state == Transport::State::Again) return readable_ = false, SpliceResult{};
  if (moved.state != Transport::State::Moved) {
    broken(moved.state == Transport::State::End ? Broken::Truncated : Broken::Reset,
           http::HttpError::Truncated);
    return {};
  }
  decoder_.skip(moved.bytes);
  arm(host_.timeouts.response);
  const bool end = decoder_.remaining() == 0;
  if (end) responseDone(0);
  return {moved.bytes, end};
}

bool H1ClientConnection::canSpliceRequest() const noexcept {
  return connected_ && (phase_ == Phase::Head || phase_ == Phase::Body) && !chunked_out_ &&
         !blocked_ && out_.empty() && transport_.tls() == nullptr;
}

std::size_t H1ClientConnection::spliceRequest(int pipe, std::size_t size, bool end) noexcept {
  if (phase_ == Phase::Closed) return 0;
  const Transport::Outcome moved = transport_.spliceOut(pipe, size);
  if (moved.bytes == size) {
    if (end) requestDone();
  } else if (moved.state != Transport::State::Broken) {
    blocked_ = true;  // a broken one is told by reading
    armWrite();
  }
  return moved.bytes;
}

void H1ClientConnection::broken(Broken how, http::HttpError error) noexcept {
  ResponseEvents* const events = events_;
  events_ = nullptr;
  close();
  if (events != nullptr) events->onResponseBroken(how, error);
}

void H1ClientConnection::close() noexcept {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  net::Timer::cancel();
  if (transport_.tls() != nullptr && connected_) transport_.tls()->shutdown();
  transport_.close();
  host_.onClientConnectionClosed(*this, connected_);
}

void H1ClientConnection::closeNow() noexcept {
  events_ = nullptr;
  given_up = true;
  close();
}

void H1ClientConnection::onTimer() noexcept {
  switch (phase_) {
    case Phase::Closed: return;
    case Phase::Idle: return close();
    case Phase::Connecting:
    case Phase::Handshake: return broken(Broken::Unreachable, http::HttpError::None);
    case Phase::Head:
    case Phase::Body:
    case Phase::Tunnel: break;
  }
  if (blocked_ && !stall_.stalled(transport_.fd()))
    return arm(StallWatch::interval(host_.timeouts.write));
  // A body that we do not read, or a request that still comes, is not the backend's silence.
  if (!blocked_ && (!reading_ || (raw_ && readable_) || (phase_ == Phase::Head && !request_done_)))
    return arm(host_.timeouts.response);
  broken(Broken::Timeout, http::HttpError::None);
}

}  // namespace hyperway::codec
