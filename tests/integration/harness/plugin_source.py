# SPDX-License-Identifier: Apache-2.0
"""Small plugins compiled by the test: built outside the tree, with nothing but the public headers."""
import os
import shutil
import subprocess

SOURCE = """
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include "hyperway/sdk/plugin.hpp"

class Marker {{
 public:
  static constexpr const char* kId = "marker";
  explicit Marker(hyperway::sdk::Setup& setup) {{ setup.config().only({{"anything"}}); }}
  hyperway::sdk::Flow onRequestHead(hyperway::sdk::Stream& stream, hyperway::sdk::Flags) const {{
    {body}
    stream.request().set("x-marker", "{version}");
    return hyperway::sdk::Flow::Continue;
  }}
}};

HYPERWAY_PLUGIN("test.marker", "{version}", hyperway::sdk::Filters<Marker>);
"""

THROWS = 'if (stream.request().get("x-throw")) throw std::runtime_error("thrown by a test");'
SLEEPS = 'if (stream.request().get("x-sleep")) std::this_thread::sleep_for(std::chrono::milliseconds(300));'


HOLDER = """
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include "hyperway/sdk/plugin.hpp"
namespace sdk = hyperway::sdk;

class Waking {  // Wakes whoever asks, from a thread of its own.
 public:
  explicit Waking(sdk::Setup&) {}
  void start() { thread_ = std::thread([this] { run(); }); }
  void stop() {
    { const std::lock_guard lock(mutex_); over_ = true; }
    changed_.notify_all();
    thread_.join();
  }
  void ask(sdk::Waker waker) {
    { const std::lock_guard lock(mutex_); wakers_.push_back(waker); }
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return over_ || !wakers_.empty(); });
      if (over_) return;
      const sdk::Waker waker = wakers_.front();
      wakers_.pop_front();
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      waker.wake();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<sdk::Waker> wakers_;
  bool over_ = false;
  std::thread thread_;
};

class Holder {
 public:
  static constexpr const char* kId = "holder";
  static constexpr bool kResizesRequestBody = true;
  struct Config {
    explicit Config(sdk::Setup& setup) : mode(setup.config()["mode"].textOr("head")) {}
    std::string mode;
  };
  explicit Holder(const Config& config) : mode_(config.mode) {}
  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags flags) {
    stream.request().set("x-filter", mode_);
    if (mode_ == "never") return sdk::Flow::Pause;
    if (mode_ == "pause-head") return pause(stream);
    if (flags.endOfStream() || mode_ != "hold-head") return sdk::Flow::Continue;
    return sdk::Flow::Hold;
  }
  sdk::Flow onRequestBody(sdk::Stream& stream, sdk::Body& body, sdk::Flags flags) {
    const bool end = flags.endOfStream();
    if (!end && (mode_ == "hold-head" || mode_ == "hold-body")) return sdk::Flow::Hold;
    if (end && mode_ == "hold-head") stream.request().set("x-held", std::to_string(body.size()));
    if (end) body.append("|end");
    return mode_ == "pause-body" ? pause(stream) : sdk::Flow::Continue;
  }
  void onWake(sdk::Stream& stream, sdk::Hooks paused, std::uint64_t) {
    for (const auto hook : {HW_HOOK_REQUEST_HEAD, HW_HOOK_REQUEST_BODY})
      if (paused.has(hook)) stream.resume(hook, sdk::Flow::Continue);
  }

 private:
  sdk::Flow pause(sdk::Stream& stream) {
    sdk::Global<Waking>::get()->ask(stream.waker());
    return sdk::Flow::Pause;
  }
  const std::string& mode_;
};

HYPERWAY_PLUGIN("test.holder", "1.0.0", sdk::Filters<Holder>, sdk::Global<Waking>);
"""


def build(folder, name, version, body=""):
    """Compiles folder/name.so with class id `marker`, which sets X-Marker to `version`."""
    return compile_text(folder, name, SOURCE.format(version=version, body=body))


def compile_text(folder, name, text):
    """Compiles folder/name.so of a plugin's text."""
    here = os.path.dirname(os.path.abspath(__file__))
    headers = os.path.join(here, "../../../core/include")
    source, library = os.path.join(folder, name + ".cpp"), os.path.join(folder, name + ".so")
    with open(source, "w", encoding="ascii") as file:
        file.write(text)
    subprocess.run([shutil.which("g++") or "c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-fvisibility=hidden",
                    "-fno-gnu-unique", "-I", headers, "-o", library, source], check=True)
    return library
