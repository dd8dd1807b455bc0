// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/fd.hpp"
#include "net/timer.hpp"

namespace hyperway::net {

/// What a connection asks its loop for, once and for all: bytes, room, the peer's half-close, each
/// told when it comes (edge triggered).
inline constexpr std::uint32_t kConnectionEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/// Gets the readiness of one descriptor. Must stay alive until the end of the turn in which it was
/// removed from the loop: destroy it through EventLoop::retire().
class EventHandler {
 public:
  EventHandler() = default;
  EventHandler(const EventHandler&) = delete;
  EventHandler& operator=(const EventHandler&) = delete;
  virtual ~EventHandler() = default;
  /// `events` are EPOLL* bits. May add, remove and retire anything, itself included.
  virtual void onEvents(std::uint32_t events) noexcept = 0;
};

/// One epoll instance with its thread: readiness, timers, a mailbox for other threads. One clock
/// read a turn. Everything but post() and stop() belongs to the loop's thread.
class EventLoop {
 public:
  /// Throws std::system_error if the kernel gives no epoll or eventfd descriptor.
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  /// Watches `fd`, edge- or level-triggered as `events` say; false (errno) if the kernel refuses.
  [[nodiscard]] bool add(int fd, std::uint32_t events, EventHandler& handler) noexcept;
  /// Changes what is watched.
  [[nodiscard]] bool modify(int fd, std::uint32_t events, EventHandler& handler) noexcept;
  /// No longer watches `fd`; call before closing if the descriptor may be shared, else closing is
  /// enough. An event that this turn has fetched already still arrives, unless the handler is
  /// retired too.
  void remove(int fd) noexcept;
  /// Destroys `handler` (made by new) at the end of this turn, when no event of the turn can name
  /// it any more. It gets no further event. Call once for each handler.
  void retire(EventHandler* handler) noexcept;
  /// Runs `callback(argument)` once, at the end of this turn, before waiting again and before
  /// retired handlers are destroyed. A callback may ask for more; they run in the same end of turn.
  void atEndOfTurn(void (*callback)(void*), void* argument);

  /// Time at the start of this turn.
  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  /// Reads the clock again, after long work inside a turn.
  void refreshNow() noexcept { now_ = Clock::now(); }
  /// The loop's timers.
  [[nodiscard]] TimerWheel& timers() noexcept { return timers_; }

  /// Runs `task` on the loop's thread, in order of posting. Never blocks on the loop. [any]
  void post(std::function<void()> task);
  /// Runs until stop().
  void run();
  /// Runs one turn, waiting at most `max_wait_ms` (-1: as long as it takes). For tests.
  void turn(int max_wait_ms);
  /// Makes run() return after the current turn, or at once if it has not begun. [any]
  void stop() noexcept;

 private:
  void wake() noexcept;
  void drainMailbox();
  void endTurn();
  void destroyRetired() noexcept;

  TimePoint now_;
  TimerWheel timers_;
  Fd epoll_;
  Fd wake_;
  epoll_event* next_event_ = nullptr;  // events of this turn that were not delivered yet
  epoll_event* last_event_ = nullptr;
  std::vector<EventHandler*> retired_;
  std::vector<std::pair<void (*)(void*), void*>> end_of_turn_;
  std::mutex mailbox_mutex_;
  std::vector<std::function<void()>> mailbox_;
  std::vector<std::function<void()>> delivered_;  // keeps its capacity from turn to turn
  std::atomic<bool> mailbox_full_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace hyperway::net
