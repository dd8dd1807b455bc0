// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace hyperway::gateway {

/// What a rule group found: fine, or a reason of the standard's and a sentence. Becomes a
/// Condition.
struct Verdict {
  std::string reason;   ///< CamelCase; empty: fine.
  std::string message;  ///< "/pointer: sentence", or a sentence where the whole object is meant.

  /// True if there is nothing to object to.
  [[nodiscard]] bool fine() const noexcept { return reason.empty(); }
  /// Takes `other` if this is still fine, so that the first finding wins.
  void keep(Verdict other) {
    if (fine()) *this = std::move(other);
  }
  /// Field-wise equality.
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

}  // namespace hyperway::gateway
