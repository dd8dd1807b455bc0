// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "codec/message_link.hpp"
#include "net/event_loop.hpp"
#include "net/fd.hpp"
#include "tls/session.hpp"

namespace hyperway::proxy {

class Worker;

/// A client connection during its TLS handshake: chooses the listener's certificate by SNI, then
/// hands the connection to its codec. Ends after ProxySettings::tls_handshake, however it drips.
/// [worker]
class Handshake final : public net::EventHandler, private net::Timer, private tls::SniResolver {
 public:
  /// Starts a handshake; the object belongs to the worker's list until it is over.
  static void begin(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info) noexcept;
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
  Handshake(Worker& worker, net::Fd socket, const codec::ConnectionInfo& info) noexcept;
  const tls::Context* chooseContext(std::string_view sni) noexcept override;
  void onTimer() noexcept override;
  void advance() noexcept;

  Worker& worker_;
  net::Fd socket_;
  codec::ConnectionInfo info_;
  std::unique_ptr<tls::Session> session_;
  bool over_ = false;
  bool failed_ = true;
};

}  // namespace hyperway::proxy
