// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <chrono>
#endif

namespace hyperway::plugin {

/// A cheap counter of time for measuring calls into plugins: about 10 ns, where the system's clock
/// costs 25. Its unit is ticksPerMicrosecond(). [any]
[[nodiscard]] inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// How many ticks() pass in a microsecond; measured once, takes a millisecond the first time.
[[nodiscard]] double ticksPerMicrosecond() noexcept;

/// Marks that this thread is inside a hook, so that what only configurations may do (defining
/// metrics, interning names) can be refused there.
class HookScope {
 public:
  HookScope() noexcept { ++depth_; }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;
  ~HookScope() { --depth_; }
  /// True if the calling thread is inside a hook.
  [[nodiscard]] static bool active() noexcept { return depth_ != 0; }

 private:
  static inline thread_local constinit int depth_ = 0;
};

}  // namespace hyperway::plugin
