// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_TESTS_ABI_LAYOUT_H
#define HYPERWAY_TESTS_ABI_LAYOUT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// One line of the table: what the headers say, and what they said when they were released.
typedef struct layout_row {
  const char* name;
  size_t offset_or_value, wanted;
  size_t size, wanted_size;
  const char *text, *wanted_text;
} layout_row;

extern const layout_row layout_today[];
extern const size_t layout_today_count;
extern const layout_row layout_frozen_v1[];
extern const size_t layout_frozen_v1_count;

#ifdef __cplusplus
}
#endif

#endif
