// SPDX-License-Identifier: Apache-2.0
#include "app/notify.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

TEST_CASE("The service manager is told through NOTIFY_SOCKET") {
  const std::string path = "/tmp/hw-notify-" + std::to_string(::getpid());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  hyperway::app::notifyServiceManager("READY=1");
  char buffer[32] = {};
  CHECK(::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) == 7);
  CHECK(std::string(buffer) == "READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  hyperway::app::notifyServiceManager("STOPPING=1");
  CHECK(::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) == -1);
  ::close(fd);
  ::unlink(path.c_str());
}
