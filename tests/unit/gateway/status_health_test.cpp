// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "gateway/status.hpp"

using namespace hyperway::gateway;

namespace {

Condition condition(const char* type, bool status, const char* reason, bool unknown = false) {
  Condition out;
  out.type = type;
  out.status = status;
  out.reason = reason;
  out.unknown = unknown;
  return out;
}

}  // namespace

TEST_CASE("A condition is judged by what it names: a virtue that is missing, or a fault") {
  struct Row {
    Condition condition;
    Health health;
  };
  for (const Row& row :
       {Row{condition("Accepted", true, "Accepted"), Health::Good},
        Row{condition("Accepted", false, "NoMatchingParent"), Health::Failing},
        Row{condition("ResolvedRefs", false, "BackendNotFound"), Health::Failing},
        Row{condition("Programmed", false, "Pending"), Health::Pending},
        Row{condition("Programmed", false, "Invalid"), Health::Failing},
        Row{condition("Programmed", false, "Pending", true), Health::Pending},
        Row{condition("Conflicted", false, "NoConflicts"), Health::Good},
        Row{condition("Conflicted", true, "ProtocolConflict"), Health::Failing},
        Row{condition("PartiallyInvalid", true, "UnsupportedValue"), Health::Pending},
        Row{condition("OverlappingTLSConfig", true, "OverlappingHostnames"), Health::Pending},
        Row{condition("hyperway.arloor.dev/KindsMissing", true, "Missing"), Health::Failing}}) {
    CAPTURE(row.condition.type);
    CAPTURE(row.condition.reason);
    CHECK(healthOf(row.condition) == row.health);
  }
}

TEST_CASE("A status is as bad as the worst that it says, and each problem has its place") {
  ObjectStatus status;
  status.kind = "Gateway";
  status.name_space = "ns";
  status.name = "gw";
  status.conditions = {condition("Accepted", true, "Accepted")};
  CHECK(healthOf(status) == Health::Good);
  ListenerStatus listener;
  listener.name = "https";
  listener.conditions = {condition("Programmed", false, "Pending")};
  status.listeners = {listener};
  CHECK(healthOf(status) == Health::Pending);
  ParentStatus parent;
  parent.name = "other";
  parent.section_name = "http";
  parent.conditions = {condition("Accepted", false, "NotAllowedByListeners")};
  status.parents = {parent};
  CHECK(healthOf(status) == Health::Failing);
  std::vector<std::string> places;
  forEachProblem(status, [&](const std::string& place, const Condition& one) {
    places.push_back(place + ' ' + one.reason);
  });
  CHECK(places == std::vector<std::string>{"https Pending", "ns/other/http NotAllowedByListeners"});
  ObjectStatus snapshot;
  snapshot.kind = "RouteSnapshot";
  snapshot.refused = {{"ns/route/0", "no such filter"}};
  CHECK(healthOf(snapshot) == Health::Failing);
}
