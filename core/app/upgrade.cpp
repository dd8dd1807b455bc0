// SPDX-License-Identifier: Apache-2.0
#include "app/upgrade.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace hyperway::app {
namespace {

using namespace std::chrono_literals;

constexpr int kChildDescriptor = 3;  // the first one behind the standard ones
constexpr auto kBeginLimit = 10s;    // from "go" to "serving"
constexpr auto kEndLimit = 2s;       // from SIGTERM to SIGKILL

std::string inWords(std::chrono::milliseconds time) {
  return time % 1s == 0ms ? std::to_string(time / 1s) + " s" : std::to_string(time.count()) + " ms";
}

std::vector<std::string> childEnvironment() {
  std::vector<std::string> out;
  const std::string own = std::string(kHandoverVariable) + '=';
  for (char** each = environ; *each != nullptr; ++each)
    if (!std::string_view(*each).starts_with(own)) out.emplace_back(*each);
  out.push_back(own + std::to_string(kChildDescriptor));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// A process with no descriptors but the standard ones and `end`, and no blocked signals. Returns an
// errno.
int spawn(const ProgramStart& program, int end, pid_t& pid) {
  std::vector<std::string> arguments = program.arguments, environment = childEnvironment();
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawn_file_actions_adddup2(&actions, end, kChildDescriptor);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kChildDescriptor + 1);
  const int error = ::posix_spawn(&pid, program.path.c_str(), &actions, &attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return error;
}

}  // namespace

ProgramStart programStart(std::vector<std::string> arguments) {
  ProgramStart out;
  out.arguments = std::move(arguments);
  std::error_code error;
  if (out.arguments.empty()) out.arguments.emplace_back("hyperway");
  const std::string& name = out.arguments.front();
  if (name.find('/') != std::string::npos)
    out.path = std::filesystem::absolute(name, error).string();
  if (out.path.empty()) out.path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  return out;
}

Upgrade::Upgrade(const ProgramStart& program, Host host, std::chrono::milliseconds limit)
    : host_(std::move(host)), limit_(limit), end_(Clock::now() + limit) {
  try {
    auto [ours, theirs] = net::MessageSocket::pair();
    socket_.emplace(std::move(ours));
    start(program, theirs.descriptor());
  } catch (const std::system_error& error) {
    failed(error.what());
  }
}

Upgrade::~Upgrade() {
  if (state_ == State::Starting || state_ == State::Going) cancel("the upgrade was given up");
}

void Upgrade::start(const ProgramStart& program, int end_of_child) {
  // Until it runs the new program, the child holds a copy of every descriptor. epoll goes on
  // telling of one that is closed meanwhile, although nobody waits for it any more.
  int error = 0;
  if (!host_.while_still([&] { error = spawn(program, end_of_child, child_); }))
    return failed(
        "a worker did not come to a stop within a second; which plugin is slow is told by "
        "the log");
  if (error == 0) return;
  child_ = -1;
  failed("cannot run " + program.path + ": " + std::generic_category().message(error));
}

Upgrade::State Upgrade::step() {
  while (state_ == State::Starting || state_ == State::Going) {
    auto message = socket_->receive();
    if (!message) {
      failed(endOfChild());
    } else if (*message) {
      hear(**message);
    } else {
      if (Clock::now() >= end_)
        failed(state_ == State::Going ? "the new process did not begin to accept"
               : version_.empty()     ? "the new process said nothing within " + inWords(limit_)
                                      : "the new process was not ready within " + inWords(limit_));
      break;
    }
  }
  return state_;
}

void Upgrade::hear(const net::Message& message) {
  const Words words = wordsOf(message.text);
  if (words.first == "hello") return hearHello(words.rest);
  if (words.first == "failed") return failed("the new process: " + std::string(words.rest));
  if (words.first == "ready" && state_ == State::Starting && !version_.empty()) {
    go();
  } else if (words.first == "serving" && state_ == State::Going) {
    state_ = State::Serving;
  } else {
    failed("the new process said what is not understood: \"" + message.text.substr(0, 100) + '"');
  }
}

void Upgrade::go() {
  state_ = State::Going;
  end_ = Clock::now() + kBeginLimit;
  auto listeners = host_.listeners();
  if (!listeners) return failed(listeners.error());
  std::erase_if(*listeners, [this](const proxy::HandedListener& each) {
    return std::find(handed_.begin(), handed_.end(), each.bind) != handed_.end();
  });
  if (!sendListeners(*socket_, *listeners) || !socket_->send("go")) failed(endOfChild());
}

// "VERSION PID PROGRAM"
void Upgrade::hearHello(std::string_view text) {
  const Words version = wordsOf(text);
  if (version.first != std::to_string(kHandoverVersion))
    return failed("the new process speaks version " + std::string(version.first.substr(0, 20)) +
                  " of the hand-over, this one version " + std::to_string(kHandoverVersion) +
                  ": a restart is needed");
  const Words pid = wordsOf(version.rest);
  (void)std::from_chars(pid.first.data(), pid.first.data() + pid.first.size(), said_pid_);
  version_ = pid.rest.empty() ? "?" : pid.rest;
  const auto sockets = host_.sockets();
  if (!sockets) return failed(sockets.error());
  for (const proxy::HandedListener& each : sockets->listeners) handed_.push_back(each.bind);
  if (!sendSockets(*socket_, *sockets)) failed(endOfChild());
}

void Upgrade::cancel(const std::string& reason) {
  if (state_ == State::Serving || state_ == State::Failed) return;
  if (socket_) (void)socket_->send("cancel " + reason.substr(0, 1000));
  // It may have accepted connections by now, and drains.
  if (state_ == State::Going && child_ > 0) ::kill(std::exchange(child_, -1), SIGTERM);
  failed(reason);
}

void Upgrade::tellClosed() {
  if (socket_) (void)socket_->send("closed");  // Whoever does not hear it finds out.
}

bool Upgrade::hasCrashed() const noexcept {
  siginfo_t end{};
  // It stays a zombie, for whoever inherits it from us.
  return state_ == State::Serving && child_ > 0 &&
         ::waitid(P_PID, static_cast<id_t>(child_), &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         end.si_pid == child_ && (end.si_code != CLD_EXITED || end.si_status != 0);
}

void Upgrade::failed(std::string reason) {
  state_ = State::Failed;
  reason_ = std::move(reason);
  socket_.reset();
  endChild();
}

// It does not listen any more: it has ended or is about to.
std::string Upgrade::endOfChild() {
  int status = 0;
  const auto end = Clock::now() + kEndLimit;
  while (::waitpid(child_, &status, WNOHANG) != child_) {
    if (Clock::now() >= end) return "the new process said no more";
    std::this_thread::sleep_for(5ms);
  }
  child_ = -1;
  if (WIFSIGNALED(status))
    return "the new process was ended by signal " + std::to_string(WTERMSIG(status));
  return "the new process ended with code " + std::to_string(WEXITSTATUS(status)) +
         " before it was ready; its log says why";
}

void Upgrade::endChild() {
  if (child_ <= 0) return;
  const auto end = Clock::now() + kEndLimit;
  ::kill(child_, SIGTERM);
  while (::waitpid(child_, nullptr, WNOHANG) == 0) {
    if (Clock::now() >= end) {
      ::kill(child_, SIGKILL);
      (void)::waitpid(child_, nullptr, 0);
      break;
    }
    std::this_thread::sleep_for(5ms);
  }
  child_ = -1;
}

}  // namespace hyperway::app
