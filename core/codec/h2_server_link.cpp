// SPDX-License-Identifier: Apache-2.0
// H2ServerConnection::Link: one stream of the client's.
#include "codec/h2_server_link.hpp"

#include <nghttp2/nghttp2.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "http/grpc.hpp"
#include "http/websocket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kDeliverBytes = 16 * 1024;

std::uint8_t* bytesOf(std::string_view text) noexcept {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

/// A line that nghttp2 copies.
nghttp2_nv line(std::string_view name, std::string_view value) noexcept {
  return {bytesOf(name), bytesOf(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/// A fresh Sec-WebSocket-Key (RFC 6455 §4.1): HTTP/1 has one, HTTP/2 has not.
std::string_view webSocketKey(Arena& arena) noexcept {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 18> nonce{};  // 16 and two zeros for the last group
  // Without entropy the key is a constant: it is no secret, only proof that a cache did not answer.
  if (::getrandom(nonce.data(), 16, 0) != 16) nonce = {};
  auto* const key = static_cast<char*>(arena.allocate(24, 1));
  for (std::size_t group = 0; group < 6; ++group) {
    const std::uint32_t bits = static_cast<std::uint32_t>(nonce[group * 3]) << 16 |
                               static_cast<std::uint32_t>(nonce[group * 3 + 1]) << 8 |
                               nonce[group * 3 + 2];
    for (std::size_t i = 0; i < 4; ++i) key[group * 4 + i] = kDigits[bits >> (18 - 6 * i) & 63];
  }
  key[22] = key[23] = '=';
  return {key, 24};
}

}  // namespace

void H2ServerConnection::Link::open() noexcept {
  events_ = owner_.host_.openStream(*this);
  if (events_ == nullptr) return reset(NGHTTP2_REFUSED_STREAM);
  Arena& arena = events_->arena();
  reader_ = new (arena.allocate(sizeof(http::H2RequestReader), alignof(http::H2RequestReader)))
      http::H2RequestReader(owner_.host_.limits, events_->requestHead());
}

void H2ServerConnection::Link::field(std::string_view name, std::string_view value) noexcept {
  if (events_ == nullptr) {  // nobody reads it, but a bomb is to be seen
    trailer_bytes_ += name.size() + value.size() + 1;
    return;
  }
  if (!head_done_) return reader_->field(name, value);
  if (trailer_error_ == http::HttpError::None)
    trailer_error_ = http::takeH2Trailer(name, value, events_->requestTrailers(), trailer_bytes_);
  else
    trailer_bytes_ += name.size() + value.size() + 1;
}

void H2ServerConnection::Link::headDone(bool end) noexcept {
  remote_ended_ = end;
  if (events_ == nullptr) return;
  http::RequestHead& head = events_->requestHead();
  const http::HttpError error = reader_->finish(end);
  has_length_ = reader_->hasLength();
  length_ = reader_->length();
  reader_ = nullptr;
  head_done_ = true;
  owner_.floods_.progress();
  owner_.touch(*this);
  head_request_ = head.method_id == http::Method::Head;
  if (error != http::HttpError::None) {
    request_done_ = true;
    return events_->onRequestBroken(Broken::Protocol, error);
  }
  tunnel_asked_ = !head.upgrade.empty();
  if (tunnel_asked_) {
    head.fields.remove(http::FieldId::SecWebSocketKey);
    websocket_key_ = webSocketKey(events_->arena());
    head.fields.appendView(http::FieldId::SecWebSocketKey, "sec-websocket-key", websocket_key_);
    reading_ = false;  // bytes of a hasty client wait for the tunnel
    end_pending_ = end;
  } else if (!end) {
    const http::Field* const type = head.fields.find(http::FieldId::ContentType);
    grpc_ = type != nullptr && http::isGrpcType(type->value());
    arm(bodyLimit());
  }
  request_done_ = end || tunnel_asked_;
  events_->onRequestHead(request_done_);
}

void H2ServerConnection::Link::body(std::span<char> data) noexcept {
  body_bytes_ += data.size();
  const bool wanted = events_ != nullptr && (!request_done_ || tunnel_asked_);
  if (!wanted) {
    nghttp2_session_consume_connection(owner_.session_, data.size());
    return;
  }
  owner_.floods_.progress();
  if (has_length_ && body_bytes_ > length_) {
    nghttp2_session_consume_connection(owner_.session_, data.size());
    return cut(NGHTTP2_PROTOCOL_ERROR, http::HttpError::BadContentLength);
  }
  armRead();
  // What completes the announced length waits for the stream's end: more behind it would make the
  // request malformed, and the backend must not have it whole by then.
  const bool complete = has_length_ && body_bytes_ == length_;
  if (!reading_ || !in_.empty() || delivering_ || complete)
    return in_.append(owner_.host_.pool, {data.data(), data.size()});
  owner_.touch(*this);
  events_->onRequestBody(data, false);
  if (events_ != nullptr)
    consume(data.size());
  else
    nghttp2_session_consume_connection(owner_.session_, data.size());
}

void H2ServerConnection::Link::bodyDone() noexcept {
  remote_ended_ = true;
  if (events_ == nullptr || (request_done_ && !tunnel_asked_)) return;
  if (has_length_ && body_bytes_ != length_)
    return cut(NGHTTP2_PROTOCOL_ERROR, http::HttpError::BadContentLength);
  end_pending_ = true;
  if (reading_) deliver();
}

void H2ServerConnection::Link::trailersDone() noexcept {
  remote_ended_ = true;
  if (events_ == nullptr) return;
  // RFC 9113 §8.5: behind a CONNECT's head there are bytes alone.
  if (tunnel_asked_) return cut(NGHTTP2_PROTOCOL_ERROR, http::HttpError::BadTrailer);
  if (request_done_) return;
  if (trailer_error_ != http::HttpError::None) {
    request_done_ = true;
    owner_.touch(*this);
    return events_->onRequestBroken(Broken::Protocol, trailer_error_);
  }
  trailers_pending_ = events_->requestTrailers().count() != 0;
  bodyDone();
}

/// Hands on what waited while nobody read.
void H2ServerConnection::Link::deliver() noexcept {
  if (delivering_) return;  // the outer call goes on
  delivering_ = true;
  const bool held = holdsEnd();
  while (events_ != nullptr && reading_ && !held && !in_.empty()) {
    const std::string_view piece = in_.view().substr(0, kDeliverBytes);
    events_->onRequestBody({const_cast<char*>(piece.data()), piece.size()}, false);
    if (events_ == nullptr) break;  // and forgotten what waited
    in_.consume(owner_.host_.pool, piece.size());
    consume(piece.size());
  }
  delivering_ = false;
  if (events_ != nullptr && reading_ && in_.empty() && end_pending_) finishRequest();
  if (events_ == nullptr) return;
  if (owner_.in_session_) return owner_.touch(*this);
  events_->onRequestFlush();
}

void H2ServerConnection::Link::finishRequest() noexcept {
  end_pending_ = false;
  request_done_ = true;
  tunnel_asked_ = false;
  armRead();
  owner_.touch(*this);
  if (trailers_pending_)
    events_->onRequestTrailers(events_->requestTrailers());
  else
    events_->onRequestBody({}, true);
}

void H2ServerConnection::Link::setReading(bool on) noexcept {
  if (reading_ == on) return;
  reading_ = on;
  if (!on || !usable() || !head_done_) return;
  if (tunnel_asked_ && !tunnel_) {
    reading_ = false;  // not before there is a tunnel
    return;
  }
  armRead();
  deliver();
}

void H2ServerConnection::Link::consume(std::size_t size) noexcept {
  nghttp2_session_consume(owner_.session_, id_, size);
  owner_.schedule();
}

/// Bytes that nobody will read must not take the connection's window for good.
void H2ServerConnection::Link::forgetBytes() noexcept {
  if (!in_.empty() && owner_.session_ != nullptr) {
    nghttp2_session_consume_connection(owner_.session_, in_.size());
  }
  in_.clear(owner_.host_.pool);
  out_.clear(owner_.host_.pool);
}

void H2ServerConnection::Link::sendContinue() noexcept {
  if (head_sent_ || !usable()) return;
  http::HeaderMap none(events_->arena());
  submitHead(100, none, {}, true, false);
}

void H2ServerConnection::Link::sendInterim(const http::ResponseHead& head) noexcept {
  if (head_sent_ || !usable()) return;
  submitHead(head.status, head.fields, {}, true, false);
}

void H2ServerConnection::Link::sendHead(http::ResponseHead& head, bool end) noexcept {
  if (!usable()) return;
  HW_ASSERT(!head_sent_);
  head_sent_ = true;
  const http::Framing& framing = head.framing;
  const bool bodyless = head.status < 200 || head.status == 204;
  const bool no_content = head_request_ || head.status == 304;
  std::array<char, 20> digits;
  std::string_view length;
  const auto number = [&](std::uint64_t value) {
    std::size_t at = digits.size();
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    length = {digits.data() + at, digits.size() - at};
  };
  tunnel_ = framing.kind == http::BodyKind::Tunnel;
  if (tunnel_) {  // the client cannot check it (RFC 8441 §5): it never saw the key
    const std::array<char, 28> accept = http::webSocketAccept(websocket_key_);
    const http::Field* const given = head.fields.find("sec-websocket-accept");
    if (given == nullptr || given->value() != std::string_view(accept.data(), accept.size()))
      return cut(NGHTTP2_CONNECT_ERROR);
    head.fields.remove("sec-websocket-accept");
  }
  if (!tunnel_ && !bodyless) {  // as in HTTP/1: see writeResponseHead()
    if (framing.kind == http::BodyKind::Length) number(framing.length);
    if (framing.kind == http::BodyKind::None && !no_content) number(0);
    if (framing.kind == http::BodyKind::None && no_content && framing.length != 0)
      number(framing.length - 1);
  }
  no_body_ = head_request_ || framing.kind == http::BodyKind::None;
  if (tunnel_) {
    request_done_ = false;
    arm(timeouts().tunnel);
  } else {
    tunnel_asked_ = false;
    if (end) response_done_ = true;
  }
  const bool last = !tunnel_ && (end || no_body_);
  local_ended_ = last;
  submitHead(tunnel_ ? 200 : head.status, head.fields, length, false, last);
}

void H2ServerConnection::Link::submitHead(std::uint16_t status, const http::HeaderMap& fields,
                                          std::string_view length, bool interim,
                                          bool end) noexcept {
  const auto lines = fields.lines();
  nghttp2_nv* const all = events_->arena().array<nghttp2_nv>(lines.size() + 2).data();
  const std::array<char, 3> code = {static_cast<char>('0' + status / 100),
                                    static_cast<char>('0' + status / 10 % 10),
                                    static_cast<char>('0' + status % 10)};
  std::size_t count = 0;
  all[count++] = line(":status", {code.data(), code.size()});
  for (const http::Field& field : lines) {
    if (field.removed || http::isConnectionField(field.id) ||
        field.id == http::FieldId::ContentLength)
      continue;
    all[count++] = line(field.name(), field.value());
  }
  if (!length.empty()) all[count++] = line("content-length", length);
  nghttp2_data_provider body{};
  body.source.ptr = this;
  body.read_callback = [](nghttp2_session* /*session*/, std::int32_t /*id*/, std::uint8_t* /*to*/,
                          std::size_t most, std::uint32_t* flags, nghttp2_data_source* source,
                          void* /*user*/) {
    return static_cast<Link*>(source->ptr)->offer(most, *flags);
  };
  if (interim)
    (void)nghttp2_submit_headers(owner_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, all, count,
                                 nullptr);
  else
    (void)nghttp2_submit_response(owner_.session_, id_, all, count, end ? nullptr : &body);
  owner_.schedule();
}

void H2ServerConnection::Link::resume() noexcept {
  if (std::exchange(deferred_, false)) (void)nghttp2_session_resume_data(owner_.session_, id_);
  owner_.schedule();
}

void H2ServerConnection::Link::sendBody(std::string_view data, bool end) noexcept {
  if (!usable() || response_done_) return;
  response_done_ = end;
  if (no_body_) return;
  if (tunnel_ || grpc_) armRead();
  if (data.empty() && !end) return;
  resume();
  if (out_.empty() && owner_.mayPump()) {  // straight from where it is
    lent_ = data;
    owner_.pump();
    data = std::exchange(lent_, {});
    if (!usable()) return;
  }
  if (data.empty()) return;
  if (out_.empty()) arm(timeouts().write);
  out_.append(owner_.host_.pool, data);
}

void H2ServerConnection::Link::sendTrailers(const http::HeaderMap& trailers) noexcept {
  if (!usable() || response_done_) return;
  response_done_ = true;
  if (no_body_) return;
  if (trailers.count() != 0) {
    trailers_ = std::make_unique<std::vector<std::pair<std::string, std::string>>>();
    for (const http::Field& field : trailers.lines())
      if (!field.removed && !http::isConnectionField(field.id))
        trailers_->emplace_back(field.name(), field.value());
  }
  resume();
}

void H2ServerConnection::Link::submitTrailers() noexcept {
  std::vector<nghttp2_nv> all;
  all.reserve(trailers_->size());
  for (const auto& [name, value] : *trailers_) all.push_back(line(name, value));
  (void)nghttp2_submit_trailer(owner_.session_, id_, all.data(), all.size());
  trailers_.reset();
}

ssize_t H2ServerConnection::Link::offer(std::size_t most, std::uint32_t& flags) noexcept {
  const std::size_t here = out_.size() + lent_.size();
  if (aborted_ || (here == 0 && !response_done_)) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t size = std::min(here, most);
  flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (size == here && response_done_) {
    flags |= NGHTTP2_DATA_FLAG_EOF;
    if (trailers_) {
      flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      submitTrailers();
    }
    local_ended_ = true;
  }
  return static_cast<ssize_t>(size);
}

void H2ServerConnection::Link::give(std::size_t size) noexcept {
  BlockPool& pool = owner_.host_.pool;
  const std::size_t waiting = std::min(size, out_.size());
  if (waiting != 0) {
    owner_.out_.append(pool, out_.view().substr(0, waiting));
    out_.consume(pool, waiting);
    if (out_.empty()) {
      armRead();
      if (events_ != nullptr && !in_drained) {
        in_drained = true;
        drained_next = owner_.drained_;
        owner_.drained_ = this;
      }
    } else {
      arm(timeouts().write);
    }
  }
  const std::size_t rest = size - waiting;
  owner_.out_.append(pool, lent_.substr(0, rest));
  lent_.remove_prefix(rest);
  if (size != 0) owner_.floods_.sent(size);
}

void H2ServerConnection::Link::endSent() noexcept {
  if (!remote_ended_ && !tunnel_)
    (void)nghttp2_submit_rst_stream(owner_.session_, 0, id_, NGHTTP2_NO_ERROR);
}

void H2ServerConnection::Link::reset(std::uint32_t code) noexcept {
  lent_ = {};
  if (!closed_) (void)nghttp2_submit_rst_stream(owner_.session_, 0, id_, code);
  owner_.schedule();
}

/// The client broke the rules of its stream (`why`), or takes nothing.
void H2ServerConnection::Link::cut(std::uint32_t code, http::HttpError why) noexcept {
  reset(code);
  forgetBytes();
  RequestEvents* const events = std::exchange(events_, nullptr);
  if (events == nullptr) return;
  if (why == http::HttpError::None) return events->onClientGone();
  events->onRequestRefused(Broken::Protocol, why);
}

void H2ServerConnection::Link::abort() noexcept {
  if (aborted_) return;
  events_ = nullptr;  // the stream knows
  reader_ = nullptr;
  if (closed_) return owner_.bury(*this);
  aborted_ = true;
  cancel();
  forgetBytes();
  reset(NGHTTP2_INTERNAL_ERROR);
}

void H2ServerConnection::Link::streamDone() noexcept {
  if (!response_done_) return abort();
  events_ = nullptr;
  if (closed_) return owner_.bury(*this);
  if (owner_.phase_ == Phase::Closed) return;
  if (!in_.empty()) nghttp2_session_consume_connection(owner_.session_, in_.size());
  in_.clear(owner_.host_.pool);
  if (out_.empty()) cancel();
  owner_.schedule();
}

/// Of lines that it refuses by themselves nghttp2 shows some only: what is missing proves nothing.
void H2ServerConnection::Link::malformed(bool all_shown, bool end) noexcept {
  if (head_done_) trailer_error_ = http::HttpError::BadTrailer;
  if (events_ != nullptr && !head_done_ && all_shown) (void)reader_->finish(end);
}

void H2ServerConnection::Link::closed(std::uint32_t code) noexcept {
  closed_ = true;
  owner_.noteClosed(static_cast<std::uint32_t>(id_), !remote_ended_);
  cancel();
  const bool complete = local_ended_ && out_.empty() && lent_.empty();
  const bool other_way = tunnel_ && !request_done_;          // is still open, and ends with it
  if (events_ != nullptr && complete && !other_way) return;  // streamDone() is under way
  forgetBytes();
  owner_.bury(*this);
  if (events_ == nullptr) return;
  if (remote_reset_) return std::exchange(events_, nullptr)->onClientGone();
  // Of a drain: it came behind the last stream that we serve, and is safe to be sent again.
  if (!head_done_ && code == NGHTTP2_REFUSED_STREAM && owner_.phase_ == Phase::Open)
    return owner_.host_.dropStream(*std::exchange(events_, nullptr));
  const bool by_length = has_length_ && code == NGHTTP2_PROTOCOL_ERROR;
  refuse(!head_done_                               ? reader_->refusal()
         : trailer_error_ != http::HttpError::None ? trailer_error_
         : by_length                               ? http::HttpError::BadContentLength
                                                   : http::HttpError::None);
}

/// nghttp2 did, and `why` is None where nothing says it better.
void H2ServerConnection::Link::refuse(http::HttpError why) noexcept {
  std::exchange(events_, nullptr)
      ->onRequestRefused(!head_done_ && owner_.head_late_ ? Broken::Timeout : Broken::Protocol,
                         why != http::HttpError::None ? why : http::HttpError::BadFrame);
}

void H2ServerConnection::Link::cutOff() noexcept {
  if (!head_done_ && events_ != nullptr) refuse(reader_->refusal());
  lost();
}

void H2ServerConnection::Link::refused() noexcept { cut(NGHTTP2_INTERNAL_ERROR); }

void H2ServerConnection::Link::inputEnded() noexcept {
  if (remote_ended_ || closed_ || events_ == nullptr) return;
  if (!head_done_) {
    reader_ = nullptr;
    owner_.host_.dropStream(*std::exchange(events_, nullptr));
    return reset(NGHTTP2_CANCEL);
  }
  // A tunnel's direction ends by END_STREAM; without it nobody may take what came for all.
  if (tunnel_ || tunnel_asked_) return cut(NGHTTP2_CONNECT_ERROR);
  if (request_done_) return;
  request_done_ = true;
  owner_.touch(*this);
  events_->onRequestBroken(Broken::Truncated, http::HttpError::Truncated);
}

void H2ServerConnection::Link::lost() noexcept {
  cancel();
  closed_ = true;
  in_.clear(owner_.host_.pool);
  out_.clear(owner_.host_.pool);
  RequestEvents* const events = std::exchange(events_, nullptr);
  if (events == nullptr) return;
  if (head_done_)
    events->onClientGone();
  else
    owner_.host_.dropStream(*events);
}

void H2ServerConnection::Link::onTimer() noexcept {
  if (closed_ || aborted_ || owner_.phase_ == Phase::Closed) return;
  if (!out_.empty()) {  // the client gives no window, unless all of its connection is stuck
    if (owner_.blocked_) return arm(timeouts().write);
    return cut(NGHTTP2_CANCEL);
  }
  if (events_ == nullptr) return;
  if (tunnel_) return cut(NGHTTP2_CANCEL);
  if (request_done_) return;
  const bool waits_for_us = !reading_ || (!in_.empty() && !holdsEnd());
  if (waits_for_us) return arm(bodyLimit());
  request_done_ = true;
  events_->onRequestBroken(Broken::Timeout, http::HttpError::None);
}

}  // namespace hyperway::codec
