// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdint>

#include "net/socket.hpp"

namespace hyperway::codec {

/// Tells a peer that reads slowly from one that does not read at all, while a socket takes nothing
/// more. The kernel may hold megabytes for a peer and says that there is room only when a third is
/// gone: someone who reads steadily, and slowly, must not be cut in between. Looked at from a timer
/// of interval(limit), it is stalled between the limit and 1.25 times the limit after the last byte
/// that the peer took. [worker]
class StallWatch {
 public:
  /// Time between two looks.
  [[nodiscard]] static constexpr std::chrono::milliseconds interval(
      std::chrono::milliseconds limit) noexcept {
    return std::max(limit / kLooks, std::chrono::milliseconds{1});
  }
  /// The socket has just refused bytes, or taken some.
  void begin() noexcept {
    waiting_ = INT_MAX;
    silent_ = 0;
  }
  /// One look; true if the peer took nothing during the limit. One system call.
  [[nodiscard]] bool stalled(int fd) noexcept {
    const int now = net::unsentBytes(fd);
    silent_ = now < waiting_ ? 0 : silent_ + 1;
    waiting_ = now;
    return silent_ >= kLooks;
  }

 private:
  static constexpr int kLooks = 8;
  int waiting_ = INT_MAX;  // bytes that the peer's kernel had not acknowledged at the last look
  int silent_ = 0;         // looks in a row that found nothing new
};

}  // namespace hyperway::codec
