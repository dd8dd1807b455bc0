// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/arena.hpp"
#include "net/fd.hpp"

/// Two ends of a connection, and what the tests of both codecs do at the far one.
namespace hyperway::codec::test {

/// A connected pair of non-blocking stream sockets.
struct Wire {
  Wire() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    near = net::Fd(ends[0]);
    far = net::Fd(ends[1]);
  }
  /// Sends at the far end.
  void say(std::string_view bytes) {
    REQUIRE(::send(far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  /// What is at the far end now; `ended` afterwards: the near end was closed.
  std::string hear() {
    std::string out;
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    while ((got = ::recv(far.get(), buffer.data(), buffer.size(), 0)) > 0)
      out.append(buffer.data(), static_cast<std::size_t>(got));
    ended = got == 0;
    return out;
  }
  /// Ends the far direction.
  void finish() { ::shutdown(far.get(), SHUT_WR); }

  net::Fd near, far;
  bool ended = false;
};

/// Memory of a stream.
struct StreamMemory {
  std::array<std::byte, 12 * 1024> block;
  Arena arena{block};
};

}  // namespace hyperway::codec::test
