// SPDX-License-Identifier: Apache-2.0
#include "codec/h2_client.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <utility>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "codec/h2_exchange.hpp"
#include "http/grpc.hpp"
#include "http/websocket.hpp"
#include "net/socket.hpp"

namespace hyperway::codec {
namespace {

constexpr std::size_t kScratchBytes = 64 * 1024;
constexpr std::size_t kMostGathered = 64 * 1024;     // frames that wait for the socket
constexpr std::uint32_t kStreamWindow = 256 * 1024;  // what an answer that is not read may hold
constexpr std::int32_t kConnectionWindow = 4 << 20;  // given back at once: nobody waits for others
constexpr std::uint32_t kStreamsBeforeSettings = 100;  // RFC 9113 §6.5.2 recommends no fewer
constexpr std::uint32_t kMostNoise = 1000;             // frames without progress…
constexpr std::chrono::seconds kNoiseTime{10};         // …in this time
// gRPC servers take more frequent pings for an attack.
constexpr std::chrono::seconds kSilence{305};
constexpr std::chrono::seconds kPingTime{20};

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

  static int data(nghttp2_session* session, std::uint8_t /*flags*/, std::int32_t stream,
                  const std::uint8_t* bytes, std::size_t size, void* user) {
    H2ClientConnection& connection = self(user);
    // Who does not read must not keep the others waiting: their windows are of their own.
    (void)nghttp2_session_consume_connection(session, size);
    if (H2Exchange* const exchange = exchangeOf(session, stream))
      exchange->data({reinterpret_cast<char*>(const_cast<std::uint8_t*>(bytes)), size});
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

// ---- life of a connection ----

H2ClientConnection::H2ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                                       const ClientSecurity* security) noexcept
    : ClientConnection(owner), host_(host), transport_(std::move(socket)), security_(security) {}

H2ClientConnection::~H2ClientConnection() {
  HW_ASSERT(list_ == nullptr);
  out_.clear(host_.pool);
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

bool H2ClientConnection::start() noexcept {
  if (!makeSession()) return false;
  if (host_.shared_scratch == nullptr)
    host_.shared_scratch = std::make_unique_for_overwrite<char[]>(kScratchBytes);
  // A host that is gone is noticed while streams are silent, without a word to the backend.
  net::keepAlive(transport_.fd());
  arm(host_.timeouts.connect);
  return host_.loop.add(transport_.fd(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
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
    if (!blocked_) drained();
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
  return count_ < nghttp2_session_get_remote_settings(session,
                                                      NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) &&
         nghttp2_session_check_request_allowed(session) != 0;
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

void H2ClientConnection::submit(H2Exchange& exchange, const http::RequestHead& head,
                                const http::H1RequestOut& options) noexcept {
  const auto lines = head.fields.lines();
  Arena& arena = exchange.events_->arena();
  const bool tunnel = !options.upgrade.empty();
  FieldList list(arena, lines.size() + 10);
  list.add(":method", tunnel ? std::string_view("CONNECT") : head.method);
  if (tunnel) list.add(":protocol", options.upgrade);
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
    if (size <= 0) break;  // what is wrong shows when the session wants nothing any more
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
  if (was && !blocked_) rearm();
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
    const bool full = out_.size() >= kMostGathered;
    write();
    more = full && !blocked_;
    if (tell_) {
      pump();  // what was about to leave knows nothing of what is told now
      tell();
      more = true;
    }
    more = more && !blocked_;
  }
  if (phase_ != Phase::Up) return;
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
  connected_ = true;  // says nothing against the endpoint
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
