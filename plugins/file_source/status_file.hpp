// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace hyperway::file_source {

/// Statuses as a file: {"statuses": [{"kind", "namespace", "name", "status"}…]}, replaced as a
/// whole. take() and write() may run on different threads.
class StatusFile {
 public:
  /// Writes to `path`; an empty path keeps and writes nothing.
  explicit StatusFile(std::string path) : path_(std::move(path)) {}

  /// Takes a batch, a JSON list: elements with "status" replace the object's, others remove it.
  /// True if there is something to write.
  bool take(std::string_view batch);
  /// Writes what was taken since the last write. False with `error` if the file could not be
  /// written; tried again with the next call.
  [[nodiscard]] bool write(std::string& error);

 private:
  std::string path_;
  std::mutex mutex_;
  std::map<std::string, std::string> objects_;  // key -> element as JSON
  bool changed_ = false;
};

}  // namespace hyperway::file_source
