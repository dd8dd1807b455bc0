// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_WAKER_H
#define HYPERWAY_ABI_SERVICE_WAKER_H

/// Service "hyperway.waker/1": the one thing that a filter may use from another thread.

#include "../filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_WAKER_SERVICE "hyperway.waker/1"

/// Names one filter on one stream, weakly: a copyable value that is never freed and outlives the
/// stream without harm. All zero is the null waker, on which `wake` does nothing. Frozen.
typedef struct hw_waker {
  uint64_t opaque[2];
} hw_waker;

/// What get_service gives for HW_WAKER_SERVICE; static, owned by the host.
typedef struct hw_waker_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// Makes a waker for this filter on this stream. [worker]
  hw_waker (*get)(hw_stream *stream);
  /// Makes the stream's worker call on_wake(token) soon, never before the running hook has
  /// returned. Does nothing once the stream is gone. Never blocks. [any]
  void (*wake)(hw_waker waker, uint64_t token);
} hw_waker_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
