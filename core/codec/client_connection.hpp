// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/transport.hpp"
#include "http/h1.hpp"
#include "net/event_loop.hpp"
#include "tls/client_context.hpp"
#include "tls/session.hpp"

/// What connections to backends have in common, whatever they speak.
namespace hyperway::codec {

/// How long a backend may take.
struct ClientTimeouts {
  std::chrono::milliseconds connect{5000};  ///< Until the connection is up.
  std::chrono::milliseconds response{
      60000};  ///< Until the answer's head, and between bytes of its body.
  std::chrono::milliseconds write{60000};     ///< Without taking any byte of a request.
  std::chrono::milliseconds idle{60000};      ///< Kept without use.
  std::chrono::milliseconds tunnel{3600000};  ///< Without any byte through a tunnel.
};

/// A connection to an endpoint, as its pool keeps it. [worker]
class ClientConnection : public net::EventHandler {
 public:
  /// Closes at once, without telling exchanges.
  virtual void closeNow() noexcept = 0;
  /// Breaks off what is under way, and tells.
  virtual void fail() noexcept = 0;

  /// The pool's mark.
  [[nodiscard]] void* owner() const noexcept { return owner_; }
  /// Membership in one of the pool's lists.
  ClientConnection* prev = nullptr;
  /// Membership in one of the pool's lists.
  ClientConnection* next = nullptr;
  /// The pool's: which of its lists that is.
  std::uint8_t place = 0;
  /// Closed because nobody waited for it any more: if it was not up by then, that says nothing
  /// about the endpoint.
  bool given_up = false;
  /// Sent once the connection is up, in front of everything, TLS too: a PROXY header. Whoever has
  /// one speaks for one client, and so serves one exchange.
  std::string preface;

 protected:
  explicit ClientConnection(void* owner) noexcept : owner_(owner) {}
  /// Sends the preface, if there is one. False if the socket, which is new, does not take all of
  /// it.
  [[nodiscard]] bool sendPreface(Transport& transport) const noexcept {
    if (preface.empty()) return true;
    const std::string_view piece = preface;
    const Transport::Outcome sent = transport.write({&piece, 1});
    return sent.state == Transport::State::Moved && sent.bytes == preface.size();
  }

 private:
  void* owner_;
};

/// What client connections of one worker share, and whom they tell. Implemented by the pools.
class ClientHost {
 public:
  /// HTTP/1: both messages ended exactly, and the connection may serve another exchange.
  virtual void onClientConnectionIdle(ClientConnection& connection) noexcept = 0;
  /// HTTP/2: an exchange is over, or the backend lets more or fewer of them be at a time. Not told
  /// of those that a closing connection takes along.
  virtual void onClientConnectionRoom(ClientConnection& connection, bool exchange_over) noexcept {
    (void)connection;
    (void)exchange_over;
  }
  /// The connection is closed; the host forgets and retires it. `connected`: it had been up.
  virtual void onClientConnectionClosed(ClientConnection& connection, bool connected) noexcept = 0;
  /// TLS with the backend failed, in the handshake or by an alert behind it;
  /// onClientConnectionClosed follows. `reason` is static text.
  virtual void onClientTlsFailed(ClientConnection& connection, std::string_view reason) noexcept {
    (void)connection;
    (void)reason;
  }
  /// The backend broke the rules of HTTP/2; onClientConnectionClosed follows. `reason` is static
  /// text.
  virtual void onClientHttp2Failed(ClientConnection& connection, std::string_view reason) noexcept {
    (void)connection;
    (void)reason;
  }

  net::EventLoop& loop;            ///< The worker's loop.
  BlockPool& pool;                 ///< The worker's blocks.
  std::span<char> scratch;         ///< Read buffer, valid within one event.
  const http::H1Limits& limits;    ///< Bounds of a head.
  const ClientTimeouts& timeouts;  ///< Bounds of time.
  tls::SharedBuffers* tls;         ///< The worker's buffers for TLS; null: nothing secure is made.
  /// Read buffer of HTTP/2 connections: what was read for one stream is not spent when streams of
  /// others, and with them other connections, go on. Made by the first one.
  std::unique_ptr<char[]> shared_scratch;

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

}  // namespace hyperway::codec
