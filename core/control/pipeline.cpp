// SPDX-License-Identifier: Apache-2.0
#include "control/pipeline.hpp"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

#include "control/change_log.hpp"
#include "control/change_queue.hpp"

namespace hyperway::control {
namespace {

// Gives memory that is free again back to the system once enough was worked on: what changes need
// for that (their text, their model) is about as much as what remains, be it one large batch or a
// thousand small ones.
class Trimming {
 public:
  using Clock = std::chrono::steady_clock;

  /// Counts what was worked on at `now`.
  void count(const std::deque<ChangeQueue::Step>& steps, Clock::time_point now) {
    const std::size_t before = bytes_;
    for (const ChangeQueue::Step& step : steps)
      if (const auto* changes = std::get_if<ChangeQueue::Changes>(&step))
        for (const gateway::ObjectChange& change : changes->list)
          bytes_ += kObject + change.json.size();
    if (bytes_ < kEnough || bytes_ == before) return;
    if (before < kEnough) latest_ = now + kMostDelay;
    at_ = std::min(now + kDelay, latest_);
  }
  /// True if it is to be done, at().
  [[nodiscard]] bool due() const noexcept { return bytes_ >= kEnough; }
  /// When, if it is due.
  [[nodiscard]] Clock::time_point at() const noexcept { return at_; }
  /// Does it.
  void run() {
    bytes_ = 0;
    ::malloc_trim(0);
  }

 private:
  static constexpr std::size_t kEnough = std::size_t{256} << 10;
  static constexpr std::size_t kObject = 256;  // of an object without its text
  // Not at once: sinks still work on it, and more may come. But it may come for ever.
  static constexpr std::chrono::seconds kDelay{1}, kMostDelay{30};

  std::size_t bytes_ = 0;  // since the last time
  Clock::time_point at_, latest_;
};
using Clock = Trimming::Clock;

// Makes this thread's heap writable as a whole: glibc else asks the system for each page that a
// heap grows by, and a first batch of ten thousand routes grows it by ten thousand. What nobody
// uses takes no memory.
void openHeap() {
  constexpr std::size_t kBlock = std::size_t{512} << 10;
  std::array<void*, 100> blocks{};
  for (void*& block : blocks) block = std::malloc(kBlock);
  for (void* block : blocks) std::free(block);
}

// "Kind ns/name" of a rejection "Kind ns/name: /pointer: message"; a name may have a colon in it.
std::string subjectOf(const std::string& rejection) {
  return rejection.substr(0, rejection.find(": "));
}

std::string subjectOf(const gateway::ObjectChange& change) {
  return change.kind + ' ' + (change.name_space.empty() ? "" : change.name_space + '/') +
         change.name;
}

}  // namespace

struct Pipeline::State {
  // Where one source hands over. Calls after stop() do nothing.
  class Port final : public SourcePort {
   public:
    Port(State& owner, std::size_t index, std::string id)
        : owner_(owner), index_(index), id_(std::move(id)) {}
    void publish(std::uint32_t flags, const Scope& scope, std::uint64_t sequence,
                 std::vector<gateway::ObjectChange> changes) override {
      const std::lock_guard lock(owner_.mutex);
      if (owner_.closed) return;
      owner_.queue.add(index_, flags, scope, sequence, std::move(changes));
      if ((flags & kSynced) != 0) synced = true;
      owner_.wake.notify_one();
    }
    void health(bool healthy, std::string_view reason) override {
      const std::lock_guard lock(owner_.mutex);
      degraded = healthy ? std::string()
                         : id_ + ": " + (reason.empty() ? "not well" : std::string(reason));
    }

    bool synced = false;   // guarded by owner_.mutex, as is
    std::string degraded;  // empty: healthy

   private:
    State& owner_;
    std::size_t index_;
    std::string id_;
  };

  State(gateway::TranslateOptions options, gateway::FilterConfigParser& filters)
      : translator(std::make_unique<gateway::Translator>(std::move(options), filters)) {}

  std::unique_ptr<gateway::Translator> translator;  // [control]
  std::vector<Source*> sources;
  std::vector<Sink*> sinks;
  std::vector<std::unique_ptr<Port>> ports;
  std::vector<std::uint64_t> sequences;  // [control] per source, what is included
  std::vector<bool> need_full;           // [control] per sink

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable idle;
  ChangeQueue queue;
  bool closed = false;    // the thread ends; what comes now waits
  bool finished = false;  // nobody is left who could run anything
  bool busy = false;
  std::uint64_t generation = 0;
  std::vector<std::uint64_t> acknowledged;      // per sink, as far as its reports were handled
  std::vector<bool> serves;                     // per sink: it has taken a generation
  std::map<std::string, std::string> rejected;  // subject -> message
  std::map<std::string, std::string> troubles;  // what failed as a whole: who -> reason
  std::vector<std::string> sink_troubles;       // per sink; refuses nothing
  ChangeLog log;
  std::thread thread;

  [[nodiscard]] bool allSynced() const {
    for (const auto& port : ports)
      if (!port->synced) return false;
    return true;
  }

  // The generation that every sink has.
  [[nodiscard]] std::uint64_t inForce() const {
    std::uint64_t least = acknowledged.empty() ? 0 : acknowledged.front();
    for (const std::uint64_t number : acknowledged) least = std::min(least, number);
    return least;
  }

  void run() {
    const auto due = [this] {
      return closed || queue.hasUrgent() || (allSynced() && !queue.empty());
    };
    openHeap();
    Trimming trimming;
    std::unique_lock lock(mutex);
    for (;;) {
      if (trimming.due() && !wake.wait_until(lock, trimming.at(), due)) {
        lock.unlock();
        trimming.run();
        lock.lock();
      }
      wake.wait(lock, due);
      if (closed) return;
      auto steps = queue.take(!allSynced());
      busy = true;
      lock.unlock();
      for (ChangeQueue::Step& step : steps) std::visit([&](auto& what) { guarded(what); }, step);
      trimming.count(steps, Clock::now());
      steps.clear();
      lock.lock();
      busy = false;
      idle.notify_all();
    }
  }

  // Whatever a step throws, the last good state stays in force and the thread goes on.
  template <class What>
  void guarded(What& what) {
    std::string reason;
    try {
      handle(what);
    } catch (const std::exception& error) {
      reason = error.what();
    } catch (...) {
      reason = "unknown exception";
    }
    if constexpr (std::is_same_v<What, ChangeQueue::Task>)
      return;  // who posted it is told by its promise
    const std::lock_guard lock(mutex);
    if (reason.empty()) {
      troubles.erase("pipeline");
      return;
    }
    const std::string& trouble = troubles["pipeline"] =
        "a change could not be translated; the last good state stays in force: " + reason;
    log.addProblem(trouble);
  }

  void handle(ChangeQueue::Changes& changes) {
    for (const auto& [source, sequence] : changes.sequences) sequences[source] = sequence;
    const auto began = Clock::now();
    auto outcome = translator->apply(changes.list);
    {
      const std::lock_guard lock(mutex);
      log.begin(changes.list, outcome);
      if (!rejected.empty())
        for (const gateway::ObjectChange& change : changes.list) rejected.erase(subjectOf(change));
      for (std::string& message : outcome.rejected)
        rejected[subjectOf(message)] = std::move(message);
    }
    hand(outcome);
    const std::lock_guard lock(mutex);
    log.end(generation,
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began));
  }

  void handle(ChangeQueue::Report& step) {
    const SinkReport& report = step.report;
    std::uint64_t in_force = 0;
    {
      const std::lock_guard lock(mutex);
      const std::string who(sinks[step.sink]->id());
      if (report.refused)
        troubles[who] =
            "refused generation " + std::to_string(report.generation) + ": " + report.reason;
      else
        troubles.erase(who);
      if (report.trouble) sink_troubles[step.sink] = *report.trouble;
      if (report.trouble && !report.trouble->empty()) log.addProblem(who + ": " + *report.trouble);
      if (!report.refused && report.generation > acknowledged[step.sink])
        acknowledged[step.sink] = report.generation;
      in_force = inForce();
      if (report.refused) log.addProblem(troubles[who]);
    }
    const gateway::StatusBatch statuses =
        translator->programmed(report.listeners, report.gateways, in_force);
    {
      const std::lock_guard lock(mutex);
      log.addProblems(statuses);
    }
    tell(statuses);
  }

  static void handle(ChangeQueue::Task& task) { task(); }

  void hand(const gateway::Translator::Outcome& outcome) {
    std::uint64_t number = 0, last = 0, in_force = 0;
    {
      const std::lock_guard lock(mutex);
      // The first hand-over is made even if it is empty: sinks are ready once they have answered
      // it.
      if (!outcome.model.empty() || generation == 0) number = ++generation;
      last = generation;
      in_force = inForce();
    }
    if (number > 0)
      for (std::size_t i = 0; i < sinks.size(); ++i) give(i, number, outcome.model);
    tell(outcome.status);
    tell(translator->handedOver(last, in_force));
  }

  void give(std::size_t sink, std::uint64_t number, const route::ModelBatch& batch) {
    if (!need_full[sink] && sinks[sink]->apply(number, batch)) return;
    need_full[sink] = !sinks[sink]->apply(number, translator->wholeModel());
    if (!need_full[sink]) sinks[sink]->tell({translator->statuses(), {}});
  }

  void tell(const gateway::StatusBatch& batch) {
    if (batch.updated.empty() && batch.removed.empty()) return;
    for (std::size_t i = 0; i < sources.size(); ++i) sources[i]->reportStatus(sequences[i], batch);
    for (std::size_t i = 0; i < sinks.size(); ++i)
      if (!need_full[i]) sinks[i]->tell(batch);
  }
};

Pipeline::Pipeline(gateway::TranslateOptions options, gateway::FilterConfigParser& filters)
    : state_(std::make_unique<State>(std::move(options), filters)) {}

Pipeline::~Pipeline() { stop(); }

SourcePort& Pipeline::makePort(std::string source_id) {
  auto& ports = state_->ports;
  ports.push_back(std::make_unique<State::Port>(*state_, ports.size(), std::move(source_id)));
  return *ports.back();
}

void Pipeline::addSource(Source& source) {
  state_->sources.push_back(&source);
  state_->sequences.push_back(0);
}

void Pipeline::addSink(Sink& sink) {
  const std::size_t index = state_->sinks.size();
  state_->sinks.push_back(&sink);
  state_->need_full.push_back(false);
  state_->acknowledged.push_back(0);
  state_->serves.push_back(false);
  state_->sink_troubles.emplace_back();
  sink.onAcknowledge([state = state_.get(), index](SinkReport report) {
    const std::lock_guard lock(state->mutex);
    if (state->closed) return;
    // At once: among ten thousand routes the reports wait for some time behind their statuses.
    if (!report.refused && report.generation > 0) state->serves[index] = true;
    state->queue.add(index, std::move(report));
    state->wake.notify_one();
  });
}

bool Pipeline::start(std::string& error) {
  State& state = *state_;
  state.thread = std::thread([&state] { state.run(); });
  // Sources begin on the control thread, as every later call to them is made there.
  bool good = true;
  std::mutex done_mutex;
  std::condition_variable done_signal;
  bool done = false;
  post([&] {
    for (Source* source : state.sources) {
      std::string reason;
      if (source->start(reason)) continue;
      error = std::string(source->id()) + ": " + reason;
      good = false;
      break;
    }
    const std::lock_guard lock(done_mutex);
    done = true;
    done_signal.notify_one();
  });
  std::unique_lock lock(done_mutex);
  done_signal.wait(lock, [&] { return done; });
  return good;
}

void Pipeline::stop() {
  State& state = *state_;
  {
    const std::lock_guard lock(state.mutex);
    if (state.closed) return;
    state.closed = true;
    state.wake.notify_one();
  }
  if (state.thread.joinable()) state.thread.join();
  for (Source* source : state.sources) source->stop();
  for (Sink* sink : state.sinks) sink->stop();
  // What was still given back by sinks dies here, on the thread that stands in for the control
  // thread; and whoever waits for a task that will not run learns it by a broken promise.
  std::deque<ChangeQueue::Step> rest;
  const std::lock_guard lock(state.mutex);
  state.finished = true;
  rest = state.queue.take(false);
}

void Pipeline::post(std::function<void()> task) {
  const std::lock_guard lock(state_->mutex);
  if (state_->finished) return;
  state_->queue.add(ChangeQueue::Task(std::move(task)));
  state_->wake.notify_one();
}

gateway::Translator& Pipeline::translator() { return *state_->translator; }

void Pipeline::reconfigure(gateway::TranslateOptions options) {
  state_->hand(state_->translator->reconfigure(std::move(options)));
}

void Pipeline::publishOutcome(const gateway::Translator::Outcome& outcome) {
  state_->hand(outcome);
}

PipelineHealth Pipeline::health() const {
  const std::lock_guard lock(state_->mutex);
  PipelineHealth out;
  out.synced = state_->allSynced();
  out.generation = state_->generation;
  out.programmed = state_->generation > 0 && std::find(state_->serves.begin(), state_->serves.end(),
                                                       false) == state_->serves.end();
  for (const auto& port : state_->ports)
    if (!port->degraded.empty()) out.degraded.push_back(port->degraded);
  for (const auto& [who, reason] : state_->troubles) out.degraded.push_back(who + ": " + reason);
  for (std::size_t i = 0; i < state_->sinks.size(); ++i)
    if (const std::string& trouble = state_->sink_troubles[i]; !trouble.empty())
      out.degraded.push_back(std::string(state_->sinks[i]->id()) + ": " + trouble);
  for (const auto& [subject, message] : state_->rejected) out.rejected.push_back(message);
  return out;
}

std::vector<ChangeNote> Pipeline::changes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->log.newestFirst();
}

bool Pipeline::drain(std::chrono::milliseconds limit) {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  return state.idle.wait_for(lock, limit, [&] {
    return state.closed || (state.allSynced() && state.queue.empty() && !state.busy);
  });
}

}  // namespace hyperway::control
