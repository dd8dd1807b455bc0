// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "k8s_client/fake_api.hpp"

namespace hyperway::snapshot_sink {
namespace {

using namespace std::chrono_literals;
using Lists = std::map<std::string, std::vector<std::string>>;

constexpr std::string_view kUnknownField =
    R"({"kind":"Status","code":500,"message":"failed to create typed patch object (ns/snap; )"
    R"(hyperway.arloor.dev/v1alpha1, Kind=RouteSnapshot): .spec.x: field not declared in schema"})";

// A writer, and an API server that answers lists by itself; the test answers all else.
struct World {
  explicit World(const std::string& account = "", Cut cut = {}) {
    Settings settings;
    settings.name = "snap";
    settings.name_space = "ns";
    settings.data_plane_account = account;
    Writer::Listener listener;
    listener.written = [this](std::uint64_t as_of) { written = as_of; };
    listener.programmed = [this](const auto& reports) {
      for (const auto& one : reports)
        programmed[one.listener] = one.programmed ? "yes" : one.reason;
    };
    listener.trouble = [this](const std::string& text) { trouble = text; };
    listener.attempted = [](const auto&, const auto&) {};
    listener.now = [] { return "now"; };
    writer = std::make_unique<Writer>(api, settings, listener, cut);
  }

  // Time goes by.
  void pass(k8s_client::Duration time) {
    const auto end = api.now() + time;
    answerLists();
    while (api.now() < end) {
      api.pass(std::min<k8s_client::Duration>(end - api.now(), 50ms));
      answerLists();
    }
  }
  // Puts the oldest call of that method whose path ends so first; its body, or nothing.
  std::string next(const std::string& method, std::string_view end) {
    const auto found = std::find_if(api.calls.begin(), api.calls.end(), [&](const auto& call) {
      const std::string path = call.request.path.substr(0, call.request.path.find('?'));
      return call.request.method == method && path.ends_with(end);
    });
    if (found == api.calls.end()) return {};
    std::rotate(api.calls.begin(), found, found + 1);
    const std::string& body = api.calls.front().request.body;
    return body.empty() ? "none" : body;
  }
  // The server takes the index as it was sent.
  void takeIndex() {
    k8s_client::ObjectText object;
    const std::string body = next("PATCH", "/snap");
    REQUIRE(object.read(body));
    setIndex(std::string(object.member("spec")));
    api.answer(lists["snapshots"].front());
    pass(10ms);
  }
  // The server has an index of that spec.
  void setIndex(const std::string& spec, const std::string& status = "{}") {
    lists["snapshots"] = {R"({"metadata":{"namespace":"ns","name":"snap","uid":"u","generation":)" +
                          std::to_string(++generation) + R"(,"resourceVersion":")" +
                          std::to_string(++version) + R"("},"spec":)" + spec + R"(,"status":)" +
                          status + '}'};
  }
  // Puts the oldest call of that method first whose path or body has that text; its body.
  std::string nextWith(const std::string& method, std::string_view text) {
    const auto found = std::find_if(api.calls.begin(), api.calls.end(), [&](const auto& call) {
      return call.request.method == method && (call.request.path.find(text) != std::string::npos ||
                                               call.request.body.find(text) != std::string::npos);
    });
    if (found == api.calls.end()) return {};
    std::rotate(api.calls.begin(), found, found + 1);
    const std::string& body = api.calls.front().request.body;
    return body.empty() ? "none" : body;
  }
  // The server answers all that comes; it refuses parts with that text in them, and says no place.
  void serve(std::string_view bad) {
    for (int i = 0; i < 300; ++i) {
      if (const std::string part = nextWith("POST", "snap-"); !part.empty()) {
        const bool refused = part.find(bad) != std::string::npos;
        if (refused) {
          api.refuse(422);
          ++refusals;
        } else {
          taken_parts.insert(part);
          api.answer("{}");
        }
      } else if (!next("PATCH", "/snap").empty()) {
        takeIndex();
      } else if (!next("PATCH", "/status").empty()) {
        api.refuse(503);
      } else if (!nextWith("GET", "/snap-").empty()) {
        api.refuse(404);
      }
      pass(5ms);
    }
  }
  // An event of the watch of parts.
  void partEvent(const std::string& object) {
    for (auto& [id, stream] : api.streams)
      if (stream.request.path.find("labelSelector") != std::string::npos)
        return stream.handler->onData(R"({"type":"MODIFIED","object":)" + object + "}\n");
    FAIL("nobody watches parts");
  }
  // The server's data is what it was long ago.
  void restore() { version = 1; }
  void begin() {
    writer->start();
    writer->lead(true);
    pass(10ms);
  }
  void take(Batch batch) {
    writer->take(++taken, std::move(batch));
    pass(10ms);
  }

  k8s_client::FakeApi api;
  Lists lists;  // "snapshots", "parts", "roles", "rolebindings"
  std::string trouble;
  std::map<std::string, std::string> programmed;
  std::set<std::string> taken_parts;
  int refusals = 0;
  std::uint64_t written = 0, taken = 0;
  std::unique_ptr<Writer> writer;

 private:
  void answerLists() {
    for (;;) {
      const auto found = std::find_if(api.calls.begin(), api.calls.end(), [](const auto& call) {
        return call.request.method == "GET" &&
               call.request.path.find("limit=") != std::string::npos;
      });
      if (found == api.calls.end()) return;
      std::rotate(api.calls.begin(), found, found + 1);
      const std::string& path = api.calls.front().request.path;
      const std::string what = path.find("/rolebindings") != std::string::npos   ? "rolebindings"
                               : path.find("/roles") != std::string::npos        ? "roles"
                               : path.find("labelSelector") != std::string::npos ? "parts"
                                                                                 : "snapshots";
      std::string items;
      for (const std::string& item : lists[what]) items += (items.empty() ? "" : ",") + item;
      api.answer(R"({"apiVersion":"v1","metadata":{"resourceVersion":")" +
                 std::to_string(++version) + R"("},"items":[)" + items + "]}");
    }
  }

  int version = 1, generation = 0;
};

Batch routes(const std::vector<std::string>& names) {
  Batch out;
  for (const std::string& name : names)
    out.routes.push_back({"HTTPRoute/ns/" + name, "{\"x\":\"" + name + "\"}", 1});
  return out;
}

std::string listenerWith(const std::string& secret) {
  return R"({"name":"ns/gw/l","tls":{"certificateRefs":[{"namespace":"ns","name":")" + secret +
         R"("}]}})";
}

TEST_CASE("A part that cannot be removed keeps nothing else waiting, and is tried again") {
  World world;
  world.lists["parts"] = {
      R"({"metadata":{"namespace":"ns","name":"snap-0-a","uid":"p","generation":1,)"
      R"("resourceVersion":"1"}})"};
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  world.pass(61s);
  REQUIRE_FALSE(world.next("DELETE", "/snap-0-a").empty());
  world.api.refuse(403);
  world.pass(10ms);
  CHECK(world.trouble.find("part snap-0-a cannot be removed") != std::string::npos);
  world.take(routes({"b"}));
  world.takeIndex();
  CHECK(world.next("DELETE", "/snap-0-a").empty());
  world.pass(31s);
  REQUIRE_FALSE(world.next("DELETE", "/snap-0-a").empty());
  world.lists["parts"].clear();
  world.api.answer("{}");
  world.pass(10ms);
  CHECK(world.trouble.empty());
}

TEST_CASE("No write waits for the removal of a part, nor for its answer") {
  World world;
  for (const char* name : {"a", "b", "c"})
    world.lists["parts"].push_back(R"({"metadata":{"namespace":"ns","name":"snap-0-)" +
                                   std::string(name) +
                                   R"(","uid":"p","generation":1,"resourceVersion":"1"}})");
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  world.pass(61s);
  // Few at once, for they are in no hurry.
  CHECK(std::count_if(world.api.calls.begin(), world.api.calls.end(),
                      [](const auto& call) { return call.request.method == "DELETE"; }) == 2);
  world.take(routes({"b"}));
  CHECK(world.next("PATCH", "/snap").find(R"("x":"b")") != std::string::npos);
}

TEST_CASE("Where there are many of them, parts are removed four a second between writes") {
  World world;
  for (int i = 0; i < 600; ++i)
    world.lists["parts"].push_back(R"({"metadata":{"namespace":"ns","name":"snap-0-)" +
                                   std::to_string(i) +
                                   R"(","uid":"p","generation":1,"resourceVersion":"1"}})");
  world.begin();
  int removed = 0;
  const auto edit = [&](int number) {
    Batch batch = routes({"a"});
    batch.routes[0].text = "{\"x\":" + std::to_string(number) + "}";
    world.take(batch);
    world.takeIndex();
    if (!world.next("PATCH", "/status").empty()) world.api.refuse(503);
    while (!world.nextWith("DELETE", "/snap-0-").empty()) {
      world.api.answer("{}");
      world.pass(1ms);
      ++removed;
    }
  };
  for (int i = 0; i < 260; ++i) {
    edit(i);
    world.pass(200ms);
  }
  CHECK(removed == 0);  // Readers may need them for a minute.
  for (int i = 0; i < 100; ++i) {
    edit(1000 + i);
    world.pass(200ms);
  }
  CHECK(removed > 40);
  CHECK(removed <= 90);
}

TEST_CASE("An edit is written at once, or with its diagnostics where the index has those of all") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  const auto edit = [&](const std::string& text) {
    Batch batch = routes({"a"});
    batch.routes[0].text = text;
    world.writer->take(++world.taken, std::move(batch));
    world.api.pass(0ms);
  };
  edit(R"({"x":1})");
  CHECK(world.next("PATCH", "/snap").empty());
  Batch statuses;
  statuses.statuses_only = true;
  statuses.statuses.push_back({"HTTPRoute/ns/a", R"({"routeName":"a"})"});
  world.take(statuses);
  CHECK(world.next("PATCH", "/snap").find(R"("routeDiagnostics":[{"routeName":"a"}])") !=
        std::string::npos);
  world.takeIndex();
  CHECK(world.next("PATCH", "/snap").empty());
  // Of many routes it names what is wrong alone, and mostly nothing follows.
  statuses.statuses[0].text = R"({"routeName":")" + std::string(70000, 'a') + "\"}";
  world.take(statuses);
  world.takeIndex();
  edit(R"({"x":2})");
  CHECK(world.next("PATCH", "/snap").find(R"({"x":2})") != std::string::npos);
}

TEST_CASE("The snapshot's status waits until data planes have read what was written") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  world.pass(150ms);
  CHECK(world.next("PATCH", "/status").empty());
  world.pass(60ms);
  CHECK_FALSE(world.next("PATCH", "/status").empty());
}

TEST_CASE("Parts are removed in a second without a write, and in five minutes without such a one") {
  World world;
  world.lists["parts"] = {
      R"({"metadata":{"namespace":"ns","name":"snap-0-a","uid":"p","generation":1,)"
      R"("resourceVersion":"1"}})"};
  world.begin();
  const auto edit = [&](int number) {
    Batch batch = routes({"a"});
    batch.routes[0].text = "{\"x\":" + std::to_string(number) + "}";
    world.take(batch);
    world.takeIndex();
    if (!world.next("PATCH", "/status").empty()) world.api.refuse(503);
  };
  for (int i = 0; i < 590; ++i) {
    CAPTURE(i);
    edit(i);
    REQUIRE(world.next("DELETE", "/snap-0-a").empty());
    world.pass(480ms);
  }
  SUBCASE("a quiet second") { world.pass(1s); }
  SUBCASE("none") {
    for (int i = 0; i < 20; ++i) {
      edit(1000 + i);
      world.pass(480ms);
    }
  }
  CHECK_FALSE(world.next("DELETE", "/snap-0-a").empty());
}

TEST_CASE("Of parts nothing but their metadata comes back from the server") {
  World world;
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = "{\"x\":\"" + std::string(200000, 'x') + "\"}";
  world.take(batch);
  world.takeIndex();
  REQUIRE_FALSE(world.nextWith("POST", "snap-").empty());
  CHECK(world.api.calls.front().request.accept == k8s_client::kMetadata);
  std::map<std::string, std::string> accepted;
  for (const auto& [id, stream] : world.api.streams)
    accepted[stream.request.path.find("labelSelector") != std::string::npos ? "parts" : "index"] =
        stream.request.accept;
  CHECK(accepted["parts"] == k8s_client::kMetadata);
  CHECK(accepted["index"] == "application/json");
}

TEST_CASE("An edited part that cannot be removed is tried again") {
  World world;
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = "{\"x\":\"" + std::string(200000, 'x') + "\"}";
  world.take(batch);
  world.takeIndex();  // its uid is what the part needs
  k8s_client::ObjectText part;
  REQUIRE(part.read(world.nextWith("POST", "snap-")));
  world.lists["parts"] = {R"({"metadata":{"namespace":"ns","name":")" + part.name() +
                          R"(","uid":"p","generation":2,"resourceVersion":"1"}})"};
  world.api.answer("{}");
  world.pass(45s);
  REQUIRE_FALSE(world.next("DELETE", "/" + part.name()).empty());
  world.api.refuse(503);
  world.pass(10ms);
  CHECK(world.next("DELETE", "/" + part.name()).empty());
  world.pass(1s);
  CHECK_FALSE(world.next("DELETE", "/" + part.name()).empty());
}

TEST_CASE("Writes that fail do not count as undone by somebody") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  for (int i = 0; i < 12; ++i) {
    CAPTURE(i);
    REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
    world.api.refuse(503);
    world.pass(5s);
  }
  world.takeIndex();
  CHECK(world.written == world.taken);
}

TEST_CASE("An answer about another content leaves nothing out") {
  World world;
  world.begin();
  world.take(routes({"a", "b"}));
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  Batch change;
  change.removed_routes = {"HTTPRoute/ns/a"};
  world.take(change);
  const std::string refusal =
      R"({"kind":"Status","code":422,"reason":"Invalid","message":"is invalid","details":)"
      R"({"causes":[{"field":"spec.httpRoutesV1[0].x","message":"is wrong"}]}})";
  world.api.refuse(422, refusal);
  world.pass(10ms);
  CHECK(world.trouble.empty());
  CHECK(world.next("PATCH", "/snap").find(R"("httpRoutesV1":[{"x":"b"}])") != std::string::npos);
  world.api.refuse(422, refusal);  // This one is about b.
  world.pass(10ms);
  CHECK(world.trouble.find("HTTPRoute/ns/b") != std::string::npos);
}

TEST_CASE("A definition that lacks a field is named as such, and asked seldom") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  world.api.refuse(500, kUnknownField);
  world.pass(29s);
  CHECK(world.trouble.find("is the RouteSnapshot CRD an older one?") != std::string::npos);
  CHECK(world.next("PATCH", "/snap").empty());
  world.pass(2s);
  world.takeIndex();
  CHECK(world.trouble.empty());
}

TEST_CASE("Who edits the index is granted no Secret by it") {
  World world("ns/planes");
  world.setIndex(R"({"listeners":[)" + listenerWith("stolen") + "]}");
  world.begin();
  Batch batch;
  batch.listeners = {{"ns/gw/l", listenerWith("cert")}};
  world.take(batch);
  std::string granted;
  for (const auto& call : world.api.calls)
    if (call.request.path.find("/roles/") != std::string::npos) granted += call.request.body;
  CHECK(granted.find(R"("resourceNames":["cert"])") != std::string::npos);
  CHECK(granted.find("stolen") == std::string::npos);
}

TEST_CASE("A Secret stays granted until the index does not name it any more") {
  World world("ns/planes");
  world.begin();
  const auto answerAll = [&](std::string& granted) {
    while (!world.api.calls.empty()) {
      const auto& request = world.api.calls.front().request;
      if (request.path.find("/roles/") != std::string::npos) granted += request.body;
      if (request.path.find("/rolebindings/") == std::string::npos &&
          request.path.find("/roles/") == std::string::npos)
        break;
      world.api.answer("{}");
      world.pass(300ms);
    }
  };
  std::string granted;
  Batch batch;
  batch.listeners = {{"ns/gw/l", listenerWith("old")}};
  world.take(batch);
  answerAll(granted);
  CHECK(granted.find(R"("resourceNames":["old"])") != std::string::npos);
  world.takeIndex();
  if (!world.next("PATCH", "/status").empty()) world.api.refuse(503);
  batch.listeners = {{"ns/gw/l", listenerWith("new")}};
  world.take(batch);
  granted.clear();
  answerAll(granted);
  CHECK(granted.find(R"("resourceNames":["new","old"])") != std::string::npos);
  world.takeIndex();
  granted.clear();
  answerAll(granted);
  CHECK(granted.find(R"("resourceNames":["new"])") != std::string::npos);
}

TEST_CASE("An edit that the server refuses leaves in force what it took before") {
  World world;
  world.begin();
  world.take(routes({"a", "b"}));
  world.takeIndex();
  Batch edit = routes({"a", "b"});
  edit.routes[0].text = R"({"x":"bad"})";
  edit.routes[1].text = R"({"x":"good"})";
  world.take(edit);
  REQUIRE(world.next("PATCH", "/snap").find("bad") != std::string::npos);
  world.api.refuse(422, R"({"kind":"Status","code":422,"message":"is invalid","details":)"
                        R"({"causes":[{"field":"spec.httpRoutesV1[0].x","message":"is bad"}]}})");
  world.pass(10ms);
  CHECK(world.next("PATCH", "/snap").find(R"("httpRoutesV1":[{"x":"a"},{"x":"good"}])") !=
        std::string::npos);
  world.takeIndex();
  CHECK(world.written == world.taken);
  CHECK(world.trouble.find("kept as it was") != std::string::npos);
  CHECK(world.trouble.find("HTTPRoute/ns/a (spec.httpRoutesV1[0].x: is bad)") != std::string::npos);
  // It is tried again, and is fine once the definition is.
  world.pass(31s);
  REQUIRE(world.next("PATCH", "/snap").find("bad") != std::string::npos);
  world.takeIndex();
  CHECK(world.trouble.empty());
}

TEST_CASE("Who begins to lead takes nothing down that the server refuses to change") {
  World world;
  world.setIndex(
      R"({"httpRoutesV1":[{"routeNamespace":"ns","routeName":"a","v":1}],"listeners":[]})");
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = R"({"routeName":"a","routeNamespace":"ns","v":2})";
  world.take(batch);
  REQUIRE(world.next("PATCH", "/snap").find(R"("v":2)") != std::string::npos);
  world.api.refuse(422);
  world.pass(10ms);
  const std::string body = world.next("PATCH", "/snap");
  CHECK(body.find(R"("v":1)") != std::string::npos);
  CHECK(body.find(R"("v":2)") == std::string::npos);
}

TEST_CASE(
    "A part that is refused without a place keeps back what is wrong in it, and nothing else") {
  World world("", Cut{200, 300, 4});
  world.begin();
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("r" + std::to_string(i));
  names.push_back("bad");
  world.take(routes(names));
  world.serve("bad");
  CHECK(world.written == world.taken);
  CHECK(world.trouble.find("HTTPRoute/ns/bad") != std::string::npos);
  CHECK(world.trouble.find("HTTPRoute/ns/r") == std::string::npos);
  CHECK(world.refusals < 12);
  for (int i = 0; i < 40; ++i) {
    CAPTURE(i);
    // A part has its routes as text.
    const std::string text = R"({\"x\":\"r)" + std::to_string(i) + R"(\"})";
    CHECK(std::any_of(world.taken_parts.begin(), world.taken_parts.end(),
                      [&](const auto& part) { return part.find(text) != std::string::npos; }));
  }
}

TEST_CASE("A definition that refuses everything is no reason to leave anything out") {
  World world;
  world.begin();
  world.take(routes({"a", "b"}));
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  world.api.refuse(403, R"({"kind":"Status","code":403,"message":"User \"u\" cannot patch"})");
  world.pass(10ms);
  CHECK(world.next("PATCH", "/snap").empty());
  CHECK(world.trouble.find("cannot be written") != std::string::npos);
  CHECK(world.trouble.find("left out") == std::string::npos);
}

TEST_CASE("Listeners that an index has no room for are left out, and those that were there stay") {
  World world;
  world.begin();
  const auto large = [](const std::string& name) {
    return Batch::Listener{"ns/gw/" + name, R"({"name":"ns/gw/)" + name + R"(","anchors":")" +
                                                std::string(300 << 10, 'x') + R"("})"};
  };
  Batch batch;
  batch.listeners = {large("y"), large("z")};
  world.take(batch);
  world.takeIndex();
  batch.listeners = {large("a")};
  world.take(batch);
  CHECK(world.trouble.find("ns/gw/a (the listeners of a snapshot have room for") !=
        std::string::npos);
  CHECK(world.trouble.find("ns/gw/y") == std::string::npos);
  CHECK(world.written == world.taken);
  batch.listeners.clear();
  batch.removed_listeners = {"ns/gw/y"};
  world.take(batch);
  world.takeIndex();
  CHECK(world.next("PATCH", "/snap").find(R"("name":"ns/gw/a")") != std::string::npos);
}

TEST_CASE("What is left out keeps no listener from being programmed but itself") {
  World world;
  world.begin();
  Batch batch = routes({"a", "bad"});
  batch.listeners = {{"ns/gw/l", R"({"name":"ns/gw/l"})"}, {"ns/gw/m", R"({"name":"ns/gw/m"})"}};
  world.take(batch);
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  world.api.refuse(422, R"({"kind":"Status","code":422,"message":"is invalid","details":{"causes":)"
                        R"([{"field":"spec.httpRoutesV1[1].x","message":"is bad"},)"
                        R"({"field":"spec.listeners[1].x","message":"is bad"}]}})");
  world.pass(10ms);
  k8s_client::ObjectText object;
  REQUIRE(object.read(world.next("PATCH", "/snap")));
  const std::string spec(object.member("spec"));
  const std::size_t at = spec.find(R"("checksum":")") + 12;
  const std::string checksum = spec.substr(at, spec.find('"', at) - at);
  world.setIndex(
      spec, R"({"dataPlanes":[{"name":"p","namespace":"ns","checksum":")" + checksum + R"("}]})");
  world.api.answer(world.lists["snapshots"].front());
  world.pass(10ms);
  CHECK(world.programmed["ns/gw/l"] == "yes");
  CHECK(world.programmed["ns/gw/m"].find("it cannot be written") != std::string::npos);
}

TEST_CASE("A server that was restored from a backup gets what it lacks") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  world.take(routes({"b"}));
  const std::string before = world.lists["snapshots"].front();
  world.takeIndex();
  world.pass(200s);  // lists, which move the version
  world.lists["snapshots"] = {before};
  world.restore();
  world.pass(50s);
  CHECK(world.next("PATCH", "/snap").find(R"({"x":"b"})") != std::string::npos);
}

TEST_CASE("Who edits a part without end is answered ever more seldom") {
  World world;
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = "{\"x\":\"" + std::string(200000, 'x') + "\"}";
  world.take(batch);
  world.takeIndex();
  int made = 0;
  for (int i = 0; i < 200; ++i) {
    k8s_client::ObjectText part;
    if (const std::string body = world.nextWith("POST", "snap-"); !body.empty()) {
      REQUIRE(part.read(body));
      world.api.answer("{}");
      world.partEvent(R"({"metadata":{"namespace":"ns","name":")" + part.name() + R"(","uid":"p)" +
                      std::to_string(++made) + R"(","generation":2,"resourceVersion":")" +
                      std::to_string(1000 + i) + R"("}})");
    } else if (!world.nextWith("DELETE", "/snap-").empty()) {
      world.api.answer("{}");
    } else if (!world.next("PATCH", "/snap").empty()) {
      world.takeIndex();
    }
    world.pass(5ms);
  }
  CHECK(made >= 5);
  CHECK(made < 9);
  world.pass(70s);
  CHECK_FALSE(world.nextWith("POST", "snap-").empty());
}

TEST_CASE(
    "A data plane that is gone is taken out of the status, though others write it meanwhile") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  k8s_client::ObjectText object;
  REQUIRE(object.read(world.next("PATCH", "/snap")));
  world.setIndex(std::string(object.member("spec")),
                 R"({"dataPlanes":[{"name":"p","namespace":"ns","checksum":"c"}]})");
  world.api.answer(world.lists["snapshots"].front());
  world.pass(31s);
  REQUIRE_FALSE(world.next("GET", "/pods/p").empty());
  world.api.refuse(404);
  world.pass(10ms);
  REQUIRE_FALSE(world.nextWith("PATCH", R"("dataPlanes":[])").empty());
  world.api.refuse(409);
  world.pass(1100ms);
  CHECK_FALSE(world.nextWith("PATCH", R"("dataPlanes":[])").empty());
}

TEST_CASE("A namespace in which nothing may be granted keeps no other one waiting") {
  World world("ns/planes");
  world.begin();
  Batch batch;
  batch.listeners = {{"ns/gw/l", listenerWith("cert")},
                     {"ns/gw/m", R"({"name":"ns/gw/m","tls":{"certificateRefs":)"
                                 R"([{"namespace":"closed","name":"other"}]}})"}};
  world.take(batch);
  for (int i = 0; i < 20; ++i) {
    if (!world.nextWith("PATCH", "/namespaces/closed/").empty())
      world.api.refuse(403);
    else if (!world.nextWith("PATCH", "/roles/").empty() ||
             !world.nextWith("PATCH", "/rolebindings/").empty())
      world.api.answer("{}");
    world.pass(300ms);
  }
  world.takeIndex();
  CHECK(world.written == world.taken);
  // Another Secret meanwhile, in the namespace where it can be granted.
  batch.listeners = {{"ns/gw/l", listenerWith("next")}};
  world.take(batch);
  CHECK(world.nextWith("PATCH", "/namespaces/closed/").empty());
  CHECK(world.nextWith("PATCH", "/roles/").find(R"("resourceNames":["cert","next"])") !=
        std::string::npos);
}

TEST_CASE("A part whose name somebody else has taken is made what it should be") {
  World world;
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = "{\"x\":\"" + std::string(200000, 'x') + "\"}";
  world.take(batch);
  world.takeIndex();
  REQUIRE_FALSE(world.nextWith("POST", "snap-").empty());
  world.api.refuse(409);
  world.pass(10ms);
  REQUIRE_FALSE(world.nextWith("PATCH", "/snap-").empty());
  world.api.answer("{}");
  world.pass(10ms);
  CHECK(world.written == world.taken);
}

TEST_CASE("An index that goes while it is patched is made anew at once") {
  World world;
  world.begin();
  world.take(routes({"a"}));
  world.takeIndex();
  world.take(routes({"b"}));
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  CHECK(world.api.calls.front().request.content_type == "application/merge-patch+json");
  world.api.refuse(404);
  world.pass(10ms);
  REQUIRE_FALSE(world.next("PATCH", "/snap").empty());
  CHECK(world.api.calls.front().request.content_type == "application/apply-patch+yaml");
  world.takeIndex();
  CHECK(world.written == world.taken);
}

TEST_CASE("Changes that come all the time keep no index from being written") {
  World world("", Cut{200, 300, 4});
  world.begin();
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("r" + std::to_string(i));
  world.take(routes(names));
  world.serve("nothing");
  int indexes = 0;
  for (int i = 0; i < 100; ++i) {
    Batch edit = routes({"r" + std::to_string(i % 40)});
    edit.routes[0].text = "{\"x\":\"edit " + std::to_string(i) + "\"}";
    world.take(edit);  // one change for each answer
    if (!world.nextWith("POST", "snap-").empty()) {
      world.api.answer("{}");
    } else if (!world.next("PATCH", "/snap").empty()) {
      ++indexes;
      world.takeIndex();
    }
  }
  CHECK(indexes > 5);
  world.serve("nothing");
  CHECK(world.written == world.taken);
}

TEST_CASE(
    "After many parts the server is left to others as long as they took, after one it is not") {
  World world("", Cut{100, 50, 6});
  world.begin();
  std::vector<std::string> names;
  for (int i = 0; i < 80; ++i) names.push_back("r" + std::to_string(i));
  world.take(routes(names));
  world.takeIndex();
  int parts = 0;
  const auto answerOne = [&] {
    if (world.nextWith("POST", "snap-").empty()) return false;
    world.api.answer("{}");
    return true;
  };
  for (; answerOne(); ++parts) world.pass(20ms);
  REQUIRE(parts > 10);
  const auto edit = [&](const std::string& text) {
    Batch batch = routes({"r7"});
    batch.routes[0].text = "{\"x\":\"" + text + "\"}";
    world.take(batch);
  };
  edit("one");
  CHECK_FALSE(answerOne());
  world.pass(20ms * parts - 100ms);
  CHECK_FALSE(answerOne());
  world.pass(200ms);
  CHECK(answerOne());
  world.pass(10ms);
  world.takeIndex();
  edit("two");
  CHECK(answerOne());
}

}  // namespace
}  // namespace hyperway::snapshot_sink
