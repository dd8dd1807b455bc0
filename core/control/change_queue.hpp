// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "control/sink.hpp"
#include "control/source.hpp"
#include "gateway/translate.hpp"

namespace hyperway::control {

/// What waits for the control thread, in order. An object that changes again while it waits takes
/// the place of its earlier form, so a source that is faster than translation costs no memory; one
/// that was removed meanwhile and made again is marked as such.
/// Knows the keys of what each source has published, so that the end of a re-list becomes removals
/// of that source's objects and of no other's. Not locked: the pipeline does that.
class ChangeQueue {
 public:
  /// Upserts and removals, each object once.
  struct Changes {
    std::vector<gateway::ObjectChange> list;              ///< In order of first appearance.
    std::unordered_map<std::string, std::size_t> by_key;  ///< Where each object is in `list`.
    std::map<std::size_t, std::uint64_t> sequences;       ///< Source -> highest sequence included.
  };
  /// A sink's report.
  struct Report {
    std::size_t sink = 0;  ///< Which sink.
    SinkReport report;     ///< What it said.
  };
  /// Something to run.
  using Task = std::function<void()>;
  /// One step; steps run in order.
  using Step = std::variant<Changes, Report, Task>;

  /// Takes a source's batch.
  void add(std::size_t source, std::uint32_t flags, const SourcePort::Scope& scope,
           std::uint64_t sequence, std::vector<gateway::ObjectChange> changes);
  /// Takes a sink's report.
  void add(std::size_t sink, SinkReport report);
  /// Takes a task.
  void add(Task task);
  /// All steps; with `hold_changes` only reports and tasks, the others keep waiting.
  [[nodiscard]] std::deque<Step> take(bool hold_changes);
  /// True if nothing waits.
  [[nodiscard]] bool empty() const noexcept { return steps_.empty(); }
  /// True if something waits that take(true) would return.
  [[nodiscard]] bool hasUrgent() const noexcept;

 private:
  std::deque<Step> steps_;
  // Of one kind, by "namespace|name": there are tens of thousands, and short texts cost no block.
  using Names = std::unordered_set<std::string>;
  struct SourceState {
    std::unordered_map<std::string, Names> known;  // "group|kind" -> published and not removed
    bool listing = false;                          // between kBegin and kEnd
    SourcePort::Scope scope;                       // of that list
    std::unordered_map<std::string, Names> seen;   // in that list, like `known`
  };
  static void remember(SourceState& state, const std::vector<gateway::ObjectChange>& changes);
  static void place(Changes& pending, gateway::ObjectChange change, std::string key);
  static void endList(SourceState& state, Changes& pending);

  std::map<std::size_t, SourceState> sources_;
};

}  // namespace hyperway::control
