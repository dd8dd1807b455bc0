// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/h1_client.hpp"
#include "codec/h1_server.hpp"
#include "http/h1.hpp"
#include "net/address.hpp"

namespace hyperway::proxy {

/// What the configuration file says about the data plane. Constant while a worker runs with it.
struct ProxySettings {
  unsigned workers = 1;                            ///< Threads, at least 1.
  http::H1Limits limits;                           ///< Bounds of heads.
  codec::ServerTimeouts client;                    ///< Bounds of time towards clients.
  codec::ClientTimeouts upstream;                  ///< Bounds of time towards backends.
  std::chrono::milliseconds tls_handshake{10000};  ///< From accept to the end of the handshake.
  std::chrono::milliseconds flow_idle{3600000};    ///< Without any byte through a flow.
  std::chrono::milliseconds request{0};  ///< Whole request, where the rule says nothing; 0: none.
  std::uint64_t body_bytes = 0;          ///< Largest request body; above: 413. 0: any.
  std::size_t connections = 0;  ///< Client connections in the process; 0: as descriptors allow.
  std::size_t hold_bytes = 1U << 20;          ///< What one filter may hold back in one direction.
  std::size_t replay_bytes = 64 * 1024;       ///< Request body kept for another attempt.
  std::chrono::milliseconds udp_idle{60000};  ///< A UDP session without a datagram.
  std::size_t udp_sessions = 4096;            ///< UDP sessions of a worker.
  net::CidrSet trusted;                       ///< Peers whose X-Forwarded-* and X-Request-Id count.
  net::CidrSet header_trusted;                ///< Peers that may, and must, send a PROXY header…
  std::vector<std::uint16_t> header_ports;    ///< …on these ports of Gateways; sorted.
  bool trace_context = false;                 ///< Begins a traceparent where the client sent none.
  bool health_on_data_ports =
      false;  ///< Answers /healthz and /metrics where no route matches (CONTRACT, Ops).

  /// True if connections to this port of a Gateway begin with a PROXY header.
  [[nodiscard]] bool wantsProxyHeader(std::uint16_t port) const noexcept;
};

inline bool ProxySettings::wantsProxyHeader(std::uint16_t port) const noexcept {
  return std::binary_search(header_ports.begin(), header_ports.end(), port);
}

/// Answers the ancestor's probe paths on data ports: body for "/healthz" or "/metrics", nothing for
/// other paths. [any]
using DataPortAnswer = std::function<std::optional<std::string>(std::string_view path)>;

}  // namespace hyperway::proxy
