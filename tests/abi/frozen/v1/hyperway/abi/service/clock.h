// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_CLOCK_H
#define HYPERWAY_ABI_SERVICE_CLOCK_H

/// Service "hyperway.clock/1": time. A test host can move it by hand.

#include "../host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_CLOCK_SERVICE "hyperway.clock/1"

/// What get_service gives for HW_CLOCK_SERVICE; static, owned by the host.
typedef struct hw_clock_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// Monotonic time in nanoseconds from an arbitrary start; never goes back. [any]
  uint64_t (*monotonic_ns)(const hw_host *host);
  /// Wall clock: nanoseconds since 1970-01-01 UTC; may jump. For display, not for timeouts. [any]
  int64_t (*unix_ns)(const hw_host *host);
} hw_clock_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
