// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/http2.hpp"

#include <nghttp2/nghttp2.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hyperway::k8s_client {
namespace {

constexpr std::int32_t kStreamWindow = 1 << 20;
constexpr std::int32_t kConnectionWindow = 8 << 20;
constexpr std::size_t kReadPerTurn = std::size_t{1} << 20;
constexpr std::size_t kOutBuffer = std::size_t{64} << 10;

}  // namespace

struct Http2Connection::Callbacks {
  static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }

  static Stream* find(Http2Connection& connection, std::int32_t stream_id) {
    const auto found = connection.streams_.find(stream_id);
    return found == connection.streams_.end() ? nullptr : &found->second;
  }

  static int onHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* user) {
    Stream* stream = find(self(user), frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const std::string_view field(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (field == ":status") {
      stream->status = 0;
      std::from_chars(text.data(), text.data() + text.size(), stream->status);
    } else if (field == "retry-after") {
      stream->retry_after = text;
    }
    return 0;
  }

  static int onFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& connection = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) connection.ping_open_ = false;
        return 0;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) connection.settled_ = true;
        return 0;
      case NGHTTP2_GOAWAY: connection.draining_ = true; return 0;
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: break;
      default: return 0;
    }
    Stream* stream = find(connection, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->ended = true;
    // 1xx heads are followed by the real one; trailers have no status and came after it.
    if (frame->hd.type == NGHTTP2_HEADERS && stream->status >= 200) {
      const int status = std::exchange(stream->status, 0);
      connection.owner_.onHead(stream->id, status, std::move(stream->retry_after));
    }
    return 0;
  }

  static int onData(nghttp2_session*, std::uint8_t, std::int32_t stream_id,
                    const std::uint8_t* data, std::size_t size, void* user) {
    Http2Connection& connection = self(user);
    if (const Stream* stream = find(connection, stream_id))
      connection.owner_.onData(stream->id, {reinterpret_cast<const char*>(data), size});
    return 0;
  }

  static int onClose(nghttp2_session*, std::int32_t stream_id, std::uint32_t code, void* user) {
    Http2Connection& connection = self(user);
    const auto found = connection.streams_.find(stream_id);
    if (found == connection.streams_.end()) return 0;
    const Stream stream = std::move(found->second);
    connection.streams_.erase(found);
    if (connection.by_id_.erase(stream.id) == 0) return 0;  // reset() by the owner
    connection.owner_.onClose(stream.id, stream.ended && code == NGHTTP2_NO_ERROR,
                              code == NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static ssize_t readBody(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t size,
                          std::uint32_t* flags, nghttp2_data_source* source, void*) {
    Body& body = *static_cast<Body*>(source->ptr);
    const std::size_t part = std::min(size, body.text.size() - body.sent);
    std::memcpy(buffer, body.text.data() + body.sent, part);
    body.sent += part;
    if (body.sent == body.text.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(part);
  }
};

void Http2Connection::SessionFree::operator()(nghttp2_session* session) const noexcept {
  nghttp2_session_del(session);
}

Http2Connection::~Http2Connection() {
  by_id_.clear();  // Streams that end with the session tell nobody.
}

bool Http2Connection::begin(const ClusterConfig& config, Resolver& resolver, TimePoint now) {
  began_ = heard_ = now;
  return socket_.begin(config, resolver, error_);
}

bool Http2Connection::beginSession() {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return error_ = "out of memory", false;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Callbacks::onHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Callbacks::onFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Callbacks::onData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Callbacks::onClose);
  nghttp2_session* session = nullptr;
  const int made = nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) return error_ = nghttp2_strerror(made), false;
  session_.reset(session);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
  };
  (void)nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);  // Fails with flush().
  (void)nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  return flush();
}

bool Http2Connection::onReady(TimePoint now) {
  if (!session_) {
    switch (socket_.advance(error_)) {
      case TlsSocket::Progress::Waiting:
        if (now - began_ < kConnectLimit) return true;
        error_ = error_.empty() ? "no connection within 5 s" : error_;
        return false;
      case TlsSocket::Progress::Failed: return false;
      case TlsSocket::Progress::Open:
        error_.clear();
        heard_ = now;
        if (!beginSession()) return false;
        break;
    }
  }
  if (!receive(now)) return false;
  if (!settled_ && now - began_ >= kConnectLimit) {
    error_ = "no HTTP/2 SETTINGS within 5 s";
    return false;
  }
  return checkAlive(now) && flush();
}

bool Http2Connection::receive(TimePoint now) {
  char buffer[16 * 1024];
  for (std::size_t total = 0; total < kReadPerTurn;) {
    const std::ptrdiff_t got = socket_.read(buffer, sizeof buffer, error_);
    if (got < 0) return false;
    if (got == 0) return true;
    heard_ = now;
    total += static_cast<std::size_t>(got);
    const ssize_t used =
        nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(buffer),
                                 static_cast<std::size_t>(got));
    if (used < 0) {
      error_ = std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(used));
      return false;
    }
  }
  return true;
}

bool Http2Connection::checkAlive(TimePoint now) {
  if (ping_open_ && now - pinged_ >= kPingLimit && heard_ <= pinged_) {
    error_ = "the server does not answer a PING";
    return false;
  }
  if (!ping_open_ && now - heard_ >= kPingAfter) {
    ping_open_ = true;
    pinged_ = now;
    (void)nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);  // Fails with flush().
  } else if (ping_open_ && heard_ > pinged_) {
    ping_open_ = false;  // Any byte is a sign of life.
  }
  return true;
}

TimePoint Http2Connection::due() const noexcept {
  if (!settled_) return began_ + kConnectLimit;
  return ping_open_ ? pinged_ + kPingLimit : heard_ + kPingAfter;
}

bool Http2Connection::flush() {
  if (!session_) return true;
  for (;;) {
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
      while (out_.size() < kOutBuffer) {
        const std::uint8_t* data = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
        if (size < 0) return error_ = nghttp2_strerror(static_cast<int>(size)), false;
        if (size == 0) break;
        out_.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
      }
      if (out_.empty()) break;
    }
    const std::ptrdiff_t sent = socket_.write(out_.data() + out_at_, out_.size() - out_at_, error_);
    if (sent < 0) return false;
    if (sent == 0) return true;
    out_at_ += static_cast<std::size_t>(sent);
  }
  if (nghttp2_session_want_read(session_.get()) != 0 ||
      nghttp2_session_want_write(session_.get()) != 0)
    return true;
  error_ = "closed by the server";
  return false;
}

std::size_t Http2Connection::mostStreams() const noexcept {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

short Http2Connection::events() const noexcept {
  const bool write = socket_.wantsWrite() || out_at_ != out_.size();
  return static_cast<short>(POLLIN | (write ? POLLOUT : 0));
}

bool Http2Connection::submit(std::uint64_t id, const Fields& fields, std::string body) {
  std::vector<nghttp2_nv> list;
  list.reserve(fields.size());
  for (const auto& [name, value] : fields)
    list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                    value.size(), NGHTTP2_NV_FLAG_NONE});  // Copied, not written to.
  Stream stream;
  stream.id = id;
  nghttp2_data_provider provider{};
  if (!body.empty()) {
    stream.body = std::make_unique<Body>();
    stream.body->text = std::move(body);
    provider.source.ptr = stream.body.get();
    provider.read_callback = &Callbacks::readBody;
  }
  const std::int32_t stream_id =
      nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                             stream.body ? &provider : nullptr, nullptr);
  if (stream_id < 0) return error_ = nghttp2_strerror(stream_id), false;
  streams_.emplace(stream_id, std::move(stream));
  by_id_.emplace(id, stream_id);
  return true;
}

void Http2Connection::reset(std::uint64_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  // The stream itself stays until nghttp2 has closed it: it may still ask for the body.
  (void)nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, found->second, NGHTTP2_CANCEL);
  by_id_.erase(found);
}

}  // namespace hyperway::k8s_client
