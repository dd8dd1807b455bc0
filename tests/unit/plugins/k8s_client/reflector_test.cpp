// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/reflector.hpp"

#include <doctest/doctest.h>

#include "fake_api.hpp"

using namespace hyperway::k8s_client;
using namespace std::chrono_literals;

namespace {

std::string object(const std::string& name, int version) {
  return R"({"metadata":{"namespace":"n","name":")" + name + R"(","resourceVersion":")" +
         std::to_string(version) + R"("}})";
}

std::string page(int version, const std::vector<std::string>& objects,
                 const std::string& next = "") {
  std::string items;
  for (const std::string& one : objects) items += (items.empty() ? "" : ",") + one;
  return R"({"apiVersion":"v1","metadata":{"resourceVersion":")" + std::to_string(version) +
         R"(","continue":")" + next + R"("},"items":[)" + items + "]}";
}

std::string event(const std::string& type, const std::string& what) {
  return R"({"type":")" + type + R"(","object":)" + what + "}\n";
}

std::string bookmark(int version) {
  return event("BOOKMARK",
               R"({"metadata":{"resourceVersion":")" + std::to_string(version) + "\"}}");
}

// Writes down what it is told: "+n/a@3", "-n/a", "listed", "trouble: ...", "well".
struct Notes final : Reflector::Observer {
  void onObject(const ObjectText& it) override {
    list.push_back('+' + it.key() + '@' + it.resourceVersion());
  }
  void onRemoved(std::string_view key) override { list.push_back('-' + std::string(key)); }
  void onListed() override { list.emplace_back("listed"); }
  void onTrouble(const Error& error) override { list.push_back("trouble: " + error.text()); }
  void onWell() override { list.emplace_back("well"); }
  std::vector<std::string> take() { return std::exchange(list, {}); }
  std::vector<std::string> list;
};

using List = std::vector<std::string>;

struct World {
  World() {
    Reflector::Options options;
    options.path = "/api/v1/things";
    options.random = [] { return 0.0; };
    reflector = std::make_unique<Reflector>(api, options, notes);
    reflector->start();
  }
  // Listed at version 10 with n/a, and watching.
  void begin() {
    api.answer(page(10, {object("a", 3)}));
    REQUIRE(api.streams.size() == 1);
    api.onlyStream().handler->onOpen();
    CHECK(notes.take() == List{"+n/a@3", "listed"});
  }
  void send(const std::string& bytes) { api.onlyStream().handler->onData(bytes); }
  [[nodiscard]] bool watchesFrom(const std::string& version) {
    return api.streams.size() == 1 && api.onlyStream().request.path.find(
                                          "&resourceVersion=" + version + "&") != std::string::npos;
  }
  FakeApi api;
  Notes notes;
  std::unique_ptr<Reflector> reflector;
};

}  // namespace

TEST_CASE(
    "A collection is listed by pages, told as they come, and watched from the list's version") {
  World world;
  CHECK(world.api.calls.front().request.path == "/api/v1/things?limit=500");
  world.api.answer(page(10, {object("a", 3)}, "more"));
  CHECK(world.notes.take() == List{"+n/a@3"});
  CHECK(world.api.calls.front().request.path == "/api/v1/things?limit=500&continue=more");
  world.api.answer(page(10, {object("b", 4)}));
  CHECK(world.notes.take() == List{"+n/b@4", "listed"});
  CHECK(world.watchesFrom("10"));
  CHECK(world.api.onlyStream().request.path.find("allowWatchBookmarks=true") != std::string::npos);
}

TEST_CASE("A page is worked on in parts, and events come between them") {
  World world;
  world.begin();
  world.api.pass(30s);
  std::vector<std::string> objects;
  for (int i = 0; i < 120; ++i) objects.push_back(object("o" + std::to_string(i), 12));
  world.api.answer(page(20, objects, "more"));
  CHECK(world.notes.take().size() == 50);
  CHECK(world.api.calls.empty());
  world.send(event("MODIFIED", object("a", 21)) + event("DELETED", object("o119", 22)));
  CHECK(world.notes.take() == List{"+n/a@21"});
  world.api.pass(0ms);
  // All of it before the next page is asked for, and what has gone since is not told again.
  CHECK(world.notes.take().size() == 69);
  REQUIRE(world.api.calls.size() == 1);
  world.api.answer(page(20, {object("p", 12)}));
  CHECK(world.notes.take() == List{"+n/p@12", "listed"});
}

TEST_CASE("An object that cannot be read keeps no other of its page back") {
  World world;
  world.api.answer(page(10, {R"({"metadata":{}})", object("a", 3)}));
  CHECK(world.notes.take() == List{"+n/a@3", "trouble: an object in the list cannot be read"});
}

TEST_CASE("Ending it within a page forgets the rest") {
  World world;
  std::vector<std::string> objects;
  for (int i = 0; i < 60; ++i) objects.push_back(object("o" + std::to_string(i), 3));
  world.api.answer(page(10, objects));
  world.notes.take();
  world.reflector.reset();
  world.api.pass(1s);
  CHECK(world.notes.take().empty());
}

TEST_CASE("What a list lacks is removed, also beside events since it was asked for") {
  World world;
  world.begin();
  world.send(event("ADDED", object("b", 11)) + event("ADDED", object("c", 12)));
  world.api.pass(30s);
  world.send(event("ADDED", object("d", 31)) + event("DELETED", object("c", 32)));
  world.notes.take();
  world.api.answer(page(30, {object("a", 3), object("c", 12)}));
  CHECK(world.notes.take() == List{"-n/b", "listed"});
  CHECK(world.reflector->size() == 2);
}

TEST_CASE("Events are told once and in order; what is older than what is known is not told") {
  World world;
  world.begin();
  world.send(event("ADDED", object("b", 11)) + event("ADDED", object("b", 11)) +
             event("MODIFIED", object("a", 12)) + event("MODIFIED", object("a", 3)));
  CHECK(world.notes.take() == List{"+n/b@11", "+n/a@12"});
  world.send(event("DELETED", object("b", 13)) + event("DELETED", object("b", 13)));
  CHECK(world.notes.take() == List{"-n/b"});
  CHECK(world.reflector->size() == 1);
}

TEST_CASE("A server that was restored from a backup is believed, although its versions went back") {
  World world;
  world.begin();
  world.send(event("ADDED", object("b", 90)) + event("MODIFIED", object("a", 95)) + bookmark(99));
  CHECK(world.notes.take() == List{"+n/b@90", "+n/a@95"});
  // A version that it has not got yet is no version to it.
  for (int i = 0; i < 5; ++i) {
    world.api.endStream(FakeApi::status(504));
    world.api.pass(5s);
  }
  world.notes.take();
  const auto listed = [&] {
    REQUIRE(world.api.calls.size() == 1);
    world.api.answer(page(12, {object("a", 3)}));
  };
  listed();
  CHECK(world.notes.take().empty());
  world.api.pass(5s);
  listed();
  CHECK(world.notes.take() == List{"+n/a@3", "-n/b", "listed"});
  CHECK(world.watchesFrom("12"));
  world.send(event("MODIFIED", object("a", 13)));
  CHECK(world.notes.take() == List{"+n/a@13"});
}

TEST_CASE("A watch that ends is resumed from the last event or bookmark, without a list") {
  World world;
  world.begin();
  world.send(event("ADDED", object("b", 11)) + bookmark(20));
  world.api.pass(2s);
  world.api.endStream();
  CHECK(world.watchesFrom("20"));
  CHECK(world.api.call_count == 1);
  // A connection that breaks is made again at once, and only then with a pause.
  world.api.endStream({Error::Kind::Broken, 0, "", "cut", {}, std::nullopt});
  world.api.pass(1ms);
  CHECK(world.watchesFrom("20"));
  world.api.endStream({Error::Kind::Broken, 0, "", "cut", {}, std::nullopt});
  CHECK(world.api.streams.empty());
  world.api.pass(201ms);
  CHECK(world.watchesFrom("20"));
  CHECK(world.notes.take() == List{"+n/b@11", "trouble: cut"});
  world.api.onlyStream().handler->onOpen();
  CHECK(world.notes.take() == List{"well"});
}

TEST_CASE("410 means a new list, from an event as from an answer; what is gone in it is removed") {
  for (const bool by_event : {true, false}) {
    CAPTURE(by_event);
    World world;
    world.begin();
    world.api.pass(6s);
    if (by_event)
      world.send(event("ERROR", R"({"kind":"Status","code":410,"message":"too old"})"));
    else
      world.api.endStream(FakeApi::status(410));
    CHECK(world.api.streams.empty());
    world.api.pass(1ms);
    REQUIRE(world.api.calls.size() == 1);
    world.api.answer(page(30, {object("b", 25)}));
    CHECK(world.notes.take() == List{"+n/b@25", "-n/a", "listed"});
    CHECK(world.watchesFrom("30"));
  }
}

TEST_CASE("Lists are at least five seconds apart") {
  World world;
  world.begin();
  world.send(event("ERROR", R"({"code":410})"));
  world.api.pass(4999ms);
  CHECK(world.api.calls.empty());
  world.api.pass(1ms);
  CHECK(world.api.calls.size() == 1);
  world.api.refuse(500);
  world.api.pass(4999ms);
  CHECK(world.api.calls.empty());
  world.api.pass(1ms);
  CHECK(world.api.calls.size() == 1);
  // Where nobody was asked, nobody is burdened.
  world.api.fail();
  world.api.pass(2s);
  CHECK(world.api.calls.size() == 1);
}

TEST_CASE("An error within a list drops nothing, and neither does an empty first page") {
  World world;
  world.begin();
  world.send(event("ERROR", R"({"code":410})"));
  world.api.pass(5s);
  world.api.answer(page(30, {}, "more"));
  world.api.refuse(500);
  CHECK(world.reflector->has("n/a"));
  world.api.pass(5s);
  world.api.answer("no list at all");
  CHECK(world.reflector->has("n/a"));
  world.api.pass(5s);
  world.api.answer(page(31, {object("a", 3)}));
  for (const std::string& note : world.notes.take()) CHECK(note.front() != '-');
  CHECK(world.watchesFrom("31"));
}

TEST_CASE("A line without its newline at the end of a stream is a broken watch") {
  World world;
  world.begin();
  world.api.pass(2s);
  const std::string line = event("MODIFIED", object("a", 12));
  world.send(line.substr(0, line.size() - 1));
  world.api.endStream();
  CHECK(world.notes.take() == List{});
  world.api.pass(101ms);
  CHECK(world.watchesFrom("10"));
}

TEST_CASE("A line that is no event, or is too long, is a broken watch") {
  World world;
  world.begin();
  world.send("nonsense\n" + event("MODIFIED", object("a", 12)));
  CHECK(world.api.streams.empty());
  CHECK(world.notes.take() == List{});
  world.api.pass(101ms);
  CHECK(world.watchesFrom("10"));
  const std::string part(1 << 20, 'x');
  for (int i = 0; i < 9 && !world.api.streams.empty(); ++i) world.send(part);
  CHECK(world.api.streams.empty());
}

TEST_CASE("A watch without event or bookmark for 60 s is dead, and resumed where it was") {
  World world;
  world.begin();
  const auto* first = world.api.onlyStream().handler;
  world.api.pass(40s);
  while (!world.api.calls.empty()) world.api.answer(page(10, {object("a", 3)}));
  world.send(bookmark(15));
  const auto id = world.api.streams.begin()->first;
  world.api.pass(59s);
  while (!world.api.calls.empty()) world.api.answer(page(15, {object("a", 3)}));
  CHECK(world.api.streams.begin()->first == id);
  world.api.pass(1s);
  REQUIRE(world.api.streams.size() == 1);
  CHECK(world.api.streams.begin()->first != id);
  CHECK(world.watchesFrom("15"));
  CHECK(world.api.onlyStream().handler == first);
}

TEST_CASE("429 is obeyed: nothing is asked before Retry-After") {
  World world;
  world.begin();
  Error error = FakeApi::status(429);
  error.retry_after = 9s;
  world.api.endStream(error);
  world.api.pass(8999ms);
  CHECK(world.api.streams.empty());
  world.api.pass(1ms);
  CHECK(world.watchesFrom("10"));
}

TEST_CASE("A right that is taken away keeps what is known; given back, the watch goes on in 2 s") {
  World world;
  world.begin();
  for (int i = 0; i < 20; ++i) {
    world.api.endStream(FakeApi::status(403));
    world.api.pass(2s);
  }
  CHECK(world.api.call_count == 1);
  CHECK(world.watchesFrom("10"));
  world.api.onlyStream().handler->onOpen();
  CHECK(world.notes.take() == List{"trouble: 403", "well"});
  CHECK(world.reflector->has("n/a"));
}

TEST_CASE("A poll beside the watch tells what the watch missed, and nothing twice") {
  World world;
  world.begin();
  world.api.pass(30s);
  REQUIRE(world.api.calls.size() == 1);
  world.send(event("MODIFIED", object("a", 22)) + event("ADDED", object("c", 23)));
  world.send(event("ADDED", object("d", 24)) + event("DELETED", object("d", 25)));
  CHECK(world.notes.take() == List{"+n/a@22", "+n/c@23", "+n/d@24", "-n/d"});
  // Taken at 24: without the end of d, with an object that the watch never told.
  world.api.answer(page(24, {object("a", 3), object("b", 18), object("d", 24)}));
  CHECK(world.notes.take() == List{"+n/b@18", "listed"});
  CHECK(world.reflector->has("n/c"));
  CHECK_FALSE(world.reflector->has("n/d"));
  CHECK(world.watchesFrom("10"));
}

TEST_CASE("A poll asks for small pages and leaves the server time between them") {
  World world;
  world.begin();
  world.api.pass(30s);
  REQUIRE(world.api.calls.size() == 1);
  CHECK(world.api.calls.front().request.path == "/api/v1/things?limit=100");
  world.api.pass(10ms);
  world.api.answer(page(24, {object("a", 3)}, "more"));
  CHECK(world.api.calls.empty());
  world.api.pass(29ms);
  CHECK(world.api.calls.empty());
  world.send(event("ADDED", object("b", 25)));  // It waits for nothing.
  CHECK(world.notes.take() == List{"+n/b@25"});
  world.api.pass(1ms);
  REQUIRE(world.api.calls.size() == 1);
  CHECK(world.api.calls.front().request.path == "/api/v1/things?limit=100&continue=more");
  world.api.pass(20s);
  world.api.answer(page(24, {object("c", 7)}, "more"));
  world.api.pass(500ms);
  REQUIRE(world.api.calls.size() == 1);
  world.api.answer(page(24, {}));
  CHECK(world.notes.take() == List{"+n/c@7", "listed"});
}

TEST_CASE("A poll that fails once is no trouble; twice it is, and the watch goes on") {
  World world;
  world.begin();
  world.api.pass(30s);
  world.api.refuse(500);
  CHECK(world.notes.take() == List{});
  world.api.pass(30s);
  world.api.refuse(500);
  CHECK(world.notes.take() == List{"trouble: 500"});
  world.send(event("ADDED", object("b", 11)));
  world.api.pass(30s);
  world.api.answer(page(12, {object("a", 3), object("b", 11)}));
  CHECK(world.notes.take() == List{"+n/b@11", "listed", "well"});
}

TEST_CASE("Whoever takes another one's place tells what is gone since") {
  World world;
  world.begin();
  world.api.calls.clear();
  Reflector::Options options;
  options.path = "/apis/other/v1/things";
  Reflector next(world.api, options, world.notes);
  next.inherit(*world.reflector);
  world.reflector.reset();
  next.start();
  world.api.answer(page(50, {object("b", 20)}));
  CHECK(world.notes.take() == List{"+n/b@20", "-n/a", "listed"});
}

TEST_CASE("Who needs metadata alone asks for no more, in lists and watches") {
  FakeApi api;
  Notes notes;
  Reflector::Options options;
  options.path = "/api/v1/things";
  options.metadata_only = true;
  Reflector reflector(api, options, notes);
  reflector.start();
  CHECK(api.calls.front().request.accept == kMetadataList);
  api.answer(page(10, {object("a", 3)}));
  CHECK(api.onlyStream().request.accept == kMetadata);
  CHECK(notes.take() == List{"+n/a@3", "listed"});
}

TEST_CASE("A version that the server never accepts is given up for a list") {
  World world;
  world.begin();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(world.api.streams.size() == 1);
    world.api.endStream(FakeApi::status(504));
    world.api.pass(5s);
  }
  CHECK(world.api.calls.size() == 1);
  CHECK(world.api.streams.empty());
}

TEST_CASE("Ending it cancels everything, and a late answer finds nobody") {
  World world;
  world.begin();
  world.api.pass(30s);
  REQUIRE(world.api.calls.size() == 1);
  world.reflector.reset();
  CHECK(world.api.streams.empty());
  world.api.answer(page(40, {}));
  world.api.pass(100s);
  CHECK(world.notes.take() == List{});
}
