// SPDX-License-Identifier: Apache-2.0
#include "status_writer.hpp"

#include <doctest/doctest.h>

#include "k8s_client/fake_api.hpp"
#include "status_batch.hpp"

using namespace hyperway::k8s_source;
using namespace std::chrono_literals;
using hyperway::k8s_client::Error;
using hyperway::k8s_client::FakeApi;

namespace {

using Result = StatusWriter::Result;

std::string status(const std::string& reason) {
  return R"({"conditions":[{"type":"Accepted","status":"True","reason":")" + reason + "\"}]}";
}

const std::string kAttached = R"({"parents":[{"parentRef":{"name":"g"}}]})";

// An object as the server has it.
std::string object(int version, const std::string& its_status) {
  return R"({"metadata":{"name":"g","namespace":"n","resourceVersion":")" +
         std::to_string(version) + R"("},"status":)" + its_status + "}";
}

struct World {
  explicit World(std::chrono::milliseconds rest = 0ms) {
    StatusWriter::Options options;
    options.rest = rest;
    options.controller_name = "us/here";
    options.path = [this](const StatusWriter::ObjectId& id) {
      return there ? "/" + id.key() : std::string();
    };
    options.now = [] { return "now"; };
    options.report = [this](const StatusWriter::ObjectId&, Result result, const Error&,
                            bool known) {
      results.push_back(result);
      if (!known) ++news;
    };
    writer = std::make_unique<StatusWriter>(api, options);
  }
  [[nodiscard]] std::string asked() const {
    if (api.calls.empty()) return "nothing";
    const auto& request = api.calls.front().request;
    return request.method + ' ' + request.path.substr(0, request.path.find('?'));
  }
  // Lets the oldest read and the write after it succeed.
  void writeOne(const std::string& before, const std::string& after) {
    REQUIRE(asked() == "GET /Gateway/n/g");
    api.answer(object(1, before));
    REQUIRE(asked() == "PATCH /Gateway/n/g/status");
    api.answer(object(2, after));
  }
  // Answers all there is, and denies writes of paths with `denied` in them. How many writes it
  // were.
  int answerAll(std::string_view denied) {
    int writes = 0;
    while (!api.calls.empty()) {
      if (asked().starts_with("GET")) {
        api.answer(object(1, "{}"));
        continue;
      }
      ++writes;
      if (asked().find(denied) != std::string::npos)
        api.refuse(403);
      else
        api.answer(object(2, kAttached));
    }
    return writes;
  }
  const StatusWriter::ObjectId gateway{"Gateway", "n", "g"};
  const StatusWriter::ObjectId route{"HTTPRoute", "n", "r"};
  FakeApi api;
  bool there = true;
  std::vector<Result> results;
  int news = 0;  // reports of what was not reported just before
  std::unique_ptr<StatusWriter> writer;
};

}  // namespace

TEST_CASE("A status waits for what goes first, once, and with what changes meanwhile") {
  World world(50ms);
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "{}");
  world.writer->desire(world.gateway, status("A"));
  world.api.pass(49ms);
  CHECK(world.asked() == "nothing");
  world.writer->desire(world.gateway, status("B"));
  world.api.pass(1ms);
  world.writeOne("{}", status("B"));
  CHECK(world.results == std::vector{Result::Written});
  CHECK(world.asked() == "nothing");
}

TEST_CASE("What differs is read, merged and written with the version that was read") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "");
  world.writer->desire(world.gateway, status("A"));
  CHECK(world.asked() == "GET /Gateway/n/g");
  world.api.answer(object(41, R"({"conditions":[{"type":"x/Theirs","status":"True"}]})"));
  REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
  CHECK(world.api.calls.front().request.content_type == "application/merge-patch+json");
  CHECK(world.api.calls.front().request.body ==
        R"({"metadata":{"resourceVersion":"41"},"status":{"conditions":[)"
        R"({"type":"x/Theirs","status":"True"},)"
        R"({"type":"Accepted","status":"True","reason":"A","lastTransitionTime":"now"}]}})");
  world.api.answer(object(42, status("A")));
  CHECK(world.results == std::vector<Result>{Result::Written});
  world.writer->observe(world.gateway, status("A"));
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
}

TEST_CASE("What the watch has just shown is written without a read, and read if it changed since") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, R"({"conditions":[{"type":"x/Theirs","status":"True"}]})",
                        "41");
  world.writer->desire(world.gateway, status("A"));
  REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
  CHECK(world.api.calls.front().request.body.find(R"("resourceVersion":"41"})") !=
        std::string::npos);
  CHECK(world.api.calls.front().request.body.find("x/Theirs") != std::string::npos);
  world.api.refuse(409);
  world.api.pass(60ms);
  REQUIRE(world.asked() == "GET /Gateway/n/g");
  world.api.answer(object(43, "{}"));
  REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
  CHECK(world.api.calls.front().request.body.find(R"("resourceVersion":"43"})") !=
        std::string::npos);
  world.api.answer(object(44, status("A")));
  CHECK(world.results == std::vector{Result::Conflict, Result::Written});
  // Of many, only the last to come are remembered.
  for (int i = 0; i < 100; ++i)
    world.writer->observe({"Gateway", "n", "g" + std::to_string(i)}, "{}", "50");
  world.writer->desire({"Gateway", "n", "g0"}, status("A"));
  CHECK(world.asked() == "GET /Gateway/n/g0");
  world.api.answer(object(50, "{}"));
  world.api.answer(object(51, status("A")));
  world.writer->desire({"Gateway", "n", "g99"}, status("A"));
  CHECK(world.asked() == "PATCH /Gateway/n/g99/status");
}

TEST_CASE("Who does not hold the Lease writes nothing; who gets it writes what differs") {
  World world;
  world.writer->observe(world.gateway, status("A"));
  world.writer->observe(world.route, "");
  world.writer->desire(world.gateway, status("A"));
  world.writer->desire(world.route, R"({"parents":[{"parentRef":{"name":"g"}}]})");
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  world.writer->setActive(true);
  CHECK(world.asked() == "GET /HTTPRoute/n/r");
  CHECK(world.api.calls.size() == 1);
  // Lost while it reads: nothing is written any more.
  world.writer->setActive(false);
  world.api.answer(object(1, "{}"));
  CHECK(world.asked() == "nothing");
}

TEST_CASE(
    "A status that was seen to be right is not written, and one that others change is put right") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, status("A"));
  world.writer->desire(world.gateway, status("A"));
  CHECK(world.asked() == "nothing");
  world.writer->observe(world.gateway, status("B"));
  world.writeOne(status("B"), status("A"));
}

TEST_CASE("Changes in quick succession are written as one, ever more seldom, at most every 2 s") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "");
  world.writer->desire(world.gateway, status("0"));
  world.writeOne("{}", status("0"));
  int writes = 1;
  std::string last = status("0");
  // A change every 10 ms for 30 s, as when a thousand routes attach one by one.
  for (int i = 1; i <= 3000; ++i) {
    world.writer->desire(world.gateway, status(std::to_string(i)));
    world.api.pass(10ms);
    if (world.asked() == "nothing") continue;
    const std::string next = status(std::to_string(i));
    world.writeOne(last, next);
    last = next;
    ++writes;
  }
  CHECK(writes <= 20);
  CHECK(writes >= 15);
  // The last change is never lost.
  world.api.pass(2s);
  if (last != status("3000")) world.writeOne(last, status("3000"));
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
}

TEST_CASE("A conflict reads again") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, status("A"));
  world.api.answer(object(1, "{}"));
  world.api.refuse(409);
  world.api.pass(20ms);
  world.writeOne("{}", status("A"));
  CHECK(world.results == std::vector<Result>{Result::Conflict, Result::Written});
}

TEST_CASE("A refused write is told once, holds up nobody, and is tried again ever more seldom") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, status("A"));
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    CAPTURE(wait.count());
    REQUIRE(world.asked() == "GET /Gateway/n/g");
    world.api.answer(object(1, "{}"));
    world.api.refuse(422);
    CHECK(world.results.back() == Result::Refused);
    world.api.pass(wait - 1ms);
    CHECK(world.asked() == "nothing");
    world.api.pass(1ms);
  }
  CHECK(world.news == 1);
  world.writer->desire(world.route, R"({"parents":[{"parentRef":{"name":"g"}}]})");
  world.api.answer(object(1, "{}"));
  CHECK(world.asked() == "GET /HTTPRoute/n/r");
  world.api.refuse(404);
  CHECK(world.asked() == "PATCH /Gateway/n/g/status");
}

TEST_CASE("What was refused is tried again at once when it has changed") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, status("A"));
  world.api.answer(object(1, "{}"));
  world.api.refuse(422);
  CHECK(world.asked() == "nothing");
  world.writer->desire(world.gateway, status("B"));
  world.writeOne("{}", status("B"));
}

TEST_CASE("Rights that are given back are noticed in 3 s, and all that waited is written at once") {
  World world;
  world.writer->setActive(true);
  for (int i = 0; i < 100; ++i)
    world.writer->desire({"HTTPRoute", "n", std::to_string(i)}, kAttached);
  CHECK(world.answerAll("/n/") == 100);
  int writes = 0;
  for (int second = 0; second < 300; ++second) {
    world.api.pass(1s);
    const int now = world.answerAll("/n/");
    if (second >= 240) writes += now;
  }
  // Each of them every 30 s, and one of them every 3 s.
  CHECK(writes >= 200);
  CHECK(writes <= 225);
  int seconds = 0;
  for (writes = 0; writes == 0 && seconds < 10; ++seconds) {
    world.api.pass(1s);
    writes = world.answerAll("nothing");
  }
  CHECK(seconds <= 3);
  CHECK(writes == 100);
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
}

TEST_CASE("A right that lacks for some objects only costs two attempts for each write of others") {
  World world;
  world.writer->setActive(true);
  for (int i = 0; i < 100; ++i)
    world.writer->desire({"HTTPRoute", "theirs", std::to_string(i)}, kAttached);
  CHECK(world.answerAll("/theirs/") == 100);
  int writes = 0;
  for (int i = 0; i < 10; ++i) {
    world.writer->desire({"HTTPRoute", "ours", std::to_string(i)}, kAttached);
    writes += world.answerAll("/theirs/");
  }
  CHECK(writes == 30);
}

TEST_CASE("Whoever begins to write waits for nothing that was refused before") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, status("A"));
  world.api.answer(object(1, "{}"));
  world.api.refuse(403);
  world.writer->setActive(false);
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  world.writer->setActive(true);
  world.writeOne("{}", status("A"));
}

TEST_CASE(
    "An object that goes while it is written is forgotten, and one in its place is written anew") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "");
  world.writer->desire(world.gateway, status("A"));
  world.writer->forget(world.gateway);
  world.api.refuse(500);
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  CHECK(world.writer->pending() == 0);
  world.writer->observe(world.gateway, "");
  CHECK(world.asked() == "nothing");
  world.writer->desire(world.gateway, status("A"));
  world.writeOne("{}", status("A"));
}

TEST_CASE("A status that comes when its object has gone is forgotten once it is taken back") {
  World world(50ms);
  world.writer->setActive(true);
  world.there = false;
  for (const auto wait : {0ms, 60000ms}) {
    CAPTURE(wait.count());
    world.writer->desire(world.gateway, status("A"));
    world.writer->desire(world.route, kAttached);
    world.api.pass(wait);
    CHECK(world.writer->size() == 2);
    world.writer->desire(world.gateway, std::nullopt);
    world.writer->desire(world.route, std::nullopt);
    CHECK(world.writer->size() == 0);
  }
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  CHECK(world.writer->pending() == 0);
}

TEST_CASE("What is taken back of an object that has gone is forgotten once the answer is there") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "");
  world.writer->desire(world.gateway, status("A"));
  REQUIRE(world.asked() == "GET /Gateway/n/g");
  world.writer->forget(world.gateway);
  world.there = false;
  world.writer->desire(world.gateway, status("B"));
  world.writer->desire(world.gateway, std::nullopt);
  SUBCASE("It was there when it was read") { world.api.answer(object(1, "{}")); }
  SUBCASE("It was not found") { world.api.refuse(404); }
  SUBCASE("It may not be read") { world.api.refuse(403); }
  SUBCASE("The server is not well") { world.api.refuse(500); }
  CHECK(world.writer->size() == 0);
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  CHECK(world.writer->pending() == 0);
}

TEST_CASE(
    "What is answered about an object that was replaced meanwhile is not taken for the new one") {
  World world;
  world.writer->setActive(true);
  world.writer->observe(world.gateway, "{}", "10");
  world.writer->desire(world.gateway, status("A"));
  REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
  const auto replace = [&](const char* version) {
    world.writer->forget(world.gateway);
    world.writer->observe(world.gateway, "{}", version);
    world.writer->desire(world.gateway, status("A"));
  };
  replace("20");
  SUBCASE("It was written before it went") { world.api.answer(object(11, status("A"))); }
  SUBCASE("It was gone before it was written") { world.api.refuse(404); }
  SUBCASE("It was read before it went") {
    world.api.refuse(409);
    world.api.pass(60ms);
    REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
    world.api.refuse(409);
    world.api.pass(100ms);
    REQUIRE(world.asked() == "GET /Gateway/n/g");
    replace("30");
    world.api.answer(object(21, status("A")));
  }
  world.api.pass(100ms);
  REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
  world.api.answer(object(40, status("A")));
  world.writer->observe(world.gateway, status("A"), "40");
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
}

TEST_CASE("Sixteen objects are under way at once, and the others wait") {
  World world;
  world.writer->setActive(true);
  for (int i = 0; i < 100; ++i)
    world.writer->desire({"HTTPRoute", "n", std::to_string(i)},
                         R"({"parents":[{"parentRef":{"name":"g"}}]})");
  CHECK(world.api.calls.size() == 16);
  CHECK(world.writer->pending() == 100);
  world.api.refuse(404);
  CHECK(world.api.calls.size() == 16);
}

TEST_CASE("What the server's schema drops is not written for ever") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, status("A"));
  world.api.answer(object(1, "{}"));
  world.api.answer(object(2, R"({"conditions":[]})"));
  world.writer->observe(world.gateway, R"({"conditions":[]})");
  world.api.pass(60s);
  CHECK(world.asked() == "nothing");
  world.writer->desire(world.gateway, status("B"));
  CHECK(world.asked() == "GET /Gateway/n/g");
}

TEST_CASE("supportedFeatures come as the schema wants them: objects, names, or not at all") {
  World world;
  world.writer->setActive(true);
  world.writer->desire(world.gateway, R"({"conditions":[],"supportedFeatures":[{"name":"x"}]})");
  for (const char* form : {R"("supportedFeatures":[{"name":"x"}]})",
                           R"("supportedFeatures":["x"]})", R"("status":{"conditions":[]})"}) {
    CAPTURE(form);
    world.api.answer(object(1, "{}"));
    REQUIRE(world.asked() == "PATCH /Gateway/n/g/status");
    CHECK(world.api.calls.front().request.body.find(form) != std::string::npos);
    world.api.refuse(422, R"({"kind":"Status","details":{"causes":[
        {"field":"status.supportedFeatures[0]","message":"must be of type string"}]}})");
    world.api.pass(40ms);
  }
  CHECK(world.results == std::vector<Result>{Result::Refused});
}

TEST_CASE("Of a route that is ours no more our entries are taken back; others are left alone") {
  World world;
  world.writer->setActive(true);
  const char* both =
      R"({"parents":[{"controllerName":"us/here","parentRef":{"name":"g"}},{"controllerName":"x/y"}]})";
  world.writer->observe(world.route, both);
  world.writer->desire(world.route, std::nullopt);
  CHECK(world.asked() == "GET /HTTPRoute/n/r");
  world.api.answer(object(1, both));
  CHECK(world.api.calls.front().request.body ==
        R"({"metadata":{"resourceVersion":"1"},"status":{"parents":[{"controllerName":"x/y"}]}})");
  // A Gateway's conditions say nothing of whose they are; and what is gone needs nothing.
  World other;
  other.writer->setActive(true);
  other.writer->observe(other.gateway, status("A"));
  other.writer->desire(other.gateway, std::nullopt);
  other.there = false;
  other.writer->desire(other.route, std::nullopt);
  CHECK(other.asked() == "nothing");
}

TEST_CASE("A batch of statuses is read element by element") {
  std::vector<std::string> seen;
  const auto take = [&](const StatusWriter::ObjectId& id, std::optional<std::string> its) {
    seen.push_back(id.key() + ' ' + its.value_or("gone"));
  };
  CHECK(readStatusBatch(
      R"([{"kind":"Gateway","namespace":"n","name":"g","generation":1,"status":{"a":[1]}},
          {"kind":"HTTPRoute","namespace":"n","name":"r"},{"kind":"","name":"x"}])",
      take));
  CHECK(seen == std::vector<std::string>{R"(Gateway/n/g {"a":[1]})", "HTTPRoute/n/r gone"});
  CHECK_FALSE(readStatusBatch("{}", take));
  CHECK_FALSE(readStatusBatch("[{", take));
}
