// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"

namespace hyperway::k8s_client {

/// One line of a watch: a metav1.WatchEvent.
struct WatchEvent {
  /// What happened. Invalid: the line is no event.
  enum class Type : std::uint8_t { Added, Modified, Deleted, Bookmark, Failed, Invalid };
  Type type = Type::Invalid;  ///< As in the event's type; Failed is ERROR.
  std::string_view object;    ///< Its JSON, good until the next read(); Failed: a Status.
  std::string bookmark;       ///< Bookmark: metadata.resourceVersion.
  int code = 0;               ///< Failed: the Status's code, e.g. 410.
  std::string message;        ///< Failed: the Status's message. Invalid: what is wrong.
};

/// Reads lines of a watch. Keeps its buffers from line to line.
class WatchEventReader {
 public:
  WatchEventReader();
  WatchEventReader(const WatchEventReader&) = delete;
  WatchEventReader& operator=(const WatchEventReader&) = delete;
  ~WatchEventReader();

  /// Reads one line, without its newline. Anything that is no event is Type::Invalid.
  [[nodiscard]] WatchEvent read(std::string_view line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hyperway::k8s_client
