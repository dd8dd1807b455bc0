// SPDX-License-Identifier: Apache-2.0
#include "net/event_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/assert.hpp"

namespace hyperway::net {
namespace {

constexpr int kEventsPerTurn = 256;

Fd owned(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return Fd{fd};
}

bool control(int epoll, int operation, int fd, std::uint32_t events, void* data) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

// The nearer of two waits, where -1 is for ever.
int nearer(int a, int b) noexcept {
  if (a < 0) return b;
  return b < 0 || a < b ? a : b;
}

}  // namespace

EventLoop::EventLoop()
    : now_(Clock::now()),
      timers_(now_),
      epoll_(owned(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(owned(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
  // Edge-triggered, every write wakes anew and the counter never has to be read.
  if (!control(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), EPOLLIN | EPOLLET, &wake_)) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl(eventfd)");
  }
}

EventLoop::~EventLoop() { destroyRetired(); }

bool EventLoop::add(int fd, std::uint32_t events, EventHandler& handler) noexcept {
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, events, &handler);
}

bool EventLoop::modify(int fd, std::uint32_t events, EventHandler& handler) noexcept {
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, events, &handler);
}

void EventLoop::remove(int fd) noexcept { control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, nullptr); }

void EventLoop::retire(EventHandler* handler) noexcept {
  if (handler == nullptr) return;
  retired_.push_back(handler);
  for (epoll_event* event = next_event_; event != last_event_; ++event) {
    if (event->data.ptr == handler) event->data.ptr = nullptr;
  }
}

void EventLoop::atEndOfTurn(void (*callback)(void*), void* argument) {
  end_of_turn_.emplace_back(callback, argument);
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mailbox_mutex_);
    mailbox_.push_back(std::move(task));
  }
  // One wake for all tasks until the loop has looked. It clears the flag before it takes the tasks,
  // so a task that it did not take always finds the flag clear.
  if (!mailbox_full_.exchange(true)) wake();
}

void EventLoop::run() {
  while (!stopping_.exchange(false)) turn(-1);
}

void EventLoop::turn(int max_wait_ms) {
  // What was asked for outside a turn must not sit through a wait.
  const bool has_work = !end_of_turn_.empty() || !retired_.empty();
  const int wait_ms = has_work ? 0 : nearer(max_wait_ms, timers_.untilNextMs(now_));
  epoll_event events[kEventsPerTurn];
  const int count = ::epoll_wait(epoll_.get(), events, kEventsPerTurn, wait_ms);
  HW_ASSERT(count >= 0 || errno == EINTR);
  now_ = Clock::now();

  // Events before timers: after a stall, what has arrived in the meantime counts as in time.
  bool mail = false;
  next_event_ = events;
  last_event_ = events + (count > 0 ? count : 0);
  while (next_event_ != last_event_) {
    const epoll_event event = *next_event_++;
    if (event.data.ptr == &wake_) {
      mail = true;
    } else if (event.data.ptr != nullptr) {
      static_cast<EventHandler*>(event.data.ptr)->onEvents(event.events);
    }
  }
  next_event_ = last_event_ = nullptr;
  if (mail) drainMailbox();
  timers_.advance(now_);
  endTurn();
}

void EventLoop::stop() noexcept {
  stopping_.store(true);
  wake();
}

void EventLoop::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only if the counter is full, and then a wake is pending anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void EventLoop::drainMailbox() {
  mailbox_full_.store(false);
  {
    const std::lock_guard lock(mailbox_mutex_);
    delivered_.swap(mailbox_);
  }
  for (auto& task : delivered_) task();
  delivered_.clear();
}

void EventLoop::endTurn() {
  do {
    // By index: callbacks may ask for more callbacks.
    for (std::size_t i = 0; i < end_of_turn_.size(); ++i) {
      const auto [callback, argument] = end_of_turn_[i];
      callback(argument);
    }
    end_of_turn_.clear();
    destroyRetired();
  } while (!end_of_turn_.empty());
}

void EventLoop::destroyRetired() noexcept {
  for (std::size_t i = 0; i < retired_.size(); ++i) delete retired_[i];
  retired_.clear();
}

}  // namespace hyperway::net
