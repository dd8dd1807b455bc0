// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_LOG_H
#define HYPERWAY_ABI_SERVICE_LOG_H

/// Service "hyperway.log/1": the process log. Never blocks; the host adds plugin id and stream id,
/// and limits the rate per plugin (what is left out is counted and said).

#include "../filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_LOG_SERVICE "hyperway.log/1"

/// Levels; an unknown value reads as HW_LOG_ERROR.
enum { HW_LOG_DEBUG = 0, HW_LOG_INFO = 1, HW_LOG_WARNING = 2, HW_LOG_ERROR = 3 };

/// What get_service gives for HW_LOG_SERVICE; static, owned by the host.
typedef struct hw_log_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// 1 if a line of this level would be written now, else 0: ask before building a costly message.
  /// [any]
  int32_t (*enabled)(const hw_host *host, int32_t level);
  /// Writes one line: `message`, then `count` key/value pairs. `stream` may be null; it must be
  /// null off the stream's worker. Everything is copied. [any]
  void (*write)(const hw_host *host, const hw_stream *stream, int32_t level, hw_bytes message,
                const hw_field *pairs, uint32_t count);
} hw_log_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
