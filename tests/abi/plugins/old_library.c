// SPDX-License-Identifier: Apache-2.0
// Stands for an old version of a library that the process runs in a newer one.
#include "old_library.h"

int old_library_answer(void) { return 42; }
