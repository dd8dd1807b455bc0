// SPDX-License-Identifier: Apache-2.0
#include "ahead.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace hyperway::file_source {
namespace {

TEST_CASE("Results made ahead come in order, whatever the number of helpers") {
  constexpr std::size_t kCount = 5000;
  for (const std::size_t helpers : {0, 1, 3}) {
    std::atomic<std::size_t> made{0};
    Ahead<std::unique_ptr<std::size_t>> ahead(
        kCount,
        [&](std::size_t index) {
          ++made;
          return std::make_unique<std::size_t>(index);
        },
        helpers);
    for (std::size_t i = 0; i < kCount; ++i) REQUIRE(*ahead.take() == i);
    CHECK(made == kCount);
  }
}

TEST_CASE("A helper works while the one who takes does something else") {
  std::mutex mutex;
  std::condition_variable seen;
  std::thread::id other;
  Ahead<int> ahead(
      2,
      [&](std::size_t) {
        const std::lock_guard lock(mutex);
        other = std::this_thread::get_id();
        seen.notify_all();
        return 1;
      },
      1);
  std::unique_lock lock(mutex);
  seen.wait(lock, [&] { return other != std::thread::id(); });
  CHECK(other != std::this_thread::get_id());
}

TEST_CASE("Helpers stay within a window of what was taken") {
  std::atomic<std::size_t> most{0};
  std::size_t taken = 0;
  std::mutex mutex;
  Ahead<std::size_t> ahead(
      2000,
      [&](std::size_t index) {
        const std::lock_guard lock(mutex);
        most = std::max<std::size_t>(most, index - std::min(index, taken));
        return index;
      },
      3);
  for (std::size_t i = 0; i < 2000; ++i) {
    CHECK(ahead.take() == i);
    const std::lock_guard lock(mutex);
    taken = i;
  }
  CHECK(most <= 300);
}

TEST_CASE("What a piece of work throws is thrown where its result is taken, and the others come") {
  Ahead<std::size_t> ahead(
      100,
      [](std::size_t index) {
        if (index == 50) throw std::runtime_error("no");
        return index;
      },
      2);
  for (std::size_t i = 0; i < 100; ++i) {
    if (i == 50)
      CHECK_THROWS_AS((void)ahead.take(), std::runtime_error);
    else
      CHECK(ahead.take() == i);
  }
}

TEST_CASE("Who does not take everything leaves without waiting for the rest") {
  std::atomic<std::size_t> made{0};
  {
    Ahead<std::size_t> ahead(
        100000, [&](std::size_t index) { return ++made, index; }, 2);
    CHECK(ahead.take() == 0);
  }
  CHECK(made <= 300);
}

TEST_CASE("Little work has no helpers") {
  CHECK(Ahead<int>::helpersFor(10) == 0);
  CHECK(Ahead<int>::helpersFor(100000) <= 3);
}

}  // namespace
}  // namespace hyperway::file_source
