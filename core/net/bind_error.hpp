// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "net/address.hpp"

namespace hyperway::net {

/// What a port is of.
enum class Transport : std::uint8_t { Tcp, Udp };

/// Why an address cannot be bound, and what to do, in the user's words. `error` is an errno.
[[nodiscard]] std::string explainBind(const SocketAddress& at, int error, Transport transport);

}  // namespace hyperway::net
