// SPDX-License-Identifier: Apache-2.0
// H2ClientConnection: what nghttp2 calls, and what it is given.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "codec/h2_client.hpp"
#include "codec/h2_exchange.hpp"
#include "http/grpc.hpp"
#include "http/websocket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::uint32_t kStreamWindow = 256 * 1024;  // what an answer that is not read may hold
constexpr std::int32_t kConnectionWindow = 4 << 20;  // given back at once: nobody waits for others
constexpr std::uint32_t kStreamsBeforeSettings = 100;  // RFC 9113 §6.5.2 recommends no fewer
// By default nghttp2 sends no head above 64 KiB, and takes none in more than nine frames.
constexpr std::size_t kMaxSentHead = 1 << 20;
constexpr std::size_t kMaxContinuations = 64;

nghttp2_nv pair(std::string_view name, std::string_view value, std::uint8_t flags = 0) noexcept {
  const auto* const n = reinterpret_cast<const std::uint8_t*>(name.data());
  const auto* const v = reinterpret_cast<const std::uint8_t*>(value.data());
  // nghttp2 takes a pointer that is not const, and copies.
  return {const_cast<std::uint8_t*>(n), const_cast<std::uint8_t*>(v), name.size(), value.size(),
          flags};
}

/// Fields that belong to one connection, or that HTTP/2 has another form for (RFC 9113 §8.2.2).
bool isLeftOut(http::FieldId id) noexcept {
  switch (id) {
    case http::FieldId::Host:
    case http::FieldId::Connection:
    case http::FieldId::ContentLength:
    case http::FieldId::TransferEncoding:
    case http::FieldId::Upgrade:
    case http::FieldId::Te:
    case http::FieldId::KeepAlive:
    case http::FieldId::ProxyConnection:
    case http::FieldId::Http2Settings: return true;
    default: return false;
  }
}

/// Clients share the connection, and so its table of fields: what is secret, or differs each time,
/// stays out of it (RFC 7541 §7.1.3).
std::uint8_t flagsOf(const http::Field& field) noexcept {
  switch (field.id) {
    case http::FieldId::Cookie:
    case http::FieldId::ProxyAuthorization:
    case http::FieldId::XRequestId:
    case http::FieldId::Traceparent: return NGHTTP2_NV_FLAG_NO_INDEX;
    case http::FieldId::Other:
      return equalsIgnoreCase(field.name(), "authorization") ? NGHTTP2_NV_FLAG_NO_INDEX : 0;
    default: return NGHTTP2_NV_FLAG_NONE;
  }
}

/// A list of fields for nghttp2, which copies it.
class FieldList {
 public:
  explicit FieldList(Arena& arena, std::size_t most)
      : fields_(most <= own_.size() ? std::span<nghttp2_nv>(own_) : arena.array<nghttp2_nv>(most)) {
  }
  void add(std::string_view name, std::string_view value, std::uint8_t flags = 0) noexcept {
    fields_[size_++] = pair(name, value, flags);
  }
  [[nodiscard]] const nghttp2_nv* data() const noexcept { return fields_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  std::array<nghttp2_nv, 48> own_;
  std::span<nghttp2_nv> fields_;
  std::size_t size_ = 0;
};

}  // namespace

// ---- what nghttp2 calls ----

struct H2ClientConnection::Callbacks {
  static H2ClientConnection& self(void* user) noexcept {
    return *static_cast<H2ClientConnection*>(user);
  }
  static H2Exchange* exchangeOf(nghttp2_session* session, std::int32_t stream) noexcept {
    return static_cast<H2Exchange*>(nghttp2_session_get_stream_user_data(session, stream));
  }
  /// nghttp2 stops when it is told that a callback failed.
  static int outcome(const H2ClientConnection& connection) noexcept {
    return connection.phase_ == Phase::Closed || !connection.refused_.empty()
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
  }

  static int beginFrame(nghttp2_session* session, const nghttp2_frame_hd* head, void* user) {
    H2ClientConnection& connection = self(user);
    const bool about_exchange = exchangeOf(session, head->stream_id) != nullptr;
    const bool data = head->type == NGHTTP2_DATA;
    const bool progress =
        about_exchange && ((data && head->length != 0) || head->type == NGHTTP2_HEADERS ||
                           head->type == NGHTTP2_RST_STREAM);
    if (progress)
      connection.noise_ = 0;
    else if (!data || head->length == 0)
      connection.countNoise();
    // What we asked for nobody may push, whether our SETTINGS have arrived or not.
    if (head->type == NGHTTP2_PUSH_PROMISE) connection.refused_ = "it pushes";
    return outcome(connection);
  }

  static int beginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (H2Exchange* const exchange = exchangeOf(session, frame->hd.stream_id))
      exchange->beginFields();
    return outcome(self(user));
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, std::uint8_t /*flags*/, void* user) {
    H2Exchange* const exchange = exchangeOf(session, frame->hd.stream_id);
    if (exchange == nullptr) return outcome(self(user));
    const auto text = [&](nghttp2_rcbuf* buffer) {
      const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
      const std::string_view view(reinterpret_cast<const char*>(bytes.base), bytes.len);
      return nghttp2_rcbuf_is_static(buffer) != 0 ? view : exchange->events_->arena().copy(view);
    };
    exchange->field(text(name), text(value));
    return outcome(self(user));
  }

  // A field that nghttp2 would leave out: the whole message is refused.
  static int invalidHeader(nghttp2_session* session, const nghttp2_frame* frame,
                           nghttp2_rcbuf* /*name*/, nghttp2_rcbuf* /*value*/,
                           std::uint8_t /*flags*/, void* user) {
    if (H2Exchange* const exchange = exchangeOf(session, frame->hd.stream_id))
      exchange->protocolError(http::HttpError::BadFieldValue);
    return outcome(self(user));
  }

  static int frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2ClientConnection& connection = self(user);
    H2Exchange* const exchange = exchangeOf(session, frame->hd.stream_id);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (exchange != nullptr) exchange->fieldsDone(end);
        break;
      case NGHTTP2_DATA:
        if (exchange != nullptr && end) exchange->ended();
        break;
      case NGHTTP2_RST_STREAM:
        if (exchange != nullptr) exchange->reset_ = true;  // streamClosed() follows
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) connection.settingsCame();
        break;
      case NGHTTP2_GOAWAY:
        connection.going_away_ = true;  // those above its last stream are closed by nghttp2
        connection.host_.onClientConnectionRoom(connection, false);
        break;
      default: break;
    }
    return outcome(connection);
  }

  static int data(nghttp2_session* session, std::uint8_t flags, std::int32_t stream,
                  const std::uint8_t* bytes, std::size_t size, void* user) {
    H2ClientConnection& connection = self(user);
    // Who does not read must not keep the others waiting: their windows are of their own.
    (void)nghttp2_session_consume_connection(session, size);
    if (H2Exchange* const exchange = exchangeOf(session, stream))
      exchange->data({reinterpret_cast<char*>(const_cast<std::uint8_t*>(bytes)), size},
                     (flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return outcome(connection);
  }

  static int streamClosed(nghttp2_session* session, std::int32_t stream, std::uint32_t code,
                          void* user) {
    H2ClientConnection& connection = self(user);
    H2Exchange* const exchange = exchangeOf(session, stream);
    if (exchange == nullptr) return outcome(connection);
    if (exchange->complete_ && !exchange->reset_) {  // a tunnel that both sides ended
      connection.unlink(*exchange);
    } else if (code == NGHTTP2_REFUSED_STREAM) {
      exchange->breakLater(Broken::Unprocessed, http::HttpError::None);
    } else if (exchange->reset_) {
      exchange->breakLater(Broken::Reset, http::HttpError::None);
    } else {  // by nghttp2, for what the backend sent
      exchange->breakLater(Broken::Protocol, http::HttpError::BadFrame);
    }
    return outcome(connection);
  }

  // A request that is not to be sent any more: the backend went away, or takes fewer at a time.
  static int notSent(nghttp2_session* /*session*/, const nghttp2_frame* frame, int /*error*/,
                     void* user) {
    H2ClientConnection& connection = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    for (H2Exchange* exchange = connection.list_; exchange != nullptr; exchange = exchange->next_)
      if (exchange->stream_ == frame->hd.stream_id && !exchange->broken_)
        exchange->breakLater(Broken::Unprocessed, http::HttpError::None);
    return 0;
  }

  static int invalidFrame(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/, int error,
                          void* user) {
    self(user).reason_ = nghttp2_strerror(error);
    return outcome(self(user));
  }

  static int error(nghttp2_session* /*session*/, int code, const char* /*text*/,
                   std::size_t /*size*/, void* user) {
    self(user).reason_ = nghttp2_strerror(code);
    return 0;
  }

  static ssize_t provide(nghttp2_session* session, std::int32_t stream, std::uint8_t* /*buffer*/,
                         std::size_t most, std::uint32_t* flags, nghttp2_data_source* /*source*/,
                         void* /*user*/) {
    H2Exchange* const exchange = exchangeOf(session, stream);
    if (exchange == nullptr) return NGHTTP2_ERR_DEFERRED;  // cancelled: RST_STREAM is on its way
    const std::size_t waiting = exchange->waiting();
    const std::size_t size = std::min(most, waiting);
    const bool last = exchange->end_ && size == waiting;
    if (size == 0 && !last) {
      exchange->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!last) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    exchange->end_sent_ = true;
    if (exchange->trailers_out_) {
      const auto lines = std::as_const(*exchange->trailers_out_).lines();
      FieldList list(exchange->events_->arena(), lines.size());
      for (const http::Field& line : lines)
        if (!line.removed && !isLeftOut(line.id))
          list.add(line.name(), line.value(), flagsOf(line));
      if (list.size() != 0 &&
          nghttp2_submit_trailer(session, stream, list.data(), list.size()) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return static_cast<ssize_t>(size);
  }

  static int sendData(nghttp2_session* session, nghttp2_frame* frame, const std::uint8_t* head,
                      std::size_t size, nghttp2_data_source* /*source*/, void* user) {
    H2ClientConnection& connection = self(user);
    if (connection.out_.size() >= kMostGathered) return NGHTTP2_ERR_WOULDBLOCK;
    H2Exchange* const exchange = exchangeOf(session, frame->hd.stream_id);
    if (exchange == nullptr && size != 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    connection.out_.append(connection.host_.pool, {reinterpret_cast<const char*>(head), 9});
    if (size != 0) exchange->take(connection.out_, size);
    connection.noise_ = 0;
    return 0;
  }
};

void H2ClientConnection::SessionDeleter::operator()(nghttp2_session* session) const noexcept {
  nghttp2_session_del(session);
}

bool H2ClientConnection::makeSession() noexcept {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  nghttp2_session* session = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&options) == 0) {
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::beginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::beginHeaders);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, Callbacks::header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, Callbacks::invalidHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::streamClosed);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, Callbacks::notSent);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks,
                                                                 Callbacks::invalidFrame);
    nghttp2_session_callbacks_set_error_callback2(callbacks, Callbacks::error);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, Callbacks::sendData);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_peer_max_concurrent_streams(options, kStreamsBeforeSettings);
    nghttp2_option_set_max_send_header_block_length(options, kMaxSentHead);
    nghttp2_option_set_max_continuations(options, kMaxContinuations);
    if (nghttp2_session_client_new2(&session, callbacks, this, options) != 0) session = nullptr;
  }
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);
  session_.reset(session);
  if (session == nullptr) return false;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(std::min<std::size_t>(host_.limits.head_bytes, 1U << 30))}};
  return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) ==
             0;
}

void H2ClientConnection::submit(H2Exchange& exchange, const http::RequestHead& head,
                                const http::H1RequestOut& options) noexcept {
  const auto lines = head.fields.lines();
  Arena& arena = exchange.events_->arena();
  const bool tunnel = !options.upgrade.empty();
  FieldList list(arena, lines.size() + 10);
  list.add(":method", tunnel ? std::string_view("CONNECT") : head.method);
  // HTTP/1 compares it without case (RFC 9110 §7.8); who speaks HTTP/2 may not.
  const std::string protocol = lowered(options.upgrade);
  if (tunnel) list.add(":protocol", protocol);
  list.add(":scheme", security_ != nullptr ? "https" : "http");
  if (!options.authority.empty()) list.add(":authority", options.authority);
  std::string_view path = head.path;
  if (head.has_query) {
    const std::size_t size = head.path.size() + 1 + head.query.size();
    auto* const whole = static_cast<char*>(arena.allocate(size, 1));
    *std::copy(head.path.begin(), head.path.end(), whole) = '?';
    std::copy(head.query.begin(), head.query.end(), whole + head.path.size() + 1);
    path = {whole, size};
  }
  list.add(":path", path);
  bool grpc = false;
  for (const http::Field& line : lines) {
    if (line.removed || isLeftOut(line.id)) continue;
    if (tunnel && line.id == http::FieldId::SecWebSocketKey) {  // RFC 8441 §5
      const auto accept = http::webSocketAccept(line.value());
      exchange.accept_ = arena.copy({accept.data(), accept.size()});
      continue;
    }
    if (line.id == http::FieldId::ContentType) grpc = http::isGrpcType(line.value());
    list.add(line.name(), line.value(), flagsOf(line));
  }
  char digits[20];
  if (head.framing.kind == http::BodyKind::Length) {
    const auto end = std::to_chars(digits, digits + sizeof digits, head.framing.length).ptr;
    list.add("content-length", {digits, static_cast<std::size_t>(end - digits)},
             NGHTTP2_NV_FLAG_NO_INDEX);
  }
  if (options.expect_continue) list.add("expect", "100-continue");
  if (grpc) list.add("te", "trailers");  // gRPC servers insist on it, and we pass trailers on
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::provide;
  exchange.stream_ = nghttp2_submit_request(session_.get(), nullptr, list.data(), list.size(),
                                            exchange.end_ ? nullptr : &provider, &exchange);
  if (exchange.stream_ <= 0) exchange.breakLater(Broken::Unprocessed, http::HttpError::None);
}

}  // namespace hyperway::codec
