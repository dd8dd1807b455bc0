// SPDX-License-Identifier: Apache-2.0
#include "app/run.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>

#include "app/gateway_process.hpp"
#include "app/health_log.hpp"
#include "app/notify.hpp"

namespace hyperway::app {
namespace {

using Clock = std::chrono::steady_clock;
using observe::LogLevel;

// Signals as events: all threads have them blocked, this descriptor tells of them.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { ::close(fd_); }

  // The next signal within `limit`, or 0.
  int wait(std::chrono::milliseconds limit) const {
    pollfd ready{fd_, POLLIN, 0};
    (void)::poll(&ready, 1, static_cast<int>(limit.count()));  // A time-out is an answer too.
    signalfd_siginfo info{};
    return ::read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  int fd_ = -1;
};

// Tells a changed configuration file by what stat says of it; read once a second.
class FileWatch {
 public:
  explicit FileWatch(std::string path) : path_(std::move(path)), last_(look()) {}
  bool changed() {
    if (path_.empty()) return false;
    const Look now = look();
    if (now == last_) return false;
    last_ = now;
    return true;
  }

 private:
  struct Look {
    ino_t inode = 0;
    off_t size = 0;
    time_t seconds = 0;
    long nanoseconds = 0;
    friend bool operator==(const Look&, const Look&) = default;
  };
  [[nodiscard]] Look look() const {
    struct stat info {};
    if (path_.empty() || ::stat(path_.c_str(), &info) != 0)
      return last_;  // gone for a moment: no change yet
    return {info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  }

  std::string path_;
  Look last_;
};

class Runner {
 public:
  explicit Runner(RunRequest request)
      : request_(std::move(request)),
        watch_(request_.settings.file),
        process_(request_.settings, request_.plugin_directory, request_.version) {}

  bool run(std::vector<ConfigProblem>& problems) {
    if (!process_.start(problems)) return false;
    process_.log().write(LogLevel::Info, "hyperway " + request_.version + ", " +
                                             std::to_string(request_.settings.proxy.workers) +
                                             " workers");
    for (const ConfigProblem& problem : problems)
      process_.log().write(LogLevel::Warning, problem.text());
    while (serve()) {
    }
    drain();
    process_.stop();
    return true;
  }

 private:
  // One turn; false when it is time to end.
  bool serve() {
    // Short turns until ready, so that whoever waits for READY=1 does not wait for us.
    const int signal = signals_.wait(std::chrono::milliseconds(told_ready_ ? 1000 : 10));
    if (signal == SIGTERM || signal == SIGINT) return false;
    if (signal == SIGUSR1) process_.reopenLogs();
    if (signal == SIGHUP || watch_.changed()) reload();
    if (!told_ready_ && process_.becameReady()) {
      told_ready_ = true;
      notifyServiceManager("READY=1");
      process_.log().write(LogLevel::Info, "ready");
    }
    if (Clock::now() >= next_tick_) {
      next_tick_ = Clock::now() + std::chrono::seconds(1);
      process_.tick();
      logHealth();
    }
    return true;
  }

  void logHealth() {
    const std::string now = process_.healthText();
    if (!health_log_.isDue(now, Clock::now())) return;
    process_.log().write(now.empty() ? LogLevel::Info : LogLevel::Warning,
                         now.empty() ? "configuration is whole again" : now);
  }

  void reload() {
    if (request_.settings.file.empty()) return process_.reload(process_.settings(), {});
    std::vector<ConfigProblem> problems;
    auto document = readConfigFile(request_.settings.file, problems);
    if (!document) {
      for (const ConfigProblem& problem : problems)
        process_.log().write(LogLevel::Error, problem.text());
      process_.log().write(LogLevel::Error,
                           "configuration not reloaded; the last good one stays in force");
      return;
    }
    process_.reload(request_.reread(*document), changedKeys(request_.document, *document));
    request_.document = std::move(*document);
  }

  void drain() {
    notifyServiceManager("STOPPING=1");
    process_.log().write(LogLevel::Info, "ending: draining connections");
    process_.beginDrain();
    if (waitUntil(process_.settings().drain_delay, false)) return;
    process_.stopAccepting();
    if (!waitUntil(process_.settings().drain_deadline, true) && !process_.idle())
      process_.log().write(LogLevel::Warning, "the drain's deadline is over; what is left is cut");
  }

  // Waits, in the second phase only as long as there are connections. True if a second signal says
  // to end now.
  bool waitUntil(std::chrono::milliseconds limit, bool until_idle) {
    const auto end = Clock::now() + limit;
    while (Clock::now() < end && !(until_idle && process_.idle())) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
      const int signal = signals_.wait(std::min(left, std::chrono::milliseconds(20)));
      if (signal == SIGTERM || signal == SIGINT) return true;
      if (signal == SIGUSR1) process_.reopenLogs();
    }
    return false;
  }

  RunRequest request_;
  Signals signals_;  // before any thread
  FileWatch watch_;
  GatewayProcess process_;
  Clock::time_point next_tick_{};
  HealthLog health_log_;
  bool told_ready_ = false;
};

// As many descriptors as this process may have: connections are bounded by them.
void raiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // Refused: the old limit stays.
}

}  // namespace

bool runGateway(RunRequest request, std::vector<ConfigProblem>& problems) {
  raiseDescriptorLimit();
  return Runner(std::move(request)).run(problems);
}

}  // namespace hyperway::app
