// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_server.hpp"

#include <nghttp2/nghttp2.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "http/h2_request.hpp"
#include "http/websocket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kSendAt = 48 * 1024;  // with one more frame it still fits a 64 KiB buffer
constexpr std::size_t kDeliverBytes = 16 * 1024;
constexpr std::size_t kLingerBytes = 1024 * 1024;
constexpr std::size_t kTurnBytes = 4 * BlockPool::kBlockBytes;  // read before others get their turn
constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::size_t kHeadBombFactor = 2;  // a head this far above its limit is no mistake
constexpr std::size_t kMaxContinuations = FloodWatch::kContinuations + 1;  // ours is asked first
constexpr std::size_t kMaxSentHead = 1 << 20;
constexpr std::size_t kFrameHeader = 9;
constexpr std::chrono::milliseconds kDrainWait{1000};  // for the client's answer to our PING
constexpr std::uint8_t kDrainPing[8] = {'d', 'r', 'a', 'i', 'n', 0, 0, 0};

std::uint8_t* bytesOf(std::string_view text) noexcept {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

/// A line that nghttp2 copies.
nghttp2_nv line(std::string_view name, std::string_view value) noexcept {
  return {bytesOf(name), bytesOf(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view text(const std::uint8_t* bytes, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(bytes), size};
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

// ---- one stream ----

/// One stream of the client's. Lives until both nghttp2 and the RequestEvents have let go of it.
class H2ServerConnection::Link final : public ServerLink, private net::Timer {
 public:
  Link(H2ServerConnection& owner, std::int32_t id) noexcept : owner_(owner), id_(id) {}
  ~Link() override { forgetBytes(); }

  void sendContinue() noexcept override;
  void sendInterim(const http::ResponseHead& head) noexcept override;
  void sendHead(http::ResponseHead& head, bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void abort() noexcept override;
  void flush() noexcept override { owner_.schedule(); }
  [[nodiscard]] std::size_t queued() const noexcept override { return out_.size(); }
  void setReading(bool on) noexcept override;
  void streamDone() noexcept override;
  [[nodiscard]] const ConnectionInfo& connection() const noexcept override { return owner_.info_; }
  [[nodiscard]] bool canSpliceResponse() const noexcept override { return false; }
  [[nodiscard]] std::size_t spliceResponse(int /*pipe*/, std::size_t /*size*/,
                                           bool /*end*/) noexcept override {
    return 0;
  }
  [[nodiscard]] std::uint64_t spliceableRequest() const noexcept override { return 0; }
  void beginSpliceRequest() noexcept override {}
  [[nodiscard]] SpliceResult spliceRequest(int /*pipe*/, std::size_t /*size*/) noexcept override {
    return {};
  }

  // what nghttp2 tells
  void open() noexcept;
  void field(std::string_view name, std::string_view value) noexcept;
  void headDone(bool end) noexcept;
  void trailersDone() noexcept;
  void body(std::span<char> data) noexcept;
  void bodyDone() noexcept;
  void endSent() noexcept;
  void remoteReset() noexcept { remote_ended_ = true; }
  void closed() noexcept;
  void refused() noexcept;
  [[nodiscard]] ssize_t offer(std::size_t most, std::uint32_t& flags) noexcept;
  [[nodiscard]] bool has(std::size_t size) const noexcept {
    return !aborted_ && out_.size() + lent_.size() >= size;
  }
  void give(std::size_t size) noexcept;

  /// The connection is gone.
  void lost() noexcept;
  /// True if we cut the answer: that is no fault of the client's.
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  [[nodiscard]] std::size_t headBytes() const noexcept {
    return reader_ != nullptr ? reader_->bytes() : trailer_bytes_;
  }
  [[nodiscard]] bool drained() const noexcept { return out_.empty(); }
  [[nodiscard]] RequestEvents* events() const noexcept { return events_; }

  Link* prev = nullptr;  // live or dead
  Link* next = nullptr;
  Link* touched_next = nullptr;
  Link* drained_next = nullptr;
  bool touched = false;
  bool in_drained = false;

 private:
  void onTimer() noexcept override;
  void arm(std::chrono::milliseconds limit) noexcept {
    set(owner_.host_.loop.timers(), owner_.host_.loop.now() + limit);
  }
  /// More of a body or tunnel is awaited; an answer that the client does not take has its own
  /// limit.
  void armRead() noexcept {
    if (!out_.empty()) return;
    if (tunnel_)
      arm(timeouts().tunnel);
    else if (request_done_ || remote_ended_)
      cancel();
    else
      arm(timeouts().body);
  }
  [[nodiscard]] const ServerTimeouts& timeouts() const noexcept { return owner_.host_.timeouts; }
  [[nodiscard]] bool usable() const noexcept {
    return events_ != nullptr && !closed_ && !aborted_ && owner_.phase_ != Phase::Closed;
  }
  /// All that was announced is here, and the end of the stream is not: see body().
  [[nodiscard]] bool holdsEnd() const noexcept {
    return has_length_ && body_bytes_ == length_ && !end_pending_;
  }
  void deliver() noexcept;
  void finishRequest() noexcept;
  void resume() noexcept;
  void reset(std::uint32_t code) noexcept;
  void cut(std::uint32_t code) noexcept;
  void consume(std::size_t size) noexcept;
  void forgetBytes() noexcept;
  void submitTrailers() noexcept;
  void submitHead(std::uint16_t status, const http::HeaderMap& fields, std::string_view length,
                  bool interim, bool end) noexcept;

  H2ServerConnection& owner_;
  RequestEvents* events_ = nullptr;
  http::H2RequestReader* reader_ = nullptr;  // in the stream's arena, while the head is read
  ByteBuffer in_;                            // body that the stream does not read yet
  ByteBuffer out_;                           // body of the answer that has no window yet
  std::string_view websocket_key_;           // ours, in the stream's arena
  std::string_view lent_;                    // body that sendBody() was given, during the call
  std::unique_ptr<std::vector<std::pair<std::string, std::string>>> trailers_;  // of the answer
  std::uint64_t body_bytes_ = 0;
  std::uint64_t length_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::int32_t id_;
  http::HttpError trailer_error_ = http::HttpError::None;
  bool has_length_ = false;
  bool head_done_ = false;
  bool head_request_ = false;
  bool reading_ = true;
  bool delivering_ = false;
  bool tunnel_ = false;
  bool tunnel_asked_ = false;
  bool remote_ended_ = false;  // END_STREAM came
  bool end_pending_ = false;   // and is to be told
  bool trailers_pending_ = false;
  bool request_done_ = false;  // nothing more is told
  bool head_sent_ = false;
  bool no_body_ = false;
  bool response_done_ = false;  // all of the answer is here
  bool local_ended_ = false;    // our END_STREAM was handed to nghttp2 or sent
  bool deferred_ = false;       // nghttp2 waits for resume()
  bool aborted_ = false;
  bool closed_ = false;  // nghttp2 knows it no more
};

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
    arm(timeouts().body);
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
    return cut(NGHTTP2_PROTOCOL_ERROR);
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
  if (has_length_ && body_bytes_ != length_) return cut(NGHTTP2_PROTOCOL_ERROR);
  end_pending_ = true;
  if (reading_) deliver();
}

void H2ServerConnection::Link::trailersDone() noexcept {
  remote_ended_ = true;
  if (events_ == nullptr) return;
  // RFC 9113 §8.5: behind a CONNECT's head there are bytes alone.
  if (tunnel_asked_) return cut(NGHTTP2_PROTOCOL_ERROR);
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
  if (tunnel_) armRead();
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

/// nghttp2 asks what can be sent.
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

/// `size` bytes go into the connection's output.
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

/// Our END_STREAM is out: what the client still sends is nobody's business (RFC 9113 §8.1), but
/// through a tunnel, whose directions end one by one.
void H2ServerConnection::Link::endSent() noexcept {
  if (!remote_ended_ && !tunnel_)
    (void)nghttp2_submit_rst_stream(owner_.session_, 0, id_, NGHTTP2_NO_ERROR);
}

void H2ServerConnection::Link::reset(std::uint32_t code) noexcept {
  lent_ = {};
  if (!closed_) (void)nghttp2_submit_rst_stream(owner_.session_, 0, id_, code);
  owner_.schedule();
}

/// The client broke the rules of its stream, or takes nothing.
void H2ServerConnection::Link::cut(std::uint32_t code) noexcept {
  reset(code);
  forgetBytes();
  if (RequestEvents* const events = std::exchange(events_, nullptr)) events->onClientGone();
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

/// nghttp2 lets go of it.
void H2ServerConnection::Link::closed() noexcept {
  closed_ = true;
  owner_.noteClosed(static_cast<std::uint32_t>(id_), !remote_ended_);
  cancel();
  const bool complete = local_ended_ && out_.empty() && lent_.empty();
  const bool other_way = tunnel_ && !request_done_;          // is still open, and ends with it
  if (events_ != nullptr && complete && !other_way) return;  // streamDone() is under way
  forgetBytes();
  RequestEvents* const events = std::exchange(events_, nullptr);
  owner_.bury(*this);
  if (events == nullptr) return;
  if (head_done_) return events->onClientGone();
  owner_.host_.onMalformed();
  owner_.host_.dropStream(*events);
}

/// nghttp2 could not send our head.
void H2ServerConnection::Link::refused() noexcept { cut(NGHTTP2_INTERNAL_ERROR); }

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
  if (waits_for_us) return arm(timeouts().body);
  request_done_ = true;
  events_->onRequestBroken(Broken::Timeout, http::HttpError::None);
}

// ---- what nghttp2 calls ----

struct H2ServerConnection::Callbacks {
  static H2ServerConnection& of(void* user) noexcept {
    return *static_cast<H2ServerConnection*>(user);
  }
  static Link* find(nghttp2_session* session, std::int32_t id) noexcept {
    return static_cast<Link*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int beginHeaders(nghttp2_session* session, const nghttp2_frame* frame,
                          void* user) noexcept {
    H2ServerConnection& self = of(user);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const auto id = frame->hd.stream_id;
    Link* const link = new (std::nothrow) Link(self, id);
    if (link == nullptr) return NGHTTP2_ERR_CALLBACK_FAILURE;
    link->next = self.live_;
    if (self.live_ != nullptr) self.live_->prev = link;
    self.live_ = link;
    (void)nghttp2_session_set_stream_user_data(session, id, link);
    link->open();
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t /*flags*/, void* user) noexcept {
    Link* const link = find(session, frame->hd.stream_id);
    if (link == nullptr) return 0;
    link->field(text(name, name_size), text(value, value_size));
    H2ServerConnection& self = of(user);
    if (link->headBytes() <= kHeadBombFactor * self.host_.limits.head_bytes) return 0;
    self.flood(Flood::Headers);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // The default drops the field and goes on without it.
  static int badHeader(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/,
                       const std::uint8_t* /*name*/, std::size_t /*name_size*/,
                       const std::uint8_t* /*value*/, std::size_t /*value_size*/,
                       std::uint8_t /*flags*/, void* /*user*/) noexcept {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frameReceived(nghttp2_session* session, const nghttp2_frame* frame,
                           void* user) noexcept {
    H2ServerConnection& self = of(user);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        Link* const link = find(session, frame->hd.stream_id);
        if (link == nullptr) return 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          if (self.drain_ == Drain::None && self.host_.closing(self.info_)) self.closeWhenIdle();
          link->headDone(end);
        } else {
          link->trailersDone();
        }
        return 0;
      }
      case NGHTTP2_DATA:
        if (Link* const link = find(session, frame->hd.stream_id); link != nullptr && end)
          link->bodyDone();
        return 0;
      case NGHTTP2_RST_STREAM:
        if (Link* const link = find(session, frame->hd.stream_id)) link->remoteReset();
        if (!self.floods_.reset(self.host_.loop.now())) self.flood(Flood::Resets);
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
            std::memcmp(frame->ping.opaque_data, kDrainPing, sizeof kDrainPing) == 0)
          self.finishDrain();
        return 0;
      default: return 0;
    }
  }

  // A stream beyond the limit has no link.
  static int badFrame(nghttp2_session* /*session*/, const nghttp2_frame* frame, int /*error*/,
                      void* user) noexcept {
    if (frame->hd.type == NGHTTP2_HEADERS)
      of(user).noteClosed(static_cast<std::uint32_t>(frame->hd.stream_id), true);
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t id,
                  const std::uint8_t* bytes, std::size_t size, void* /*user*/) noexcept {
    Link* const link = find(session, id);
    auto* const writable = reinterpret_cast<char*>(const_cast<std::uint8_t*>(bytes));
    if (link != nullptr)
      link->body({writable, size});
    else
      (void)nghttp2_session_consume_connection(session, size);
    return 0;
  }

  static int frameSent(nghttp2_session* session, const nghttp2_frame* frame, void* user) noexcept {
    H2ServerConnection& self = of(user);
    Link* const link = find(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      const std::uint32_t code = frame->rst_stream.error_code;
      const bool ours = code == NGHTTP2_NO_ERROR || code == NGHTTP2_CONNECT_ERROR ||
                        (link != nullptr && link->aborted());
      if (!ours && !self.floods_.reset(self.host_.loop.now())) self.flood(Flood::Resets);
      return 0;
    }
    const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && link != nullptr)
      link->endSent();
    return 0;
  }

  static int frameNotSent(nghttp2_session* session, const nghttp2_frame* frame, int /*error*/,
                          void* /*user*/) noexcept {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Link* const link = find(session, frame->hd.stream_id)) link->refused();
    return 0;
  }

  static int streamClosed(nghttp2_session* session, std::int32_t id, std::uint32_t /*code*/,
                          void* /*user*/) noexcept {
    if (Link* const link = find(session, id)) link->closed();
    return 0;
  }

  static int sendData(nghttp2_session* /*session*/, nghttp2_frame* frame, const std::uint8_t* head,
                      std::size_t size, nghttp2_data_source* source, void* user) noexcept {
    H2ServerConnection& self = of(user);
    if (self.out_.size() >= kSendAt) self.write();
    if (self.blocked_ || self.failed_) return NGHTTP2_ERR_WOULDBLOCK;
    HW_ASSERT(frame->data.padlen == 0);
    Link& link = *static_cast<Link*>(source->ptr);
    if (!link.has(size)) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // cut since it was offered
    self.out_.append(self.host_.pool, text(head, kFrameHeader));
    link.give(size);
    return 0;
  }

  static const nghttp2_session_callbacks* all() noexcept {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* set = nullptr;
      if (nghttp2_session_callbacks_new(&set) != 0) std::abort();
      nghttp2_session_callbacks_set_on_begin_headers_callback(set, beginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(set, header);
      nghttp2_session_callbacks_set_on_invalid_header_callback(set, badHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(set, frameReceived);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(set, badFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(set, data);
      nghttp2_session_callbacks_set_on_frame_send_callback(set, frameSent);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(set, frameNotSent);
      nghttp2_session_callbacks_set_on_stream_close_callback(set, streamClosed);
      nghttp2_session_callbacks_set_send_data_callback(set, sendData);
      return set;
    }();
    return made;
  }

  static const nghttp2_option* options() noexcept {
    static const nghttp2_option* const made = [] {
      nghttp2_option* set = nullptr;
      if (nghttp2_option_new(&set) != 0) std::abort();
      nghttp2_option_set_no_auto_window_update(set, 1);
      nghttp2_option_set_no_closed_streams(set, 1);
      nghttp2_option_set_max_continuations(set, kMaxContinuations);
      nghttp2_option_set_max_send_header_block_length(set, kMaxSentHead);
      return set;
    }();
    return made;
  }
};

// ---- the connection ----

H2ServerConnection::H2ServerConnection(ServerHost& host, Transport transport,
                                       const ConnectionInfo& info) noexcept
    : host_(host), transport_(std::move(transport)), info_(info) {}

H2ServerConnection::~H2ServerConnection() {
  nghttp2_session_del(session_);
  session_ = nullptr;
  freeDead();
  while (live_ != nullptr) {
    const std::unique_ptr<Link> link(live_);
    live_ = live_->next;
  }
  out_.clear(host_.pool);
}

void H2ServerConnection::start(std::span<char> read, bool readable) noexcept {
  if (nghttp2_session_server_new2(&session_, Callbacks::all(), this, Callbacks::options()) != 0)
    return closeNow();
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(host_.limits.head_bytes)},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) != 0)
    return closeNow();
  idle_since_ = host_.loop.now();
  wakeAt(idle_since_ + host_.timeouts.idle);
  schedule();
  if (!read.empty()) feed(read);
  if (!readable || phase_ != Phase::Open) return;
  readable_ = true;
  process();
}

void H2ServerConnection::onEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Closed) return;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return gone();
  if ((events & EPOLLOUT) != 0 && (blocked_ || transport_.wantsFlush())) {
    write();
    if (failed_) return gone();
    if (!blocked_) schedule();
  }
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    readable_ = true;
    if ((events & EPOLLRDHUP) != 0) half_closed_ = true;
    if (transport_.tls() != nullptr) transport_.tls()->onReadable((events & EPOLLRDHUP) != 0);
  }
  process();
}

/// Reads what is there. Not into the worker's scratch buffer: what a frame sets off may read
/// another connection into that, while the frames behind it still wait.
void H2ServerConnection::process() noexcept {
  if (processing_) return;
  if (phase_ == Phase::Linger) return lingerRead();
  processing_ = true;
  char* const block = host_.pool.take();
  std::size_t taken = 0;
  while (readable_ && !blocked_ && phase_ == Phase::Open) {
    // What frames set off (resets, above all) is sent and counted at the turn's end only, and who
    // sends fast enough would put that off for ever. Asking for events anew brings us back.
    if (taken >= kTurnBytes) {
      if (!host_.loop.modify(transport_.fd(), kEvents, *this)) gone();
      break;
    }
    const Transport::Outcome got = transport_.read(block, BlockPool::kBlockBytes);
    if (got.state == Transport::State::Again) {
      readable_ = false;
    } else if (got.state == Transport::State::Moved) {
      if (got.drained && !half_closed_) readable_ = false;
      taken += got.bytes;
      feed({block, got.bytes});
    } else {
      gone();
    }
  }
  host_.pool.give(block);
  processing_ = false;
}

void H2ServerConnection::feed(std::span<char> bytes) noexcept {
  scan(bytes);
  if (phase_ == Phase::Closed) return;
  handOn();
  if (inHead()) wakeAt(head_since_ + host_.timeouts.head);
  schedule();
}

/// Looks at each frame before nghttp2 does, which tells nothing of those that it passes over.
void H2ServerConnection::scan(std::span<char> bytes) noexcept {
  std::size_t begin = 0;  // of what nghttp2 has not seen yet
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (payload_left_ != 0) {
      const auto part =
          static_cast<std::uint32_t>(std::min<std::size_t>(payload_left_, bytes.size() - at));
      payload_left_ -= part;
      at += part;
      continue;
    }
    const std::size_t part = std::min(kFrameHeader - frame_head_size_, bytes.size() - at);
    std::memcpy(frame_head_.data() + frame_head_size_, bytes.data() + at, part);
    frame_head_size_ += static_cast<std::uint32_t>(part);
    if (frame_head_size_ < kFrameHeader) {  // the rest comes later: nghttp2 gets it then
      (void)receive(bytes.subspan(begin, at - begin));
      return;
    }
    frame_head_size_ = 0;
    const bool whole = part == kFrameHeader;  // in `bytes`, not from an earlier call
    if (!receive(bytes.subspan(begin, at - begin)) || !admit()) return;
    begin = at += part;
    if (whole)
      begin -= kFrameHeader;
    else if (!receive(frame_head_))
      return;
  }
  (void)receive(bytes.subspan(begin));
}

/// Hands bytes to nghttp2. False: the connection takes no more.
bool H2ServerConnection::receive(std::span<const char> bytes) noexcept {
  if (bytes.empty()) return phase_ == Phase::Open;
  in_session_ = true;
  const ssize_t used = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  in_session_ = false;
  if (failed_) {
    gone();
    return false;
  }
  if (used < 0) {
    switch (used) {
      case NGHTTP2_ERR_FLOODED: flood(Flood::Frames); break;
      case NGHTTP2_ERR_BAD_CLIENT_MAGIC: terminate(NGHTTP2_PROTOCOL_ERROR); break;
      default: terminate(NGHTTP2_INTERNAL_ERROR); break;
    }
  }
  return phase_ == Phase::Open;
}

/// Judges the frame that frame_head_ begins. False: it ends the connection.
bool H2ServerConnection::admit() noexcept {
  const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(frame_head_[i]); };
  payload_left_ = static_cast<std::uint32_t>(byte(0)) << 16 |
                  static_cast<std::uint32_t>(byte(1)) << 8 | byte(2);
  const std::uint8_t type = byte(3);
  const std::uint8_t flags = byte(4);
  const std::uint32_t id =
      (static_cast<std::uint32_t>(byte(5)) << 24 | static_cast<std::uint32_t>(byte(6)) << 16 |
       static_cast<std::uint32_t>(byte(7)) << 8 | byte(8)) &
      0x7fffffff;
  const net::TimePoint now = host_.loop.now();
  head_frame_ = type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION;
  if (head_frame_) block_open_ = (flags & NGHTTP2_FLAG_END_HEADERS) == 0;
  if (type == NGHTTP2_HEADERS) {
    floods_.headBegins();
    head_since_ = now;
  }
  if (type == NGHTTP2_CONTINUATION) {
    if (!floods_.continuation(payload_left_)) flood(Flood::Headers);
  } else if (!(type == NGHTTP2_WINDOW_UPDATE ? floods_.windowUpdate(now)
                                             : floods_.idleFrame(now))) {
    flood(Flood::Frames);
  }
  if (phase_ != Phase::Open) return false;
  if ((type != NGHTTP2_HEADERS && type != NGHTTP2_DATA) || id % 2 == 0) return true;
  if (id > highest_stream_) {
    if (type == NGHTTP2_HEADERS) highest_stream_ = id;
    return true;
  }
  if (drain_ == Drain::Final || !onEndedStream(id)) return true;
  // RFC 9113 §5.1, §5.1.1: nothing comes behind the end of a stream, and numbers do not go back.
  const bool known =
      std::find(closed_streams_.begin(), closed_streams_.end(), id) != closed_streams_.end();
  // Of a stream that ended long ago DATA may be late, and is passed over.
  if (!known && type == NGHTTP2_DATA) return true;
  terminate(known ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR);
  return false;
}

/// True if a stream that the client may have begun is no more, and nothing of it can be on its way.
bool H2ServerConnection::onEndedStream(std::uint32_t id) const noexcept {
  if (nghttp2_session_find_stream(session_, static_cast<std::int32_t>(id)) != nullptr) return false;
  return std::find(forgiven_streams_.begin(), forgiven_streams_.end(), id) ==
         forgiven_streams_.end();
}

void H2ServerConnection::noteClosed(std::uint32_t id, bool late_frames_may_come) noexcept {
  if (late_frames_may_come)
    forgiven_streams_[forgiven_count_++ % forgiven_streams_.size()] = id;
  else
    closed_streams_[closed_count_++ % closed_streams_.size()] = id;
}

void H2ServerConnection::touch(Link& link) noexcept {
  if (std::exchange(link.touched, true)) return;
  link.touched_next = touched_;
  touched_ = &link;
  schedule();
}

/// A batch of frames is over.
void H2ServerConnection::handOn() noexcept {
  while (touched_ != nullptr && phase_ != Phase::Closed) {
    Link& link = *touched_;
    touched_ = link.touched_next;
    link.touched = false;
    if (link.events() != nullptr) link.events()->onRequestFlush();
  }
}

/// Puts all frames that may be sent now into the output.
void H2ServerConnection::pump() noexcept {
  if (!mayPump()) return;
  in_session_ = true;
  while (!blocked_ && !failed_) {
    const std::uint8_t* frame = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frame);
    if (size <= 0) {
      if (size < 0) failed_ = true;
      break;
    }
    out_.append(host_.pool, text(frame, static_cast<std::size_t>(size)));
    if (out_.size() >= kSendAt) write();
  }
  in_session_ = false;
  if (failed_) gone();
}

/// Hands the output to the kernel, as far as it takes it. `failed_` tells of a broken connection.
void H2ServerConnection::write() noexcept {
  bool progress = false;
  while (!out_.empty()) {
    const std::string_view pieces[] = {out_.view()};
    const Transport::Outcome sent = transport_.write(pieces);
    if (sent.state == Transport::State::Broken) {
      failed_ = true;
      return;
    }
    if (sent.state == Transport::State::Again || sent.bytes == 0) break;
    out_.consume(host_.pool, sent.bytes);
    progress = true;
  }
  if (transport_.wantsFlush()) {
    const tls::IoResult result = transport_.tls()->flush();
    if (result.state == tls::Io::Failed || result.state == tls::Io::Closed) {
      failed_ = true;
      return;
    }
  }
  const bool waiting = !out_.empty() || transport_.wantsFlush();
  if (waiting && (!blocked_ || progress)) {
    stall_.begin();
    wakeAt(host_.loop.now() + StallWatch::interval(host_.timeouts.write));
  }
  blocked_ = waiting;
}

void H2ServerConnection::schedule() noexcept {
  if (scheduled_ || phase_ == Phase::Closed) return;
  scheduled_ = true;
  host_.loop.atEndOfTurn([](void* self) { static_cast<H2ServerConnection*>(self)->endOfTurn(); },
                         this);
}

/// One send for all that this turn gathered.
void H2ServerConnection::endOfTurn() noexcept {
  scheduled_ = false;
  if (phase_ == Phase::Closed) return;
  if (phase_ != Phase::Linger) {
    pump();
    if (phase_ == Phase::Closed) return;
    if (!blocked_) write();
    if (failed_) return gone();
    while ((touched_ != nullptr || drained_ != nullptr) && phase_ != Phase::Closed) {
      handOn();
      tellDrained();
    }
    if (phase_ == Phase::Closed) return;
    if (!blocked_ && !out_.empty()) schedule();
  }
  freeDead();
  if (phase_ == Phase::Linger || scheduled_) return;
  if (phase_ == Phase::Ending && blocked_) return gone();  // it would not hear why
  if (blocked_ || nghttp2_session_want_read(session_) != 0 ||
      nghttp2_session_want_write(session_) != 0)
    return;
  // Closing now would reset the connection and could destroy the GOAWAY on its way.
  phase_ = Phase::Linger;
  touched_ = drained_ = nullptr;
  for (Link* link = live_; link != nullptr; link = link->next) link->lost();
  transport_.shutdownWrite();
  wakeAt(host_.loop.now() + host_.timeouts.linger);
  if (readable_) lingerRead();
}

void H2ServerConnection::tellDrained() noexcept {
  while (drained_ != nullptr && phase_ != Phase::Closed) {
    Link& link = *drained_;
    drained_ = link.drained_next;
    link.in_drained = false;
    if (link.events() != nullptr && link.drained()) link.events()->onClientDrained();
  }
}

void H2ServerConnection::bury(Link& link) noexcept {
  if (link.prev != nullptr)
    link.prev->next = link.next;
  else
    live_ = link.next;
  if (link.next != nullptr) link.next->prev = link.prev;
  link.prev = nullptr;
  link.next = dead_;
  dead_ = &link;
  if (live_ == nullptr) {
    idle_since_ = host_.loop.now();
    wakeAt(idle_since_ + host_.timeouts.idle);
  }
  schedule();
}

void H2ServerConnection::freeDead() noexcept {
  while (dead_ != nullptr) {
    const std::unique_ptr<Link> link(dead_);
    dead_ = dead_->next;
  }
}

void H2ServerConnection::closeWhenIdle() noexcept {
  if (drain_ != Drain::None || phase_ != Phase::Open) return;
  drain_ = Drain::Announced;
  (void)nghttp2_submit_shutdown_notice(session_);
  (void)nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing);
  drain_since_ = host_.loop.now();
  wakeAt(drain_since_ + kDrainWait);
  schedule();
}

/// What the client sent before it knew is here: says which stream was the last.
void H2ServerConnection::finishDrain() noexcept {
  if (drain_ != Drain::Announced || phase_ != Phase::Open) return;
  drain_ = Drain::Final;
  (void)nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                              nullptr, 0);
  schedule();
}

/// Ends the connection with a GOAWAY, whatever is under way.
void H2ServerConnection::terminate(std::uint32_t code) noexcept {
  if (phase_ != Phase::Open) return;
  phase_ = Phase::Ending;
  (void)nghttp2_session_terminate_session(session_, code);
  schedule();
}

void H2ServerConnection::flood(Flood kind) noexcept {
  if (phase_ != Phase::Open) return;
  host_.onFlood(kind);
  terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2ServerConnection::lingerRead() noexcept {
  char* const block = host_.pool.take();
  bool over = false;
  while (readable_ && !over) {
    const Transport::Outcome got = transport_.read(block, BlockPool::kBlockBytes);
    lingered_ += got.bytes;
    if (got.state == Transport::State::Again) readable_ = false;
    over = (got.state != Transport::State::Moved && readable_) || lingered_ > kLingerBytes;
  }
  host_.pool.give(block);
  if (over) closeNow();
}

void H2ServerConnection::wakeAt(net::TimePoint at) noexcept {
  if (armed() && due_ <= at) return;
  due_ = at;
  set(host_.loop.timers(), at);
}

void H2ServerConnection::onTimer() noexcept {
  const net::TimePoint now = host_.loop.now();
  const ServerTimeouts& limits = host_.timeouts;
  if (phase_ == Phase::Closed) return;
  if (phase_ == Phase::Linger) return closeNow();
  if (blocked_) {
    if (stall_.stalled(transport_.fd())) return gone();
    return wakeAt(now + StallWatch::interval(limits.write));
  }
  if (inHead() && now - head_since_ >= limits.head) terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  if (drain_ == Drain::Announced && now - drain_since_ >= kDrainWait) finishDrain();
  if (live_ == nullptr && now - idle_since_ >= limits.idle) terminate(NGHTTP2_NO_ERROR);
  if (phase_ != Phase::Open) return;
  if (inHead()) wakeAt(head_since_ + limits.head);
  if (drain_ == Drain::Announced) wakeAt(drain_since_ + kDrainWait);
  wakeAt(live_ == nullptr ? idle_since_ + limits.idle : now + limits.idle);
}

void H2ServerConnection::gone() noexcept { closeNow(); }

void H2ServerConnection::closeNow() noexcept {
  if (phase_ == Phase::Closed) return;
  HW_ASSERT(!in_session_);
  phase_ = Phase::Closed;
  cancel();
  transport_.close();
  for (Link* link = live_; link != nullptr;) {
    Link& each = *link;
    link = link->next;
    each.lost();
  }
  host_.onServerConnectionClosed(*this);
}

}  // namespace hyperway::codec
