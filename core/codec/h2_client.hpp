// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "codec/byte_buffer.hpp"
#include "codec/client_connection.hpp"
#include "codec/message_link.hpp"
#include "codec/stall_watch.hpp"
#include "codec/transport.hpp"
#include "http/h1.hpp"
#include "net/timer.hpp"

struct nghttp2_session;  // of libnghttp2

namespace hyperway::codec {

class H2Exchange;

/// Client side of HTTP/2 on one connection to an endpoint: many exchanges at once. In plain text by
/// prior knowledge (RFC 9113 §3.3), over TLS by ALPN "h2". Requests of one turn of the loop leave
/// with one write at its end. The connection lives on when an exchange is cancelled or reset. A
/// backend that says GOAWAY gets no new exchange; those that it did not process are told so.
/// [worker]
class H2ClientConnection final : public ClientConnection, private net::Timer {
 public:
  /// Takes a socket that is connecting. `owner` is the pool's own mark. `security`: TLS, whose
  /// handshake counts to the time for connecting; null: plain text.
  H2ClientConnection(ClientHost& host, net::Fd socket, void* owner,
                     const ClientSecurity* security = nullptr) noexcept;
  ~H2ClientConnection() override;

  /// Registers with the loop; false if the kernel refuses.
  [[nodiscard]] bool start() noexcept;
  /// True if another exchange may begin: the backend allows one more, and goes on.
  [[nodiscard]] bool hasRoom() const noexcept;
  /// Exchanges at a time that the backend's SETTINGS allow; 0: they have not come.
  [[nodiscard]] std::uint32_t allowed() const noexcept;
  /// As many at a time until they come, since another connection to it was allowed no more.
  void expect(std::uint32_t exchanges) noexcept { expected_ = exchanges; }
  /// Begins an exchange; the link's calls follow. Only if there is room.
  [[nodiscard]] ClientLink& begin(ResponseEvents& events) noexcept;
  /// Exchanges under way.
  [[nodiscard]] std::uint32_t exchanges() const noexcept { return count_; }
  /// True once it is up, TLS included.
  [[nodiscard]] bool isUp() const noexcept { return connected_; }
  void closeNow() noexcept override;
  void fail() noexcept override;

  void onEvents(std::uint32_t events) noexcept override;

 private:
  friend class H2Exchange;
  struct Callbacks;  // what nghttp2 calls
  struct SessionDeleter {
    void operator()(nghttp2_session* session) const noexcept;
  };
  enum class Phase : std::uint8_t { Connecting, Handshake, Up, Closed };
  static constexpr std::size_t kMostGathered = 64 * 1024;  // frames that wait for the socket

  // ---- for exchanges ----
  [[nodiscard]] bool settled() const noexcept { return settings_seen_; }
  [[nodiscard]] bool offersTunnels() const noexcept;
  [[nodiscard]] bool serves(std::int32_t stream, const H2Exchange& exchange) const noexcept;
  void submit(H2Exchange& exchange, const http::RequestHead& head,
              const http::H1RequestOut& options) noexcept;
  void reset(H2Exchange& exchange, std::uint32_t code) noexcept;
  void answered(H2Exchange& exchange) noexcept;
  void resume(H2Exchange& exchange) noexcept;
  void consume(const H2Exchange& exchange, std::size_t size) noexcept;
  void unlink(H2Exchange& exchange) noexcept;
  void touch(H2Exchange& exchange);
  void tellLater() noexcept;
  void schedule() noexcept;
  [[nodiscard]] bool mayPump() const noexcept;
  void pump() noexcept;
  [[nodiscard]] bool blocked() const noexcept { return blocked_; }

  void onTimer() noexcept override;
  [[nodiscard]] bool makeSession() noexcept;
  void connected() noexcept;
  void shakeHands() noexcept;
  void established() noexcept;
  void settingsCame() noexcept;
  void receive() noexcept;
  void input(const char* bytes, std::size_t size) noexcept;
  void write() noexcept;
  void drained() noexcept;
  void tell() noexcept;
  void endOfTurn() noexcept;
  void lost(Transport::State state) noexcept;
  void violated(std::string_view reason) noexcept;
  void failAll(Broken how, http::HttpError error) noexcept;
  void close() noexcept;
  void rearm() noexcept;
  void arm(std::chrono::milliseconds limit) noexcept;
  void countNoise() noexcept;

  ClientHost& host_;
  Transport transport_;
  const ClientSecurity* security_;
  std::unique_ptr<nghttp2_session, SessionDeleter> session_;
  ByteBuffer out_;
  H2Exchange* list_ = nullptr;
  H2Exchange* cursor_ = nullptr;      // the next one of a walk through the list
  std::vector<H2Exchange*> touched_;  // have been told something in this batch; null: gone
  std::string_view reason_;           // why the backend's frames were refused; static text
  std::string_view refused_;          // why we want no more of them; static text
  StallWatch stall_;
  net::TimePoint noise_since_{};
  std::uint64_t heard_ = 0;  // reads that brought something
  std::uint64_t heard_at_look_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t expected_ = UINT32_MAX;
  std::uint32_t noise_ = 0;
  Phase phase_ = Phase::Connecting;
  bool connected_ = false;
  bool readable_ = false;
  bool half_closed_ = false;
  bool settings_seen_ = false;
  bool going_away_ = false;
  bool in_library_ = false;  // nghttp2 is at work, and must not be entered again
  bool scheduled_ = false;
  bool tell_ = false;
  bool blocked_ = false;
  bool pinged_ = false;
};

}  // namespace hyperway::codec
