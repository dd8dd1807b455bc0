// SPDX-License-Identifier: Apache-2.0
#include "yaml_to_json.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace hyperway::file_source;

namespace {
const std::string kHead = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n";

std::vector<YamlObject> good(std::string_view text) {
  std::vector<YamlObject> out;
  YamlError error;
  const bool done = convertDocument(text, out, error);
  CAPTURE(error.message);
  CHECK(done);
  return out;
}

std::string bad(std::string_view text) {
  std::vector<YamlObject> out;
  YamlError error;
  CHECK_FALSE(convertDocument(text, out, error));
  CHECK(out.empty());
  return std::to_string(error.line) + ": " + error.message;
}
}  // namespace

TEST_CASE("A document becomes JSON with what identifies it") {
  const auto out = good(
      "---\n# c\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
      "a.b\n"
      "spec:\n  hostnames: [a, \"1\", 'yes']\n  text: |\n    x\n    y\n  n: 1\n  none:\n  last: "
      "null\n  80: q\n");
  REQUIRE(out.size() == 1);
  CHECK(out[0].group == "gateway.networking.k8s.io");
  CHECK(out[0].kind == "HTTPRoute");
  CHECK(out[0].name_space == "default");
  CHECK(out[0].name == "a.b");
  CHECK(out[0].line == 3);
  CHECK(
      out[0].json ==
      R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a.b"},)"
      R"("spec":{"hostnames":["a","1","yes"],"text":"x\ny\n","n":1,"80":"q"}})");
  CHECK(out[0].json.substr(out[0].metadata_at).starts_with("\"name\""));
  CHECK_FALSE(out[0].has_namespace);
}

TEST_CASE("JSON is YAML") {
  const auto out = good(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"x","namespace":"n","generation":3}})");
  REQUIRE(out.size() == 1);
  CHECK(out[0].name_space == "n");
  CHECK(out[0].has_namespace);
  CHECK(out[0].has_generation);
}

TEST_CASE("A List gives its items, and another kind's items are data") {
  const auto out =
      good("apiVersion: v1\nitems:\n- " +
           std::string("{apiVersion: v1, kind: Service, metadata: {name: a}}\n") +
           "- {apiVersion: v1, kind: Secret, metadata: {name: b, namespace: n}}\nkind: List\n");
  REQUIRE(out.size() == 2);
  CHECK(out[0].json == R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}})");
  CHECK(out[1].name_space == "n");
  CHECK(out[1].in_list);
  CHECK(out[1].line == 4);
  CHECK(good(kHead + "items: [{a: 1}]\n").size() == 1);
}

TEST_CASE("Cluster-scoped kinds have no namespace") {
  CHECK(good("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: x}")[0]
            .name_space.empty());
  CHECK(good("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}")[0].name_space.empty());
}

TEST_CASE("Aliases are expanded, within a bound") {
  CHECK(good(kHead + "a: &x {b: 1}\nc: *x\nd: [*x, *x]\n")[0].json.ends_with(
      R"("a":{"b":1},"c":{"b":1},"d":[{"b":1},{"b":1}]})"));
  std::string laughs = kHead + "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int j = 0; j < 9; ++j) laughs += "," + last;
    laughs += "]\n";
  }
  CHECK(bad(laughs).find("larger than 16 MiB") != std::string::npos);
}

TEST_CASE("What is not a manifest is refused with its line") {
  struct Row {
    std::string text, error;
  };
  std::string deep = kHead + "a: ";
  for (int i = 0; i < 80; ++i) deep += '[';
  for (const Row& row : {
           Row{kHead + "a: [1\n", "5: not valid YAML"},
           {kHead + "a: 1\na: 2\n", "5: the key \"a\" occurs twice"},
           {kHead + "a: {<<: 1}\n", "4: merge keys"},
           {kHead + "a: *b\n", "4: "},
           {kHead + "a: !!binary x\n", "4: the tag"},
           {kHead + "a: !x {}\n", "4: the tag"},
           {kHead + "a: !!int x\n", "4: \"x\" does not fit"},
           {kHead + "a: .inf\n", "4: infinity"},
           {kHead + "[1]: 2\n", "4: a mapping key"},
           {kHead + "\ta: 1\n", "4: not valid YAML"},
           {kHead + "a: \xff\n", "4: not valid YAML"},
           {deep, "4: nested more than 64"},
           {"- 1\n", "1: a manifest must be a mapping"},
           {"hello\n", "1: a manifest must be a mapping"},
           {"a: 1\n", "1: apiVersion is missing"},
           {"\napiVersion: v1\nmetadata: {name: x}\n", "2: kind is missing"},
           {"apiVersion: v1\nkind: Service\n", "1: Service: metadata.name is missing"},
           {"apiVersion: v1\nkind: Service\nmetadata: {name: A_b}\n",
            "1: Service: metadata.name \"A_b\""},
           {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: a.b}\n",
            "1: Service: metadata.namespace \"a.b\""},
           {"apiVersion: v1\nkind: Service\nmetadata:\n  name: 404\n",
            "4: name must be a text: put 404 in quotes"},
           {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: 1}\n",
            "3: namespace must be a text: put 1 in quotes"},
           {"apiVersion: v1\nkind: true\n", "2: kind must be a text: put true in quotes"},
           {"apiVersion: 1.0\n", "1: apiVersion must be a text: put 1.0 in quotes"},
           {"a: &n 404\nmetadata: {name: *n}\n", "2: name must be a text: put 404 in quotes"},
           {"metadata: {name: [a]}\n", "1: name must be a text"},
       }) {
    CAPTURE(row.text);
    const std::string error = bad(row.text);
    CAPTURE(error);
    CHECK(error.starts_with(row.error));
  }
  CHECK(good("--- \n").empty());
}
