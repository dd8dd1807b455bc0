// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace hyperway::file_source {

/// Results of independent pieces of work, wanted in order by one thread and made ahead of it by
/// helpers, and by itself instead of waiting. At a start with ten thousand files all processors
/// read them; what is done with the results stays in order and on one thread.
template <class Result>
class Ahead {
 public:
  /// Makes the result of a piece, on any thread; several calls run at once. What it throws is
  /// thrown again by take().
  using Work = std::function<Result(std::size_t)>;

  /// How many helpers are of use: one for each other processor, at most three, and none for little.
  [[nodiscard]] static std::size_t helpersFor(std::size_t count) {
    constexpr std::size_t kFew = 64;
    const std::size_t processors = std::thread::hardware_concurrency();
    return count < kFew || processors < 2 ? 0 : std::min<std::size_t>(processors - 1, 3);
  }

  /// Pieces 0 to `count` - 1; the helpers begin at once. A system without threads to give makes
  /// them fewer.
  Ahead(std::size_t count, Work work, std::size_t helpers)
      : work_(std::move(work)), results_(count) {
    try {
      for (std::size_t i = 0; i < helpers; ++i) threads_.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
    }
  }
  /// Waits for the pieces that helpers are at; those not begun are left.
  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      claimed_ = results_.size();
    }
    room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// The next result, in order; call it at most `count` times, on one thread.
  [[nodiscard]] Result take() {
    std::unique_lock lock(mutex_);
    const std::size_t index = taken_++;
    if (waiting_helpers_ > 0 && hasRoom()) room_.notify_all();
    if (claimed_ == index) {
      ++claimed_;
      lock.unlock();
      return work_(index);
    }
    // A helper is at it: something else meanwhile.
    while (!results_[index].done && mayClaim()) work(lock);
    made_.wait(lock, [&] { return results_[index].done; });
    std::optional<Result> result = std::exchange(results_[index].result, std::nullopt);
    lock.unlock();
    return result ? std::move(*result) : work_(index);
  }

 private:
  // Results that nobody has taken yet are bounded. Who waits for room waits for much of it: to wake
  // up for each piece costs as much as the piece.
  static constexpr std::size_t kWindow = 256;
  static constexpr std::size_t kRoom = kWindow / 2;

  struct Slot {
    bool done = false;
    std::optional<Result> result;  // none: it threw, and does so again for the one who wants it
  };

  [[nodiscard]] bool mayClaim() const {
    return claimed_ < results_.size() && claimed_ < taken_ + kWindow;
  }
  [[nodiscard]] bool hasRoom() const {
    return claimed_ == results_.size() || claimed_ + kRoom <= taken_ + kWindow;
  }

  // Does the next piece; `lock` is held before and after, not meanwhile.
  void work(std::unique_lock<std::mutex>& lock) {
    const std::size_t index = claimed_++;
    lock.unlock();
    std::optional<Result> result;
    try {
      result.emplace(work_(index));
    } catch (...) {
      result.reset();
    }
    lock.lock();
    results_[index].result = std::move(result);
    results_[index].done = true;
    made_.notify_one();
  }

  void help() {
    std::unique_lock lock(mutex_);
    while (claimed_ < results_.size()) {
      if (mayClaim()) {
        work(lock);
        continue;
      }
      ++waiting_helpers_;
      room_.wait(lock, [this] { return hasRoom(); });
      --waiting_helpers_;
    }
  }

  const Work work_;
  std::mutex mutex_;
  std::condition_variable room_, made_;  // for helpers; for the one who takes
  std::vector<Slot> results_;
  std::size_t claimed_ = 0, taken_ = 0, waiting_helpers_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace hyperway::file_source
