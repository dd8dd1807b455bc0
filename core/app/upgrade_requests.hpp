// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <mutex>
#include <vector>

#include "admin/server.hpp"
#include "net/fd.hpp"

namespace hyperway::app {

/// Requests for an upgrade, from threads of the admin socket to the main thread, which answers all
/// of them when the upgrade under way is over.
class UpgradeRequests {
 public:
  /// Throws std::system_error if there is no descriptor.
  UpgradeRequests();

  /// Asks, and waits for the answer. [any] but the main thread
  [[nodiscard]] admin::AdminAnswer ask();
  /// To be polled for reading: somebody has asked.
  [[nodiscard]] int descriptor() const noexcept { return wake_.get(); }
  /// True if somebody has asked since the last call.
  [[nodiscard]] bool take() noexcept;
  /// Answers all who wait.
  void answer(const admin::AdminAnswer& answer);
  /// Whoever asks from now on, and whoever waits, hears that the process ends.
  void close();

 private:
  net::Fd wake_;
  std::mutex mutex_;
  std::vector<std::promise<admin::AdminAnswer>> waiting_;
  bool closed_ = false;
};

}  // namespace hyperway::app
