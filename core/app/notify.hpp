// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hyperway::app {

/// Tells the service manager a state, e.g. "READY=1" or "STOPPING=1" (sd_notify protocol: a
/// datagram to the socket that NOTIFY_SOCKET names). Does nothing without one.
void notifyServiceManager(std::string_view state) noexcept;

}  // namespace hyperway::app
