// SPDX-License-Identifier: Apache-2.0
#include "watcher.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hyperway::file_source {
namespace {

// IN_CREATE is for links, which have nothing to close.
constexpr std::uint32_t kMask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

Watcher::~Watcher() {
  if (inotify_ >= 0) ::close(inotify_);
  if (wake_ >= 0) ::close(wake_);
}

bool Watcher::open() {
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  inotify_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return inotify_ >= 0 && wake_ >= 0;
}

bool Watcher::watch(const std::string& directory) {
  if (inotify_ < 0) return false;
  const int id = ::inotify_add_watch(inotify_, directory.c_str(), kMask);
  if (id >= 0) directories_[id] = directory;
  return id >= 0;
}

void Watcher::keepOnly(const std::vector<std::string>& keep) {
  for (auto at = directories_.begin(); at != directories_.end();) {
    if (std::binary_search(keep.begin(), keep.end(), at->second)) {
      ++at;
      continue;
    }
    ::inotify_rm_watch(inotify_, at->first);
    at = directories_.erase(at);
  }
}

std::vector<WatchEvent> Watcher::wait(std::chrono::milliseconds limit) {
  std::vector<WatchEvent> out;
  pollfd fds[2] = {{wake_, POLLIN, 0}, {inotify_, POLLIN, 0}};
  if (::poll(fds, 2, static_cast<int>(limit.count())) <= 0) return out;
  std::uint64_t count = 0;
  if ((fds[0].revents & POLLIN) != 0 && ::read(wake_, &count, sizeof count) < 0) return out;
  if ((fds[1].revents & POLLIN) != 0) readInto(out);
  return out;
}

void Watcher::readInto(std::vector<WatchEvent>& out) {
  alignas(inotify_event) char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(inotify_, buffer, sizeof buffer);
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const char* name = buffer + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        out.push_back({});  // lost: look at everything
        continue;
      }
      const auto found = directories_.find(event.wd);
      if (found == directories_.end()) continue;
      WatchEvent next{found->second, event.len > 0 ? std::string(name) : std::string(),
                      (event.mask & IN_MODIFY) != 0};
      // One write() is one event; a large file comes in thousands.
      const bool again = !out.empty() && next.being_written && out.back().being_written &&
                         out.back().name == next.name && out.back().directory == next.directory;
      if (!again) out.push_back(std::move(next));
      if ((event.mask & IN_IGNORED) != 0) directories_.erase(found);
    }
  }
}

void Watcher::interrupt() {
  const std::uint64_t one = 1;
  // A full counter is readable already, which is all that is wanted.
  if (::write(wake_, &one, sizeof one) < 0) return;
}

}  // namespace hyperway::file_source
