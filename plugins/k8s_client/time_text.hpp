// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>
#include <string>

namespace hyperway::k8s_client {

/// A time since the epoch as objects have it: RFC 3339, UTC, whole seconds.
[[nodiscard]] inline std::string timeText(std::chrono::nanoseconds wall) {
  const auto seconds =
      static_cast<std::time_t>(std::chrono::duration_cast<std::chrono::seconds>(wall).count());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

}  // namespace hyperway::k8s_client
