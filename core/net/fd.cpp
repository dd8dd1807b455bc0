// SPDX-License-Identifier: Apache-2.0
#include "net/fd.hpp"

#include <unistd.h>

namespace hyperway::net {

void Fd::reset() noexcept {
  // Never repeated on EINTR: Linux has freed the number by then, and it may be someone else's.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace hyperway::net
