// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/sink.hpp"
#include "control/source.hpp"
#include "gateway/translate.hpp"

namespace hyperway::control {

/// How the pipeline is, for /readyz and `hyperway status`.
struct PipelineHealth {
  bool synced = false;                ///< Every source has given its first complete list.
  bool programmed = false;            ///< Every sink has acknowledged a generation.
  std::uint64_t generation = 0;       ///< The last one handed to sinks.
  std::vector<std::string> degraded;  ///< "source-id: reason", last good state being served.
  std::vector<std::string> rejected;  ///< Objects that do not decode, with pointer and message.
};

/// A change of the configuration, for those who ask what was done last.
struct ChangeNote {
  std::chrono::system_clock::time_point at;  ///< When it was translated.
  std::chrono::microseconds took{0};         ///< Translation, and the hand-over to the sinks.
  std::uint64_t generation = 0;              ///< The generation that has it.
  std::size_t objects = 0;                   ///< How many objects changed.
  std::vector<std::string> names;            ///< The first of them, "Kind namespace/name".
  std::vector<std::string> problems;         ///< What is wrong with it, the first few.
  std::size_t problem_count = 0;             ///< All of them.
};

/// The control thread: takes what sources publish, translates what changed, hands it to sinks, and
/// statuses back. The last good state stays in force whatever fails. Sources and sinks are borrowed
/// and outlive the pipeline.
class Pipeline {
 public:
  /// `filters` outlives the pipeline.
  Pipeline(gateway::TranslateOptions options, gateway::FilterConfigParser& filters);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  /// stop()s.
  ~Pipeline();

  /// The port for a source to be added next; valid until stop(). Before start(). [control]
  [[nodiscard]] SourcePort& makePort(std::string source_id);
  /// Adds a source that was made with makePort()'s result for the same id. Before start().
  void addSource(Source& source);
  /// Adds a sink. Before start().
  void addSink(Sink& sink);
  /// Starts the control thread and the sources. False, with `error`, if a source cannot begin.
  [[nodiscard]] bool start(std::string& error);
  /// Stops sources, then the thread, then sinks. Idempotent.
  void stop();

  /// Runs `task` on the control thread, after what is queued already; from any thread.
  void post(std::function<void()> task);
  /// The translator; only from tasks that run on the control thread.
  [[nodiscard]] gateway::Translator& translator();
  /// Replaces the options and hands on what that changes. [control]
  void reconfigure(gateway::TranslateOptions options);
  /// Hands an outcome of the translator (a reconfiguration, a plugin replacement) on to sinks and
  /// sources. [control]
  void publishOutcome(const gateway::Translator::Outcome& outcome);
  /// A copy of the health. [any]
  [[nodiscard]] PipelineHealth health() const;
  /// The last changes, the newest first; those of endpoints alone are left out. [any]
  [[nodiscard]] std::vector<ChangeNote> changes() const;
  /// Waits until everything published so far is handed to the sinks, or the time is over; for tests
  /// and `check`.
  [[nodiscard]] bool drain(std::chrono::milliseconds limit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::control
