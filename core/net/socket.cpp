// SPDX-License-Identifier: Apache-2.0
#include "net/socket.hpp"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "net/bind_error.hpp"

namespace hyperway::net {
namespace {

constexpr int kTcpFlags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

bool switchOn(int fd, int level, int option) noexcept {
  const int one = 1;
  return ::setsockopt(fd, level, option, &one, sizeof(one)) == 0;
}

enum class Sharing { Exclusive, ReusePort };

// A bound socket that does not listen yet. Error: errno.
Result<Fd, int> bindTcp(const SocketAddress& at, Sharing sharing) {
  Fd fd{::socket(at.family(), kTcpFlags, IPPROTO_TCP)};
  if (!fd) return fail(int{errno});
  // Without SO_REUSEADDR a restart fails for a minute, as long as old connections are in TIME_WAIT.
  if (!switchOn(fd.get(), SOL_SOCKET, SO_REUSEADDR)) return fail(int{errno});
  if (sharing == Sharing::ReusePort && !switchOn(fd.get(), SOL_SOCKET, SO_REUSEPORT)) {
    return fail(int{errno});
  }
  // 0.0.0.0 and :: are separate listeners for us, whatever net.ipv6.bindv6only says.
  if (at.family() == AF_INET6 && !switchOn(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) {
    return fail(int{errno});
  }
  if (::bind(fd.get(), at.data(), at.size()) != 0) return fail(int{errno});
  return fd;
}

// accept4() also hands out errors of connections that died in the queue (accept(2), "Error
// handling"); the next connection behind them is fine.
bool isErrorOfOneConnection(int error) noexcept {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return true;
    default: return false;
  }
}

}  // namespace

Result<Fd, std::string> listenTcp(const SocketAddress& at, bool reuse_port, int backlog) {
  auto bound = bindTcp(at, reuse_port ? Sharing::ReusePort : Sharing::Exclusive);
  if (!bound) return fail(explainBind(at, bound.error(), Transport::Tcp));
  Fd fd = std::move(bound).value();
  // Linux hands TCP_NODELAY on to accepted sockets, which saves a system call for each of them.
  if (!switchOn(fd.get(), IPPROTO_TCP, TCP_NODELAY))
    return fail(explainBind(at, errno, Transport::Tcp));
  if (::listen(fd.get(), backlog) != 0) return fail(explainBind(at, errno, Transport::Tcp));
  return fd;
}

Result<void, std::string> probeBind(const SocketAddress& at) {
  const auto bound = bindTcp(at, Sharing::Exclusive);
  if (!bound) return fail(explainBind(at, bound.error(), Transport::Tcp));
  return {};
}

Result<Fd, int> connectTcp(const SocketAddress& to) {
  Fd fd{::socket(to.family(), kTcpFlags, IPPROTO_TCP)};
  if (!fd) return fail(int{errno});
  if (!switchOn(fd.get(), IPPROTO_TCP, TCP_NODELAY)) return fail(int{errno});
  // EINTR on a non-blocking socket: the connection goes on being made (connect(2)).
  if (::connect(fd.get(), to.data(), to.size()) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return fail(int{errno});
  }
  return fd;
}

Result<Fd, int> acceptTcp(int listener, SocketAddress& peer) {
  for (;;) {
    sockaddr_storage storage;
    socklen_t size = sizeof(storage);
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    Fd fd{::accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (fd) {
      peer = SocketAddress::from(address, size);
      return fd;
    }
    if (!isErrorOfOneConnection(errno)) return fail(int{errno});
  }
}

int socketError(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

void keepAlive(int fd) noexcept {
  const auto set = [fd](int level, int option, int value) {
    (void)::setsockopt(fd, level, option, &value, sizeof value);  // best effort
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

int unsentBytes(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

SocketAddress localAddress(int fd) noexcept {
  sockaddr_storage storage;
  socklen_t size = sizeof(storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, address, &size) != 0) return {};
  return SocketAddress::from(address, size);
}

}  // namespace hyperway::net
