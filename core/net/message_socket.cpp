// SPDX-License-Identifier: Apache-2.0
#include "net/message_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/assert.hpp"

namespace hyperway::net {
namespace {

constexpr timeval kSendLimit{5, 0};
constexpr const char* kGone = "the other process has closed the connection";

std::string errorText(int error) { return std::generic_category().message(error); }

// Takes the descriptors out of a received header, whatever else is wrong with it: they are ours.
std::vector<Fd> descriptorsOf(msghdr& header) {
  std::vector<Fd> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

std::pair<MessageSocket, MessageSocket> MessageSocket::pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  std::pair<MessageSocket, MessageSocket> out{MessageSocket(Fd(fds[0])), MessageSocket(Fd(fds[1]))};
  for (const int fd : fds)
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit);
  return out;
}

Result<MessageSocket, std::string> MessageSocket::adopt(Fd socket, uid_t user) {
  int domain = 0, type = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
    return fail("descriptor " + std::to_string(socket.get()) + ": " + errorText(errno));
  size = sizeof(int);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || domain != AF_UNIX ||
      type != SOCK_SEQPACKET)
    return fail(std::string("is no Unix socket that keeps messages apart"));
  ucred other{};
  size = sizeof other;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &other, &size) != 0)
    return fail(errorText(errno));
  if (other.uid != user)
    return fail("was made by user " + std::to_string(other.uid) + ", not by user " +
                std::to_string(user));
  if (::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) return fail(errorText(errno));
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit);
  return MessageSocket(std::move(socket));
}

Result<void, std::string> MessageSocket::send(std::string_view text,
                                              const std::vector<int>& fds) const {
  HW_ASSERT(!text.empty() && text.size() <= kMaxText && fds.size() <= kMaxDescriptors);
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  if (errno == EPIPE || errno == ECONNRESET) return fail(std::string(kGone));
  if (errno == EAGAIN) return fail(std::string("the other process does not read"));
  return fail(errorText(errno));
}

Result<std::optional<Message>, std::string> MessageSocket::receive() const {
  Message out;
  out.text.resize(kMaxText);
  iovec part{out.text.data(), out.text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = 0;
  do got = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return std::optional<Message>{};
  if (got < 0) return fail(errno == ECONNRESET ? std::string(kGone) : errorText(errno));
  out.fds = descriptorsOf(header);
  if (got == 0) return fail(std::string(kGone));
  if ((header.msg_flags & MSG_TRUNC) != 0)
    return fail("a message of more than " + std::to_string(kMaxText) + " bytes");
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    return fail("a message with more than " + std::to_string(kMaxDescriptors) +
                " descriptors, or more than this process may have");
  out.text.resize(static_cast<std::size_t>(got));
  return std::optional<Message>(std::move(out));
}

Result<Message, std::string> MessageSocket::wait(std::chrono::milliseconds limit) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + limit;
  for (;;) {
    auto message = receive();
    if (!message) return fail(std::move(message).error());
    if (*message) return std::move(**message);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return fail(std::string("the other process says nothing"));
    pollfd ready{socket_.get(), POLLIN, 0};
    (void)::poll(&ready, 1, static_cast<int>(left.count()));  // What came is read above.
  }
}

}  // namespace hyperway::net
