// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/event_loop.hpp"
#include "net/udp_socket.hpp"
#include "proxy/acceptor.hpp"
#include "proxy/upstream/upstream_set.hpp"
#include "route/table.hpp"

namespace hyperway::proxy {

class UdpFlows;

/// Who talks to whom: a session is between a client's address and the one of ours that it asked.
struct UdpKey {
  std::uint32_t bind = 0;     ///< The proxy's number of the listening address.
  net::SocketAddress client;  ///< With its port.
  net::SocketAddress asked;   ///< Where answers come from.

  /// Field by field.
  friend bool operator==(const UdpKey& a, const UdpKey& b) noexcept {
    return a.bind == b.bind && a.client == b.client && a.asked == b.asked;
  }
};

/// The rule that serves a listening address. One of it for all sessions that it began. [worker]
struct UdpRule {
  std::shared_ptr<const route::CompiledRule> rule;  ///< Null: there is none.
  std::string listener;                             ///< Listener key.
  std::size_t sessions = 0;                         ///< That have it.
};

/// The datagrams between one client and the backend that was drawn for it, which it keeps for as
/// long as it lasts. Has a socket of its own that hears from that backend alone. UdpFlows owns it
/// and decides about its life. [worker]
class UdpSession final : public net::EventHandler {
 public:
  /// What a session is made of.
  struct Parts {
    UdpKey key;                         ///< Whose it is.
    ListeningSocket front;              ///< Answers go out here.
    net::Fd back;                       ///< Connected to the endpoint.
    UdpRule* rule = nullptr;            ///< Its holder counts us.
    std::uint32_t slot = 0;             ///< Of the upstream that was drawn.
    std::uint64_t version = 0;          ///< UpstreamSet::version() then.
    EndpointState* endpoint = nullptr;  ///< Of that; UpstreamSet counts us.
    std::uint16_t attempts = 1;         ///< Endpoints that were tried, this one included.
  };

  /// Registered with the loop by the caller.
  UdpSession(UdpFlows& flows, Parts parts, net::TimePoint now) noexcept
      : flows_(flows), parts_(std::move(parts)), begun_(now), last_(now) {}

  /// The backend has something to say, or ICMP about it.
  void onEvents(std::uint32_t events) noexcept override;
  /// Sends datagrams of the client to the backend. Returns how many went out; if not all of them,
  /// errno is the error of the next one.
  [[nodiscard]] std::size_t send(net::UdpBatch& batch,
                                 std::span<const net::Datagram> datagrams) noexcept;

  /// What it is made of.
  [[nodiscard]] Parts& parts() noexcept { return parts_; }
  /// The same.
  [[nodiscard]] const Parts& parts() const noexcept { return parts_; }
  /// When it began.
  [[nodiscard]] net::TimePoint begun() const noexcept { return begun_; }
  /// When the last datagram went either way.
  [[nodiscard]] net::TimePoint last() const noexcept { return last_; }
  /// A datagram goes either way now.
  void touch(net::TimePoint now) noexcept { last_ = now; }
  /// Bytes from the client that went on.
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// Bytes to the client.
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  /// True if the backend has answered.
  [[nodiscard]] bool answered() const noexcept { return answered_; }
  /// True once it is over: it waits for the end of the turn.
  [[nodiscard]] bool over() const noexcept { return over_; }
  /// It is over.
  void close() noexcept {
    over_ = true;
    parts_.back.reset();
    parts_.front.reset();
  }

  /// Membership in the list by use.
  UdpSession* prev = nullptr;
  /// Membership in the list by use.
  UdpSession* next = nullptr;

 private:
  UdpFlows& flows_;
  Parts parts_;
  net::TimePoint begun_, last_;
  std::uint64_t received_ = 0, sent_ = 0;
  bool answered_ = false;
  bool over_ = false;
};

}  // namespace hyperway::proxy
