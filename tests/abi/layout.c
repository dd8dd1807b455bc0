// SPDX-License-Identifier: Apache-2.0
// Compiled by a C compiler, once against today's headers and once against each frozen copy: does
// the committed table still hold?
#include <stddef.h>

#include "hyperway/abi/filter.h"
#include "hyperway/abi/manifest.h"
#include "hyperway/abi/service/body.h"
#include "hyperway/abi/service/clock.h"
#include "hyperway/abi/service/log.h"
#include "hyperway/abi/service/metrics.h"
#include "hyperway/abi/service/stream.h"
#include "hyperway/abi/service/waker.h"
#include "layout.h"

#define FIELD(type, field, offset, size) \
  {#type "." #field, offsetof(type, field), offset, sizeof(((type*)0)->field), size, 0, 0},
#define SIZE(type, size) {#type, sizeof(type), size, 0, 0, 0, 0},
#define VALUE(name, number) {#name, (size_t)(name), (size_t)(number), 0, 0, 0, 0},
#define TEXT(name, text) {#name, 0, 0, 0, 0, name, text},

const layout_row LAYOUT_ROWS[] = {
#include "layout_v1.inc"
};
const size_t LAYOUT_COUNT = sizeof LAYOUT_ROWS / sizeof LAYOUT_ROWS[0];

/* Structs without a size field are frozen for good: they must not even grow. */
_Static_assert(sizeof(hw_bytes) == 16, "hw_bytes is frozen");
_Static_assert(sizeof(hw_field) == 32, "hw_field is frozen");
_Static_assert(sizeof(hw_waker) == 16, "hw_waker is frozen");
_Static_assert(sizeof(hw_flow) == 4 && sizeof(hw_status) == 4, "never a C enum type");
