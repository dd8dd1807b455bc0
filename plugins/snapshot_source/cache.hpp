// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hyperway::snapshot_source {

/// What was handed to the host, in a file, so that a data plane that starts without an API server
/// serves what it served before (ARCHITECTURE decision 2). The file has private keys: mode 0600,
/// and best on a volume in memory. It is a log of objects that ends with the last commit(); it is
/// written anew when most of it is of no use any more, and when a Secret changed or went, so that
/// no key outlives its use. One thread.
class Cache {
 public:
  /// A clock's time that only goes on.
  using TimePoint = std::chrono::steady_clock::time_point;

  /// `path` is the file; empty: nothing is kept.
  explicit Cache(std::string path) : path_(std::move(path)) {}
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  ~Cache();

  /// What the file has, by "Kind namespace/name"; nothing if there is none, or none that is whole.
  [[nodiscard]] std::map<std::string, std::string> load() const;
  /// An object is there, new or changed.
  void put(std::string_view kind, std::string_view key, std::string_view text);
  /// An object is gone.
  void remove(std::string_view kind, std::string_view key);
  /// What was put and removed since the last time belongs together, and is whole now. Returns what
  /// is wrong, or nothing. What could not be written waits, at first for a second, and ever longer.
  /// Nothing is written while another process that lives has put a file of its own in this one's
  /// place: after an in-place upgrade, the cache is that one's.
  [[nodiscard]] std::string commit(TimePoint now);

 private:
  [[nodiscard]] bool isReplaced() const;
  [[nodiscard]] bool isAnothers() const;
  [[nodiscard]] std::string write(std::string_view text);
  [[nodiscard]] std::string tryCommit();
  [[nodiscard]] std::string writeAnew();
  [[nodiscard]] std::string writeWhole(int before);

  const std::string path_;
  int file_ = -1;
  bool ours_ = false;             // the file at `path_` was written by this object
  bool off_ = false;              // it could not be written for too long
  bool outdated_secret_ = false;  // in the file, or in what waits for the next commit
  std::string pending_;
  std::string wrong_;
  unsigned failures_ = 0;
  TimePoint not_before_{};
  std::unordered_map<std::size_t, std::size_t> sizes_;  // of records that count, by hash of the key
  std::size_t live_ = 0, written_ = 0;                  // bytes
};

}  // namespace hyperway::snapshot_source
