// SPDX-License-Identifier: Apache-2.0
// Asks a thread of its own, which begins in start() and answers by a waker, perhaps too late.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "hyperway/sdk/plugin.hpp"

namespace sleeper {
namespace sdk = hyperway::sdk;

/// The thread. It answers a question once the header x-release came by on any stream, so a test
/// decides when.
class Desk {
 public:
  explicit Desk(sdk::Setup&) {}
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;
  ~Desk() = default;
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void ask(sdk::Waker waker) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(waker);
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      released_ = true;
    }
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || (released_ && !waiting_.empty()); });
      while (released_ && !waiting_.empty()) {
        const sdk::Waker waker = waiting_.front();
        waiting_.pop_front();
        waker.wake(99);
      }
      if (stopping_) return;
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<sdk::Waker> waiting_;
  bool released_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class Sleeper {
 public:
  static constexpr const char* kId = "sleeper";
  struct Config {
    explicit Config(sdk::Setup&) {}
  };
  explicit Sleeper(const Config&) {}
  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) {
    Desk& desk = *sdk::Global<Desk>::get();
    if (stream.request().get("x-release")) {
      desk.release();
      return sdk::Flow::Continue;
    }
    desk.ask(stream.waker());
    return sdk::Flow::Pause;
  }
  void onWake(sdk::Stream& stream, sdk::Hooks paused, std::uint64_t token) {
    if (token == 99 && paused.has(HW_HOOK_REQUEST_HEAD))
      stream.resume(HW_HOOK_REQUEST_HEAD, sdk::Flow::Continue);
  }
};

}  // namespace sleeper

HYPERWAY_PLUGIN("test.sleeper", "1.0.0", hyperway::sdk::Filters<sleeper::Sleeper>,
                hyperway::sdk::Global<sleeper::Desk>);
