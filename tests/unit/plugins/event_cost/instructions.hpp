// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <stdexcept>

namespace hyperway {

/// Instructions that `work` takes in this process, counted one by one, so that neither the machine
/// nor what else runs on it changes the figure. It is done by a copy of the process: whoever calls
/// sees nothing of its effects. A few microseconds for each instruction. Throws where a process may
/// not trace its child.
template <class Work>
std::uint64_t instructionsOf(Work&& work) {
  // Both on one processor: to wake another one for each instruction takes five times as long.
  ::cpu_set_t before, here;
  CPU_ZERO(&here);
  CPU_SET(::sched_getcpu(), &here);
  const bool pinned = ::sched_getaffinity(0, sizeof before, &before) == 0 &&
                      ::sched_setaffinity(0, sizeof here, &here) == 0;
  const ::pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    try {
      work();
    } catch (...) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  std::uint64_t count = 0;
  int status = 0;
  while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    ++count;
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
  }
  if (pinned) (void)::sched_setaffinity(0, sizeof before, &before);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("the work could not be counted");
  return count;
}

}  // namespace hyperway
