// SPDX-License-Identifier: Apache-2.0
#include "control/change_log.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

using namespace hyperway;
using namespace hyperway::control;

namespace {

gateway::ObjectChange change(const std::string& kind, const std::string& name,
                             const std::string& json = "{}") {
  return {"", kind, "ns", name, json};
}

gateway::ObjectStatus routeStatus(const std::string& name, bool resolved) {
  gateway::ObjectStatus status;
  status.kind = "HTTPRoute";
  status.name_space = "ns";
  status.name = name;
  gateway::ParentStatus parent;
  parent.name = "gw";
  gateway::Condition condition;
  condition.type = "ResolvedRefs";
  condition.status = resolved;
  condition.reason = resolved ? "ResolvedRefs" : "BackendNotFound";
  condition.message = "no Service";
  parent.conditions.push_back(condition);
  status.parents.push_back(parent);
  return status;
}

}  // namespace

TEST_CASE("A change is told with what it touched and what is wrong with it") {
  ChangeLog log;
  gateway::Translator::Outcome outcome;
  outcome.rejected.push_back("HTTPRoute ns/c: /spec: wrong");
  outcome.status.updated = {routeStatus("a", true), routeStatus("b", false)};
  log.begin({change("EndpointSlice", "s"), change("HTTPRoute", "a"), change("HTTPRoute", "b", "")},
            outcome);
  log.end(7, std::chrono::microseconds(12));
  const auto notes = log.newestFirst();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].generation == 7);
  CHECK(notes[0].took.count() == 12);
  CHECK(notes[0].objects == 3);
  CHECK(notes[0].names == std::vector<std::string>{"HTTPRoute ns/a", "HTTPRoute ns/b (removed)",
                                                   "EndpointSlice ns/s"});
  CHECK(notes[0].problem_count == 2);
  CHECK(
      notes[0].problems ==
      std::vector<std::string>{"HTTPRoute ns/c: /spec: wrong",
                               "HTTPRoute ns/b (ns/gw): ResolvedRefs BackendNotFound: no Service"});
}

TEST_CASE("Endpoints come and go without a note, unless they do not read") {
  ChangeLog log;
  log.begin({change("HTTPRoute", "a")}, {});
  log.end(1, {});
  log.begin({change("EndpointSlice", "x")}, {});
  log.end(2, {});
  REQUIRE(log.newestFirst().size() == 1);
  CHECK(log.newestFirst()[0].generation == 1);
  gateway::Translator::Outcome outcome;
  outcome.rejected.push_back("EndpointSlice ns/x: /ports: wrong");
  log.begin({change("EndpointSlice", "x")}, outcome);
  CHECK(log.newestFirst().size() == 2);
}

TEST_CASE("What sinks find out later belongs to the newest change, once") {
  ChangeLog log;
  log.addProblem("before any change");
  CHECK(log.newestFirst().empty());
  log.begin({change("Gateway", "gw")}, {});
  log.end(1, {});
  log.addProblem("port 80 is busy");
  log.addProblem("port 80 is busy");
  CHECK(log.newestFirst()[0].problem_count == 1);
}

TEST_CASE("Changes, names and problems are bounded") {
  ChangeLog log;
  for (int round = 0; round < 40; ++round) {
    std::vector<gateway::ObjectChange> changes;
    gateway::Translator::Outcome outcome;
    for (int i = 0; i < 100; ++i) {
      changes.push_back(change("HTTPRoute", std::to_string(i)));
      outcome.status.updated.push_back(routeStatus(std::to_string(i), false));
    }
    log.begin(changes, outcome);
    log.end(static_cast<std::uint64_t>(round), {});
  }
  const auto notes = log.newestFirst();
  REQUIRE(notes.size() == ChangeLog::kChanges);
  CHECK(notes[0].generation == 39);
  CHECK(notes[0].objects == 100);
  CHECK(notes[0].names.size() == ChangeLog::kNames);
  CHECK(notes[0].problems.size() == ChangeLog::kProblems);
  CHECK(notes[0].problem_count == 100);
}
