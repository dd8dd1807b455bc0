// SPDX-License-Identifier: Apache-2.0
#include "control/change_log.hpp"

#include <algorithm>

namespace hyperway::control {
namespace {

std::string nameOf(const gateway::ObjectChange& change) {
  return change.kind + ' ' + (change.name_space.empty() ? "" : change.name_space + '/') +
         change.name + (change.json.empty() ? " (removed)" : "");
}

bool isEndpoints(const gateway::ObjectChange& change) { return change.kind == "EndpointSlice"; }

}  // namespace

void ChangeLog::begin(const std::vector<gateway::ObjectChange>& changes,
                      const gateway::Translator::Outcome& outcome) {
  open_ = !outcome.rejected.empty() || !std::all_of(changes.begin(), changes.end(), isEndpoints);
  if (!open_) return;
  ChangeNote note;
  note.at = std::chrono::system_clock::now();
  note.objects = changes.size();
  for (const bool endpoints : {false, true})  // what people write comes first
    for (const gateway::ObjectChange& change : changes)
      if (note.names.size() < kNames && isEndpoints(change) == endpoints)
        note.names.push_back(nameOf(change));
  notes_.push_front(std::move(note));
  if (notes_.size() > kChanges) notes_.pop_back();
  for (const std::string& rejected : outcome.rejected) addProblem(rejected);
  addProblems(outcome.status);
}

void ChangeLog::end(std::uint64_t generation, std::chrono::microseconds took) {
  if (!open_) return;
  open_ = false;
  notes_.front().generation = generation;
  notes_.front().took = took;
}

void ChangeLog::addProblem(const std::string& problem) {
  if (notes_.empty()) return;
  ChangeNote& note = notes_.front();
  if (std::find(note.problems.begin(), note.problems.end(), problem) != note.problems.end()) return;
  ++note.problem_count;
  if (note.problems.size() < kProblems) note.problems.push_back(problem);
}

void ChangeLog::addProblems(const gateway::StatusBatch& batch) {
  for (const gateway::ObjectStatus& status : batch.updated)
    gateway::forEachProblem(status, [&](const std::string& place,
                                        const gateway::Condition& condition) {
      if (gateway::healthOf(condition) != gateway::Health::Failing) return;
      addProblem(status.kind + ' ' + status.name_space + (status.name_space.empty() ? "" : "/") +
                 status.name + (place.empty() ? "" : " (" + place + ')') + ": " + condition.type +
                 ' ' + condition.reason + ": " + condition.message);
    });
}

std::vector<ChangeNote> ChangeLog::newestFirst() const { return {notes_.begin(), notes_.end()}; }

}  // namespace hyperway::control
