// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/message_link.hpp"
#include "codec/stall_watch.hpp"
#include "codec/transport.hpp"
#include "http/body_decoder.hpp"
#include "http/h1.hpp"
#include "net/event_loop.hpp"
#include "tls/client_context.hpp"
#include "tls/session.hpp"

namespace hyperway::codec {

class H1ClientConnection;

/// How long a backend may take.
struct ClientTimeouts {
  std::chrono::milliseconds connect{5000};  ///< Until the connection is up.
  std::chrono::milliseconds response{
      60000};  ///< Until the answer's head, and between bytes of its body.
  std::chrono::milliseconds write{60000};     ///< Without taking any byte of a request.
  std::chrono::milliseconds idle{60000};      ///< Kept without use.
  std::chrono::milliseconds tunnel{3600000};  ///< Without any byte through a tunnel.
};

/// What client connections of one worker share, and whom they tell. Implemented by the pools.
class ClientHost {
 public:
  /// Both messages ended exactly: the connection may serve another exchange.
  virtual void onClientConnectionIdle(H1ClientConnection& connection) noexcept = 0;
  /// The connection is closed; the host forgets and retires it. `used`: it had been up.
  virtual void onClientConnectionClosed(H1ClientConnection& connection,
                                        bool connected) noexcept = 0;
  /// TLS with the backend failed, in the handshake or by an alert behind it;
  /// onClientConnectionClosed follows. `reason` is static text.
  virtual void onClientTlsFailed(H1ClientConnection& connection, std::string_view reason) noexcept {
    (void)connection;
    (void)reason;
  }

  net::EventLoop& loop;            ///< The worker's loop.
  BlockPool& pool;                 ///< The worker's blocks.
  std::span<char> scratch;         ///< Read buffer, valid within one event.
  const http::H1Limits& limits;    ///< Bounds of a head.
  const ClientTimeouts& timeouts;  ///< Bounds of time.
  tls::SharedBuffers* tls;         ///< The worker's buffers for TLS; null: nothing secure is made.

 protected:
  ClientHost(net::EventLoop& the_loop, BlockPool& the_pool, std::span<char> the_scratch,
             const http::H1Limits& the_limits, const ClientTimeouts& the_timeouts,
             tls::SharedBuffers* the_tls = nullptr) noexcept
      : loop(the_loop),
        pool(the_pool),
        scratch(the_scratch),
        limits(the_limits),
        timeouts(the_timeouts),
        tls(the_tls) {}
  ~ClientHost() = default;
};

/// How connections of a pool are secured. Lives as long as they do.
struct ClientSecurity {
  std::shared_ptr<const tls::ClientContext> context;  ///< Never null.
  tls::PeerName peer;                                 ///< Whom they must find.
};

/// Client side of HTTP/1.1 on one connection to an endpoint: one exchange at a time. Goes back to
/// its pool only when request and response both ended exactly and nothing was left over. Source:
/// RFC 9112. [worker]
class H1ClientConnection final : public net::EventHandler, public ClientLink, private net::Timer {
 public:
  /// Takes a socket that is connecting; registers it with the loop. `owner` is the pool's own mark.
  /// `security`: TLS, whose handshake counts to the time for connecting; null: plain text.
  H1ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                     const ClientSecurity* security = nullptr) noexcept;
  ~H1ClientConnection() override;

  /// Registers with the loop; false if the kernel refuses.
  [[nodiscard]] bool start() noexcept;
  /// Begins an exchange; the link's calls follow. The connection must be idle or new.
  void begin(ResponseEvents& events) noexcept;
  /// Closes at once, without telling the exchange.
  void closeNow() noexcept;
  /// Breaks off what is under way, and tells.
  void fail() noexcept { broken(Broken::Reset, http::HttpError::None); }
  /// The pool's mark.
  [[nodiscard]] void* owner() const noexcept { return owner_; }
  /// Membership in the pool's list.
  H1ClientConnection* prev = nullptr;
  /// Membership in the pool's list.
  H1ClientConnection* next = nullptr;
  /// The pool's: in its list of idle connections.
  bool pooled = false;

  void onEvents(std::uint32_t events) noexcept override;
  void sendHead(const http::RequestHead& head, const http::H1RequestOut& options,
                bool end) noexcept override;
  void sendBody(std::string_view data, bool end) noexcept override;
  void sendTrailers(const http::HeaderMap& trailers) noexcept override;
  void flush() noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override { return out_.size(); }
  void setReading(bool on) noexcept override;
  void cancel() noexcept override;
  [[nodiscard]] bool reused() const noexcept override { return exchanges_ > 1; }
  [[nodiscard]] std::uint64_t spliceableResponse() const noexcept override;
  void beginSpliceResponse() noexcept override { raw_ = true; }
  [[nodiscard]] SpliceResult spliceResponse(int pipe, std::size_t size) noexcept override;
  [[nodiscard]] bool canSpliceRequest() const noexcept override;
  [[nodiscard]] std::size_t spliceRequest(int pipe, std::size_t size, bool end) noexcept override;

 private:
  enum class Phase : std::uint8_t { Connecting, Handshake, Idle, Head, Body, Tunnel, Closed };

  void onTimer() noexcept override;
  void connected() noexcept;
  void shakeHands() noexcept;
  void established() noexcept;
  void tellTlsFailure() noexcept;
  void process() noexcept;
  bool readHead() noexcept;
  bool parseHead() noexcept;
  bool readBody() noexcept;
  std::size_t decode(std::span<char> input, bool buffered) noexcept;
  void write(std::string_view prefix, std::string_view data, std::string_view suffix) noexcept;
  void responseDone(std::size_t left_over) noexcept;
  void broken(Broken how, http::HttpError error) noexcept;
  void close() noexcept;
  void arm(std::chrono::milliseconds limit) noexcept;
  void armWrite() noexcept;
  void requestDone() noexcept;

  ClientHost& host_;
  Transport transport_;
  void* owner_;
  const ClientSecurity* security_;
  ResponseEvents* events_ = nullptr;
  ByteBuffer in_;
  ByteBuffer out_;
  http::BodyDecoder decoder_;
  char* head_ = nullptr;
  std::uint32_t head_size_ = 0;
  std::uint32_t head_capacity_ = 0;
  std::size_t scanned_ = 0;
  std::uint32_t rest_begin_ = 0;
  std::uint32_t exchanges_ = 0;
  std::string_view upgrade_offered_;  // in the stream's arena
  StallWatch stall_;
  std::uint8_t interim_ = 0;
  http::Method method_ = http::Method::Other;
  Phase phase_ = Phase::Connecting;
  bool connected_ = false;
  bool readable_ = false;
  bool half_closed_ = false;
  bool raw_ = false;  // the stream moves the body past us
  bool reading_ = true;
  bool processing_ = false;
  bool request_done_ = false;
  bool keep_alive_ = false;
  bool chunked_out_ = false;
  bool blocked_ = false;
  bool shutdown_out_ = false;
  bool length_body_ = false;
};

}  // namespace hyperway::codec
