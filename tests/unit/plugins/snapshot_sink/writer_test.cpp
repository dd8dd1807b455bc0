// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
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
  explicit World(const std::string& account = "") {
    Settings settings;
    settings.name = "snap";
    settings.name_space = "ns";
    settings.data_plane_account = account;
    Writer::Listener listener;
    listener.written = [this](std::uint64_t as_of) { written = as_of; };
    listener.programmed = [](const auto&) {};
    listener.trouble = [this](const std::string& text) { trouble = text; };
    listener.attempted = [](const auto&, const auto&) {};
    listener.now = [] { return "now"; };
    writer = std::make_unique<Writer>(api, settings, listener);
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
  void setIndex(const std::string& spec) {
    lists["snapshots"] = {R"({"metadata":{"namespace":"ns","name":"snap","uid":"u","generation":)" +
                          std::to_string(++generation) + R"(,"resourceVersion":")" +
                          std::to_string(++version) + R"("},"spec":)" + spec + '}'};
  }
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

TEST_CASE("An edited part that cannot be removed is tried again") {
  World world;
  world.begin();
  Batch batch = routes({"a"});
  batch.routes[0].text = "{\"x\":\"" + std::string(200000, 'x') + "\"}";
  world.take(batch);
  world.takeIndex();  // its uid is what the part needs
  k8s_client::ObjectText part;
  REQUIRE(part.read(world.next("PATCH", "")));
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

}  // namespace
}  // namespace hyperway::snapshot_sink
