// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/udp_socket.hpp"
#include "proxy/flow_log.hpp"
#include "proxy/member_timer.hpp"
#include "proxy/udp_listener.hpp"
#include "proxy/udp_session.hpp"

namespace hyperway::proxy {

class Worker;

/// All UDP of one worker. A client's first datagram begins a session: a backend is drawn by weight,
/// an endpoint is chosen, and all that follows goes there until nothing came either way for
/// ProxySettings::udp_idle. A session ends before that, and the next datagram begins another one,
///
/// - when ICMP says that the endpoint is not there, which is not chosen for a while then;
/// - when the client sends something and the endpoint has gone, or the rule does not name its
///   Service any more;
/// - when its listener goes; in a drain it lives on for a few seconds, to deliver answers;
/// - when there are ProxySettings::udp_sessions and another one begins: the least recently used
///   goes.
///
/// Nothing is queued: what a socket does not take is dropped and counted. [worker]
class UdpFlows {
 public:
  /// `worker` outlives this.
  explicit UdpFlows(Worker& worker);
  UdpFlows(const UdpFlows&) = delete;
  UdpFlows& operator=(const UdpFlows&) = delete;
  ~UdpFlows();

  /// Takes datagrams from listening sockets of an address, `bind` by the proxy's number. False if
  /// the kernel refuses to watch one.
  [[nodiscard]] bool open(std::uint32_t bind, std::span<const ListeningSocket> sockets);
  /// Takes no more from that address. With `linger` its sessions stay for answers.
  void close(std::uint32_t bind, bool linger) noexcept;
  /// True between open() and close().
  [[nodiscard]] bool isOpen(std::uint32_t bind) const noexcept {
    return bind < binds_.size() && !binds_[bind].listeners.empty();
  }
  /// The worker has another table.
  void tableChanged();
  /// Ends all.
  void killAll() noexcept;
  /// Number of sessions.
  [[nodiscard]] std::size_t sessions() const noexcept { return by_key_.size(); }

  // What follows is for listeners and sessions.

  /// Datagrams came.
  void arrived(UdpListener& listener, std::span<const net::Datagram> datagrams) noexcept;
  /// The backend of a session is not there.
  void unreachable(UdpSession& session) noexcept;
  /// The backend of a session is well.
  void firstAnswer(UdpSession& session) noexcept;
  /// A datagram went either way.
  void used(UdpSession& session) noexcept;
  /// Counts datagrams that went to clients.
  void countSent(std::size_t datagrams) noexcept;
  /// Counts datagrams that went nowhere.
  void countDropped(std::size_t datagrams) noexcept;
  /// Memory for datagrams, one call at a time.
  [[nodiscard]] net::UdpBatch& batch();

 private:
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(const UdpKey& key) const noexcept;
  };
  struct Bind {
    std::vector<std::unique_ptr<UdpListener>> listeners;  // none: closed
    std::unique_ptr<UdpRule> rule;                        // that serves it now; null: closed
  };

  void resolve(std::uint32_t bind);
  [[nodiscard]] UdpSession* sessionFor(const UdpListener& listener, const UdpKey& key,
                                       std::size_t datagrams) noexcept;
  [[nodiscard]] bool stillGood(UdpSession& session) noexcept;
  [[nodiscard]] UdpSession* begin(const UdpListener& listener, const UdpKey& key,
                                  const EndpointState* avoid, std::size_t datagrams) noexcept;
  [[nodiscard]] net::Fd connect(EndpointState& endpoint) noexcept;
  void forward(const UdpListener& listener, const UdpKey& key,
               std::span<const net::Datagram> datagrams) noexcept;
  void unserved(const UdpRule& rule, std::size_t datagrams) noexcept;
  void end(UdpSession& session, FlowOutcome outcome, std::string_view why) noexcept;
  void endOldest() noexcept;
  void endIdle() noexcept;
  void dropRule(std::unique_ptr<UdpRule> rule) noexcept;
  void leaveRule(UdpRule& rule) noexcept;
  [[nodiscard]] net::TimePoint endOf(const UdpSession& session) const noexcept;
  void pushFront(UdpSession& session) noexcept;
  void unlink(UdpSession& session) noexcept;

  Worker& worker_;
  std::optional<net::UdpBatch> batch_;
  std::vector<Bind> binds_;
  std::vector<std::unique_ptr<UdpRule>> old_rules_;  // that sessions have
  std::unordered_map<UdpKey, UdpSession*, Hash> by_key_;
  UdpSession* newest_ = nullptr;  // the last used
  UdpSession* oldest_ = nullptr;
  std::optional<net::TimePoint> lingering_since_;  // an address was closed in a drain
  MemberTimer<UdpFlows, &UdpFlows::endIdle> idle_;
};

}  // namespace hyperway::proxy
