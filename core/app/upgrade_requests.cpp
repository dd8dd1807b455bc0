// SPDX-License-Identifier: Apache-2.0
#include "app/upgrade_requests.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace hyperway::app {
namespace {

admin::AdminAnswer ending() { return {503, "text/plain", "this process ends\n"}; }

}  // namespace

UpgradeRequests::UpgradeRequests() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
}

admin::AdminAnswer UpgradeRequests::ask() {
  std::future<admin::AdminAnswer> answer;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return ending();
    answer = waiting_.emplace_back().get_future();
  }
  const std::uint64_t one = 1;
  // Fails only if the counter is full, and then the main thread is awake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  return answer.get();
}

bool UpgradeRequests::take() noexcept {
  std::uint64_t count = 0;
  return ::read(wake_.get(), &count, sizeof count) == sizeof count;
}

void UpgradeRequests::answer(const admin::AdminAnswer& answer) {
  const std::lock_guard lock(mutex_);
  for (auto& each : waiting_) each.set_value(answer);
  waiting_.clear();
}

void UpgradeRequests::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  answer(ending());
}

}  // namespace hyperway::app
