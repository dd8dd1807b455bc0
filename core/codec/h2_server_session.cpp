// SPDX-License-Identifier: Apache-2.0
// H2ServerConnection: what nghttp2 calls, what it is given, and what is judged before it sees it.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

#include "base/assert.hpp"
#include "codec/h2_server.hpp"
#include "codec/h2_server_link.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kHeadBombFactor = 2;  // a head this far above its limit is no mistake
constexpr std::size_t kMaxContinuations = FloodWatch::kContinuations + 1;  // ours is asked first
constexpr std::size_t kMaxSentHead = 1 << 20;
constexpr std::size_t kFrameHeader = 9;

std::string_view text(const std::uint8_t* bytes, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

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
  static int badHeader(nghttp2_session* session, const nghttp2_frame* frame,
                       const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                       std::size_t value_size, std::uint8_t /*flags*/, void* /*user*/) noexcept {
    if (Link* const link = find(session, frame->hd.stream_id))  // which knows a name for the fault
      link->field(text(name, name_size), text(value, value_size));
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
            std::memcmp(frame->ping.opaque_data, kDrainPing.data(), kDrainPing.size()) == 0)
          self.finishDrain();
        return 0;
      default: return 0;
    }
  }

  static int badFrame(nghttp2_session* session, const nghttp2_frame* frame, int error,
                      void* user) noexcept {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    H2ServerConnection& self = of(user);
    self.noteClosed(static_cast<std::uint32_t>(frame->hd.stream_id), true);
    if (Link* const link = find(session, frame->hd.stream_id))
      link->malformed(error == NGHTTP2_ERR_HTTP_MESSAGING,
                      (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    else  // a stream beyond the limit
      self.host_.onMalformed();
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
    if (frame->hd.type == NGHTTP2_GOAWAY && self.drain_ == Drain::Announced)
      (void)nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, kDrainPing.data());
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

  static int streamClosed(nghttp2_session* session, std::int32_t id, std::uint32_t code,
                          void* /*user*/) noexcept {
    if (Link* const link = find(session, id)) link->closed(code);
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

// ---- the session ----

bool H2ServerConnection::openSession() noexcept {
  if (nghttp2_session_server_new2(&session_, Callbacks::all(), this, Callbacks::options()) != 0)
    return false;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(host_.limits.head_bytes)},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
  return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) ==
             0;
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

}  // namespace hyperway::codec
