// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "hyperway/sdk/fake_host.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_header_modifier;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_header_modifier};
};

constexpr std::string_view kEdits = R"({
  "set": [{"name": "X-Set", "value": "new"}, {"name": "X-Absent", "value": "made"}],
  "add": [{"name": "x-add", "value": "second"}, {"name": "X-Added", "value": "first"}],
  "remove": ["X-REMOVE", "x-not-there"]})";

void fill(sdk::FakeFields& fields) {
  fields.add("x-set", "old 1");
  fields.add("X-Other", "kept");
  fields.add("X-SET", "old 2");
  fields.add("X-Add", "first");
  fields.add("x-remove", "1");
  fields.add("X-Remove", "2");
}

void check(const sdk::FakeFields& fields) {
  CHECK(fields.all("x-set") == std::vector<std::string>{"new"});
  CHECK(fields.all("x-absent") == std::vector<std::string>{"made"});
  CHECK(fields.all("x-add") == std::vector<std::string>{"first", "second"});
  CHECK(fields.all("x-added") == std::vector<std::string>{"first"});
  CHECK_FALSE(fields.has("x-remove"));
  CHECK(fields.get("x-other") == "kept");
}

TEST_CASE_FIXTURE(Fixture,
                  "RequestHeaderModifier: set replaces all, add appends, remove ignores case") {
  auto filter = plugin.filter("RequestHeaderModifier", kEdits);
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  fill(stream.request);
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  check(stream.request);
}

TEST_CASE_FIXTURE(Fixture, "ResponseHeaderModifier edits the response and leaves the request") {
  auto filter = plugin.filter("ResponseHeaderModifier", kEdits);
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.request.add("x-set", "mine");
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  fill(stream.response);
  CHECK(stream.responseHead(200) == HW_FLOW_CONTINUE);
  check(stream.response);
  CHECK(stream.request.get("x-set") == "mine");
}

TEST_CASE_FIXTURE(Fixture, "RequestHeaderModifier: setting Host changes the authority") {
  auto filter =
      plugin.filter("RequestHeaderModifier", R"({"set": [{"name": "host", "value": "b.test"}]})");
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK(stream.text(HW_TEXT_AUTHORITY) == "b.test");
  CHECK_FALSE(stream.request.has("host"));
}

TEST_CASE_FIXTURE(Fixture, "header modifiers refuse what a request could not keep, at its place") {
  struct Row {
    std::string_view json, pointers;
  };
  for (const Row& row : {
           Row{R"([])", "(root)"},
           Row{R"({"sett": []})", "/sett"},
           Row{R"({"set": {}})", "/set"},
           Row{R"({"set": [{"name": "a b", "value": "x"}]})", "/set/0/name"},
           Row{R"({"set": [{"name": "", "value": "x"}]})", "/set/0/name"},
           Row{R"({"set": [{"value": "x"}]})", "/set/0/name"},
           Row{R"({"set": [{"name": "a", "value": 1}]})", "/set/0/value"},
           Row{R"({"add": [{"name": "a", "value": "x\r\ny"}]})", "/add/0/value"},
           Row{R"({"add": [{"name": "a", "value": "x", "extra": 1}]})", "/add/0/extra"},
           Row{R"({"set": [{"name": "Content-Length", "value": "0"}]})", "/set/0/name"},
           Row{R"({"remove": ["ok", "Transfer-Encoding"]})", "/remove/1"},
           Row{R"({"remove": ["Host"]})", "/remove/0"},
           Row{R"({"add": [{"name": "Host", "value": "x"}]})", "/add/0/name"},
           Row{R"({"remove": [1, "a:b"]})", "/remove/0 /remove/1"},
           Row{R"({"set": [)", "/set/0"},
       }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("RequestHeaderModifier", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

TEST_CASE_FIXTURE(Fixture, "header modifiers have no memory per stream") {
  auto filter = plugin.filter("RequestHeaderModifier", "{}");
  CHECK((filter.type().stream_create == nullptr));
  CHECK(filter.type().interest == HW_HOOK_REQUEST_HEAD);
}

}  // namespace
}  // namespace hyperway
