// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "net/fd.hpp"

namespace hyperway::proxy {

/// A pipe through which one direction of one stream is spliced, with what is in it. Counts as that
/// direction's buffer.
struct SplicePipe {
  net::Fd read;           ///< Where bytes come out.
  net::Fd write;          ///< Where bytes go in.
  std::size_t bytes = 0;  ///< In the pipe.
  std::size_t size = 0;   ///< What fits.
  bool end = false;       ///< The message ends with what is in the pipe.
};

/// The pipes of one worker: at most kMost are in use, so that buffers stay bounded; without one,
/// bodies are copied. [worker]
class PipePool {
 public:
  /// Pipes in use or waiting.
  static constexpr std::size_t kMost = 16;

  /// An empty pipe, or null if all are in use or descriptors are short.
  [[nodiscard]] std::unique_ptr<SplicePipe> take();
  /// Takes a pipe back; one with bytes in it is destroyed. Null is fine.
  void give(std::unique_ptr<SplicePipe> pipe) noexcept;

 private:
  std::vector<std::unique_ptr<SplicePipe>> free_;
  std::size_t out_ = 0;
};

}  // namespace hyperway::proxy
