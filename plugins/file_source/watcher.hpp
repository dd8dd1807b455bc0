// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::file_source {

/// Something happened in a watched directory.
struct WatchEvent {
  std::string directory;  ///< As given to watch(). Empty: events were lost, look at everything.
  std::string name;       ///< Entry in it; empty: the directory itself changed.
  bool being_written = false;  ///< Bytes were written and the writer has not closed it yet.
};

/// inotify on directories, with a way to end a wait from another thread. A file that is written in
/// place is told once as being written in each wait(), and again when its writer closes it. One
/// thread, except for interrupt().
class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  /// Opens the descriptors. False if the system refuses (its limit of inotify instances): wait()
  /// then only times out.
  bool open();
  /// Watches a directory; again for one that is watched changes nothing. False if it cannot be.
  bool watch(const std::string& directory);
  /// Stops watching all directories that are not in `keep`.
  void keepOnly(const std::vector<std::string>& keep);
  /// Waits for events, at most `limit`, and returns all there are; none after a time-out or
  /// interrupt().
  [[nodiscard]] std::vector<WatchEvent> wait(std::chrono::milliseconds limit);
  /// Ends the current wait(), or the next one. Any thread.
  void interrupt();

 private:
  void readInto(std::vector<WatchEvent>& out);

  int inotify_ = -1;
  int wake_ = -1;
  std::map<int, std::string> directories_;
};

}  // namespace hyperway::file_source
