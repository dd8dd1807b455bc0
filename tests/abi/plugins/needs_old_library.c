// SPDX-License-Identifier: Apache-2.0
// Makes a plugin need the library; beside plain.c.
#include "old_library.h"

int needs_old_library(void);
int needs_old_library(void) { return old_library_answer(); }
