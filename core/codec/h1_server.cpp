// SPDX-License-Identifier: Apache-2.0
#include "codec/h1_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "codec/chunk.hpp"
#include "net/socket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::uint32_t kFirstHeadBytes =
    4096;  // typical heads fit; larger ones move once or twice
constexpr std::size_t kGatherBytes = 12 * 1024;  // up to here copying beats a second vector
constexpr std::size_t kLingerBytes = 1024 * 1024;
constexpr std::uint32_t kTurnRequests = 64;  // begun before others get their turn
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 §3.4

/// True for a first line of three words without a slash in any, which HTTP's would have: whoever
/// speaks it would not understand an answer. A preface that only resembles HTTP/2's has to be
/// closed like that (RFC 9113 §3.4).
bool isOtherProtocol(std::string_view line) noexcept {
  line = line.substr(0, line.find('\r'));
  return std::count(line.begin(), line.end(), ' ') == 2 && line.find('/') == std::string_view::npos;
}

}  // namespace

H1ServerConnection::H1ServerConnection(ServerHost& host, Transport transport,
                                       const ConnectionInfo& info) noexcept
    : host_(host), transport_(std::move(transport)), info_(info) {}

H1ServerConnection::~H1ServerConnection() {
  in_.clear(host_.pool);
  out_.clear(host_.pool);
}

void H1ServerConnection::start(bool readable) noexcept {
  arm(host_.timeouts.idle);
  if (!readable) return;
  readable_ = true;
  process();
}

void H1ServerConnection::arm(std::chrono::milliseconds limit) noexcept {
  set(host_.loop.timers(), host_.loop.now() + limit);
}

/// From now on a peer that takes nothing is cut (StallWatch).
void H1ServerConnection::armWrite() noexcept {
  stall_.begin();
  arm(StallWatch::interval(host_.timeouts.write));
}

/// More of a body or tunnel is awaited; an answer that the client does not take has its own limit.
void H1ServerConnection::armRead() noexcept {
  if (!blocked_) arm(phase_ == Phase::Tunnel ? host_.timeouts.tunnel : host_.timeouts.body);
}

void H1ServerConnection::closeWhenIdle() noexcept { close_when_idle_ = true; }

void H1ServerConnection::onEvents(std::uint32_t events) noexcept {
  if (phase_ == Phase::Closed) return;
  turn_requests_ = 0;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return gone();
  if ((events & EPOLLOUT) != 0 && (blocked_ || transport_.wantsFlush())) {
    flush();
    if (phase_ == Phase::Closed) return;
    if (!blocked_ && events_ != nullptr) events_->onClientDrained();
    if (phase_ == Phase::Closed) return;
    if (!blocked_ && events_ == nullptr) process();  // requests that waited for their turn
    if (phase_ == Phase::Closed) return;
  }
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    readable_ = true;
    if ((events & EPOLLRDHUP) != 0) half_closed_ = true;
    if (transport_.tls() != nullptr) transport_.tls()->onReadable((events & EPOLLRDHUP) != 0);
    process();
  } else if (events_ == nullptr && (!in_.empty() || readable_)) {
    process();  // of comeBack()
  }
}

/// What is answered at once lets the next request in, within the same turn, and who pipelines fast
/// enough would keep all others waiting. Asking for events anew brings us back in the next turn.
void H1ServerConnection::comeBack() noexcept {
  if (!host_.loop.modify(transport_.fd(), net::kConnectionEvents, *this)) gone();
}

void H1ServerConnection::process() noexcept {
  if (processing_) return;  // the outer call goes on
  processing_ = true;
  while (advance()) {
  }
  processing_ = false;
}

bool H1ServerConnection::advance() noexcept {
  switch (phase_) {
    case Phase::Idle:
    case Phase::Head: return readHead();
    case Phase::Body:
    case Phase::Tunnel: return reading_ && readBody();
    case Phase::Linger: return lingerRead();
    case Phase::Answer:
    case Phase::Closed: break;
  }
  return false;
}

bool H1ServerConnection::readHead() noexcept {
  if ((in_.empty() && !readable_) || (blocked_ && events_ == nullptr))
    return false;  // answers first
  if (events_ == nullptr) {
    if (turn_requests_ >= kTurnRequests) return comeBack(), false;
    events_ = host_.openStream(*this);
    if (events_ == nullptr) return closeNow(), false;
    // Before the head: a head that breaks off or comes too late is answered, too.
    request_done_ = head_sent_ = response_done_ = chunked_out_ = no_body_out_ = false;
    head_request_ = old_client_ = raw_ = length_body_ = false;
    reading_ = true;
    head_ = nullptr;
    head_size_ = head_capacity_ = 0;
    scanned_ = 0;
  }
  if (!takeHeadBytes()) return false;
  return parseHead();
}

/// Gets more bytes of the head; false if none came (or the connection ended).
bool H1ServerConnection::takeHeadBytes() noexcept {
  if (head_size_ == head_capacity_) {
    const std::uint32_t capacity = head_capacity_ == 0 ? kFirstHeadBytes : head_capacity_ * 4;
    auto* bigger = static_cast<char*>(events_->arena().allocate(capacity, 1));
    if (head_size_ != 0) std::memcpy(bigger, head_, head_size_);
    head_ = bigger;
    head_capacity_ = capacity;
  }
  const std::uint32_t room = head_capacity_ - head_size_;
  if (!in_.empty()) {
    const auto take = static_cast<std::uint32_t>(std::min<std::size_t>(room, in_.size()));
    std::memcpy(head_ + head_size_, in_.view().data(), take);
    in_.consume(host_.pool, take);
    head_size_ += take;
    return true;
  }
  const Transport::Outcome got = transport_.read(head_ + head_size_, room);
  if (got.state == Transport::State::Moved) {
    if (got.drained && !half_closed_) readable_ = false;
    head_size_ += static_cast<std::uint32_t>(got.bytes);
    return true;
  }
  if (got.state == Transport::State::Again) {
    readable_ = false;
    if (head_size_ == 0 && phase_ == Phase::Idle) {
      host_.dropStream(*events_);
      events_ = nullptr;
    }
    return false;
  }
  gone();  // closed before or inside a head: there is nobody to answer
  return false;
}

/// True while what came may be the preface of HTTP/2, which a client may send by prior knowledge.
/// Behind TLS ALPN has decided.
bool H1ServerConnection::beginsPreface() const noexcept {
  if (!fresh_ || transport_.tls() != nullptr || head_size_ == 0) return false;
  const std::string_view here(head_, std::min<std::size_t>(head_size_, kPreface.size()));
  return here == kPreface.substr(0, here.size());
}

/// The connection goes on as HTTP/2; this ends.
void H1ServerConnection::handOver() noexcept {
  RequestEvents* const events = events_;
  events_ = nullptr;
  phase_ = Phase::Closed;
  cancel();
  host_.onPreface(*this, std::move(transport_), {head_, head_size_}, readable_);
  host_.dropStream(*events);
  host_.onServerConnectionClosed(*this);
}

bool H1ServerConnection::parseHead() noexcept {
  http::RequestHead& head = events_->requestHead();
  http::H1Parse parse{http::H1Parse::State::NeedMore, http::HttpError::None, 0};
  if (fresh_ && beginsPreface()) {
    if (head_size_ >= kPreface.size()) return handOver(), false;
  } else {
    parse = http::parseRequestHead({head_, head_size_}, host_.limits, scanned_, head);
  }
  if (parse.state == http::H1Parse::State::NeedMore) {
    if (phase_ == Phase::Idle) {
      phase_ = Phase::Head;
      arm(host_.timeouts.head);
    }
    return true;
  }
  if (parse.state == http::H1Parse::State::Bad) {
    if (fresh_ && parse.error == http::HttpError::BadVersion &&
        isOtherProtocol({head_, head_size_}))
      return gone(), false;
    keep_alive_ = false;
    head_request_ = false;
    old_client_ = false;
    phase_ = Phase::Answer;
    events_->onRequestBroken(Broken::Protocol, parse.error);
    return phase_ != Phase::Answer;
  }
  fresh_ = false;
  ++turn_requests_;
  keep_alive_ = head.keep_alive;
  head_request_ = head.method_id == http::Method::Head;
  old_client_ = head.version == http::Version::Http10;
  rest_begin_ = static_cast<std::uint32_t>(parse.consumed);
  decoder_.begin(head.framing);
  length_body_ = head.framing.kind == http::BodyKind::Length;  // filters may change the head's
  const bool end = head.framing.kind == http::BodyKind::None;
  request_done_ = end;
  phase_ = end ? Phase::Answer : Phase::Body;
  if (!end) arm(host_.timeouts.body);
  events_->onRequestHead(end);
  if (events_ != nullptr) events_->onRequestFlush();
  return phase_ != Phase::Answer && phase_ != Phase::Closed;
}

bool H1ServerConnection::readBody() noexcept {
  if (rest_begin_ < head_size_) {  // what came with the head
    (void)decode({head_ + rest_begin_, head_size_ - rest_begin_}, &rest_begin_);
    if (phase_ == Phase::Closed) return false;
  } else if (!in_.empty()) {
    const std::string_view waiting = in_.view();
    const std::size_t used = decode({const_cast<char*>(waiting.data()), waiting.size()}, nullptr);
    if (phase_ == Phase::Closed) return false;
    in_.consume(host_.pool, used);
  } else {
    if (!readable_) return false;
    if (raw_) return events_->onRequestRaw(), false;
    const Transport::Outcome got = transport_.read(host_.scratch.data(), host_.scratch.size());
    if (got.state == Transport::State::Again) return readable_ = false, false;
    if (got.state == Transport::State::End) return endOfInput(), phase_ != Phase::Closed;
    if (got.state == Transport::State::Broken) return gone(), false;
    if (got.drained && !half_closed_) readable_ = false;
    armRead();
    const std::size_t used = decode(host_.scratch.first(got.bytes), nullptr);
    if (phase_ == Phase::Closed) return false;
    if (used < got.bytes) in_.append(host_.pool, {host_.scratch.data() + used, got.bytes - used});
  }
  if (events_ != nullptr) events_->onRequestFlush();
  return phase_ == Phase::Idle || ((phase_ == Phase::Body || phase_ == Phase::Tunnel) && reading_);
}

/// Hands body bytes to the stream until it is full, the body ends or the input does. Returns the
/// bytes used, and adds them to `progress` before the stream hears of them: it may end in the call,
/// and what is behind is then the next request.
std::size_t H1ServerConnection::decode(std::span<char> input, std::uint32_t* progress) noexcept {
  std::size_t used = 0;
  http::HeaderMap& trailers = events_->requestTrailers();
  const bool length = phase_ == Phase::Body && length_body_;
  while (reading_ && !request_done_) {
    const std::string_view rest(input.data() + used, input.size() - used);
    const http::BodyDecoder::Step step = decoder_.next(rest, trailers);
    used += step.consumed;
    if (progress != nullptr) *progress += static_cast<std::uint32_t>(step.consumed);
    switch (step.event) {
      case http::BodyDecoder::Event::NeedMore: return used;
      case http::BodyDecoder::Event::Data: {
        char* data = const_cast<char*>(step.data.data());
        const bool last = length && decoder_.remaining() == 0;
        if (last) request_done_ = true, phase_ = Phase::Answer;
        events_->onRequestBody({data, step.data.size()}, last);
        break;
      }
      case http::BodyDecoder::Event::End:
        request_done_ = true;
        phase_ = Phase::Answer;
        if (trailers.count() != 0)
          events_->onRequestTrailers(trailers);
        else
          events_->onRequestBody({}, true);
        break;
      case http::BodyDecoder::Event::Bad: requestBroken(Broken::Protocol, step.error); return used;
    }
    if (events_ == nullptr) return used;
  }
  return used;
}

void H1ServerConnection::endOfInput() noexcept {
  readable_ = false;
  if (phase_ == Phase::Tunnel) {
    request_done_ = true;
    phase_ = Phase::Answer;
    events_->onRequestBody({}, true);
    if (events_ != nullptr) events_->onRequestFlush();  // hands the end on
    return;
  }
  requestBroken(Broken::Truncated, http::HttpError::Truncated);
}

void H1ServerConnection::requestBroken(Broken how, http::HttpError error) noexcept {
  keep_alive_ = false;
  phase_ = Phase::Answer;
  reading_ = false;
  events_->onRequestBroken(how, error);
}

bool H1ServerConnection::lingerRead() noexcept {
  if (!readable_) return false;
  const Transport::Outcome got = transport_.read(host_.scratch.data(), host_.scratch.size());
  if (got.state == Transport::State::Again) return readable_ = false, false;
  scanned_ += got.bytes;  // bounds what is thrown away
  if (got.state != Transport::State::Moved || scanned_ > kLingerBytes) return closeNow(), false;
  return true;
}

void H1ServerConnection::sendContinue() noexcept {
  if (head_sent_ || phase_ == Phase::Closed) return;
  out_.append(host_.pool, "HTTP/1.1 100 Continue\r\n\r\n");
  flush();
}

void H1ServerConnection::sendInterim(const http::ResponseHead& head) noexcept {
  if (head_sent_ || old_client_ || phase_ == Phase::Closed) return;
  char* const at = out_.reserve(host_.pool, http::responseHeadBound(head));
  out_.commit(static_cast<std::size_t>(http::writeResponseHead(head, {}, at) - at));
  flush();
}

void H1ServerConnection::sendHead(http::ResponseHead& head, bool end) noexcept {
  if (phase_ == Phase::Closed) return;
  HW_ASSERT(!head_sent_);
  head_sent_ = true;
  http::Framing& framing = head.framing;
  const bool tunnel = framing.kind == http::BodyKind::Tunnel;
  no_body_out_ = head_request_ || framing.kind == http::BodyKind::None;
  if (framing.kind == http::BodyKind::UntilClose && !old_client_)
    framing.kind = http::BodyKind::Chunked;
  if (framing.kind == http::BodyKind::Chunked && old_client_)
    framing.kind = http::BodyKind::UntilClose;
  chunked_out_ = framing.kind == http::BodyKind::Chunked && !no_body_out_;
  // An answer before the request's end: where the rest of the request ends is nobody's business any
  // more.
  if (!request_done_ || close_when_idle_ || host_.closing(info_)) keep_alive_ = false;
  if (framing.kind == http::BodyKind::UntilClose && !head_request_) keep_alive_ = false;
  const http::H1ResponseOut options{old_client_ ? http::Version::Http10 : http::Version::Http11,
                                    head_request_, keep_alive_ || tunnel};
  char* const at = out_.reserve(host_.pool, http::responseHeadBound(head));
  out_.commit(static_cast<std::size_t>(http::writeResponseHead(head, options, at) - at));
  if (tunnel) {
    keep_alive_ = false;
    phase_ = Phase::Tunnel;
    request_done_ = false;
    reading_ = false;  // bytes of a hasty client wait until the stream switches reading on
    decoder_.begin({http::BodyKind::Tunnel, 0});
    net::keepAlive(transport_.fd());  // it may be silent for long
    arm(host_.timeouts.tunnel);
  } else if (end) {
    response_done_ = true;
  }
}

void H1ServerConnection::sendBody(std::string_view data, bool end) noexcept {
  if (phase_ == Phase::Closed || response_done_) return;
  if (!no_body_out_ && !data.empty()) {
    char prefix[20];
    const std::size_t prefix_size = chunked_out_ ? writeChunkSize(data.size(), prefix) : 0;
    const std::string_view suffix = !chunked_out_ ? std::string_view{}
                                    : end         ? std::string_view{"\r\n0\r\n\r\n"}
                                                  : std::string_view{"\r\n"};
    write({prefix, prefix_size}, data, suffix);
  } else if (end && chunked_out_) {
    out_.append(host_.pool, "0\r\n\r\n");
  }
  if (phase_ == Phase::Tunnel) armRead();
  if (!end) return;
  response_done_ = true;
  if (phase_ == Phase::Tunnel) shutdown_out_ = true;
}

void H1ServerConnection::sendTrailers(const http::HeaderMap& trailers) noexcept {
  if (phase_ == Phase::Closed || response_done_) return;
  if (chunked_out_) {
    out_.append(host_.pool, "0\r\n");
    appendFields(host_.pool, out_, trailers);
    out_.append(host_.pool, "\r\n");
  }
  response_done_ = true;
}

/// Gathers small pieces, sends large ones straight from where they are.
void H1ServerConnection::write(std::string_view prefix, std::string_view data,
                               std::string_view suffix) noexcept {
  const std::size_t all = prefix.size() + data.size() + suffix.size();
  out_.append(host_.pool, prefix);
  if (blocked_ || out_.size() + all <= kGatherBytes) {
    out_.append(host_.pool, data);
    out_.append(host_.pool, suffix);
    return;
  }
  const std::string_view pieces[] = {out_.view(), data, suffix};
  const Transport::Outcome sent = transport_.write(pieces);
  if (sent.state == Transport::State::Broken) return gone();
  std::size_t bytes = sent.bytes;
  const std::size_t from_out = std::min(bytes, out_.size());
  if (from_out != 0) out_.consume(host_.pool, from_out);
  bytes -= from_out;
  const std::size_t from_data = std::min(bytes, data.size());
  out_.append(host_.pool, data.substr(from_data));
  out_.append(host_.pool, suffix.substr(bytes - from_data));
  if (!out_.empty()) {
    blocked_ = true;
    armWrite();
  }
}

void H1ServerConnection::flush() noexcept {
  if (phase_ == Phase::Closed) return;
  bool progress = false;
  while (!out_.empty()) {
    const std::string_view pieces[] = {out_.view()};
    const Transport::Outcome sent = transport_.write(pieces);
    if (sent.state == Transport::State::Broken) return gone();
    if (sent.state == Transport::State::Again || sent.bytes == 0) break;
    out_.consume(host_.pool, sent.bytes);
    progress = true;
  }
  if (transport_.wantsFlush()) {
    const tls::IoResult result = transport_.tls()->flush();
    if (result.state == tls::Io::Failed || result.state == tls::Io::Closed) return gone();
  }
  const bool waiting = !out_.empty() || transport_.wantsFlush();
  if (waiting && (!blocked_ || progress)) armWrite();
  const bool freed = blocked_ && !waiting;
  blocked_ = waiting;
  if (freed && (phase_ == Phase::Tunnel || phase_ == Phase::Body)) armRead();
  if (freed && phase_ == Phase::Idle) arm(host_.timeouts.idle);
  if (!blocked_ && events_ == nullptr && !keep_alive_ && response_done_) finishClose();
  if (!blocked_ && shutdown_out_ && events_ != nullptr && phase_ != Phase::Closed) {
    shutdown_out_ = false;
    transport_.shutdownWrite();
  }
}

void H1ServerConnection::streamDone() noexcept {
  events_ = nullptr;
  if (phase_ == Phase::Closed) return;
  if (!response_done_) return abort();
  if (!keep_alive_ || !request_done_) {
    keep_alive_ = false;
    phase_ = Phase::Answer;  // nobody is left to read the body; finishClose() lingers
    return flush();          // closes when all is sent
  }
  if (rest_begin_ < head_size_)  // a pipelined request; its bytes are in the stream that ends now
    in_.prepend(host_.pool, {head_ + rest_begin_, head_size_ - rest_begin_});
  head_ = nullptr;
  head_size_ = rest_begin_ = 0;
  phase_ = Phase::Idle;
  flush();
  if (phase_ == Phase::Closed) return;
  if (!blocked_) arm(host_.timeouts.idle);
  if (!in_.empty() || readable_) process();
}

/// All of the last answer is with the kernel: ends the connection so that the client can read it.
void H1ServerConnection::finishClose() noexcept {
  if (phase_ == Phase::Linger) return;
  transport_.shutdownWrite();
  if (request_done_ && in_.empty() && rest_begin_ >= head_size_) return closeNow();
  // Closing now would reset the connection and could destroy the answer on its way (RFC 9112 §9.6).
  phase_ = Phase::Linger;
  in_.clear(host_.pool);
  scanned_ = 0;
  arm(host_.timeouts.linger);
  process();
}

void H1ServerConnection::abort() noexcept {
  if (phase_ == Phase::Closed) return;
  // A reset, not a FIN: a body that ends by close would look complete.
  const linger reset{1, 0};
  ::setsockopt(transport_.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  events_ = nullptr;  // the stream knows
  closeNow();
}

void H1ServerConnection::gone() noexcept {
  if (phase_ == Phase::Closed) return;
  const bool unused = phase_ == Phase::Idle || phase_ == Phase::Head;
  RequestEvents* const events = events_;
  events_ = nullptr;
  closeNow();
  if (events == nullptr) return;
  if (unused)
    host_.dropStream(*events);
  else
    events->onClientGone();
}

void H1ServerConnection::closeNow() noexcept {
  if (phase_ == Phase::Closed) return;
  RequestEvents* const events = events_;
  const bool unused = phase_ == Phase::Idle || phase_ == Phase::Head;
  events_ = nullptr;
  phase_ = Phase::Closed;
  cancel();
  transport_.close();
  host_.onServerConnectionClosed(*this);
  if (events == nullptr) return;
  if (unused)
    host_.dropStream(*events);
  else
    events->onClientGone();
}

void H1ServerConnection::setReading(bool on) noexcept {
  if (reading_ == on) return;
  reading_ = on;
  if (on && (phase_ == Phase::Body || phase_ == Phase::Tunnel)) {
    armRead();
    process();
  }
}

bool H1ServerConnection::canSpliceResponse() const noexcept {
  return transport_.tls() == nullptr && head_sent_ && !chunked_out_ && !no_body_out_ && !blocked_ &&
         out_.empty() && phase_ != Phase::Closed && phase_ != Phase::Tunnel;
}

std::size_t H1ServerConnection::spliceResponse(int pipe, std::size_t size, bool end) noexcept {
  if (phase_ == Phase::Closed) return 0;
  const Transport::Outcome moved = transport_.spliceOut(pipe, size);
  if (moved.state == Transport::State::Broken) return gone(), 0;
  if (moved.bytes == size) {
    if (end) response_done_ = true;
  } else {
    blocked_ = true;
    armWrite();
  }
  return moved.bytes;
}

std::uint64_t H1ServerConnection::spliceableRequest() const noexcept {
  const bool possible = phase_ == Phase::Body && transport_.tls() == nullptr && in_.empty() &&
                        rest_begin_ == head_size_ && events_ != nullptr && length_body_;
  return possible ? decoder_.remaining() : 0;
}

SpliceResult H1ServerConnection::spliceRequest(int pipe, std::size_t size) noexcept {
  if (!readable_ || phase_ != Phase::Body) return {};
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(size, decoder_.remaining()));
  const Transport::Outcome moved = transport_.spliceIn(pipe, most);
  switch (moved.state) {
    case Transport::State::Moved: break;
    case Transport::State::Again: readable_ = false; return {};
    case Transport::State::End: endOfInput(); return {};
    case Transport::State::Broken: gone(); return {};
  }
  decoder_.skip(moved.bytes);
  armRead();
  const bool end = decoder_.remaining() == 0;
  if (end) {
    raw_ = false;
    request_done_ = true;
    phase_ = Phase::Answer;
  }
  return {moved.bytes, end};
}

void H1ServerConnection::onTimer() noexcept {
  if (blocked_ && phase_ != Phase::Closed && phase_ != Phase::Linger &&
      !stall_.stalled(transport_.fd()))
    return arm(StallWatch::interval(host_.timeouts.write));
  switch (phase_) {
    case Phase::Closed: return;
    case Phase::Idle:
    case Phase::Linger: return closeNow();
    case Phase::Head:
    case Phase::Body:
      if (blocked_) return gone();
      if (phase_ == Phase::Body && (!reading_ || (raw_ && readable_)))
        return arm(host_.timeouts.body);  // our own back-pressure
      requestBroken(Broken::Timeout, http::HttpError::None);
      return;
    case Phase::Tunnel: return gone();
    case Phase::Answer:
      if (blocked_) return gone();
      return arm(
          host_.timeouts.idle);  // the stream has its own limits while we wait for the backend
  }
}

}  // namespace hyperway::codec
