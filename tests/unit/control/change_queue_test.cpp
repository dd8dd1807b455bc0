// SPDX-License-Identifier: Apache-2.0
#include "control/change_queue.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace hyperway;
using namespace hyperway::control;

namespace {

using Changes = std::vector<gateway::ObjectChange>;
gateway::ObjectChange object(std::string name, std::string json, std::string kind = "HTTPRoute",
                             std::string name_space = "ns") {
  return {"g", std::move(kind), std::move(name_space), std::move(name), std::move(json)};
}

// "name=json" of all changes, steps separated by "|".
std::string taken(ChangeQueue& queue, bool hold = false) {
  std::string out;
  for (auto& step : queue.take(hold)) {
    if (!out.empty()) out += '|';
    if (const auto* changes = std::get_if<ChangeQueue::Changes>(&step))
      for (const auto& change : changes->list)
        out += change.kind[0] + change.name + '=' + std::string(change.json) + ' ';
    else
      out += "other";
  }
  return out;
}

}  // namespace

TEST_CASE("While changes wait, the latest form of an object counts") {
  ChangeQueue queue;
  queue.add(0, 0, {}, 1, {object("a", "1"), object("b", "1")});
  queue.add(0, 0, {}, 2, {object("a", "2")});
  queue.add(0, 0, {}, 3, {object("b", "")});
  CHECK(taken(queue) == "Ha=2 Hb= ");
  CHECK(queue.empty());
}

TEST_CASE("An object that was removed and made again while it waited is marked") {
  ChangeQueue queue;
  const auto marked = [&] {
    std::string out;
    for (auto& step : queue.take(false))
      for (const auto& change : std::get<ChangeQueue::Changes>(step).list)
        out += change.name + '=' + std::string(change.json) + (change.replaced ? "! " : " ");
    return out;
  };
  queue.add(0, 0, {}, 1, {object("a", "1"), object("b", ""), object("c", "1")});
  queue.add(0, 0, {}, 2, {object("a", "2"), object("b", "2"), object("c", "")});
  CHECK(marked() == "a=2 b=2! c= ");
  queue.add(0, 0, {}, 3, {object("a", ""), object("b", ""), object("c", "3")});
  queue.add(0, 0, {}, 4, {object("a", "4"), object("b", "4")});
  queue.add(0, 0, {}, 5, {object("a", "5"), object("b", "")});
  CHECK(marked() == "a=5! b= c=3 ");
}

TEST_CASE("Sequences of all sources that are included are remembered") {
  ChangeQueue queue;
  queue.add(0, 0, {}, 7, {object("a", "1")});
  queue.add(1, 0, {}, 3, {object("b", "1")});
  queue.add(0, 0, {}, 9, {});
  const auto steps = queue.take(false);
  REQUIRE(steps.size() == 1);
  const auto& sequences = std::get<ChangeQueue::Changes>(steps.front()).sequences;
  CHECK(sequences.at(0) == 9);
  CHECK(sequences.at(1) == 3);
}

TEST_CASE("The end of a re-list removes what it did not name, of its source and scope only") {
  ChangeQueue queue;
  queue.add(0, 0, {}, 1,
            {object("a", "1"), object("b", "1"), object("s", "1", "Secret"),
             object("o", "1", "HTTPRoute", "other")});
  queue.add(1, 0, {}, 1, {object("c", "1")});
  (void)queue.take(false);
  queue.add(0, SourcePort::kBegin, {"g", "HTTPRoute", "ns"}, 2, {object("a", "1")});
  queue.add(1, 0, {}, 2, {});
  CHECK(taken(queue) == "Ha=1 ");
  queue.add(0, SourcePort::kEnd, {}, 3, {object("n", "1")});
  CHECK(taken(queue) == "Hn=1 Hb= ");
  // What came during the list and went again is not removed twice.
  queue.add(0, SourcePort::kBegin | SourcePort::kEnd, {}, 4, {object("a", "1")});
  CHECK(taken(queue).find("Hb=") == std::string::npos);
}

TEST_CASE("An object that comes after the end of a list is not judged by it") {
  ChangeQueue queue;
  queue.add(0, SourcePort::kBegin | SourcePort::kEnd, {}, 1, {object("a", "1")});
  queue.add(0, 0, {}, 2, {object("late", "1")});
  CHECK(taken(queue) == "Ha=1 Hlate=1 ");
}

TEST_CASE(
    "Tasks and reports do not wait for changes that are held, and keep their order otherwise") {
  ChangeQueue queue;
  queue.add(0, 0, {}, 1, {object("a", "1")});
  queue.add([] {});
  queue.add(0, 0, {}, 2, {object("a", "2")});
  CHECK(queue.hasUrgent());
  CHECK(taken(queue, true) == "other");
  CHECK_FALSE(queue.hasUrgent());
  queue.add([] {});
  CHECK(taken(queue) == "Ha=1 |Ha=2 |other");
}
