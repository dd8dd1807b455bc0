// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "codec/byte_buffer.hpp"
#include "codec/message_link.hpp"
#include "codec/transport.hpp"
#include "net/event_loop.hpp"
#include "proxy/flow_log.hpp"
#include "proxy/member_timer.hpp"
#include "proxy/splice_pipe.hpp"
#include "proxy/table_pin.hpp"
#include "proxy/upstream/upstream_set.hpp"
#include "route/table.hpp"

namespace hyperway::proxy {

class Worker;

/// A client's connection that goes on to a backend as it is: TCP, TLS that we end, or TLS that we
/// do not look into. Connects at once, since a backend may speak first, and drops what cannot be
/// served with a reset. Each side is read only while the other has nothing queued; the end of one
/// direction is passed on without the other's, and a reset as a reset. Lives until both directions
/// have ended, one side broke, or nothing moved for ProxySettings::flow_idle; changes of routes do
/// not touch it. [worker]
class TcpFlow final : public net::EventHandler {
 public:
  /// How the client's bytes reach us, for the log.
  enum class Kind : std::uint8_t { Tcp, Tls, Passthrough };

  /// Takes a client; the flow belongs to the worker's list until it is over. `name` is the one of
  /// its TLS handshake. `registered`: its socket is in the loop, and it is counted, already.
  static void begin(Worker& worker, codec::Transport client, const codec::ConnectionInfo& info,
                    Kind kind, std::string_view name, bool registered) noexcept;
  ~TcpFlow() override;

  void onEvents(std::uint32_t events) noexcept override;
  /// Trades the pin on a whole table for a reference on its rule (ARCHITECTURE 4.4).
  void unpin() noexcept;
  /// Cuts it at once: the drain's deadline is over.
  void kill() noexcept;
  /// The pin, for the worker's bookkeeping; null once traded.
  [[nodiscard]] const TablePin* pin() const noexcept { return pin_; }
  /// Membership in the worker's list.
  TcpFlow* prev = nullptr;
  /// Membership in the worker's list.
  TcpFlow* next = nullptr;

 private:
  class Backend;
  enum class Phase : std::uint8_t { Connecting, Handshake, Open, Over };
  // One of the two connections.
  struct Side {
    codec::Transport* transport = nullptr;
    bool readable = false;
    bool half_closed = false;  // its peer has ended or broke: a short read is not the last one
    bool notified = false;     // close_notify is out
    bool muted = false;        // the loop does not tell that it is readable
  };
  // The bytes of one direction.
  struct Direction {
    codec::ByteBuffer queue;  // what the target did not take, and what goes in front
    std::unique_ptr<SplicePipe> pipe;
    std::uint64_t bytes = 0;
    std::uint8_t small_turns = 0;  // in a row, since it is bulk
    bool bulk = false;             // worth a pipe
    bool ended = false;            // the source has ended it
    bool closed = false;           // and the target knows
  };
  enum class Take : std::uint8_t { More, Nothing, Over };

  TcpFlow(Worker& worker, codec::Transport client, const codec::ConnectionInfo& info, Kind kind,
          std::string_view name) noexcept;
  void route() noexcept;
  void startAttempt() noexcept;
  void attemptFailed(std::string_view why) noexcept;
  void dropBackend(bool failed) noexcept;
  void onBackendEvents(std::uint32_t events) noexcept;
  void connected() noexcept;
  void shakeHands() noexcept;
  void open() noexcept;
  [[nodiscard]] bool sendProxyHeader() noexcept;
  [[nodiscard]] static bool isLeft(const Direction& way, const Side& from) noexcept;
  void pump(Direction& way, Side& from, Side& to) noexcept;
  void watch(Side& side, std::uint32_t events) noexcept;
  void mute(const Direction& way, Side& from) noexcept;
  [[nodiscard]] bool deliver(Direction& way, Side& to) noexcept;
  [[nodiscard]] Take take(Direction& way, Side& from, Side& to) noexcept;
  [[nodiscard]] Take splice(Direction& way, Side& from) noexcept;
  void settle(Direction& way, std::uint64_t moved) noexcept;
  void passEnd(Direction& way, Side& to) noexcept;
  void broken(const Side& side) noexcept;
  void onConnectTimer() noexcept;
  void onIdleTimer() noexcept;
  void finish(FlowOutcome outcome, std::string_view why) noexcept;

  Worker& worker_;
  codec::Transport client_transport_;
  codec::ConnectionInfo info_;
  std::string name_;
  TablePin* pin_ = nullptr;
  bool passes_ = false;  // bytes of a passthrough listener
  std::string_view listener_key_;
  std::string listener_copy_;                                              // once unpinned
  const std::shared_ptr<const route::CompiledRule>* rule_slot_ = nullptr;  // in the pinned table
  std::shared_ptr<const route::CompiledRule> rule_ref_;                    // once unpinned
  const route::CompiledRule* rule_ = nullptr;
  const route::CompiledBackend* drawn_ = nullptr;
  EndpointState* endpoint_ = nullptr;
  Backend* backend_ = nullptr;  // belongs to the loop once it is retired
  Side client_;
  Side upstream_;
  Direction up_;
  Direction down_;
  MemberTimer<TcpFlow, &TcpFlow::onConnectTimer> connect_timer_;
  MemberTimer<TcpFlow, &TcpFlow::onIdleTimer> idle_timer_;
  net::TimePoint begun_;
  std::string_view failure_ = "connect_failed";  // of the last attempt
  std::uint32_t identity_ = 0;
  std::uint16_t attempts_ = 0;
  Kind kind_;
  Phase phase_ = Phase::Connecting;
};

}  // namespace hyperway::proxy
