// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codec/h1_client.hpp"
#include "net/address.hpp"
#include "observe/worker_counters.hpp"
#include "route/model.hpp"

namespace hyperway::proxy {

/// One address that a worker connects to, with its kept connections. Shared by all Services that
/// name it.
struct EndpointState {
  route::Endpoint key;                        ///< As the model names it.
  net::SocketAddress address;                 ///< Where to connect.
  std::string text;                           ///< "ip:port", for logs.
  codec::H1ClientConnection* idle = nullptr;  ///< Kept connections, the last used first.
  codec::H1ClientConnection* busy = nullptr;  ///< Connections with an exchange, or connecting.
  std::uint32_t idle_count = 0;               ///< Length of `idle`.
  std::uint32_t active = 0;                   ///< Exchanges under way.
  std::uint32_t failures = 0;                 ///< Connects that failed in a row.
  std::uint32_t users = 0;                    ///< Upstreams that list it; 0: leaving.
  net::TimePoint ejected_until{};             ///< Not chosen before, if there is another.
};

/// All endpoints of one worker: choice, ejection and pools. Implements what client connections
/// tell. [worker]
class UpstreamSet final : public codec::ClientHost {
 public:
  /// Members are borrowed from the worker.
  UpstreamSet(net::EventLoop& loop, codec::BlockPool& pool, std::span<char> scratch,
              const http::H1Limits& limits, const codec::ClientTimeouts& timeouts,
              observe::WorkerCounters& counters);
  UpstreamSet(const UpstreamSet&) = delete;
  UpstreamSet& operator=(const UpstreamSet&) = delete;
  ~UpstreamSet();

  /// Takes a new version of the upstream with this slot; connections to endpoints that left are
  /// closed when idle.
  void adopt(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream);
  /// The upstream's model, or null if it was never adopted.
  [[nodiscard]] const route::Upstream* model(std::uint32_t slot) const noexcept;
  /// Chooses an endpoint: by the upstream's policy, passing over ejected ones while there are
  /// others, and over `avoid` (the endpoint of the failed attempt) if there is another. Null if
  /// there is none at all.
  [[nodiscard]] EndpointState* choose(std::uint32_t slot, const EndpointState* avoid) noexcept;
  /// A connection for one exchange, kept or new, begun with `events`. Null if no descriptor is to
  /// be had. `fresh`: not a kept one.
  [[nodiscard]] codec::H1ClientConnection* connect(EndpointState& endpoint,
                                                   codec::ResponseEvents& events,
                                                   bool fresh) noexcept;
  /// Closes all connections, and tells exchanges under way that theirs broke.
  void closeAll() noexcept;

  void onClientConnectionIdle(codec::H1ClientConnection& connection) noexcept override;
  void onClientConnectionClosed(codec::H1ClientConnection& connection,
                                bool connected) noexcept override;

 private:
  struct Group {
    std::shared_ptr<const route::Upstream> model;
    std::vector<EndpointState*> endpoints;
    std::uint32_t cursor = 0;
  };

  [[nodiscard]] EndpointState* acquire(const route::Endpoint& endpoint);
  void release(EndpointState* endpoint) noexcept;
  void forgetLeft();
  void unlink(EndpointState& endpoint, codec::H1ClientConnection& connection) noexcept;
  static void push(codec::H1ClientConnection*& list,
                   codec::H1ClientConnection& connection) noexcept;
  static void take(codec::H1ClientConnection*& list,
                   codec::H1ClientConnection& connection) noexcept;
  [[nodiscard]] bool usable(const EndpointState& endpoint) const noexcept;

  observe::WorkerCounters& counters_;
  std::vector<Group> groups_;
  std::map<route::Endpoint, std::unique_ptr<EndpointState>> endpoints_;
  std::vector<EndpointState*>
      leaving_;  // no upstream lists them; they go when their last connection has
};

}  // namespace hyperway::proxy
