// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hyperway::k8s_client {

/// Cuts a stream into lines. Bytes are bytes: a character that two chunks share is put together
/// again. Memory is bounded by the longest line that is allowed.
class LineSplitter {
 public:
  /// `most` bytes of a line, without its newline.
  explicit LineSplitter(std::size_t most) : most_(most) {}

  /// Takes a chunk and gives each line that is whole now to `each(std::string_view)`, without its
  /// newline; the view is for the call only. False if a line is too long: the stream is of no use
  /// any more.
  template <class Each>
  [[nodiscard]] bool feed(std::string_view chunk, Each&& each) {
    for (;;) {
      const auto end = chunk.find('\n');
      const std::string_view part = chunk.substr(0, end);
      if (rest_.size() + part.size() > most_) return false;
      if (end == std::string_view::npos) {
        rest_ += part;
        return true;
      }
      if (rest_.empty()) {
        each(part);
      } else {
        rest_ += part;
        each(std::string_view(rest_));
        rest_.clear();
        if (rest_.capacity() > kKeep) rest_.shrink_to_fit();
      }
      chunk.remove_prefix(end + 1);
    }
  }
  /// True if the stream may end here: a line without its newline was cut off.
  [[nodiscard]] bool atLineStart() const noexcept { return rest_.empty(); }
  /// Begins a new stream.
  void clear() { std::string().swap(rest_); }

 private:
  static constexpr std::size_t kKeep = std::size_t{64} << 10;
  std::size_t most_;
  std::string rest_;
};

}  // namespace hyperway::k8s_client
