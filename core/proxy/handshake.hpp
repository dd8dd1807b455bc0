// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "codec/message_link.hpp"
#include "net/event_loop.hpp"
#include "net/fd.hpp"
#include "route/model.hpp"
#include "route/table.hpp"
#include "tls/session.hpp"

namespace hyperway::proxy {

class Worker;

/// A client connection until it is known who serves it: reads the PROXY header where one is due,
/// looks at the ClientHello where a listener passes TLS through, ends TLS with the listener's
/// certificate otherwise, and hands the connection to its codec or flow. Owns no buffer: what it
/// looks at stays in the socket. Ends after ProxySettings::tls_handshake, however it drips.
/// [worker]
class Handshake final : public net::EventHandler, private net::Timer, private tls::SniResolver {
 public:
  /// Starts with a connection whose listeners are of this family (BindGroup::protocol()); the
  /// object belongs to the worker's list until it is over.
  static void begin(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info,
                    route::Protocol protocol, bool wants_header) noexcept;
  ~Handshake() override;

  void onEvents(std::uint32_t events) noexcept override;
  /// Closes at once.
  void closeNow() noexcept;
  /// After the end: true if it did not lead to a connection.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  /// Membership in the worker's list.
  Handshake* prev = nullptr;
  /// Membership in the worker's list.
  Handshake* next = nullptr;

 private:
  enum class Step : std::uint8_t { Header, Hello, Session };

  Handshake(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info,
            route::Protocol protocol) noexcept;
  const tls::Context* chooseContext(std::string_view sni) noexcept override;
  void onTimer() noexcept override;
  void advance() noexcept;
  void readHeader() noexcept;
  void refuseHeader() noexcept;
  void headerDone() noexcept;
  void lookAtHello() noexcept;
  void passThrough(std::string_view name) noexcept;
  void refuseHello(std::size_t here, char alert = 0) noexcept;
  void startSession() noexcept;
  void shakeHands() noexcept;
  void secured() noexcept;
  [[nodiscard]] std::span<unsigned char> peek(std::size_t most) noexcept;
  [[nodiscard]] const route::CompiledListener* listenerOf(std::string_view sni) const noexcept;
  void leave() noexcept;

  Worker& worker_;
  net::Fd socket_;
  codec::ConnectionInfo info_;
  std::unique_ptr<tls::Session> session_;
  route::Protocol protocol_;
  Step step_ = Step::Session;
  bool peer_ended_ = false;
  bool over_ = false;
  bool failed_ = true;
};

}  // namespace hyperway::proxy
