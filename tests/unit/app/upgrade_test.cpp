// SPDX-License-Identifier: Apache-2.0
#include "app/upgrade.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

using namespace hyperway;
using namespace hyperway::app;
using namespace std::chrono_literals;

namespace {

Upgrade::Host host() {
  return {[](const std::function<void()>& task) { return task(), true; },
          []() -> Result<HandedSockets, std::string> { return HandedSockets{}; },
          []() -> Result<std::vector<proxy::HandedListener>, std::string> {
            return std::vector<proxy::HandedListener>{};
          }};
}

// A new process that is a shell script; descriptor 3 is its end of the connection, and a write is a
// message.
ProgramStart script(const std::string& text) { return {"/bin/sh", {"sh", "-c", text}}; }

Upgrade::State follow(Upgrade& upgrade, Upgrade::State until) {
  for (int i = 0; i < 500 && upgrade.state() != until && upgrade.state() != Upgrade::State::Failed;
       ++i) {
    pollfd ready{upgrade.descriptor(), POLLIN, 0};
    (void)::poll(&ready, 1, 10);
    (void)upgrade.step();
  }
  return upgrade.state();
}

// Why an upgrade to this script fails.
std::string failure(const std::string& text, std::chrono::milliseconds limit = 5s) {
  Upgrade upgrade(script(text), host(), limit);
  CHECK(follow(upgrade, Upgrade::State::Failed) == Upgrade::State::Failed);
  return upgrade.reason();
}

constexpr const char* kHello = R"(printf 'hello 1 %s 9.9' $$ >&3; )";

}  // namespace

TEST_CASE("A new process that says all it should serves, and is told when sockets are closed") {
  // Reading a byte takes the whole message.
  Upgrade upgrade(
      script(std::string(kHello) + "dd bs=64 count=1 <&3 >/dev/null 2>&1; printf ready >&3; "
                                   "dd bs=64 count=1 <&3 >/dev/null 2>&1; printf serving >&3; "
                                   "dd bs=64 count=1 <&3 2>/dev/null | grep -q closed"),
      host(), 5s);
  REQUIRE(follow(upgrade, Upgrade::State::Serving) == Upgrade::State::Serving);
  CHECK(upgrade.version() == "9.9");
  CHECK(upgrade.pid() > 0);
  CHECK(::kill(upgrade.pid(), 0) == 0);
  upgrade.tellClosed();
}

TEST_CASE("Listeners that were opened since the sockets were handed over come before go") {
  const auto listener = [](std::uint16_t port) {
    proxy::HandedListener out{{"127.0.0.1", port}, {}};
    out.sockets.emplace_back(::dup(STDERR_FILENO));
    return out;
  };
  Upgrade::Host some = host();
  some.sockets = [&]() -> Result<HandedSockets, std::string> {
    HandedSockets out;
    out.listeners.push_back(listener(1));
    return out;
  };
  some.listeners = [&]() -> Result<std::vector<proxy::HandedListener>, std::string> {
    std::vector<proxy::HandedListener> out;
    for (const int port : {1, 2}) out.push_back(listener(static_cast<std::uint16_t>(port)));
    return out;
  };
  // What comes: "listener 1 ...", "end 1"; then "listener 2 ...", "go".
  const std::string read = "dd bs=64 count=1 <&3 2>/dev/null; echo; ";
  Upgrade upgrade(
      script(std::string(kHello) + "got=$(" + read + read + "); printf ready >&3; got=$got/$(" +
             read + read + "); printf 'failed %s' \"$(echo $got)\" >&3; exec sleep 60"),
      some, 5s);
  CHECK(follow(upgrade, Upgrade::State::Failed) == Upgrade::State::Failed);
  CHECK(upgrade.reason() == "the new process: listener 1 127.0.0.1 end 1/listener 2 127.0.0.1 go");
}

TEST_CASE("A new process that cannot do it is the reason why not") {
  CHECK(failure("exit 78") ==
        "the new process ended with code 78 before it was ready; its log says why");
  CHECK(failure("kill -SEGV $$") == "the new process was ended by signal 11");
  CHECK(failure(std::string(kHello) + "exit 1").find("code 1") != std::string::npos);
  CHECK(failure("printf 'failed /etc/x.yaml:3: unknown key' >&3") ==
        "the new process: /etc/x.yaml:3: unknown key");
  CHECK(failure("printf 'hello 2 1 9.9' >&3; exec sleep 60") ==
        "the new process speaks version 2 of the hand-over, this one version 1: a restart is "
        "needed");
  CHECK(failure("exec sleep 60", 100ms) == "the new process said nothing within 100 ms");
  CHECK(failure(std::string(kHello) + "exec sleep 60", 300ms) ==
        "the new process was not ready within 300 ms");
  CHECK(failure("trap '' TERM; exec sleep 60", 100ms).find("said nothing") != std::string::npos);
}

TEST_CASE("A new process that talks nonsense, or out of turn, is ended") {
  for (const char* text : {"printf tea >&3", "printf ready >&3", "printf serving >&3",
                           "printf 'hello' >&3", "printf 'hello 1' >&3; printf serving >&3"}) {
    CAPTURE(text);
    CHECK_FALSE(failure(std::string(text) + "; exec sleep 60").empty());
  }
}

TEST_CASE("A program that cannot be run is named, with the reason") {
  Upgrade missing({"/nonexistent/hyperway", {"hyperway"}}, host(), 1s);
  CHECK(missing.state() == Upgrade::State::Failed);
  CHECK(missing.reason() == "cannot run /nonexistent/hyperway: No such file or directory");
  Upgrade plain({"/etc", {"hyperway"}}, host(), 1s);
  CHECK(plain.reason() == "cannot run /etc: Permission denied");
  CHECK(plain.step() == Upgrade::State::Failed);
}

TEST_CASE("Nothing is started while a worker does not stand still") {
  Upgrade::Host busy = host();
  busy.while_still = [](const std::function<void()>&) { return false; };
  const Upgrade upgrade(script("exit 0"), busy, 1s);
  CHECK(upgrade.state() == Upgrade::State::Failed);
  CHECK(upgrade.reason().find("a worker did not come to a stop") != std::string::npos);
}

TEST_CASE("Sockets that cannot be duplicated end the upgrade") {
  Upgrade::Host poor = host();
  poor.sockets = []() -> Result<HandedSockets, std::string> {
    return fail(std::string("no more"));
  };
  Upgrade upgrade(script(std::string(kHello) + "exec sleep 60"), poor, 5s);
  CHECK(follow(upgrade, Upgrade::State::Failed) == Upgrade::State::Failed);
  CHECK(upgrade.reason() == "no more");
}

TEST_CASE("The new process has the standard descriptors and its end of the connection, no other") {
  const int leak = ::dup(0);  // not close-on-exec
  CHECK(
      failure("i=0; while [ $i -lt 300 ]; do [ -e /proc/$$/fd/$i ] && all=\"$all $i\"; i=$((i+1)); "
              "done; printf 'failed%s' \"$all\" >&3") == "the new process: 0 1 2 3");
  ::close(leak);
}

TEST_CASE("The new process has the environment of the old one, and no signal blocked") {
  ::setenv("HW_UPGRADE_TEST", "a b", 1);
  CHECK(failure("printf 'failed %s|%s' \"$HW_UPGRADE_TEST\" \"$HYPERWAY_UPGRADE\" >&3") ==
        "the new process: a b|3");
  ::unsetenv("HW_UPGRADE_TEST");
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const std::string blocked = failure("printf 'failed %s' \"$(grep SigBlk /proc/$$/status)\" >&3");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  CHECK(blocked == "the new process: SigBlk:\t0000000000000000");
}

TEST_CASE("An upgrade that is given up leaves no process behind") {
  pid_t pid = -1;
  {
    Upgrade upgrade(script("exec sleep 60"), host(), 60s);
    pid = upgrade.pid();
    REQUIRE(::kill(pid, 0) == 0);
    SUBCASE("cancelled") {
      upgrade.cancel("this process ends");
      CHECK(upgrade.reason() == "this process ends");
    }
    SUBCASE("destroyed") {}
  }
  CHECK(::kill(pid, 0) != 0);
  CHECK(errno == ESRCH);
}

TEST_CASE("The program is looked up again by the name it was started by, links not resolved") {
  CHECK(programStart({"/usr/bin/../bin/hyperway", "run"}).path == "/usr/bin/../bin/hyperway");
  CHECK(programStart({"./hyperway"}).path ==
        std::filesystem::current_path().string() + "/./hyperway");
  CHECK(programStart({"hyperway"}).path ==
        std::filesystem::read_symlink("/proc/self/exe").string());
  CHECK(programStart({}).arguments.size() == 1);
}
