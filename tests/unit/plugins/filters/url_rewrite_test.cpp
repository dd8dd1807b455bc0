// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string_view>

#include "hyperway/sdk/fake_host.hpp"
#include "path_modifier.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_url_rewrite;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_url_rewrite};
};

TEST_CASE("replacePrefixMatch neither doubles nor loses slashes (the Gateway API's table)") {
  struct Row {
    std::string_view path, prefix, replacement, expected;
  };
  for (const Row& row : {
           Row{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
           Row{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
           Row{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
           Row{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
           Row{"/foo", "/foo", "/xyz", "/xyz"},
           Row{"/foo/", "/foo", "/xyz", "/xyz/"},
           Row{"/foo/bar", "/foo", "", "/bar"},
           Row{"/foo/", "/foo", "", "/"},
           Row{"/foo", "/foo", "", "/"},
           Row{"/foo/", "/foo", "/", "/"},
           Row{"/foo", "/foo", "/", "/"},
           Row{"/foo", "/foo", "/xyz/", "/xyz/"},
           Row{"/foo/bar", "/", "/xyz", "/xyz/foo/bar"},
           Row{"/", "/", "/xyz", "/xyz/"},
           Row{"/foo//bar", "/foo", "/xyz", "/xyz//bar"},
       }) {
    CAPTURE(row.path);
    CAPTURE(row.prefix);
    CAPTURE(row.replacement);
    CHECK(filters::PathModifier::replacePrefix(row.path, row.prefix.size(), row.replacement) ==
          row.expected);
  }
}

TEST_CASE_FIXTURE(Fixture, "URLRewrite changes host and path, and leaves the query") {
  auto filter = plugin.filter("URLRewrite", R"({
    "hostname": "one.example.org",
    "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2"}})");
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.setText(HW_TEXT_PATH, "/v1/items");
  stream.setText(HW_TEXT_QUERY, "a=1");
  stream.setNumber(HW_NUMBER_PREFIX_SIZE, 3);
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK(stream.text(HW_TEXT_AUTHORITY) == "one.example.org");
  CHECK(stream.text(HW_TEXT_PATH) == "/v2/items");
  CHECK(stream.text(HW_TEXT_QUERY) == "a=1");
}

TEST_CASE_FIXTURE(Fixture,
                  "URLRewrite: a full path replaces all of it; nothing given, nothing changed") {
  auto full = plugin.filter("URLRewrite",
                            R"({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/one"}})");
  auto stream = full.stream();
  stream.setText(HW_TEXT_PATH, "/a/b/c");
  CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  CHECK(stream.text(HW_TEXT_PATH) == "/one");
  CHECK(stream.text(HW_TEXT_AUTHORITY) == "example.com");

  auto none = plugin.filter("URLRewrite", "{}");
  auto other = none.stream();
  other.setText(HW_TEXT_PATH, "/a/b/c");
  CHECK(other.requestHead() == HW_FLOW_CONTINUE);
  CHECK(other.text(HW_TEXT_PATH) == "/a/b/c");
}

TEST_CASE_FIXTURE(Fixture, "URLRewrite faults where there is no prefix to replace") {
  auto filter = plugin.filter(
      "URLRewrite", R"({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}})");
  auto stream = filter.stream();
  CHECK(stream.requestHead() == HW_FLOW_FAULT);
  auto longer = filter.stream();
  longer.setText(HW_TEXT_PATH, "/a");
  longer.setNumber(HW_NUMBER_PREFIX_SIZE, 9);
  CHECK(longer.requestHead() == HW_FLOW_FAULT);
}

}  // namespace
}  // namespace hyperway
