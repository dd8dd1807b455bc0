// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "control/pipeline.hpp"
#include "gateway/status.hpp"
#include "gateway/translate.hpp"

namespace hyperway::control {

/// The last changes of the configuration, bounded in number and size. Not locked: the pipeline does
/// that.
class ChangeLog {
 public:
  static constexpr std::size_t kChanges = 16;   ///< Changes that are kept.
  static constexpr std::size_t kNames = 8;      ///< Names of a change that are kept.
  static constexpr std::size_t kProblems = 20;  ///< Problems of a change that are kept.

  /// Opens the note of a change that was translated just now. A change of endpoints alone, with
  /// which nothing is wrong, opens none: in a cluster they come all the time.
  void begin(const std::vector<gateway::ObjectChange>& changes,
             const gateway::Translator::Outcome& outcome);
  /// Completes the note that begin() opened, if it did.
  void end(std::uint64_t generation, std::chrono::microseconds took);
  /// Adds something wrong to the newest note; a sentence that it has already is left out.
  void addProblem(const std::string& problem);
  /// Adds what these statuses complain about.
  void addProblems(const gateway::StatusBatch& batch);
  /// All notes, the newest first.
  [[nodiscard]] std::vector<ChangeNote> newestFirst() const;

 private:
  std::deque<ChangeNote> notes_;  // the newest in front
  bool open_ = false;
};

}  // namespace hyperway::control
