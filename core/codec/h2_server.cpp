// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_server.hpp"

#include <nghttp2/nghttp2.h>

#include <memory>
#include <utility>

#include "base/assert.hpp"
#include "codec/h2_server_link.hpp"
#include "net/socket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kLingerBytes = 1024 * 1024;
constexpr std::size_t kTurnBytes = 4 * BlockPool::kBlockBytes;  // read before others get their turn
constexpr std::chrono::milliseconds kDrainWait{1000};  // for the client's answer to our PING

}  // namespace

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
  if (!openSession()) return closeNow();
  net::keepAlive(transport_.fd());  // streams of gRPC and tunnels may be silent for long
  idle_since_ = host_.loop.now();
  wakeAt(idle_since_ + host_.timeouts.idle);
  schedule();
  // Accepted before the drain: what the client sends with its preface is served, no more.
  if (host_.closing(info_)) closeWhenIdle();
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
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0 && !input_ended_) {
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
      if (!host_.loop.modify(transport_.fd(), net::kConnectionEvents, *this)) gone();
      break;
    }
    const Transport::Outcome got = transport_.read(block, BlockPool::kBlockBytes);
    if (got.state == Transport::State::Again) {
      readable_ = false;
    } else if (got.state == Transport::State::Moved) {
      if (got.drained && !half_closed_) readable_ = false;
      taken += got.bytes;
      feed({block, got.bytes});
    } else if (got.state == Transport::State::End) {
      inputEnded();
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

/// The client sends no more. It may still read, as a simple client does that has asked for all it
/// wants: each request that is complete is answered, and the connection ends with the last answer.
/// Our GOAWAY finds out those that are gone altogether, whose kernel says so by a reset.
void H2ServerConnection::inputEnded() noexcept {
  readable_ = false;
  input_ended_ = true;
  payload_left_ = 0;  // no head is under way any more
  block_open_ = false;
  const bool silent = out_.empty() && nghttp2_session_want_write(session_) == 0;
  if (live_ == nullptr && silent) return gone();
  drain_ = Drain::Final;
  (void)nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                              nullptr, 0);
  in_session_ = true;  // what they send waits, so that none of them ends meanwhile
  for (Link* link = live_; link != nullptr; link = link->next) link->inputEnded();
  in_session_ = false;
  handOn();
  schedule();
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
    out_.append(host_.pool, {reinterpret_cast<const char*>(frame), static_cast<std::size_t>(size)});
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
  if (input_ended_) {
    transport_.shutdownWrite();
    return closeNow();
  }
  // Closing now would reset the connection and could destroy the GOAWAY on its way.
  phase_ = Phase::Linger;
  touched_ = drained_ = nullptr;
  for (Link* link = live_; link != nullptr; link = link->next) link->cutOff();
  transport_.shutdownWrite();
  cancel();  // whatever was to be looked at before, the time to linger is whole
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
  // The PING follows once this is out: nghttp2 would send it first, and a client that answers it
  // could still begin a stream that the second GOAWAY does not name.
  (void)nghttp2_submit_shutdown_notice(session_);
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
  if (inHead() && now - head_since_ >= limits.head) {
    head_late_ = true;
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  }
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
