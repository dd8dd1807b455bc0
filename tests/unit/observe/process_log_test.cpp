// SPDX-License-Identifier: Apache-2.0
#include "observe/process_log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

using namespace hyperway::observe;

namespace {
std::string temporary(const char* name) {
  return "/tmp/hw-log-" + std::to_string(::getpid()) + '-' + name;
}
std::string readAll(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}
}  // namespace

TEST_CASE("A log line stays one line, whatever is in it") {
  const std::string path = temporary("lines");
  {
    ProcessLog log(LogLevel::Info, path);
    log.write(LogLevel::Warning, "one\ntwo\x1b[31m");
    log.write(LogLevel::Debug, "not this");
    log.setLevel(LogLevel::Debug);
    log.write(LogLevel::Debug, "this");
    CHECK(log.enabled(LogLevel::Debug));
  }
  const std::string text = readAll(path);
  CHECK(text.find("Z warning one\\x0atwo\\x1b[31m\n") != std::string::npos);
  CHECK(text.find("not this") == std::string::npos);
  CHECK(text.find("Z debug this\n") != std::string::npos);
  std::filesystem::remove(path);
}

TEST_CASE("A log file that cannot be opened is an error, not silence") {
  CHECK_THROWS_AS(ProcessLog(LogLevel::Info, "/nonexistent/x.log"), std::system_error);
}

TEST_CASE("After a rotation the file is opened anew") {
  const std::string path = temporary("rotate");
  {
    ProcessLog log(LogLevel::Info, path);
    std::filesystem::rename(path, path + ".1");
    log.reopen();
    log.write(LogLevel::Info, "after");
  }
  CHECK(readAll(path).find("after") != std::string::npos);
  CHECK(readAll(path + ".1").find("after") == std::string::npos);
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".1");
}

TEST_CASE("A full disk and a pipe that nobody reads lose lines, are counted and block nobody") {
  {
    ProcessLog log(LogLevel::Info, "/dev/full");
    log.write(LogLevel::Info, "lost");
    while (log.dropped() == 0) ::usleep(1000);  // the writer's thread
    CHECK(log.dropped() == 1);
  }
  const std::string path = temporary("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto begin = std::chrono::steady_clock::now();
  {
    ProcessLog log(LogLevel::Info, path);
    const std::string line(4000, 'x');
    for (int i = 0; i < 5000; ++i) log.write(LogLevel::Info, line);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
    CHECK(log.dropped() > 0);
  }
  // The end does not wait for a reader that never comes.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  ::close(reader);
  ::unlink(path.c_str());
}
