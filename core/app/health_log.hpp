// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace hyperway::app {

/// Decides which changes of health are logged: each one while they are few. What goes on changing,
/// as the words do in which an API server that is away is told of, is told again every kEach, with
/// what is then true. A pure function of what it is given.
class HealthLog {
 public:
  /// Time, by any clock that does not jump.
  using Time = std::chrono::steady_clock::time_point;
  /// So many changes are logged at once, and then one in each of these.
  static constexpr int kAtOnce = 10;
  /// See kAtOnce.
  static constexpr std::chrono::seconds kEach{60};

  /// True if `health` is to be logged now; empty: all is well. Call it again with what is true,
  /// also if nothing has changed.
  [[nodiscard]] bool isDue(const std::string& health, Time now);

 private:
  std::string logged_;
  int left_ = kAtOnce;
  Time refilled_{};
};

}  // namespace hyperway::app
