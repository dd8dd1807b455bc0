// SPDX-License-Identifier: Apache-2.0
#include "content.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hyperway::snapshot_sink {
namespace {

Batch::Route route(int number, std::size_t size = 100) {
  std::string text = "{\"n\":" + std::to_string(number) + ",\"x\":\"";
  text += std::string(size, 'x') + "\"}";
  return {"HTTPRoute/ns/r" + std::to_string(number), std::move(text), 1};
}

Batch routes(int first, int last, std::size_t size = 100) {
  Batch batch;
  for (int i = first; i < last; ++i) batch.routes.push_back(route(i, size));
  return batch;
}

std::set<std::string> names(const Content& content) {
  std::set<std::string> out;
  for (const Content::Part& part : content.parts()) out.insert(part.name);
  return out;
}

std::size_t differing(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::size_t count = 0;
  for (const std::string& name : a) count += b.contains(name) ? 0 : 1;
  return count;
}

constexpr Cut kSmall{4000, 1500, 6};

TEST_CASE("A small configuration stays in one object, a large one goes into parts and back") {
  Content content("snap", kSmall);
  content.take(routes(0, 20));
  CHECK(content.isInline());
  CHECK(content.parts().empty());
  CHECK(content.ruleCount() == 20);
  const std::string checksum = content.checksum();
  content.take(routes(20, 40));
  CHECK_FALSE(content.isInline());
  CHECK(content.parts().size() > 1);
  Batch removal;
  for (int i = 20; i < 40; ++i) removal.removed_routes.push_back(route(i).key);
  content.take(removal);
  CHECK(content.isInline());
  CHECK(content.checksum() == checksum);
}

TEST_CASE("One route's edit replaces one part") {
  Content content("snap", kSmall);
  content.take(routes(0, 200));
  const auto before = names(content);
  REQUIRE(before.size() > 10);
  Batch edit;
  edit.routes.push_back(route(77, 101));
  content.take(edit);
  const auto after = names(content);
  CHECK(differing(before, after) == 1);
  CHECK(differing(after, before) == 1);
  edit.routes = {route(77)};
  content.take(edit);
  CHECK(names(content) == before);
}

TEST_CASE("The more routes there are the larger parts are, so that an edit rewrites little") {
  constexpr std::size_t kUsual = 500;  // bytes of a route
  constexpr std::size_t kName = 512;   // a name in the index costs a server as much as these bytes
  for (const auto& [count, most] :
       {std::pair<int, std::size_t>{200, 24 << 10}, {5000, 112 << 10}, {40000, 320 << 10}}) {
    CAPTURE(count);
    Content content("snap");
    content.take(routes(0, count, kUsual));
    REQUIRE_FALSE(content.isInline());
    const auto parts = content.parts();
    for (const Content::Part& part : parts)
      CHECK(content.routesOf(part, "HTTPRoute").size() + kName * parts.size() < most);
    std::set<std::string> before = names(content);
    int others = 0;
    for (int i = 0; i < 40; ++i) {
      Batch edit;
      edit.routes.push_back(route(i * (count / 40), kUsual + 30));
      content.take(edit);
      std::set<std::string> after = names(content);
      others += differing(after, before) == 1 && differing(before, after) == 1 ? 0 : 1;
      before = std::move(after);
    }
    CHECK(others <= 1);  // A part has become too large.
  }
}

TEST_CASE("Parts have all routes, each once, and their names are names of objects") {
  Content content("snap", kSmall);
  content.take(routes(0, 200));
  std::size_t found = 0;
  for (const Content::Part& part : content.parts()) {
    const std::string text = content.routesOf(part, "HTTPRoute");
    for (int i = 0; i < 200; ++i)
      found += text.find("{\"n\":" + std::to_string(i) + ',') != std::string::npos ? 1 : 0;
    CHECK(part.name.ends_with('-' + part.checksum));
    CHECK(part.checksum.size() == 32);
  }
  CHECK(found == 200);
  Content longest(std::string(199, 'a') + ".b" + std::string(50, 'c'), kSmall);
  longest.take(routes(0, 200));
  for (const Content::Part& part : longest.parts()) {
    CHECK(part.name.size() <= 253);
    CHECK(part.name.find(".-") == std::string::npos);
  }
}

TEST_CASE("The same content has the same checksum and parts, whatever the way to it") {
  Content one("snap", kSmall), other("snap", kSmall);
  Batch listeners;
  listeners.listeners = {{"ns/gw/a", "{}"}, {"ns/gw/b", "{\"port\":1}"}};
  one.take(listeners);
  one.take(routes(0, 100));
  for (int i = 99; i >= 0; --i) other.take(routes(i, i + 1));
  Batch reversed;
  reversed.listeners = {listeners.listeners[1], listeners.listeners[0]};
  other.take(reversed);
  CHECK(one.checksum() == other.checksum());
  CHECK(names(one) == names(other));
  // Larger meanwhile, and back.
  other.take(routes(100, 400));
  Batch removal;
  for (int i = 100; i < 400; ++i) removal.removed_routes.push_back(route(i).key);
  other.take(removal);
  CHECK(names(one) == names(other));
  CHECK(one.listeners() == "{},{\"port\":1}");
  Batch full = routes(0, 100);
  full.full = true;
  full.listeners = listeners.listeners;
  other.take(full);
  CHECK(one.checksum() == other.checksum());
  full.listeners.pop_back();
  other.take(full);
  CHECK(one.checksum() != other.checksum());
}

TEST_CASE("What the server refuses is found by its place, and left out until it changes") {
  Content content("snap", kSmall);
  Batch batch = routes(0, 3);
  batch.routes[0].count = 2;
  batch.listeners = {{"ns/gw/a", "{}"}};
  content.take(batch);
  CHECK(content.routeAt("HTTPRoute", 0) == "HTTPRoute/ns/r0");
  CHECK(content.routeAt("HTTPRoute", 1) == "HTTPRoute/ns/r0");
  CHECK(content.routeAt("HTTPRoute", 2) == "HTTPRoute/ns/r1");
  CHECK(content.routeAt("HTTPRoute", 9).empty());
  content.leaveOut({"HTTPRoute/ns/r1", "ns/gw/a"});
  CHECK(content.leftOut() == std::vector<std::string>{"HTTPRoute/ns/r1", "ns/gw/a"});
  CHECK(content.routeAt("HTTPRoute", 2) == "HTTPRoute/ns/r2");
  CHECK(content.listeners().empty());
  content.take(routes(1, 2));
  CHECK(content.leftOut() == std::vector<std::string>{"ns/gw/a"});
  CHECK(content.routeAt("HTTPRoute", 2) == "HTTPRoute/ns/r1");
  content.readmit({"ns/gw/a"});
  CHECK(content.leftOut().empty());
  CHECK(content.listeners() == "{}");
  content.take(routes(3, 200));
  const auto parts = content.parts();
  REQUIRE_FALSE(parts.empty());
  const std::string text = content.routesOf(parts[0], "HTTPRoute");
  const std::string second = content.routeAt(parts[0], "HTTPRoute", 1);
  REQUIRE_FALSE(second.empty());
  CHECK(text.find("},{\"n\":" + second.substr(second.rfind('r') + 1) + ',') != std::string::npos);
  CHECK(content.routeAt(parts[0], "HTTPRoute", 1000).empty());
}

TEST_CASE("The last text that the server took stands in for one that it refuses") {
  Content content("snap", kSmall);
  Batch batch = routes(0, 3);
  batch.listeners = {{"ns/gw/a", "{}"}};
  content.take(batch);
  content.acceptIndex();
  const std::string good = content.checksum();
  CHECK(content.unacceptedOfIndex().empty());
  Batch edit = routes(1, 2, 101);
  edit.listeners = {{"ns/gw/a", "{\"port\":0}"}};
  content.take(edit);
  CHECK(content.unacceptedOfIndex() == std::vector<std::string>{"ns/gw/a", "HTTPRoute/ns/r1"});
  content.leaveOut({"HTTPRoute/ns/r1", "ns/gw/a"});
  CHECK(content.checksum() == good);
  // Refused twice in a row: still the one that was taken.
  content.take(routes(1, 2, 102));
  content.take(routes(1, 2, 103));
  content.leaveOut({"HTTPRoute/ns/r1"});
  CHECK(content.checksum() == good);
  CHECK(content.leftOut().size() == 2);
  // One that is gone is gone.
  Batch removal;
  removal.removed_routes = {"HTTPRoute/ns/r1"};
  content.take(removal);
  CHECK(content.routeAt("HTTPRoute", 1) == "HTTPRoute/ns/r2");
  CHECK(content.leftOut() == std::vector<std::string>{"ns/gw/a"});
}

TEST_CASE("Parts that the server has taken are remembered route by route") {
  Content content("snap", kSmall);
  content.take(routes(0, 200));
  for (const auto& part : content.parts()) content.accept(part);
  content.take(routes(77, 78, 101));
  std::vector<std::string> fresh;
  for (const auto& part : content.parts())
    for (const auto& key : content.unaccepted(part)) fresh.push_back(key);
  CHECK(fresh == std::vector<std::string>{"HTTPRoute/ns/r77"});
  // Who was not there when it was taken is told.
  Content other("snap", kSmall);
  other.take(routes(0, 200));
  other.had("HTTPRoute/ns/r5", route(5, 99));
  other.accept("HTTPRoute/ns/r6");
  CHECK(other.unacceptedText("HTTPRoute/ns/r6") == nullptr);
  REQUIRE(other.unacceptedText("HTTPRoute/ns/r5") != nullptr);
  other.leaveOut({"HTTPRoute/ns/r5"});
  CHECK(other.sizeOf("HTTPRoute/ns/r5") == route(5, 99).text.size());
}

Batch statuses(int count, std::size_t size) {
  Batch out;
  out.statuses_only = true;
  for (int i = 0; i < count; ++i) {
    const std::string name = std::to_string(i);
    out.statuses.push_back(
        {"HTTPRoute/ns/" + name, R"({"routeName":")" + name + R"(","accepted":)" +
                                     (i % 10 == 7 ? "false" : "true") + R"(,"acceptedMessage":")" +
                                     std::string(size, 'x') + R"("})"});
  }
  return out;
}

TEST_CASE("Statuses are written beside routes, and those of many routes where something is wrong") {
  Content content("snap");
  const std::string checksum = content.checksum();
  Batch batch = statuses(10, 10);
  batch.statuses.push_back({"Gateway/ns/gw", R"({"gatewayName":"gw"})"});
  batch.statuses.push_back({"GatewayClass//hyperway", R"({"name":"hyperway"})"});
  content.take(batch);
  CHECK(content.listenerStatuses() == R"({"gatewayName":"gw"})");
  CHECK(content.classStatuses() == R"({"name":"hyperway"})");
  CHECK(content.routeDiagnostics().starts_with(R"({"routeName":"0")"));
  CHECK(content.routeDiagnostics().find(R"({"routeName":"9")") != std::string::npos);
  // They are no reason for a data plane to do anything.
  CHECK(content.checksum() == checksum);
  content.take(statuses(100, 2000));
  const std::string some = content.routeDiagnostics();
  CHECK(some.size() < 65536);
  CHECK(some.starts_with(R"({"routeName":"17")"));
  CHECK(some.find(R"("accepted":true)") == std::string::npos);
  batch = {};
  batch.statuses_only = true;
  for (int i = 1; i < 100; ++i)
    batch.removed_statuses.push_back("HTTPRoute/ns/" + std::to_string(i));
  batch.removed_statuses.push_back("Gateway/ns/gw");
  content.take(batch);
  CHECK(content.routeDiagnostics().starts_with(R"({"routeName":"0")"));
  CHECK(content.listenerStatuses().empty());
}

TEST_CASE("Statuses that come with the whole model stay, and those of before it go") {
  Content content("snap");
  Batch before = statuses(10, 10);
  before.statuses.push_back({"GatewayClass//old", R"({"name":"old"})"});
  content.take(before);
  Batch whole = routes(0, 1);
  whole.full = true;
  whole.statuses.push_back({"GatewayClass//new", R"({"name":"new"})"});
  content.take(whole);
  CHECK(content.classStatuses() == R"({"name":"new"})");
  CHECK(content.routeDiagnostics().empty());
  CHECK(content.ruleCount() == 1);
}

TEST_CASE("A batch of the host is cut into texts") {
  std::string error;
  const auto batch = readBatch(
      R"({"listeners":[{"name":"ns/gw/a","port":80}],"removedListeners":["ns/gw/b"],)"
      R"("routes":[{"key":"HTTPRoute/ns/r","rules":[{"id":"1"},{"id":"2"}]},)"
      R"({"key":"HTTPRoute/ns/none","rules":[]}],"removedRoutes":["HTTPRoute/ns/old"],"gateways":[]})",
      error);
  REQUIRE(batch);
  CHECK(batch->listeners[0].key == "ns/gw/a");
  CHECK(batch->listeners[0].text == R"({"name":"ns/gw/a","port":80})");
  CHECK(batch->routes[0].text == R"({"id":"1"},{"id":"2"})");
  CHECK(batch->routes[0].count == 2);
  CHECK(batch->routes[1].text.empty());
  CHECK(batch->removed_listeners == std::vector<std::string>{"ns/gw/b"});
  CHECK(batch->removed_routes == std::vector<std::string>{"HTTPRoute/ns/old"});
  CHECK_FALSE(batch->empty());
  CHECK_FALSE(batch->statuses_only);
  const auto said =
      readBatch(R"({"statuses":[{"key":"HTTPRoute/ns/r","entries":[{"a":1},{"b":[2]}]}],)"
                R"("removedStatuses":["Gateway/ns/gw"]})",
                error);
  REQUIRE(said);
  CHECK(said->statuses_only);
  CHECK(said->statuses[0].key == "HTTPRoute/ns/r");
  CHECK(said->statuses[0].text == R"({"a":1},{"b":[2]})");
  CHECK(said->removed_statuses == std::vector<std::string>{"Gateway/ns/gw"});
  CHECK_FALSE(readBatch("[]", error));
  CHECK(error.starts_with("the batch cannot be read"));
}

}  // namespace
}  // namespace hyperway::snapshot_sink
