// SPDX-License-Identifier: Apache-2.0
#include "objects.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace hyperway::snapshot_sink {
namespace {

Settings settings() {
  Settings out;
  out.name = "snap";
  out.name_space = "ns";
  return out;
}

Content content(std::size_t size) {
  Content out("snap", {1000, 500, 4});
  Batch batch;
  batch.listeners = {{"ns/gw/a", R"({"name":"ns/gw/a"})"}};
  for (int i = 0; i < 4; ++i)
    batch.routes.push_back(
        {"HTTPRoute/ns/" + std::to_string(i), "{\"x\":\"" + std::string(size, 'x') + "\"}", 1});
  out.take(std::move(batch));
  return out;
}

TEST_CASE("An index has the contract's fields, and routes or the names of parts") {
  const std::string small = indexSpec(settings(), content(1));
  CHECK(small.find(R"("controllerName":"hyperway.arloor.dev/gateway-controller")") !=
        std::string::npos);
  CHECK(small.find(R"("listeners":[{"name":"ns/gw/a"}])") != std::string::npos);
  CHECK(small.find(R"("httpRoutesV1":[{"x":"x"})") != std::string::npos);
  CHECK(small.find(R"("partNames":"","parts":[])") != std::string::npos);
  // An index that somebody made a part is none for readers.
  CHECK(small.find(R"("partOf":"")") != std::string::npos);
  const Content large = content(1000);
  const std::string spec = indexSpec(settings(), large);
  CHECK(spec.find(R"("httpRoutesV1":[])") != std::string::npos);
  // One text, which costs a server little. A list is read as well.
  CHECK(spec.find(R"("partNames":"snap-)") != std::string::npos);
  CHECK(spec.find(R"("parts":[])") != std::string::npos);
  CHECK(partNamesOf(R"({"parts":[{"name":"x","checksum":"1"}]})") == std::vector<std::string>{"x"});
  for (const auto& name : partNamesOf(spec)) CHECK(name.starts_with("snap-"));
  CHECK(partNamesOf(spec).size() == large.parts().size());
  const std::string body = indexBody(settings(), spec, "2026-01-02T03:04:05Z");
  CHECK(body.find(R"("spec":{"updatedAt":"2026-01-02T03:04:05Z","controllerName")") !=
        std::string::npos);
  const std::string part = partBody(settings(), large, large.parts()[0], "uid-1");
  CHECK(part.find(R"("hyperway.arloor.dev/snapshot":"snap")") != std::string::npos);
  CHECK(part.find(R"("uid":"uid-1")") != std::string::npos);
  CHECK(part.find(R"("partOf":"snap")") != std::string::npos);
  // Its routes are one text, which costs a server little.
  CHECK(part.find(R"("content":"{\"httpRoutesV1\":[{)") != std::string::npos);
  CHECK(part.find(R"("httpRoutesV1":)") == std::string::npos);
  k8s_client::ObjectText object;
  CHECK(object.read(body));
  CHECK(object.read(part));
}

TEST_CASE("Routes are in the lists of their kinds, in the index as in parts") {
  const auto of = [](std::size_t inline_most) {
    Content out("snap", {inline_most, 500, 0});
    Batch batch;
    for (const RouteList& list : kRouteLists)
      for (const char* name : {"a", "b"})
        batch.routes.push_back({std::string(list.kind) + "/ns/" + name,
                                R"({"routeNamespace":"ns","routeName":")" + std::string(name) +
                                    R"(","of":")" + std::string(list.kind) + "\"}",
                                1});
    out.take(std::move(batch));
    return out;
  };
  const Content small = of(10'000), large = of(10);
  REQUIRE(large.parts().size() == 1);
  const std::string part = partBody(settings(), large, large.parts()[0], "uid-1");
  k8s_client::ObjectText object;
  REQUIRE(object.read(part));
  for (const std::string& spec :
       {indexSpec(settings(), small), std::string(object.member("spec"))}) {
    const auto entries = entriesOf(spec);
    CHECK(entries.size() == 10);
    for (const RouteList& list : kRouteLists) {
      const std::string own = R"("of":")" + std::string(list.kind) + '"';
      CHECK(spec.find(own) > spec.find(std::string(list.name)));
      const auto entry = entries.find(std::string(list.kind) + "/ns/b");
      REQUIRE(entry != entries.end());
      CHECK(entry->second.text.find(own) != std::string::npos);
    }
  }
  // Lists that have nothing are named in an index, so that nothing stays in them.
  for (const RouteList& list : kRouteLists)
    CHECK(indexSpec(settings(), large).find('"' + std::string(list.name) + "\":[]") !=
          std::string::npos);
  CHECK(small.routeAt("TCPRoute", 1) == "TCPRoute/ns/b");
  CHECK(small.routeAt("TCPRoute", 2).empty());
  CHECK(large.routeAt(large.parts()[0], "UDPRoute", 0) == "UDPRoute/ns/a");
  CHECK(large.routeAt(large.parts()[0], "UDPRoute", 2).empty());
}

TEST_CASE("Specs are compared as values, and the first member that differs is named") {
  CHECK(differenceOf(R"({"b":[1,2],"a":{"x":1,"y":"z"},"updatedAt":"then"})",
                     R"({"a":{"y":"z","x":1.0},"b":[1,2]})")
            .empty());
  CHECK(differenceOf(R"({"a":[1,2]})", R"({"a":[2,1]})") == "spec.a");
  CHECK(differenceOf(R"({"a":1})", R"({"a":1,"parts":[{"name":"x"}]})") == "spec.parts");
  // A server of an older definition leaves out what it does not know; of an empty list nothing is
  // lost.
  CHECK(differenceOf(R"({"a":1})", R"({"a":1,"grpcRoutes":[]})").empty());
  CHECK(differenceOf(R"({"grpcRoutes":[1]})", R"({"grpcRoutes":[]})") == "spec.grpcRoutes");
  CHECK(differenceOf(R"({"a":1})", R"({"a":1,"partOf":""})").empty());
  CHECK(differenceOf(R"({"a":1,"partOf":"x"})", R"({"a":1,"partOf":""})") == "spec.partOf");
  // What cannot be compared is not the same.
  CHECK(differenceOf("{}", "{") == "spec");
  CHECK(differenceOf("{", "{\"a\":1}") == "spec.a");
}

TEST_CASE("A status is read, and data planes that are gone are taken out of it") {
  k8s_client::ObjectText object;
  REQUIRE(object.read(
      R"({"metadata":{"name":"snap","namespace":"ns","uid":"u","resourceVersion":"7","generation":3},)"
      R"("spec":{"checksum":"c"},"status":{"lastAppliedChecksum":"c","observedGeneration":3,)"
      R"("conditions":[{"type":"Ready","status":"True","lastTransitionTime":"then"}],)"
      R"("dataPlanes":[{"name":"p","namespace":"ns","checksum":"c"},)"
      R"({"name":"q","namespace":"ns","checksum":"d","refused":[{"name":"l","reason":"r"}]}]}})"));
  const Observed seen = readObserved(object, true);
  CHECK(seen.generation == 3);
  CHECK(seen.status_checksum == "c");
  CHECK(seen.status_generation == 3);
  CHECK(seen.ready_since == "then");
  REQUIRE(seen.data_planes.size() == 2);
  CHECK(seen.data_planes[1].key() == "ns/q");
  CHECK(seen.data_planes[1].refused[0].reason == "r");
  CHECK(withoutPlanes(seen, {"ns/q"}) ==
        R"({"metadata":{"resourceVersion":"7"},"status":{"dataPlanes":[)"
        R"({"name":"p","namespace":"ns","checksum":"c"}]}})");
  CHECK(readObserved(object, false).data_planes.empty());
}

TEST_CASE("The label of a snapshot with a long name is a label") {
  CHECK(labelOf("snap") == "snap");
  const std::string one = labelOf(std::string(62, 'a') + ".b"),
                    other = labelOf(std::string(64, 'a'));
  CHECK(one.size() <= 63);
  CHECK(one != other);
}

}  // namespace
}  // namespace hyperway::snapshot_sink
