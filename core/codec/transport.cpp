// SPDX-License-Identifier: Apache-2.0
#include "codec/transport.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/assert.hpp"

namespace hyperway::codec {
namespace {

Transport::Outcome fromErrno() noexcept {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transport::State::Again};
  return {Transport::State::Broken};
}

Transport::Outcome fromTls(tls::IoResult result) noexcept {
  switch (result.state) {
    case tls::Io::Ok: return {Transport::State::Moved, result.bytes};
    case tls::Io::WantRead:
    case tls::Io::WantWrite: return {Transport::State::Again};
    case tls::Io::Closed: return {Transport::State::End};
    case tls::Io::Failed: break;
  }
  return {Transport::State::Broken};
}

}  // namespace

Transport::Outcome Transport::read(char* to, std::size_t size) noexcept {
  if (tls_) return fromTls(tls_->read(to, size));
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), to, size, 0);
    if (got > 0) {
      const auto bytes = static_cast<std::size_t>(got);
      return {State::Moved, bytes, bytes < size};
    }
    if (got == 0) return {State::End};
    if (errno != EINTR) return fromErrno();
  }
}

/// Goes on until all is taken or the socket is full: a session takes 64 KiB at a time, and when all
/// of that has left, no edge will ask for the rest.
Transport::Outcome Transport::writeTls(std::span<const std::string_view> pieces) noexcept {
  Outcome total{State::Moved, 0};
  std::string_view left[4];
  HW_ASSERT(pieces.size() <= std::size(left));
  std::span<std::string_view> rest(left, pieces.size());
  std::copy(pieces.begin(), pieces.end(), rest.begin());
  for (;;) {
    while (!rest.empty() && rest.front().empty()) rest = rest.subspan(1);
    if (rest.empty()) return total;
    const Outcome step = fromTls(tls_->write(rest));
    if (step.state != State::Moved)
      return (total.bytes != 0 && step.state == State::Again) ? total : step;
    total.bytes += step.bytes;
    for (std::size_t taken = step.bytes; taken != 0;) {
      const std::size_t part = std::min(taken, rest.front().size());
      rest.front().remove_prefix(part);
      taken -= part;
      if (rest.front().empty()) rest = rest.subspan(1);
    }
  }
}

Transport::Outcome Transport::write(std::span<const std::string_view> pieces) noexcept {
  if (tls_) return writeTls(pieces);
  iovec vectors[4];
  int count = 0;
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  if (count == 0) return {State::Moved, 0};
  for (;;) {
    // send() for one piece: the kernel spares itself the vector (measured in tests/bench).
    const ssize_t put =
        count == 1 ? ::send(fd_.get(), vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL)
                   : ::writev(fd_.get(), vectors, count);
    if (put >= 0) return {State::Moved, static_cast<std::size_t>(put)};
    if (errno != EINTR) return fromErrno();
  }
}

Transport::Outcome Transport::spliceIn(int pipe, std::size_t size) noexcept {
  const ssize_t moved =
      ::splice(fd_.get(), nullptr, pipe, nullptr, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (moved > 0) return {State::Moved, static_cast<std::size_t>(moved)};
  if (moved == 0) return {State::End};
  return fromErrno();
}

Transport::Outcome Transport::spliceOut(int pipe, std::size_t size) noexcept {
  const ssize_t moved =
      ::splice(pipe, nullptr, fd_.get(), nullptr, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (moved > 0) return {State::Moved, static_cast<std::size_t>(moved)};
  return fromErrno();
}

bool Transport::nothingThere() noexcept {
  char byte = 0;
  if (tls_) return tls_->read(&byte, 1).state == tls::Io::WantRead;
  return ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Transport::shutdownWrite() noexcept {
  if (tls_) tls_->shutdown();
  ::shutdown(fd_.get(), SHUT_WR);
}

void Transport::close() noexcept {
  tls_.reset();
  fd_.reset();
}

void Transport::reset() noexcept {
  const linger at_once{1, 0};
  if (fd_) (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

}  // namespace hyperway::codec
