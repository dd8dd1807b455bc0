// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "batch.hpp"
#include "objects.hpp"

namespace hyperway::snapshot_sink {

/// What of a snapshot is programmed, by what data planes say of it (ARCHITECTURE decision 3). Pure.
class Acknowledgements {
 public:
  /// A listener whose state differs from what was told last.
  struct Report {
    std::string listener;     ///< Its key.
    bool programmed = false;  ///< One data plane has it, and none refuses it.
    std::string reason;       ///< Who refuses it, and why.
  };

  /// Listeners of `batch` changed, and all there is has `checksum` since. Revisions count up.
  void applied(std::uint64_t revision, const Batch& batch, const std::string& checksum);
  /// What differs by what `planes` say now; `left_out` are in no snapshot, and why.
  [[nodiscard]] std::vector<Report> judge(const std::vector<DataPlane>& planes,
                                          const std::map<std::string, std::string>& left_out = {});
  /// True if what `plane` serves is not what there is now.
  [[nodiscard]] bool lags(const DataPlane& plane) const { return plane.checksum != checksum_; }

 private:
  struct Listener {
    std::uint64_t since = 0;  // revision that it is like this since
    bool told = false;        // something was told of it as it is now
    bool programmed = false;
    std::string reason;
  };

  std::map<std::string, Listener> listeners_;
  std::string checksum_;
  std::unordered_map<std::string, std::uint64_t> revisions_;  // by checksum, the newest
  std::deque<std::string> order_;                             // of checksums, the oldest first
};

}  // namespace hyperway::snapshot_sink
