// SPDX-License-Identifier: Apache-2.0
#include "app/run.hpp"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "app/gateway_process.hpp"
#include "app/health_log.hpp"
#include "app/notify.hpp"
#include "app/upgrade.hpp"
#include "app/upgrade_requests.hpp"

namespace hyperway::app {
namespace {

using Clock = std::chrono::steady_clock;
using observe::LogLevel;

constexpr std::chrono::seconds kSocketsLimit{10};  // until a process that upgrades has sent them

// Signals as events: all threads have them blocked, this descriptor tells of them.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { ::close(fd_); }

  // The next signal within `limit`, or 0; that also if one of `others` can be read.
  int wait(std::chrono::milliseconds limit, std::initializer_list<int> others = {}) const {
    std::vector<pollfd> ready{{fd_, POLLIN, 0}};
    for (const int fd : others) ready.push_back({fd, POLLIN, 0});  // poll() passes over -1
    // A time-out is an answer too.
    (void)::poll(ready.data(), ready.size(), static_cast<int>(limit.count()));
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
  Runner(RunRequest request, std::optional<HandedSockets> inherited)
      : request_(std::move(request)),
        serving_(!inherited),
        watch_(request_.settings.file),
        process_(request_.settings, request_.plugin_directory, request_.version,
                 std::move(inherited)) {
    process_.onUpgrade([this] { return upgrade_requests_.ask(); });
  }

  bool run(std::vector<ConfigProblem>& problems) {
    if (!process_.start(problems)) {
      if (request_.successor && !problems.empty()) request_.successor->fail(problems.back().text());
      return false;
    }
    process_.log().write(LogLevel::Info, "hyperway " + request_.version + ", " +
                                             std::to_string(request_.settings.proxy.workers) +
                                             " workers");
    for (const ConfigProblem& problem : problems)
      process_.log().write(LogLevel::Warning, problem.text());
    while (serve()) {
    }
    if (upgrade_ && upgrade_->state() == Upgrade::State::Serving) {
      drainAfterUpgrade();
    } else {
      endUpgrade("this process ends");
      if (serving_) drain();
    }
    upgrade_requests_.close();
    process_.stop();
    return true;
  }

 private:
  // One turn; false when it is time to end.
  bool serve() {
    // Short turns until ready, so that whoever waits for READY=1 does not wait for us.
    const int signal =
        signals_.wait(std::chrono::milliseconds(told_ready_ && !upgrade_ ? 1000 : 10),
                      {upgrade_requests_.descriptor(), upgrade_ ? upgrade_->descriptor() : -1,
                       request_.successor ? request_.successor->descriptor() : -1});
    if (signal == SIGTERM || signal == SIGINT) return false;
    if (signal == SIGUSR1) process_.reopenLogs();
    if (signal == SIGHUP || watch_.changed()) reload();
    if (!told_ready_ && process_.becameReady()) {
      told_ready_ = true;
      tellReady();
    }
    if (upgrade_requests_.take() || signal == SIGUSR2) beginUpgrade();
    if (upgrade_ && !followUpgrade()) return false;
    if (request_.successor && !followPredecessor()) return false;
    if (Clock::now() >= next_tick_) {
      next_tick_ = Clock::now() + std::chrono::seconds(1);
      process_.tick();
      logHealth();
    }
    return true;
  }

  void tellReady() {
    if (request_.successor) {
      process_.log().write(LogLevel::Info, "ready to take over");
      return request_.successor->tellReady();
    }
    notifyServiceManager("READY=1");
    process_.log().write(LogLevel::Info, "ready");
  }

  // ---- as the old process of an upgrade

  void beginUpgrade() {
    const std::string why_not =
        upgrade_ ? "an upgrade is under way already, to process " + std::to_string(upgrade_->pid())
        : !serving_    ? "this process has not taken over yet"
        : !told_ready_ ? "this process is not ready yet; a restart harms nobody"
        : ::getpid() == 1
            ? "this is process 1, with whose end everything ends: replace the container"
            : "";
    if (!why_not.empty()) return refuseUpgrade(why_not);
    process_.log().write(LogLevel::Info, "upgrade: starting " + request_.program.path);
    notifyServiceManager("RELOADING=1\nSTATUS=upgrade: a new process starts");
    upgrade_ = std::make_unique<Upgrade>(
        request_.program,
        Upgrade::Host{[this](const auto& task) { return process_.whileStill(task); },
                      [this] { return process_.duplicateSockets(); },
                      [this] { return process_.lastListeners(); }},
        process_.settings().upgrade_deadline);
  }

  // False when the new process serves.
  bool followUpgrade() {
    switch (upgrade_->step()) {
      case Upgrade::State::Serving: return false;
      case Upgrade::State::Failed: endUpgrade(upgrade_->reason()); return true;
      default: return true;
    }
  }

  // It has failed, or must.
  void endUpgrade(std::string reason) {
    if (!upgrade_) return;
    upgrade_->cancel(reason);
    std::replace(reason.begin(), reason.end(), '\n', ' ');  // one line of STATUS
    upgrade_.reset();
    process_.goOn();
    notifyServiceManager("READY=1\nSTATUS=upgrade failed: " + reason);
    process_.log().write(LogLevel::Error,
                         "upgrade failed: " + reason + "; process " + own() + " goes on");
    upgrade_requests_.answer({409, "text/plain",
                              "upgrade failed: " + reason + "\nprocess " + own() + " (hyperway " +
                                  request_.version + ") goes on\n"});
  }

  void refuseUpgrade(const std::string& reason) {
    process_.log().write(LogLevel::Warning, "upgrade refused: " + reason);
    // Those who wait while another one is under way hear of that one.
    if (!upgrade_)
      upgrade_requests_.answer({409, "text/plain", "upgrade refused: " + reason + '\n'});
  }

  static std::string own() { return std::to_string(::getpid()); }

  // The successor accepts on all sockets.
  void drainAfterUpgrade() {
    const std::string pid = std::to_string(upgrade_->pid());
    // First this, while we may still speak for the service.
    notifyServiceManager("READY=1\nMAINPID=" + pid + "\nSTATUS=upgraded to " + upgrade_->version());
    process_.handOver();
    process_.log().write(LogLevel::Info, "upgraded: process " + pid + " (hyperway " +
                                             upgrade_->version() +
                                             ") serves; this one drains its connections");
    const auto end = Clock::now() + process_.settings().drain_deadline;
    for (bool told = false, asked = false;;) {
      const bool closed = process_.stoppedAccepting();
      if (closed && !std::exchange(told, true)) {
        upgrade_->tellClosed();
        // Not before: whoever connects after the answer is the new process's.
        upgrade_requests_.answer({200, "text/plain",
                                  "upgraded: process " + pid + " (hyperway " + upgrade_->version() +
                                      ") serves\nprocess " + own() + " (hyperway " +
                                      request_.version + ") ends when its connections have\n"});
      }
      if (closed && process_.idle()) return;
      if (Clock::now() >= end) break;
      // Our parent learns of its child only when we have ended.
      if (upgrade_->hasCrashed()) {
        process_.log().write(LogLevel::Error, "process " + pid +
                                                  " has crashed: this one ends, so that the "
                                                  "service can be started again");
        return;
      }
      if (told && upgrade_requests_.take())
        upgrade_requests_.answer({409, "text/plain", "process " + pid + " serves here by now\n"});
      switch (signals_.wait(std::chrono::milliseconds(20))) {
        case SIGTERM:
        case SIGINT:
          // The first one goes to all processes of the service, and this one is about to end.
          if (std::exchange(asked, true)) return;
          break;
        case SIGUSR1: process_.reopenLogs(); break;
        case SIGUSR2:
          process_.log().write(LogLevel::Warning,
                               "process " + pid + " has taken over from this one");
          break;
        default: break;
      }
    }
    process_.log().write(LogLevel::Warning, "the drain's deadline is over; what is left is cut");
  }

  // ---- as the new process of an upgrade

  // False if the upgrade is off.
  bool followPredecessor() {
    switch (request_.successor->next()) {
      case Successor::Word::Nothing: return true;
      case Successor::Word::End:
        process_.log().write(LogLevel::Warning, "the upgrade was cancelled; this process ends");
        return false;
      case Successor::Word::Closed:
        process_.retryBinds();
        request_.successor.reset();
        return true;
      case Successor::Word::Go: break;
    }
    try {
      process_.beginServing(request_.successor->takeLate());
    } catch (const std::runtime_error& error) {
      request_.successor->fail(error.what());
      return false;
    }
    serving_ = true;
    request_.successor->tellServing();
    process_.log().write(LogLevel::Info, "ready");
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
  UpgradeRequests upgrade_requests_;
  bool serving_;  // else another process does, and we are to take its place
  FileWatch watch_;
  GatewayProcess process_;
  Clock::time_point next_tick_{};
  HealthLog health_log_;
  bool told_ready_ = false;
  std::unique_ptr<Upgrade> upgrade_;  // to a new process
};

// As many descriptors as this process may have: connections are bounded by them.
void raiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // Refused: the old limit stays.
}

// What is large goes back to the system when it is freed. By itself glibc moves its bounds up to
// the largest block that was ever freed, at most 32 MiB: after one large list such blocks come from
// the heaps, of which each thread has its own and keeps twice as much that is free. Of a heap's end
// no more than half a MiB stays after a peak.
void giveBackLargeBlocks() {
  (void)::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  (void)::mallopt(M_TRIM_THRESHOLD, 512 << 10);
}

}  // namespace

bool runGateway(RunRequest request, std::vector<ConfigProblem>& problems) {
  raiseDescriptorLimit();
  giveBackLargeBlocks();
  if (!request.successor) return Runner(std::move(request), std::nullopt).run(problems);
  auto inherited = request.successor->takeSockets(request.version, kSocketsLimit);
  if (!inherited) {
    request.successor->fail(inherited.error());
    problems.push_back({"", 0, "", "upgrade: " + inherited.error(), false});
    return false;
  }
  return Runner(std::move(request), std::move(*inherited)).run(problems);
}

}  // namespace hyperway::app
