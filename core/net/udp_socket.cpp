// SPDX-License-Identifier: Apache-2.0
#include "net/udp_socket.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/bind_error.hpp"

namespace hyperway::net {
namespace {

constexpr int kFlags = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

bool switchOn(int fd, int level, int option) noexcept {
  const int one = 1;
  return ::setsockopt(fd, level, option, &one, sizeof(one)) == 0;
}

// Error: errno.
Result<Fd, int> bound(const SocketAddress& at, bool reuse_port) {
  Fd fd{::socket(at.family(), kFlags, IPPROTO_UDP)};
  if (!fd) return fail(int{errno});
  const bool v6 = at.family() == AF_INET6;
  // No SO_REUSEADDR: for UDP it would let a second process take the port.
  if (reuse_port && !switchOn(fd.get(), SOL_SOCKET, SO_REUSEPORT)) return fail(int{errno});
  if (v6 && !switchOn(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) return fail(int{errno});
  // Before bind(): no datagram comes without it.
  if (!(v6 ? switchOn(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO)
           : switchOn(fd.get(), IPPROTO_IP, IP_PKTINFO)))
    return fail(int{errno});
  // As much as the kernel gives (net.core.rmem_max): a burst waits here while others have their
  // turn.
  const int room = 4 << 20;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (::bind(fd.get(), at.data(), at.size()) != 0) return fail(int{errno});
  return fd;
}

SocketAddress v4(const in_addr& address) noexcept {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr = address;
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&out), sizeof out);
}

SocketAddress v6(const in6_pktinfo& info) noexcept {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_addr = info.ipi6_addr;
  // Of others the interface says nothing, and would stand in the way of another way back.
  if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) out.sin6_scope_id = info.ipi6_ifindex;
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&out), sizeof out);
}

SocketAddress askedOf(msghdr& message) noexcept {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      // Not ipi_addr, which may be a broadcast address: the one of ours that answers.
      return v4(info.ipi_spec_dst);
    }
    if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      return v6(info);
    }
  }
  return {};
}

template <class Info>
void putControl(msghdr& message, int level, int type, const Info& info) noexcept {
  message.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* const control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(control), &info, sizeof info);
}

}  // namespace

struct UdpBatch::Room {
  static constexpr std::size_t kControl = CMSG_SPACE(sizeof(in6_pktinfo)) + 64;
  struct alignas(cmsghdr) Control {
    std::array<char, kControl> bytes;
  };

  std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kMost * kBytes);
  std::array<mmsghdr, kMost> messages{};
  std::array<iovec, kMost> parts{};
  std::array<sockaddr_storage, kMost> peers{};
  std::array<Control, kMost> controls{};
  std::array<Datagram, kMost> datagrams{};
};

UdpBatch::UdpBatch() : room_(std::make_unique<Room>()) {}

UdpBatch::~UdpBatch() = default;

Result<std::span<const Datagram>, int> UdpBatch::receive(int fd) noexcept {
  Room& room = *room_;
  for (std::size_t i = 0; i < kMost; ++i) {
    room.parts[i] = {room.bytes.get() + i * kBytes, kBytes};
    msghdr& message = room.messages[i].msg_hdr;
    message = {};
    message.msg_name = &room.peers[i];
    message.msg_namelen = sizeof room.peers[i];
    message.msg_iov = &room.parts[i];
    message.msg_iovlen = 1;
    message.msg_control = &room.controls[i];
    message.msg_controllen = sizeof room.controls[i];
  }
  int count = 0;
  do count = ::recvmmsg(fd, room.messages.data(), kMost, MSG_DONTWAIT, nullptr);
  while (count < 0 && errno == EINTR);
  if (count < 0) return fail(int{errno});
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    msghdr& message = room.messages[i].msg_hdr;
    Datagram& datagram = room.datagrams[i];
    datagram.bytes = {room.bytes.get() + i * kBytes, room.messages[i].msg_len};
    datagram.peer =
        SocketAddress::from(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
    datagram.asked = askedOf(message);
  }
  return std::span<const Datagram>(room.datagrams.data(), static_cast<std::size_t>(count));
}

std::size_t UdpBatch::send(int fd, std::span<const Datagram> datagrams) noexcept {
  const std::size_t count = std::min(datagrams.size(), kMost);
  for (std::size_t i = 0; i < count; ++i) {
    room_->parts[i] = {const_cast<char*>(datagrams[i].bytes.data()), datagrams[i].bytes.size()};
    msghdr& message = room_->messages[i].msg_hdr;
    message = {};
    message.msg_iov = &room_->parts[i];
    message.msg_iovlen = 1;
  }
  return sendAll(fd, count);
}

std::size_t UdpBatch::sendTo(int fd, std::span<const Datagram> datagrams, const SocketAddress& to,
                             const SocketAddress& from) noexcept {
  const std::size_t count = std::min(datagrams.size(), kMost);
  for (std::size_t i = 0; i < count; ++i) {
    room_->parts[i] = {const_cast<char*>(datagrams[i].bytes.data()), datagrams[i].bytes.size()};
    msghdr& message = room_->messages[i].msg_hdr;
    message = {};
    message.msg_name = const_cast<sockaddr*>(to.data());
    message.msg_namelen = to.size();
    message.msg_iov = &room_->parts[i];
    message.msg_iovlen = 1;
    message.msg_control = &room_->controls[i];
    if (from.family() == AF_INET6) {
      const auto& address = *reinterpret_cast<const sockaddr_in6*>(from.data());
      in6_pktinfo info{};
      info.ipi6_addr = address.sin6_addr;
      info.ipi6_ifindex = address.sin6_scope_id;
      putControl(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
    } else {
      in_pktinfo info{};
      info.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(from.data())->sin_addr;
      putControl(message, IPPROTO_IP, IP_PKTINFO, info);
    }
  }
  return sendAll(fd, count);
}

std::size_t UdpBatch::sendAll(int fd, std::size_t count) noexcept {
  std::size_t sent = 0;
  while (sent < count) {
    // Fewer than asked for: the next one has an error, which comes with the next call.
    const int more = ::sendmmsg(fd, room_->messages.data() + sent,
                                static_cast<unsigned>(count - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    sent += static_cast<std::size_t>(more);
  }
  return sent;
}

Result<Fd, std::string> bindUdp(const SocketAddress& at, bool reuse_port) {
  auto made = bound(at, reuse_port);
  if (!made) return fail(explainBind(at, made.error(), Transport::Udp));
  return std::move(made).value();
}

Result<void, std::string> probeUdp(const SocketAddress& at) {
  const auto made = bound(at, false);
  if (!made) return fail(explainBind(at, made.error(), Transport::Udp));
  return {};
}

Result<Fd, int> connectUdp(const SocketAddress& to) {
  Fd fd{::socket(to.family(), kFlags, IPPROTO_UDP)};
  if (!fd) return fail(int{errno});
  if (::connect(fd.get(), to.data(), to.size()) != 0) return fail(int{errno});
  return fd;
}

bool isUnreachable(int error) noexcept {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case EPROTO:
    case ENOPROTOOPT:
    case EACCES:
    case EPERM: return true;
    default: return false;
  }
}

}  // namespace hyperway::net
