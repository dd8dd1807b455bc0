// SPDX-License-Identifier: Apache-2.0
#include "plugin/call_guard.hpp"

#include <chrono>

namespace hyperway::plugin {

double ticksPerMicrosecond() noexcept {
  static const double rate = [] {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const std::uint64_t first = ticks();
    auto now = start;
    while (now - start < std::chrono::milliseconds(1)) now = Clock::now();
    const double micros = std::chrono::duration<double, std::micro>(now - start).count();
    const double measured = static_cast<double>(ticks() - first) / micros;
    return measured > 0 ? measured : 1.0;
  }();
  return rate;
}

}  // namespace hyperway::plugin
