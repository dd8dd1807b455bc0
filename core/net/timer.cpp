// SPDX-License-Identifier: Apache-2.0
#include "net/timer.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"

namespace hyperway::net {

void Timer::set(TimerWheel& wheel, TimePoint deadline) noexcept {
  HW_ASSERT(wheel_ == nullptr || wheel_ == &wheel);
  // In a callback nothing is due before the next advance(): a timer that sets itself to a time that
  // has passed must not keep the loop from its sockets.
  deadline_tick_ = std::max(wheel.tickAtOrAfter(deadline), wheel.earliest_);
  if (wheel_ != nullptr) {
    if (deadline_tick_ >= placed_tick_) return;  // found out when the old slot comes round
    wheel.unlink(*this);
  }
  wheel.place(*this);
}

void Timer::cancel() noexcept {
  if (wheel_ != nullptr) wheel_->unlink(*this);
}

TimerWheel::TimerWheel(TimePoint now) noexcept : start_(now) {}

TimerWheel::~TimerWheel() {
  for (Timer* slot : slots_) {
    while (slot != nullptr) {
      Timer* next = slot->next_;
      slot->wheel_ = nullptr;
      slot = next;
    }
  }
}

void TimerWheel::advance(TimePoint now) noexcept {
  const std::int64_t target = (now - start_) / kTick;
  if (target <= current_) return;
  earliest_ = target + 1;
  for (;;) {
    const std::int64_t due = nextOccupied();
    if (due < 0 || due > target) break;
    current_ = due;
    fireSlot(static_cast<std::size_t>(due % kSlots));
  }
  current_ = target;
}

// The slot's list is taken out whole and lives in `firing_`, so that callbacks may set, cancel and
// destroy any timer, those that wait in it included: an unlinked node never needs to know its list.
void TimerWheel::fireSlot(std::size_t slot) noexcept {
  firing_ = slots_[slot];
  firing_->link_ = &firing_;
  slots_[slot] = nullptr;
  occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  while (firing_ != nullptr) {
    Timer& timer = *firing_;
    unlink(timer);
    if (timer.deadline_tick_ > current_) {
      place(timer);
    } else {
      timer.onTimer();  // may have destroyed it
    }
  }
}

int TimerWheel::untilNextMs(TimePoint now) const noexcept {
  const std::int64_t due = nextOccupied();
  if (due < 0) return -1;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(start_ + due * kTick - now);
  return static_cast<int>(std::max<std::int64_t>(wait.count(), 0));
}

// A slot holds timers of one tick only: the far ones wait in the last slot of the turn of the wheel
// and are placed again from there.
void TimerWheel::place(Timer& timer) noexcept {
  timer.placed_tick_ = std::min(timer.deadline_tick_, current_ + kSlots - 1);
  const auto slot = static_cast<std::size_t>(timer.placed_tick_ % kSlots);
  timer.wheel_ = this;
  timer.link_ = &slots_[slot];
  timer.next_ = slots_[slot];
  if (timer.next_ != nullptr) timer.next_->link_ = &timer.next_;
  slots_[slot] = &timer;
  occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::unlink(Timer& timer) noexcept {
  *timer.link_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->link_ = timer.link_;
  timer.wheel_ = nullptr;
  timer.link_ = nullptr;
  timer.next_ = nullptr;
  const auto slot = static_cast<std::size_t>(timer.placed_tick_ % kSlots);
  if (slots_[slot] == nullptr) occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

std::int64_t TimerWheel::tickAtOrAfter(TimePoint at) const noexcept {
  const Clock::duration since = at - start_;
  return since / kTick + (since % kTick > Clock::duration::zero() ? 1 : 0);
}

// The tick of the first slot with timers after the current one; -1 if there is none.
std::int64_t TimerWheel::nextOccupied() const noexcept {
  constexpr std::size_t kWords = kSlots / 64;
  const auto first = static_cast<std::size_t>((current_ + 1) % kSlots);
  std::size_t word = first / 64;
  std::uint64_t bits = occupied_[word] & (~std::uint64_t{0} << (first % 64));
  for (std::size_t visited = 0; visited <= kWords; ++visited) {
    if (bits != 0) {
      const std::size_t slot = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      const std::size_t distance = (slot + kSlots - first) % kSlots;
      return current_ + 1 + static_cast<std::int64_t>(distance);
    }
    word = (word + 1) % kWords;
    bits = occupied_[word];
  }
  return -1;
}

}  // namespace hyperway::net
