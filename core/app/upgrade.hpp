// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/handover.hpp"
#include "net/message_socket.hpp"

namespace hyperway::app {

/// How the program was started; an upgrade starts the file that has this name by then.
struct ProgramStart {
  std::string path;                    ///< Absolute, links not resolved.
  std::vector<std::string> arguments;  ///< With the program's name.
};

/// What `name`, argv[0], stands for: a path is made absolute, a bare name is the file that runs.
[[nodiscard]] ProgramStart programStart(std::vector<std::string> arguments);

/// The old process's side of an upgrade, from the start of the new process until that one serves
/// or has failed. See Successor for what they say to each other. Of the main thread.
class Upgrade {
 public:
  /// How far it is.
  enum class State : std::uint8_t {
    Starting,  ///< The new process starts, or reads its configuration.
    Going,     ///< It is complete, and was told to accept.
    Serving,   ///< It accepts. There is no way back.
    Failed,    ///< Nothing comes of it; the new process is gone. See reason().
  };

  /// What the upgrade needs of the running gateway.
  struct Host {
    /// Runs a task while nobody opens or closes descriptors; false if that cannot be had.
    std::function<bool(const std::function<void()>&)> while_still;
    /// The sockets to hand over.
    std::function<Result<HandedSockets, std::string>()> sockets;
    /// All listeners once more; from here on the new process opens those that are new.
    std::function<Result<std::vector<proxy::HandedListener>, std::string>()> listeners;
  };

  /// Starts the new process. It must be ready within `limit`.
  Upgrade(const ProgramStart& program, Host host, std::chrono::milliseconds limit);
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;
  /// Cancels what has not come to an end.
  ~Upgrade();

  /// Goes on as far as it can; call when descriptor() is readable, and now and then.
  State step();
  /// Ends the new process: this one ends, or the time is over.
  void cancel(const std::string& reason);
  /// Tells the new process that every socket is closed here.
  void tellClosed();
  /// True if the new process has ended since it serves, and not as it should.
  [[nodiscard]] bool hasCrashed() const noexcept;

  /// How far it is.
  [[nodiscard]] State state() const noexcept { return state_; }
  /// Why it has failed.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  /// The new process, or -1 if it could not be started.
  [[nodiscard]] pid_t pid() const noexcept { return said_pid_ > 0 ? said_pid_ : child_; }
  /// Its version; empty until it has said so.
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  /// To be polled for reading; -1 if there is nothing to read.
  [[nodiscard]] int descriptor() const noexcept {
    return socket_ && state_ != State::Failed ? socket_->descriptor() : -1;
  }

 private:
  using Clock = std::chrono::steady_clock;
  void start(const ProgramStart& program, int end_of_child);
  void hear(const net::Message& message);
  void go();
  void hearHello(std::string_view text);
  void failed(std::string reason);
  [[nodiscard]] std::string endOfChild();
  void endChild();

  Host host_;
  std::chrono::milliseconds limit_;
  Clock::time_point end_;
  std::optional<net::MessageSocket> socket_;
  pid_t child_ = -1;
  pid_t said_pid_ = -1;
  std::string version_;
  std::vector<route::Bind> handed_;
  State state_ = State::Starting;
  std::string reason_;
};

}  // namespace hyperway::app
