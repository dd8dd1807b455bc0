// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "net/timer.hpp"

namespace hyperway::route {
struct CompiledRule;
}

namespace hyperway::proxy {

class Worker;

/// How a flow ended, as its rule's metrics count it.
enum class FlowOutcome : std::uint8_t {
  Served,    ///< A backend had it, and one of the peers ended it: class 2xx.
  Unserved,  ///< No backend could be reached, or there is none: class 5xx.
  Cut,       ///< We ended it, for its silence or with the process, or its client left before a
             ///< backend had it: class "none".
};

/// A TCP or TLS connection, or a UDP session, that has ended. Views are needed during the call
/// only.
struct FlowEnd {
  std::string_view protocol;                  ///< "TCP", "TLS" or "UDP".
  std::string_view client;                    ///< Address.
  std::string_view name;                      ///< Of the TLS handshake; empty: none.
  std::string_view listener;                  ///< Listener key.
  const route::CompiledRule* rule = nullptr;  ///< Null: no rule served it.
  std::string_view upstream;                  ///< Endpoint "ip:port"; empty: none.
  std::string_view why;                       ///< Why it ended, if not by both peers' ends.
  net::TimePoint begun;                       ///< When it began.
  std::uint64_t received = 0;                 ///< Bytes from the client.
  std::uint64_t sent = 0;                     ///< Bytes to the client.
  std::uint16_t attempts = 0;                 ///< Connections to backends that were tried.
  FlowOutcome outcome = FlowOutcome::Served;  ///< For metrics.
};

/// Counts a flow for its rule, and writes its line in the access log. [worker]
void recordFlow(Worker& worker, const FlowEnd& flow) noexcept;

}  // namespace hyperway::proxy
