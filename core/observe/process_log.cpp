// SPDX-License-Identifier: Apache-2.0
#include "observe/process_log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <system_error>

namespace hyperway::observe {
namespace {

constexpr std::size_t kQueueLines = 4096;
// A pipe that poll() calls writable takes this much without blocking (POSIX, PIPE_BUF).
constexpr std::size_t kAtomicBytes = 4096;

spdlog::level::level_enum toSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return spdlog::level::debug;
    case LogLevel::Info: return spdlog::level::info;
    case LogLevel::Warning: return spdlog::level::warn;
    case LogLevel::Error: return spdlog::level::err;
    case LogLevel::Off: break;
  }
  return spdlog::level::off;
}

void appendEscaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xF];
    }
  }
}

// Writes where it can at once, drops where it cannot.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(std::string path) : path_(std::move(path)) {
    if (!open()) throw std::system_error(errno, std::generic_category(), "log file " + path_);
  }
  ~DescriptorSink() override { close(); }

  void askReopen() noexcept { reopen_.store(true); }
  /// From here on nothing is waited for: a stuck pipe must not keep the process from ending.
  void hurry() noexcept { hurry_.store(true); }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (reopen_.exchange(false)) {
      close();
      (void)open();  // If it fails lines are dropped and counted until the next request.
    }
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (!put({line.data(), std::min(line.size(), kAtomicBytes)})) dropped_.fetch_add(1);
  }
  void flush_() override {}

 private:
  bool open() {
    fd_ = path_.empty()
              ? STDERR_FILENO
              : ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    return fd_ >= 0;
  }
  void close() {
    if (fd_ >= 0 && !path_.empty()) ::close(fd_);
    fd_ = -1;
  }
  bool put(std::string_view line) const {
    pollfd ready{fd_, POLLOUT, 0};
    if (fd_ < 0 || ::poll(&ready, 1, hurry_.load() ? 0 : 100) != 1 ||
        (ready.revents & POLLOUT) == 0)
      return false;
    return ::write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }

  std::string path_;
  int fd_ = -1;
  std::atomic<bool> reopen_{false};
  std::atomic<bool> hurry_{false};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace

struct ProcessLog::State {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
};

LogLevel logLevel(std::string_view name) noexcept {
  if (name == "debug") return LogLevel::Debug;
  if (name == "warning") return LogLevel::Warning;
  if (name == "error") return LogLevel::Error;
  return name == "off" ? LogLevel::Off : LogLevel::Info;
}

ProcessLog::ProcessLog(LogLevel level, const std::string& path)
    : state_(std::make_unique<State>()) {
  state_->sink = std::make_shared<DescriptorSink>(path);
  state_->pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  state_->logger = std::make_shared<spdlog::async_logger>(
      "hyperway", state_->sink, state_->pool, spdlog::async_overflow_policy::overrun_oldest);
  state_->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  setLevel(level);
}

ProcessLog::~ProcessLog() {
  state_->sink->hurry();
  state_->pool.reset();  // joins the writer, before what it writes to goes
}

void ProcessLog::write(LogLevel level, std::string_view message) noexcept {
  if (!enabled(level)) return;
  try {
    std::string line;
    line.reserve(message.size());
    appendEscaped(line, message);
    state_->logger->log(toSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {
    // A line that cannot be made is not worth a process.
  }
}

bool ProcessLog::enabled(LogLevel level) const noexcept {
  return state_->logger->should_log(toSpdlog(level));
}

void ProcessLog::setLevel(LogLevel level) noexcept { state_->logger->set_level(toSpdlog(level)); }

void ProcessLog::reopen() noexcept { state_->sink->askReopen(); }

std::uint64_t ProcessLog::dropped() const noexcept {
  return state_->sink->dropped() + state_->pool->overrun_counter();
}

}  // namespace hyperway::observe
