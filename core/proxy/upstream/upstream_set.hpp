// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "codec/client_connection.hpp"
#include "codec/message_link.hpp"
#include "net/address.hpp"
#include "observe/worker_counters.hpp"
#include "route/model.hpp"
#include "tls/client_context.hpp"

namespace hyperway::proxy {

/// What connections to a backend are made with, by what the request's listener shows to backends
/// (Listener::backend_certificate): 0 for nothing, then by number. An entry is null if there is no
/// such context. Shared by all upstreams that trust the same authorities.
using ContextRow = std::vector<std::shared_ptr<const tls::ClientContext>>;

/// A pool of connections: an address, and how they are secured. Connections that were made with
/// other settings, or for another name, are never mixed up.
struct PoolKey {
  route::Endpoint endpoint;                               ///< As the model names it.
  std::shared_ptr<const codec::ClientSecurity> security;  ///< Null: plain text.
  bool http2 = false;                                     ///< Else HTTP/1.

  /// By address, then by protocol, by context (which one it is) and name.
  friend bool operator<(const PoolKey& a, const PoolKey& b) {
    if (const auto order = a.endpoint <=> b.endpoint; std::is_neq(order)) return std::is_lt(order);
    if (a.http2 != b.http2) return b.http2;
    if (a.security == b.security || !b.security) return false;
    if (!a.security) return true;
    return std::tie(a.security->context, a.security->peer) <
           std::tie(b.security->context, b.security->peer);
  }
};

/// One address that a worker connects to, with its kept connections. Shared by all Services that
/// name it and are secured alike.
struct EndpointState {
  const PoolKey* key = nullptr;  ///< Where it stands among the pools.
  net::SocketAddress address;    ///< Where to connect.
  std::string text;              ///< "ip:port", for logs.
  /// Kept connections, the last used first. With HTTP/2 those that can take another exchange,
  /// whether they have some or not.
  codec::ClientConnection* idle = nullptr;
  codec::ClientConnection* busy = nullptr;  ///< Connections that can take no other exchange now.
  std::uint32_t idle_count = 0;             ///< Length of `idle`; HTTP/1 only.
  std::uint32_t active = 0;                 ///< Exchanges and flows under way.
  std::uint32_t raw = 0;                    ///< Of these, flows: connections that no pool has.
  std::uint32_t failures = 0;               ///< Connects that failed in a row.
  std::uint32_t allowed = 0;                ///< Exchanges on one of HTTP/2, as it said; 0: not yet.
  std::uint32_t users = 0;                  ///< Upstreams that list it; 0: leaving.
  bool leaving = false;                     ///< In the set's list of those that may go.
  net::TimePoint ejected_until{};           ///< Not chosen before, if there is another.
  std::string_view failure;      ///< Why TLS or HTTP/2 failed, as last logged; static text.
  std::string_view tls_failure;  ///< The same, TLS only.
  net::TimePoint logged{};       ///< When that was.
};

/// How an endpoint of an upstream is doing on one worker, for reports.
struct EndpointReport {
  std::uint32_t slot = 0;               ///< Of the upstream.
  route::Endpoint endpoint;             ///< As the model names it.
  std::uint32_t active = 0;             ///< Exchanges under way.
  std::uint32_t idle = 0;               ///< Kept connections.
  std::uint32_t failures = 0;           ///< Connects that failed in a row.
  std::chrono::milliseconds ejected{};  ///< Not chosen for so long, if there is another; 0: chosen.
  std::string_view tls_failure;         ///< Why TLS failed, as last logged; static text.
};

/// All endpoints of one worker: choice, ejection and pools. Implements what client connections
/// tell. [worker]
class UpstreamSet final : public codec::ClientHost {
 public:
  /// Members are borrowed from the worker.
  UpstreamSet(net::EventLoop& loop, codec::BlockPool& pool, std::span<char> scratch,
              const http::H1Limits& limits, const codec::ClientTimeouts& timeouts,
              observe::WorkerCounters& counters, tls::SharedBuffers& tls);
  UpstreamSet(const UpstreamSet&) = delete;
  UpstreamSet& operator=(const UpstreamSet&) = delete;
  ~UpstreamSet();

  /// Where warnings go; may be empty. Once, before the first connection.
  void warnTo(std::function<void(std::string_view)> log) { log_ = std::move(log); }
  /// Takes a new version of the upstream with this slot, with its contexts if it is reached by TLS;
  /// connections to endpoints that left, or with other settings, are closed when idle.
  void adopt(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream,
             std::shared_ptr<const ContextRow> contexts);
  /// Takes new contexts of an upstream that is reached by TLS.
  void adoptContexts(std::uint32_t slot, std::shared_ptr<const ContextRow> contexts);
  /// The upstream's model, or null if it was never adopted.
  [[nodiscard]] const route::Upstream* model(std::uint32_t slot) const noexcept;
  /// True if nothing of the upstream may be reached, because its TLS settings are no good.
  [[nodiscard]] bool refused(std::uint32_t slot, std::uint32_t identity) const noexcept;
  /// Chooses an endpoint: by the upstream's policy, passing over ejected ones while there are
  /// others, and over `avoid` (the endpoint of the failed attempt) if there is another. Null if
  /// there is none at all.
  /// `identity` is the number of what the request's listener shows to backends.
  [[nodiscard]] EndpointState* choose(std::uint32_t slot, std::uint32_t identity,
                                      const EndpointState* avoid) noexcept;
  /// The endpoint of the upstream that has this address, also if it drains, unless it is ejected;
  /// else null. Cost grows with the logarithm of their number.
  [[nodiscard]] EndpointState* find(std::uint32_t slot, std::uint32_t identity,
                                    const net::SocketAddress& address) noexcept;
  /// A link for one exchange, begun with `events`: on a connection that is kept, or new, or shared
  /// with other exchanges (HTTP/2). Null if no descriptor is to be had. `fresh`: not on a kept
  /// HTTP/1 connection. `preface`: what it begins with (proxyHeader()); if there is something, the
  /// connection is new, and for this exchange alone.
  [[nodiscard]] codec::ClientLink* connect(EndpointState& endpoint, codec::ResponseEvents& events,
                                           bool fresh, std::string_view preface) noexcept;
  /// What connections to the upstream begin with.
  [[nodiscard]] route::ProxyHeader proxyHeader(std::uint32_t slot) const noexcept {
    return slot < groups_.size() ? groups_[slot].proxy_header : route::ProxyHeader::None;
  }
  /// A socket that is connecting, for a flow, whose connection no pool ever has. The endpoint lives
  /// until rawDone(). Empty: none is to be had, which is counted.
  [[nodiscard]] net::Fd connectRaw(EndpointState& endpoint) noexcept;
  /// The flow's connection is up, TLS included.
  void rawUp(EndpointState& endpoint) noexcept { endpoint.failures = 0; }
  /// TLS failed on it; rawDone() follows. `reason` is static text.
  void rawTlsFailed(EndpointState& endpoint, std::string_view reason) noexcept;
  /// The flow's connection is closed. `failed`: it never was up, and that is the endpoint's fault.
  void rawDone(EndpointState& endpoint, bool failed) noexcept;
  /// A UDP session uses the endpoint, which stays until it leave()s.
  static void enter(EndpointState& endpoint) noexcept {
    ++endpoint.active;
    ++endpoint.raw;
  }
  /// See enter().
  static void leave(EndpointState& endpoint) noexcept {
    --endpoint.active;
    --endpoint.raw;
  }
  /// Nobody is there, as ICMP says of a UDP session: the endpoint is not chosen for a while.
  void eject(EndpointState& endpoint) noexcept;
  /// An exchange has waited for a connection to it for as long as it could. Counts once while the
  /// endpoint is ejected: others may have begun to wait at the same time.
  void late(EndpointState& endpoint) noexcept {
    if (usable(endpoint)) eject(endpoint);
  }
  /// It has answered a UDP session.
  static void well(EndpointState& endpoint) noexcept { endpoint.failures = 0; }
  /// Changes with what is adopted for the upstream with this slot.
  [[nodiscard]] std::uint64_t version(std::uint32_t slot) const noexcept {
    return slot < groups_.size() ? groups_[slot].version : 0;
  }
  /// True if the upstream has that endpoint now.
  [[nodiscard]] bool lists(std::uint32_t slot, const EndpointState& endpoint) const noexcept;
  /// Appends the endpoints of the upstream with this slot that were ever in use, as long as there
  /// are fewer than `most` in `out`.
  void report(std::uint32_t slot, std::size_t most, std::vector<EndpointReport>& out) const;
  /// Endpoints that no upstream has any more, and that wait for their last exchanges. For tests.
  [[nodiscard]] std::size_t leaving() const noexcept { return leaving_.size(); }
  /// Closes all connections, and tells exchanges under way that theirs broke.
  void closeAll() noexcept;

  void onClientConnectionIdle(codec::ClientConnection& connection) noexcept override;
  void onClientConnectionRoom(codec::ClientConnection& connection,
                              bool exchange_over) noexcept override;
  void onClientConnectionClosed(codec::ClientConnection& connection,
                                bool connected) noexcept override;
  void onClientTlsFailed(codec::ClientConnection& connection,
                         std::string_view reason) noexcept override;
  void onClientHttp2Failed(codec::ClientConnection& connection,
                           std::string_view reason) noexcept override;

 private:
  // The endpoints of an upstream that is reached by TLS, as a listener's identity sees them.
  struct Secured {
    std::uint32_t identity;
    std::vector<EndpointState*> endpoints;
  };
  struct Group {
    std::shared_ptr<const route::Upstream> model;
    std::vector<EndpointState*> endpoints;  // none if it is reached by TLS
    std::uint64_t version = 0;
    std::uint32_t cursor = 0;
    bool is_secure = false;
    route::ProxyHeader proxy_header = route::ProxyHeader::None;
    std::shared_ptr<const ContextRow> contexts;
    std::vector<Secured> secured;          // made when first asked for
    std::vector<EndpointState*> draining;  // of Upstream::draining, what sessions asked for
  };

  [[nodiscard]] std::vector<EndpointState*> acquireAll(
      const route::Upstream& upstream, const std::shared_ptr<const tls::ClientContext>& context);
  [[nodiscard]] const std::vector<EndpointState*>& endpointsFor(Group& group,
                                                                std::uint32_t identity);
  [[nodiscard]] EndpointState* acquire(PoolKey key);
  [[nodiscard]] EndpointState* drainingEndpoint(Group& group, std::uint32_t identity,
                                                const route::Endpoint& endpoint);
  void release(EndpointState* endpoint) noexcept;
  void forgetLeft();
  template <class Connection>
  [[nodiscard]] Connection* open(EndpointState& endpoint) noexcept;
  [[nodiscard]] codec::ClientLink* connectHttp2(EndpointState& endpoint,
                                                codec::ResponseEvents& events,
                                                std::string_view preface) noexcept;
  static void place(EndpointState& endpoint, codec::ClientConnection& connection,
                    bool idle) noexcept;
  static void unplace(EndpointState& endpoint, codec::ClientConnection& connection) noexcept;
  void warnOf(EndpointState& endpoint, std::string_view what, std::string_view reason);
  [[nodiscard]] bool usable(const EndpointState& endpoint) const noexcept;

  observe::WorkerCounters& counters_;
  std::vector<Group> groups_;
  std::function<void(std::string_view)> log_;
  std::map<PoolKey, std::unique_ptr<EndpointState>> endpoints_;
  std::vector<EndpointState*>
      leaving_;  // no upstream lists them; they go when their last connection has
};

}  // namespace hyperway::proxy
