// SPDX-License-Identifier: Apache-2.0
#include "net/event_loop.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace hyperway::net {
namespace {

struct Ends {
  Fd near, far;
};

Ends socketPair() {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  return {Fd{ends[0]}, Fd{ends[1]}};
}

void poke(const Fd& fd) { REQUIRE(::write(fd.get(), "x", 1) == 1); }

class TestHandler : public EventHandler {
 public:
  explicit TestHandler(std::function<void(std::uint32_t)> then = {}, bool* destroyed = nullptr)
      : then_(std::move(then)), destroyed_(destroyed) {}
  ~TestHandler() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
  }
  void onEvents(std::uint32_t events) noexcept override {
    ++calls;
    if (then_) then_(events);
  }
  int calls = 0;

 private:
  std::function<void(std::uint32_t)> then_;
  bool* destroyed_;
};

TEST_CASE("readiness reaches the handler that was added, until it is removed") {
  EventLoop loop;
  const Ends pair = socketPair();
  std::uint32_t seen = 0;
  TestHandler handler{[&](std::uint32_t events) { seen |= events; }};
  REQUIRE(loop.add(pair.near.get(), EPOLLIN, handler));
  loop.turn(0);
  CHECK(handler.calls == 0);
  poke(pair.far);
  loop.turn(-1);
  loop.turn(-1);  // level-triggered: still readable
  CHECK(handler.calls == 2);
  CHECK((seen & EPOLLIN) != 0);
  REQUIRE(loop.modify(pair.near.get(), EPOLLIN | EPOLLET, handler));
  loop.turn(-1);
  loop.turn(0);
  CHECK(handler.calls == 3);
  loop.remove(pair.near.get());
  poke(pair.far);
  loop.turn(0);
  CHECK(handler.calls == 3);
}

TEST_CASE("adding a closed descriptor fails with errno") {
  EventLoop loop;
  TestHandler handler;
  CHECK_FALSE(loop.add(-1, EPOLLIN, handler));
  CHECK_FALSE(loop.modify(1 << 20, EPOLLIN, handler));
}

TEST_CASE("a handler that another retires gets no event of the same turn and lives until its end") {
  EventLoop loop;
  const Ends pairs[2] = {socketPair(), socketPair()};
  TestHandler* handlers[2] = {};
  bool destroyed[2] = {};
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    handlers[i] = new TestHandler{[&, i](std::uint32_t) {
                                    ++calls;
                                    loop.retire(handlers[1 - i]);
                                    CHECK_FALSE(destroyed[1 - i]);
                                  },
                                  &destroyed[i]};
    REQUIRE(loop.add(pairs[i].near.get(), EPOLLIN, *handlers[i]));
    poke(pairs[i].far);
  }
  loop.turn(-1);
  CHECK(calls == 1);
  CHECK(destroyed[0] != destroyed[1]);
  const int left = destroyed[0] ? 1 : 0;
  loop.remove(pairs[1 - left].near.get());
  loop.remove(pairs[left].near.get());
  loop.retire(handlers[left]);
  loop.turn(-1);  // has work, so it does not wait
  CHECK(destroyed[left]);
}

TEST_CASE("end-of-turn callbacks run once, before retired handlers go, and may ask for more") {
  EventLoop loop;
  struct State {
    EventLoop* loop;
    bool destroyed = false;
    int runs = 0;
  } state{&loop};
  loop.retire(new TestHandler{{}, &state.destroyed});
  loop.atEndOfTurn(
      [](void* argument) {
        auto* self = static_cast<State*>(argument);
        CHECK_FALSE(self->destroyed);
        ++self->runs;
        self->loop->atEndOfTurn([](void* again) { ++static_cast<State*>(again)->runs; }, argument);
      },
      &state);
  loop.turn(-1);
  CHECK(state.runs == 2);
  CHECK(state.destroyed);
  loop.turn(0);
  CHECK(state.runs == 2);
}

TEST_CASE("what a retired handler retires is destroyed in the same turn") {
  EventLoop loop;
  struct Chained : EventHandler {
    Chained(EventLoop& on, EventHandler* then) : loop(on), next(then) {}
    ~Chained() override { loop.retire(next); }
    void onEvents(std::uint32_t) noexcept override {}
    EventLoop& loop;
    EventHandler* next;
  };
  bool destroyed = false;
  loop.retire(new Chained{loop, new TestHandler{{}, &destroyed}});
  loop.turn(-1);
  CHECK(destroyed);
}

TEST_CASE("handlers retired in the last turn are destroyed with the loop") {
  bool destroyed = false;
  {
    EventLoop loop;
    loop.retire(new TestHandler{{}, &destroyed});
  }
  CHECK(destroyed);
}

TEST_CASE("a turn waits no longer than the next timer") {
  class Stopper : public Timer {
   public:
    int fired = 0;

   private:
    void onTimer() noexcept override { ++fired; }
  };
  EventLoop loop;
  Stopper timer;
  const TimePoint deadline = loop.now() + std::chrono::milliseconds{20};
  timer.set(loop.timers(), deadline);
  while (timer.fired == 0) loop.turn(-1);
  CHECK(loop.now() >= deadline);
}

TEST_CASE("an event counts before a timer that is due in the same turn") {
  class Deadline : public Timer {
   public:
    bool* data_came;
    bool late = false;

   private:
    void onTimer() noexcept override { late = !*data_came; }
  };
  EventLoop loop;
  const Ends pair = socketPair();
  bool data_came = false;
  TestHandler handler{[&](std::uint32_t) { data_came = true; }};
  REQUIRE(loop.add(pair.near.get(), EPOLLIN | EPOLLET, handler));
  Deadline timer;
  timer.data_came = &data_came;
  timer.set(loop.timers(), loop.now());
  poke(pair.far);
  // A stall as long as the timer: both are due when the loop looks.
  while (Clock::now() < loop.now() + std::chrono::milliseconds{10}) {
  }
  loop.turn(-1);
  CHECK(data_came);
  CHECK_FALSE(timer.armed());
  CHECK_FALSE(timer.late);
}

TEST_CASE("posted tasks run on the loop's thread, all of them and in order") {
  EventLoop loop;
  constexpr int kTasks = 20000;
  std::vector<int> ran[2];
  std::thread::id loop_thread;
  std::atomic<int> left{2};
  std::thread runner{[&] {
    loop_thread = std::this_thread::get_id();
    loop.run();
  }};
  std::thread posters[2];
  for (int p = 0; p < 2; ++p) {
    posters[p] = std::thread{[&, p] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, p, i] { ran[p].push_back(i); });
      }
      loop.post([&] {
        if (--left == 0) loop.stop();
      });
    }};
  }
  for (auto& poster : posters) poster.join();
  runner.join();
  for (const auto& order : ran) {
    REQUIRE(order.size() == kTasks);
    for (int i = 0; i < kTasks; ++i) REQUIRE(order[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("a task posted by a task runs, without an event from outside") {
  EventLoop loop;
  int runs = 0;
  loop.post([&] {
    ++runs;
    loop.post([&] { ++runs; });
  });
  loop.turn(-1);
  CHECK(runs == 1);
  loop.turn(-1);
  CHECK(runs == 2);
}

TEST_CASE("stop() before run() is not lost") {
  EventLoop loop;
  loop.stop();
  loop.run();
  CHECK(true);  // reached
}

TEST_CASE("more events than one turn takes are all delivered") {
  EventLoop loop;
  constexpr int kPairs = 300;
  std::vector<Ends> pairs;
  std::vector<std::unique_ptr<TestHandler>> handlers;
  for (int i = 0; i < kPairs; ++i) {
    pairs.push_back(socketPair());
    handlers.push_back(std::make_unique<TestHandler>());
    REQUIRE(loop.add(pairs.back().near.get(), EPOLLIN | EPOLLET, *handlers.back()));
    poke(pairs.back().far);
  }
  loop.turn(-1);
  loop.turn(-1);
  for (const auto& handler : handlers) CHECK(handler->calls == 1);
}

}  // namespace
}  // namespace hyperway::net
