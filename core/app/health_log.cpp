// SPDX-License-Identifier: Apache-2.0
#include "app/health_log.hpp"

#include <algorithm>
#include <cstdint>

namespace hyperway::app {

bool HealthLog::isDue(const std::string& health, Time now) {
  const auto more = (now - refilled_) / kEach;
  if (more > 0) {
    left_ = static_cast<int>(std::min<std::int64_t>(more + left_, kAtOnce));
    refilled_ += more * kEach;
  }
  if (health == logged_) return false;
  // The end of what was told is told: it costs no more than the beginning did.
  if (!health.empty() && left_ == 0) return false;
  if (!health.empty()) --left_;
  logged_ = health;
  return true;
}

}  // namespace hyperway::app
