// SPDX-License-Identifier: Apache-2.0
#include "net/timer.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace hyperway::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kTick{8};
const TimePoint kStart{hours{1000}};

class CountingTimer : public Timer {
 public:
  int fired = 0;
  std::function<void()> then;

 private:
  void onTimer() noexcept override {
    ++fired;
    if (then) then();
  }
};

TEST_CASE("a timer fires at its deadline or up to one tick later, never before") {
  for (const nanoseconds delay :
       {nanoseconds{1}, nanoseconds{milliseconds{1}}, nanoseconds{milliseconds{8}},
        nanoseconds{milliseconds{8}} + nanoseconds{1}, nanoseconds{milliseconds{100}},
        nanoseconds{milliseconds{8184}}, nanoseconds{milliseconds{8192}},
        nanoseconds{milliseconds{8200}}, nanoseconds{hours{2}}}) {
    CAPTURE(delay.count());
    TimerWheel wheel{kStart};
    CountingTimer timer;
    timer.set(wheel, kStart + delay);
    wheel.advance(kStart + delay - nanoseconds{1});
    CHECK(timer.fired == 0);
    CHECK(timer.armed());
    wheel.advance(kStart + delay + kTick);
    CHECK(timer.fired == 1);
    CHECK_FALSE(timer.armed());
    wheel.advance(kStart + delay + hours{1});
    CHECK(timer.fired == 1);
  }
}

TEST_CASE("a deadline that has passed fires at the next tick") {
  TimerWheel wheel{kStart};
  wheel.advance(kStart + hours{1});
  CountingTimer timer;
  timer.set(wheel, kStart);
  wheel.advance(kStart + hours{1} + kTick);
  CHECK(timer.fired == 1);
}

TEST_CASE("the latest deadline counts, whether it moved out or in") {
  for (const bool out : {true, false}) {
    CAPTURE(out);
    TimerWheel wheel{kStart};
    CountingTimer timer;
    const TimePoint near = kStart + milliseconds{80};
    const TimePoint far = kStart + milliseconds{800};
    timer.set(wheel, out ? near : far);
    timer.set(wheel, out ? far : near);
    wheel.advance(near + kTick);
    CHECK(timer.fired == (out ? 0 : 1));
    wheel.advance(far + kTick);
    CHECK(timer.fired == 1);
  }
}

TEST_CASE("a cancelled or destroyed timer does not fire, and may be set again") {
  TimerWheel wheel{kStart};
  CountingTimer timer;
  timer.set(wheel, kStart + kTick);
  auto destroyed = std::make_unique<CountingTimer>();
  destroyed->set(wheel, kStart + kTick);
  timer.cancel();
  timer.cancel();
  CHECK_FALSE(timer.armed());
  destroyed.reset();
  CHECK(wheel.untilNextMs(kStart) == -1);
  wheel.advance(kStart + kTick);
  CHECK(timer.fired == 0);
  timer.set(wheel, kStart + 3 * kTick);
  wheel.advance(kStart + 3 * kTick);
  CHECK(timer.fired == 1);
}

TEST_CASE("a timer outlives its wheel") {
  CountingTimer timer;
  {
    TimerWheel wheel{kStart};
    timer.set(wheel, kStart + kTick);
  }
  CHECK_FALSE(timer.armed());
  TimerWheel second{kStart};
  timer.set(second, kStart + kTick);
  second.advance(kStart + kTick);
  CHECK(timer.fired == 1);
}

TEST_CASE("a callback may cancel and destroy the timers beside it in the slot") {
  TimerWheel wheel{kStart};
  std::vector<std::unique_ptr<CountingTimer>> timers;
  int fired = 0;
  for (int i = 0; i < 5; ++i) {
    timers.push_back(std::make_unique<CountingTimer>());
    timers.back()->then = [&, i] {
      ++fired;
      for (std::size_t other = 0; other < timers.size(); ++other) {
        if (other == static_cast<std::size_t>(i)) continue;
        if (other % 2 == 0 && timers[other]) timers[other]->cancel();
        if (other % 2 == 1) timers[other].reset();
      }
    };
    timers.back()->set(wheel, kStart + kTick);
  }
  wheel.advance(kStart + kTick);
  CHECK(fired == 1);
  CHECK(wheel.untilNextMs(kStart + kTick) == -1);
}

TEST_CASE("a callback may destroy its own timer") {
  TimerWheel wheel{kStart};
  auto first = std::make_unique<CountingTimer>();
  CountingTimer second;
  first->then = [&first] { first.reset(); };
  first->set(wheel, kStart + kTick);
  second.set(wheel, kStart + kTick);
  wheel.advance(kStart + kTick);
  CHECK(first == nullptr);
  CHECK(second.fired == 1);
}

TEST_CASE("a callback that sets its timer to now does not run again in the same advance") {
  TimerWheel wheel{kStart};
  CountingTimer timer;
  timer.then = [&] { timer.set(wheel, kStart); };
  timer.set(wheel, kStart + kTick);
  wheel.advance(kStart + hours{1});
  CHECK(timer.fired == 1);
  wheel.advance(kStart + hours{1} + kTick);
  CHECK(timer.fired == 2);
}

TEST_CASE("the wait ends when the next timer may be due") {
  TimerWheel wheel{kStart};
  CHECK(wheel.untilNextMs(kStart) == -1);
  CountingTimer timer;
  timer.set(wheel, kStart + milliseconds{20});
  CHECK(wheel.untilNextMs(kStart) == 24);
  CHECK(wheel.untilNextMs(kStart + nanoseconds{1}) == 24);
  CHECK(wheel.untilNextMs(kStart + milliseconds{30}) == 0);
  CountingTimer nearer;
  nearer.set(wheel, kStart + milliseconds{1});
  CHECK(wheel.untilNextMs(kStart) == 8);
  // A far deadline is looked at before it is due, and then waited for again.
  nearer.cancel();
  timer.set(wheel, kStart + hours{1});
  int looks = 0;
  TimePoint now = kStart;
  while (timer.armed()) {
    const int wait = wheel.untilNextMs(now);
    REQUIRE(wait > 0);
    now += milliseconds{wait};
    wheel.advance(now);
    ++looks;
  }
  CHECK(now >= kStart + hours{1});
  CHECK(now <= kStart + hours{1} + kTick);
  CHECK(looks < 500);
}

// Runs the wheel beside a list of deadlines. Callbacks act on other timers at random, as streams
// and connections do that share a slot.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed), wheel_(kStart) {
    for (std::size_t i = 0; i < kTimers; ++i) create(i);
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      for (int i = 0; i < 8; ++i) act(pick(kTimers));
      advance(someDelay() / 4);
    }
    advance(hours{3});
    CHECK(wheel_.untilNextMs(now_) == -1);
  }

 private:
  static constexpr std::size_t kTimers = 64;

  void create(std::size_t i) {
    timers_[i] = std::make_unique<CountingTimer>();
    due_[i].reset();
    timers_[i]->then = [this, i] { onFired(i); };
  }

  void onFired(std::size_t i) {
    REQUIRE(due_[i].has_value());
    CHECK(*due_[i] <= now_);
    due_[i].reset();
    if (!acting_) return;
    for (int k = 0; k < 3; ++k) act(pick(kTimers));  // the timer itself may be among them
  }

  void act(std::size_t i) {
    switch (pick(8)) {
      case 0:
        timers_[i]->cancel();
        due_[i].reset();
        break;
      case 1:
        graveyard_.push_back(std::move(timers_[i]->then));  // it may be the one that runs
        create(i);
        break;
      default: {
        const TimePoint deadline = now_ + someDelay();
        timers_[i]->set(wheel_, deadline);
        due_[i] = deadline;
      }
    }
    CHECK(timers_[i]->armed() == due_[i].has_value());
  }

  void advance(nanoseconds by) {
    now_ += by;
    acting_ = by < hours{3};
    wheel_.advance(now_);
    for (std::size_t i = 0; i < kTimers; ++i) {
      // Late by a tick at most, and none is lost.
      if (due_[i]) CHECK(*due_[i] + kTick > now_);
      CHECK(timers_[i]->armed() == due_[i].has_value());
    }
    graveyard_.clear();
  }

  std::size_t pick(std::size_t bound) { return random_() % bound; }

  nanoseconds someDelay() {
    switch (pick(4)) {
      case 0: return milliseconds{pick(20)};
      case 1: return nanoseconds{pick(1'000'000'000)};
      case 2: return milliseconds{8150 + pick(100)};
      default: return milliseconds{pick(100'000)};
    }
  }

  std::mt19937 random_;
  TimerWheel wheel_;
  TimePoint now_ = kStart;
  bool acting_ = true;
  std::unique_ptr<CountingTimer> timers_[kTimers];
  std::optional<TimePoint> due_[kTimers];
  std::vector<std::function<void()>> graveyard_;
};

TEST_CASE("a wheel under random operations fires what a list of deadlines would") {
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U}) {
    CAPTURE(seed);
    Model{seed}.run(1500);
  }
}

}  // namespace
}  // namespace hyperway::net
