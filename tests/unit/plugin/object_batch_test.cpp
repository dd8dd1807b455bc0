// SPDX-License-Identifier: Apache-2.0
#include "plugin/object_batch.hpp"

#include <doctest/doctest.h>

#include <string_view>

namespace hyperway::plugin {
namespace {

TEST_CASE("a batch of objects is cut into objects with their identity and their own text") {
  const auto read = readObjectBatch(R"( {"upserts": [
      {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
       "metadata": {"namespace": "a", "name": "r", "labels": {"x": "]}"}}, "spec": {"n": [1, {}]}},
      {"metadata": {"name": "n"}, "kind": "Namespace", "apiVersion": "v1"}],
    "removals": [{"group": "", "kind": "Service", "namespace": "b", "name": "s"}]} )");
  REQUIRE(read);
  const auto& changes = *read;
  REQUIRE(changes.size() == 3);
  CHECK(changes[0].kind == "Service");
  CHECK(changes[0].json.empty());
  CHECK(changes[1].group == "gateway.networking.k8s.io");
  CHECK(changes[1].kind == "HTTPRoute");
  CHECK(changes[1].name_space == "a");
  CHECK(changes[1].name == "r");
  CHECK(std::string_view(changes[1].json).starts_with(R"({"apiVersion")"));
  CHECK(std::string_view(changes[1].json).ends_with(R"("spec": {"n": [1, {}]}})"));
  CHECK(changes[2].group.empty());
  CHECK(changes[2].name_space.empty());
  CHECK(changes[2].name == "n");
}

TEST_CASE("either list may be absent; a batch that cannot be read is refused as a whole") {
  CHECK(readObjectBatch("{}")->empty());
  CHECK(readObjectBatch(R"({"upserts": []})")->empty());
  for (const std::string_view bad :
       {"", "[]", "{", R"({"upserts": {}})", R"({"upserts": [1]})",
        R"({"upserts": [{"kind": "A"}]})", R"({"upserts": [{"metadata": {"name": "x"}}]})",
        R"({"removals": [{"kind": "A", "namespace": "b"}]})",
        R"({"upserts": [{"kind": "A", "metadata": {"name": "x"})",
        R"({"removals": [{"kind": "A", "na)", R"({"upserts": [{"kind": "A", "meta)"}) {
    CAPTURE(bad);
    const auto read = readObjectBatch(bad);
    CHECK_FALSE(read.has_value());
  }
}

TEST_CASE("statuses go out by object; those that are gone have no status") {
  gateway::StatusBatch batch;
  batch.removed = {"HTTPRoute/ns/a\"b", "GatewayClass//c", "nonsense"};
  CHECK(
      writeStatusBatch(batch) ==
      R"([{"kind":"HTTPRoute","namespace":"ns","name":"a\"b"},{"kind":"GatewayClass","namespace":"","name":"c"}])");
  CHECK(writeStatusBatch({}) == "[]");
}

}  // namespace
}  // namespace hyperway::plugin
