// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace hyperway {

/// Prints the broken invariant with its place to standard error and aborts. Never returns.
[[noreturn]] void assertFailed(const char* expression, const char* file, int line) noexcept;

}  // namespace hyperway

/// Stops the process when an invariant of ours is broken. For our own mistakes only: whatever comes
/// from a network, a file, the cluster or a plugin is checked and reported, never asserted on.
#define HW_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::hyperway::assertFailed(#expression, __FILE__, __LINE__))
