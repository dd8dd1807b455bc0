// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "net/fd.hpp"

namespace hyperway::net {

/// A message between two processes of this machine: text, and descriptors that the receiver then
/// has, too.
struct Message {
  std::string text;     ///< Never empty.
  std::vector<Fd> fds;  ///< Close-on-exec.
};

/// One end of a pair of Unix sockets that keeps messages apart (SOCK_SEQPACKET) and hands
/// descriptors over (SCM_RIGHTS). Both ends are made before the other process is, so nobody else
/// can connect. What comes in is bounded and judged as something that strangers sent.
class MessageSocket {
 public:
  /// Bytes of a text.
  static constexpr std::size_t kMaxText = 16 * 1024;
  /// Descriptors of one message; Linux takes 253.
  static constexpr std::size_t kMaxDescriptors = 128;

  /// Two ends that are connected with each other. Throws std::system_error.
  [[nodiscard]] static std::pair<MessageSocket, MessageSocket> pair();
  /// Takes an end that this process was started with. Error: it is no such socket, or was made by a
  /// process of another user than `user`.
  [[nodiscard]] static Result<MessageSocket, std::string> adopt(Fd socket, uid_t user);

  /// Sends a message; waits at most 5 s for room. At most kMaxText and kMaxDescriptors. Error: the
  /// other end is gone, or does not read.
  [[nodiscard]] Result<void, std::string> send(std::string_view text,
                                               const std::vector<int>& fds = {}) const;
  /// The next message, or nothing if none is there yet. Error: the other end is gone, or what came
  /// is too long or has too many descriptors (all of which are closed).
  [[nodiscard]] Result<std::optional<Message>, std::string> receive() const;
  /// Waits for the next message. Error: as above, or the time is over.
  [[nodiscard]] Result<Message, std::string> wait(std::chrono::milliseconds limit) const;
  /// To be polled for reading.
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

 private:
  explicit MessageSocket(Fd socket) noexcept : socket_(std::move(socket)) {}
  Fd socket_;
};

}  // namespace hyperway::net
