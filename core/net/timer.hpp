// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hyperway::net {

/// Monotonic time; the wall clock never decides about a timeout.
using Clock = std::chrono::steady_clock;
/// A point on the monotonic clock.
using TimePoint = Clock::time_point;

class TimerWheel;

/// A deadline inside some object. Moving the deadline later costs one store: the wheel notices when
/// the old place comes round. Belongs to one wheel's thread; cancels itself when destroyed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { cancel(); }

  /// Fires onTimer() at or up to one tick (8 ms) after `deadline`; replaces an earlier deadline.
  /// One that has passed fires at the next tick, never inside the advance() that runs now.
  void set(TimerWheel& wheel, TimePoint deadline) noexcept;
  /// Will not fire. Cheap; the node leaves the wheel.
  void cancel() noexcept;
  /// True between set() and firing or cancel().
  [[nodiscard]] bool armed() const noexcept { return wheel_ != nullptr; }

 protected:
  /// The deadline has passed. May set the timer again, and may destroy it.
  virtual void onTimer() noexcept = 0;

 private:
  friend class TimerWheel;
  TimerWheel* wheel_ = nullptr;
  Timer** link_ = nullptr;  // what points to this node: a list head or a neighbour's next_
  Timer* next_ = nullptr;
  std::int64_t deadline_tick_ = 0;
  std::int64_t placed_tick_ = 0;  // the tick of the slot it is in, at most deadline_tick_
};

/// Hashed wheel of 1,024 slots of 8 ms. set and cancel are O(1); a turn looks at due slots only.
/// Not thread-safe.
class TimerWheel {
 public:
  /// Starts at `now`.
  explicit TimerWheel(TimePoint now) noexcept;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  /// Fires what is due.
  void advance(TimePoint now) noexcept;
  /// Milliseconds until the next slot with timers is due, for epoll_wait; -1 if there is no timer.
  [[nodiscard]] int untilNextMs(TimePoint now) const noexcept;

 private:
  friend class Timer;
  static constexpr std::int64_t kSlots = 1024;
  static constexpr std::chrono::milliseconds kTick{8};
  void place(Timer& timer) noexcept;
  void unlink(Timer& timer) noexcept;
  void fireSlot(std::size_t slot) noexcept;
  [[nodiscard]] std::int64_t tickAtOrAfter(TimePoint at) const noexcept;
  [[nodiscard]] std::int64_t nextOccupied() const noexcept;

  TimePoint start_;
  std::int64_t current_ = 0;
  std::int64_t earliest_ = 1;  // least tick that set() gives
  Timer* firing_ = nullptr;    // what is left of the slot that fires now
  std::uint64_t occupied_[kSlots / 64] = {};
  Timer* slots_[kSlots] = {};
};

}  // namespace hyperway::net
