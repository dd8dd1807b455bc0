// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/message_socket.hpp"
#include "proxy/proxy_sink.hpp"
#include "route/model.hpp"

namespace hyperway::app {

/// A listening socket of an admin face on TCP.
struct HandedFace {
  route::Bind bind;  ///< Where it listens.
  net::Fd socket;    ///< -1: there is none.
};

/// What one process hands to the next: every socket on which somebody may be waiting.
struct HandedSockets {
  std::vector<proxy::HandedListener> listeners;  ///< Of the proxy.
  HandedFace probes;                             ///< /healthz, /readyz, /metrics.
  HandedFace loopback;                           ///< Admin face on a loopback address.
  std::string admin_path;                        ///< Of the Unix socket.
  net::Fd admin_socket;                          ///< -1: there is none.
};

/// Version of the hand-over; a process speaks one.
inline constexpr int kHandoverVersion = 1;

/// Sends all of them, in messages of "KIND ...", and how many there were. Error as of
/// net::MessageSocket::send().
[[nodiscard]] Result<void, std::string> sendSockets(const net::MessageSocket& to,
                                                    const HandedSockets& sockets);
/// Sends listeners that were opened since, in messages of the same kind. Error as above.
[[nodiscard]] Result<void, std::string> sendListeners(
    const net::MessageSocket& to, const std::vector<proxy::HandedListener>& listeners);
/// Receives what sendSockets() sent. What is not understood is closed: a later version may have
/// kinds of its own. Error: what came is not complete or not what it says; all is closed then.
[[nodiscard]] Result<HandedSockets, std::string> receiveSockets(const net::MessageSocket& from,
                                                                std::chrono::milliseconds limit);

/// The first word of a message, which says what it is, and what stands behind it.
struct Words {
  std::string_view first;  ///< Up to the first space.
  std::string_view rest;   ///< Behind it; may be empty.
};
/// Takes a message apart.
[[nodiscard]] Words wordsOf(std::string_view message) noexcept;

/// The new process's side of an upgrade: it was started by the one whose sockets it takes over.
///
///     hello VERSION PID PROGRAM   we are there
///     ... sockets, end N          see sendSockets()
///     ready                       our configuration is complete; nothing is accepted yet
///     ... listeners, go           those that were opened since; accept
///     serving                     we do; from here on the old process accepts no more
///     closed                      and has let go of every socket
///
/// Instead of "ready" or "serving" there may be "failed REASON", and "cancel" instead of "go".
class Successor {
 public:
  /// What the old process says.
  enum class Word : std::uint8_t {
    Nothing,  ///< Nothing yet.
    Go,       ///< Begin to accept.
    Closed,   ///< It has let go of its sockets.
    End,      ///< The upgrade is off, or the old process is gone before it said go.
  };

  /// Of the environment that this process was started with, from which it is removed; null if
  /// nobody upgrades. Error: what the environment says is wrong. Before there is any thread.
  [[nodiscard]] static Result<std::unique_ptr<Successor>, std::string> ofEnvironment();
  /// On this socket; for tests.
  explicit Successor(net::MessageSocket socket) noexcept : socket_(std::move(socket)) {}

  /// Says hello and receives the sockets.
  [[nodiscard]] Result<HandedSockets, std::string> takeSockets(const std::string& version,
                                                               std::chrono::milliseconds limit);
  /// Says why nothing comes of it.
  void fail(std::string_view reason) const;
  /// Says that the configuration is complete.
  void tellReady() const;
  /// Listeners that came since takeSockets().
  [[nodiscard]] std::vector<proxy::HandedListener> takeLate() { return std::move(late_.listeners); }
  /// Says that we accept.
  void tellServing();
  /// What there is to know.
  [[nodiscard]] Word next();
  /// To be polled for reading; -1 when nothing comes any more.
  [[nodiscard]] int descriptor() const noexcept { return over_ ? -1 : socket_.descriptor(); }

 private:
  net::MessageSocket socket_;
  HandedSockets late_;
  bool serving_ = false;
  bool over_ = false;
};

/// Name of the variable that tells a new process its end of the connection.
inline constexpr const char* kHandoverVariable = "HYPERWAY_UPGRADE";

}  // namespace hyperway::app
