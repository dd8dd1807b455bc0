// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "net/timer.hpp"

namespace hyperway::codec {

/// Tells a client that uses an HTTP/2 connection from one that only makes us work: resets in either
/// direction (CVE-2023-44487, CVE-2025-8671), frames that move no request on (2019), header blocks
/// without end (2024). Pure counting; who asks ends the connection. [worker]
class FloodWatch {
 public:
  static constexpr std::uint32_t kResets = 200;            ///< In kResetWindow, both directions.
  static constexpr std::chrono::seconds kResetWindow{10};  ///< Begins with the first of them.
  static constexpr std::uint32_t kIdleFrames = 1000;       ///< In kIdleWindow, without progress.
  static constexpr std::chrono::seconds kIdleWindow{300};  ///< Begins with the first of them.
  static constexpr std::size_t kContinuationBytes = 256 * 1024;  ///< Of one header block.
  static constexpr std::uint32_t kContinuations = 64;            ///< Frames of one header block.

  /// A stream was reset, by the client or because of what the client did. False: too many.
  [[nodiscard]] bool reset(net::TimePoint now) noexcept {
    if (resets_ == 0 || now - first_reset_ >= kResetWindow) {
      first_reset_ = now;
      resets_ = 0;
    }
    return ++resets_ <= kResets;
  }
  /// A frame came that moves nothing on: control frames, empty DATA, unknown types. False: too
  /// many. Who keeps a silent stream's connection alive by PING may do so for as long as it lasts.
  [[nodiscard]] bool idleFrame(net::TimePoint now) noexcept {
    if (idle_frames_ == 0 || now - first_idle_ >= kIdleWindow) {
      first_idle_ = now;
      idle_frames_ = 0;
    }
    return ++idle_frames_ <= kIdleFrames;
  }
  /// A request came, or bytes of its body.
  void progress() noexcept { idle_frames_ = 0; }
  /// Bytes of an answer left: clients give windows back for them, some in small steps.
  void sent(std::size_t bytes) noexcept {
    idle_frames_ = 0;
    windows_ = std::min(windows_ + 2 + bytes / 1024, kMostWindows);
  }
  /// A WINDOW_UPDATE came. False: too many that nothing asked for.
  [[nodiscard]] bool windowUpdate(net::TimePoint now) noexcept {
    if (windows_ == 0) return idleFrame(now);
    --windows_;
    return true;
  }
  /// A header block begins.
  void headBegins() noexcept { continuations_ = 0, continuation_bytes_ = 0; }
  /// A CONTINUATION of `bytes` goes on with it. False: too many.
  [[nodiscard]] bool continuation(std::size_t bytes) noexcept {
    continuation_bytes_ += bytes;
    return ++continuations_ <= kContinuations && continuation_bytes_ <= kContinuationBytes;
  }

 private:
  static constexpr std::size_t kMostWindows = 1 << 20;

  net::TimePoint first_reset_;
  net::TimePoint first_idle_;
  std::size_t windows_ = 0;
  std::size_t continuation_bytes_ = 0;
  std::uint32_t resets_ = 0;
  std::uint32_t idle_frames_ = 0;
  std::uint32_t continuations_ = 0;
};

}  // namespace hyperway::codec
