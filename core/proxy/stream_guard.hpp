// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/stream.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {

/// Marks a call into a stream. A stream that finished is destroyed when the outermost call leaves,
/// never under a caller.
class Stream::Guard {
 public:
  /// Enters.
  explicit Guard(Stream& stream) noexcept : stream_(stream) { ++stream_.depth_; }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    if (--stream_.depth_ == 0 && stream_.finished_) stream_.worker_.destroyStream(stream_);
  }

 private:
  Stream& stream_;
};

}  // namespace hyperway::proxy
