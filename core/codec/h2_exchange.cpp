// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_exchange.hpp"

#include <algorithm>
#include <utility>

#include "codec/h2_client.hpp"
#include "http/grpc.hpp"

namespace hyperway::codec {
namespace {

constexpr std::uint8_t kMaxInterim = 16;          // each takes memory of the stream
constexpr std::size_t kDeliverBytes = 16 * 1024;  // then the stream may say that it is enough
constexpr std::uint32_t kCancel = 8;              // RFC 9113 §7
constexpr std::uint32_t kProtocolError = 1;

}  // namespace

H2Exchange::H2Exchange(ClientHost& host, H2ClientConnection& connection,
                       ResponseEvents& events) noexcept
    : host_(host), connection_(&connection), events_(&events) {}

// ---- what the stream says ----

void H2Exchange::sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                          bool end) noexcept {
  if (connection_ == nullptr) return;
  method_ = head.method_id;
  head_out_ = &head;
  options_ = options;
  tunnel_ = options.upgrade;
  request_done_ = end;
  end_ = end && tunnel_.empty();  // what is to be a tunnel stays open
  arm(host_.timeouts.response);
  // Whether the backend opens tunnels is in its SETTINGS (RFC 8441 §3).
  if (tunnel_.empty() || connection_->settled()) submit();
  connection_->schedule();
}

void H2Exchange::submit() noexcept {
  if (head_out_ == nullptr) return;
  if (!tunnel_.empty() && !connection_->offersTunnels())
    return breakLater(Broken::Protocol, http::HttpError::BadUpgrade);
  phase_ = Phase::Head;
  end_sent_ = end_;
  connection_->submit(*this, *std::exchange(head_out_, nullptr), options_);
}

void H2Exchange::sendBody(std::string_view data, bool end) noexcept {
  if (connection_ == nullptr || end_) return;
  if (end) requestDone();
  end_ = end;
  if (pending_.empty() && stream_ > 0 && connection_->mayPump()) {
    direct_ = data;
    resume();
    connection_->pump();
    data = std::exchange(direct_, {});
    if (connection_ == nullptr) return;  // a tunnel whose other direction had ended
    if (data.empty()) end = end && !end_sent_;
  }
  if (!data.empty()) {
    if (pending_.empty()) {
      moved_ = false;
      arm(host_.timeouts.write);
    }
    pending_.append(host_.pool, data);
  }
  if (!data.empty() || end) resume();
  if (phase_ == Phase::Tunnel && pending_.empty()) arm(host_.timeouts.tunnel);
  connection_->schedule();
}

void H2Exchange::sendTrailers(const http::HeaderMap& trailers) noexcept {
  if (connection_ == nullptr || end_) return;
  requestDone();
  end_ = true;
  trailers_out_ = trailers;
  resume();
  connection_->schedule();
}

/// The request is complete: a backend that waited for its end has its whole time from here.
void H2Exchange::requestDone() noexcept {
  request_done_ = true;
  if (phase_ == Phase::Head && pending_.empty()) arm(host_.timeouts.response);
}

void H2Exchange::resume() noexcept {
  if (std::exchange(deferred_, false)) connection_->resume(*this);
}

void H2Exchange::flush() noexcept {
  if (connection_ != nullptr) connection_->schedule();
}

std::size_t H2Exchange::queued() const noexcept {
  if (connection_ == nullptr) return 0;
  return pending_.size() + (connection_->blocked() ? 1 : 0);
}

bool H2Exchange::connected() const noexcept {
  return connection_ != nullptr && connection_->isUp();
}

void H2Exchange::setReading(bool on) noexcept {
  if (reading_ == on) return;
  reading_ = on;
  if (!on || events_ == nullptr) return;
  if (connection_ != nullptr && pending_.empty()) arm(limit());
  deliver();
}

void H2Exchange::cancel() noexcept {
  if (connection_ != nullptr && stream_ > 0 && !(complete_ && end_sent_ && pending_.empty()))
    connection_->reset(*this, kCancel);
  (void)release();
}

// ---- what the connection tells ----

void H2Exchange::beginFields() noexcept {
  if (phase_ == Phase::Head) {
    head_in_ = &events_->responseHead();
    reader_.beginHead(host_.limits, *head_in_);
  } else {
    // Nothing of them is passed on where there can be no body.
    http::HeaderMap& trailers = events_->responseTrailers();
    trailers_in_ = phase_ == Phase::Body;
    trailers.clear();
    reader_.beginTrailers(host_.limits, trailers);
  }
}

void H2Exchange::field(std::string_view name, std::string_view value) noexcept {
  const http::HttpError error = reader_.field(name, value);
  if (error != http::HttpError::None) protocolError(error);
}

void H2Exchange::fieldsDone(bool end) noexcept {
  if (phase_ == Phase::Head) return headDone(end);
  if (!end || phase_ == Phase::Tunnel) return protocolError(http::HttpError::BadTrailer);
  ended();
}

void H2Exchange::headDone(bool end) noexcept {
  const http::HttpError error = reader_.finishHead(method_, tunnel_, end);
  if (error != http::HttpError::None) return protocolError(error);
  http::ResponseHead& head = *head_in_;
  arm(host_.timeouts.response);
  if (head.status < 200 && head.status != 101) {
    if (++interim_ > kMaxInterim) return protocolError(http::HttpError::HeadTooLarge);
    return events_->onInterimResponse();
  }
  if (head.framing.kind == http::BodyKind::None) {
    if (!end) {  // it ends with an empty frame, or with trailers
      phase_ = Phase::Hold;
      return;
    }
    complete_ = true;
    connection_->answered(*this);
    release()->onResponseHead(true);
    return;
  }
  if (head.framing.kind == http::BodyKind::Tunnel) {
    phase_ = Phase::Tunnel;
    request_done_ = false;
    if (!accept_.empty())
      head.fields.appendView(http::FieldId::Other, "sec-websocket-accept", accept_);
  } else {
    phase_ = Phase::Body;
    known_length_ = head.framing.kind == http::BodyKind::Length;
    left_ = head.framing.length;
    const http::Field* const type = head.fields.find(http::FieldId::ContentType);
    grpc_ = type != nullptr && http::isGrpcType(type->value());
  }
  if (pending_.empty()) arm(limit());
  connection_->touch(*this);
  events_->onResponseHead(false);
}

void H2Exchange::data(std::span<char> bytes, bool last_frame) noexcept {
  if (bytes.empty()) return;
  if (phase_ != Phase::Body && phase_ != Phase::Tunnel)
    return protocolError(http::HttpError::BadContentLength);
  if (known_length_) {
    if (bytes.size() > left_) return protocolError(http::HttpError::BadContentLength);
    left_ -= bytes.size();
    if (left_ == 0 && !last_frame) {
      // A reset may follow, and nobody could tell any more that the answer was not complete.
      last_ = bytes.back();
      holds_last_ = true;
      bytes = bytes.first(bytes.size() - 1);
      if (bytes.empty()) return;
    }
  }
  if (pending_.empty()) arm(limit());
  if (!reading_ || !in_.empty()) return in_.append(host_.pool, {bytes.data(), bytes.size()});
  connection_->consume(*this, bytes.size());
  connection_->touch(*this);
  events_->onResponseBody(bytes, false);
}

/// END_STREAM: nothing more comes of the answer.
void H2Exchange::ended() noexcept {
  if (known_length_ && left_ != 0) return protocolError(http::HttpError::Truncated);
  complete_ = true;
  if (phase_ == Phase::Head) return protocolError(http::HttpError::BadStatusLine);
  if (phase_ == Phase::Tunnel) {
    if (!reading_ || !in_.empty()) {
      held_end_ = true;
      return;
    }
    reading_ = false;
    return events_->onResponseBody({}, true);
  }
  connection_->answered(*this);
  net::Timer::cancel();
  if (phase_ == Phase::Hold) return release()->onResponseHead(true);
  if (!reading_ || !in_.empty()) {
    if (std::exchange(holds_last_, false)) in_.append(host_.pool, {&last_, 1});
    held_end_ = true;
    connection_->unlink(*this);
    return;
  }
  finish();
}

/// Hands on what waited for the stream, which is our caller.
void H2Exchange::deliver() noexcept {
  if (delivering_ || events_ == nullptr) return;
  delivering_ = true;
  while (reading_ && events_ != nullptr && !in_.empty()) {
    const std::string_view waiting = in_.view().substr(0, kDeliverBytes);
    const std::size_t size = waiting.size();
    events_->onResponseBody({const_cast<char*>(waiting.data()), size}, false);
    if (events_ == nullptr) break;
    in_.consume(host_.pool, size);
    if (connection_ != nullptr) connection_->consume(*this, size);
    events_->onResponseFlush();
  }
  delivering_ = false;
  if (events_ == nullptr) return in_.clear(host_.pool);
  if (!held_end_ || !reading_ || !in_.empty()) return;
  held_end_ = false;
  if (phase_ != Phase::Tunnel) return finish();
  reading_ = false;
  events_->onResponseBody({}, true);
}

void H2Exchange::finish() noexcept {
  http::HeaderMap& trailers = events_->responseTrailers();
  const bool has_trailers = trailers_in_ && trailers.count() != 0;
  char last = last_;
  const std::span<char> rest(&last, holds_last_ ? 1 : 0);
  if (has_trailers && !rest.empty()) {
    const H2ClientConnection& connection = *connection_;
    const std::int32_t stream = stream_;
    events_->onResponseBody(rest, false);
    if (!connection.serves(stream, *this)) return;  // nobody waits any more
  }
  ResponseEvents* const events = release();
  if (has_trailers)
    events->onResponseTrailers(trailers);
  else
    events->onResponseBody(rest, true);
}

// ---- the end ----

ResponseEvents* H2Exchange::release() noexcept {
  net::Timer::cancel();
  if (connection_ != nullptr) connection_->unlink(*this);
  pending_.clear(host_.pool);
  if (!delivering_) in_.clear(host_.pool);
  return std::exchange(events_, nullptr);
}

void H2Exchange::broken(Broken how, http::HttpError error) noexcept {
  if (ResponseEvents* const events = release()) events->onResponseBroken(how, error);
}

void H2Exchange::breakLater(Broken how, http::HttpError error) noexcept {
  broken_ = true;
  how_ = how;
  error_ = error;
  connection_->tellLater();
}

/// What the backend says is not HTTP: nothing of it may be passed on as if it were complete.
void H2Exchange::protocolError(http::HttpError error) noexcept {
  if (stream_ > 0) connection_->reset(*this, kProtocolError);
  broken(Broken::Protocol, error);
}

void H2Exchange::take(ByteBuffer& out, std::size_t size) noexcept {
  if (pending_.empty()) {
    out.append(host_.pool, direct_.substr(0, size));
    direct_.remove_prefix(size);
    return;
  }
  out.append(host_.pool, pending_.view().substr(0, size));
  pending_.consume(host_.pool, size);
  moved_ = true;
  if (!pending_.empty()) return;
  drained_ = true;
  connection_->tellLater();
  arm(limit());
}

void H2Exchange::arm(std::chrono::milliseconds after) noexcept {
  set(host_.loop.timers(), host_.loop.now() + after);
}

std::chrono::milliseconds H2Exchange::limit() const noexcept {
  // gRPC streams may be silent for as long as they like; their deadline is grpc-timeout.
  const bool long_lived = phase_ == Phase::Tunnel || (grpc_ && phase_ == Phase::Body);
  return long_lived ? host_.timeouts.tunnel : host_.timeouts.response;
}

void H2Exchange::onTimer() noexcept {
  if (connection_ == nullptr || events_ == nullptr) return;
  if (!pending_.empty()) {
    if (std::exchange(moved_, false)) return arm(host_.timeouts.write);
  } else if (!reading_ || (!request_done_ && phase_ != Phase::Tunnel)) {
    // An answer that we do not read, or a request that still comes, is not the backend's silence.
    return arm(limit());
  }
  if (stream_ > 0) connection_->reset(*this, kCancel);
  broken(Broken::Timeout, http::HttpError::None);
}

}  // namespace hyperway::codec
