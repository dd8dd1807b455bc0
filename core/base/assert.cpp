// SPDX-License-Identifier: Apache-2.0
#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace hyperway {

void assertFailed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "hyperway: broken invariant at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace hyperway
