// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_BODY_H
#define HYPERWAY_ABI_SERVICE_BODY_H

/// Service "hyperway.body/1": reading and editing the chunk that a body hook was given.
///
/// A chunk is contiguous. After HW_FLOW_HOLD the next call sees what was held, as edited, followed
/// by what is new. Edits that change the number of bytes need HW_INTEREST_REQUEST_RESIZE or
/// HW_INTEREST_RESPONSE_RESIZE on the class, since the framing was decided with the head; without
/// the bit they answer HW_REFUSED.

#include "../filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_BODY_SERVICE "hyperway.body/1"

/// What get_service gives for HW_BODY_SERVICE; static, owned by the host.
typedef struct hw_body_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// The chunk's bytes; valid until the next edit or the end of the hook. [worker]
  hw_bytes (*data)(const hw_body *chunk);
  /// The same bytes, for editing in place; null if the chunk is empty. Same validity. [worker]
  uint8_t *(*edit)(hw_body *chunk);
  /// Replaces all of the chunk by a copy of `bytes`, which may lie in the chunk itself.
  /// HW_REFUSED, HW_LIMIT. [worker]
  hw_status (*replace)(hw_body *chunk, hw_bytes bytes);
  /// Removes the first `size` bytes; HW_INVALID if there are fewer. HW_REFUSED. [worker]
  hw_status (*drain)(hw_body *chunk, size_t size);
  /// Appends a copy of `bytes`, which must not lie in the chunk. HW_REFUSED, HW_LIMIT. [worker]
  hw_status (*append)(hw_body *chunk, hw_bytes bytes);
  /// 1 if no further chunk follows, else 0; the same as HW_END_OF_STREAM in the flags. [worker]
  int32_t (*is_last)(const hw_body *chunk);
} hw_body_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
