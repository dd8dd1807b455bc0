// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_TESTS_ABI_OLD_LIBRARY_H
#define HYPERWAY_TESTS_ABI_OLD_LIBRARY_H

/// Something to link for.
__attribute__((visibility("default"))) int old_library_answer(void);

#endif
