// SPDX-License-Identifier: Apache-2.0
// Waiting without blocking: a filter that asks a slow directory who may pass.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "hyperway/sdk/plugin.hpp"

namespace lookup {
namespace sdk = hyperway::sdk;

enum Answer : std::uint64_t { kDenied = 0, kAllowed = 1 };

// One for the plugin, shared by all its filters. Threads begin in start() and are joined in stop().
class Directory {
 public:
  explicit Directory(sdk::Setup& setup) : admin_(setup.config()["admin"].textOr("admin")) {}
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() = default;

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
  // Any worker. The waker may be used later and from anywhere, even when its stream is gone.
  void ask(std::string user, sdk::Waker waker) {
    {
      const std::lock_guard lock(mutex_);
      questions_.emplace_back(std::move(user), waker);
    }
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !questions_.empty(); });
      if (stopping_) return;
      const auto [user, waker] = questions_.front();
      questions_.pop_front();
      lock.unlock();
      waker.wake(user == admin_ ? kAllowed
                                : kDenied);  // Here a real one would ask over the network.
      lock.lock();
    }
  }

  const std::string admin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<std::string, sdk::Waker>> questions_;
  bool stopping_ = false;
  std::thread thread_;
};

class Lookup {
 public:
  static constexpr const char* kId = "lookup";
  struct Config {
    explicit Config(sdk::Setup& setup) { setup.config().only({}); }
  };
  explicit Lookup(const Config&) {}

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags) {
    const std::string_view user = stream.requestHeader("x-user");
    if (user.empty()) return stream.respond(401, "who are you?\n");
    sdk::Global<Directory>::get()->ask(std::string(user), stream.waker());
    return sdk::Flow::Pause;  // Costs no thread and no memory; the stream's timeouts go on.
  }

  // On the stream's worker, after the waker fired.
  void onWake(sdk::Stream& stream, sdk::Hooks paused, std::uint64_t answer) {
    if (!paused.has(HW_HOOK_REQUEST_HEAD)) return;
    const auto verdict =
        answer == kAllowed ? sdk::Flow::Continue : stream.respond(403, "you may not\n");
    stream.resume(HW_HOOK_REQUEST_HEAD, verdict);
  }
};

}  // namespace lookup

HYPERWAY_PLUGIN("com.example.lookup", "1.0.0", hyperway::sdk::Filters<lookup::Lookup>,
                hyperway::sdk::Global<lookup::Directory>);
