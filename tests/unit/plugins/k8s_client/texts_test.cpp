// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "k8s_client/line_splitter.hpp"
#include "k8s_client/list_page.hpp"
#include "k8s_client/object_text.hpp"
#include "k8s_client/watch_event.hpp"

using namespace hyperway::k8s_client;

TEST_CASE("Lines come out whole however the stream is cut, characters of several bytes too") {
  const std::string stream = "{\"a\":\"\xC3\xBC\xF0\x9F\x98\x80\"}\n\nsecond\nrest";
  for (std::size_t size = 1; size <= stream.size(); ++size) {
    LineSplitter splitter(1000);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < stream.size(); at += size)
      REQUIRE(splitter.feed(std::string_view(stream).substr(at, size),
                            [&](std::string_view line) { lines.emplace_back(line); }));
    CHECK(lines == std::vector<std::string>{"{\"a\":\"\xC3\xBC\xF0\x9F\x98\x80\"}", "", "second"});
    CHECK_FALSE(splitter.atLineStart());
  }
}

TEST_CASE("A line is bounded, whether it ends or not") {
  LineSplitter splitter(8);
  int lines = 0;
  const auto count = [&](std::string_view) { ++lines; };
  CHECK(splitter.feed("12345678\n", count));
  CHECK(splitter.feed("1234", count));
  CHECK_FALSE(splitter.feed("56789", count));
  LineSplitter other(8);
  CHECK_FALSE(other.feed("123456789\n", count));
  CHECK(lines == 1);
}

TEST_CASE("A page gives its objects, its version and where the next one begins") {
  ListPageReader reader;
  ListPage page;
  std::vector<std::string> items;
  REQUIRE(reader.read(
      R"({"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"c"},)"
      R"("items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})",
      page, [&](std::string_view item) { items.emplace_back(item); }));
  CHECK(page.resource_version == "7");
  CHECK(page.next == "c");
  CHECK(items ==
        std::vector<std::string>{R"({"metadata":{"name":"a"}})", R"({"metadata":{"name":"b"}})"});
  CHECK(pagePath("/x?a=b", "c=") == "/x?a=b&limit=500&continue=c%3D");
}

TEST_CASE("What is no list, or is cut, is refused") {
  for (const char* body : {"", "[]", "{}", R"({"items":[{"a":1},)", R"({"items":[1]})", "null",
                           R"({"items":{}})", "<html>"}) {
    CAPTURE(body);
    ListPageReader reader;
    ListPage page;
    CHECK_FALSE(reader.read(body, page, [](std::string_view) {}));
    CHECK_FALSE(reader.error().empty());
  }
}

TEST_CASE("An object loses managedFields, kubectl's copy and its status, and gets its kind") {
  ObjectText object;
  REQUIRE(
      object.read(R"({"metadata":{"name":"a","namespace":"n","resourceVersion":"12","uid":"u",)"
                  R"("managedFields":[{"x":1}],"annotations":{)"
                  R"("kubectl.kubernetes.io/last-applied-configuration":"{}","keep":"\u00fc"}},)"
                  R"("spec":{"ports":[1, 2 ]},"status":{"s":1}})"));
  CHECK(object.key() == "n/a");
  CHECK(object.resourceVersion() == "12");
  CHECK(versionOf(object.resourceVersion()) == 12);
  CHECK(object.member("status") == R"({"s":1})");
  std::string out = "[";
  object.appendSlim(out, "v1", "Service", false);
  CHECK(out == R"([{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"n",)"
               R"("resourceVersion":"12","uid":"u","annotations":{"keep":"\u00fc"}},)"
               R"("spec":{"ports":[1, 2 ]}})");
  out.clear();
  object.appendSlim(out, "v1", "Service", true);
  CHECK(out.find(R"("status":{"s":1})") != std::string::npos);
}

TEST_CASE("What is no object with a name is refused") {
  ObjectText object;
  for (const char* text : {"", "{}", "[]", R"({"metadata":{}})", R"({"metadata":{"name":"a"})",
                           R"({"metadata":{"name":"a"}}})", R"({"metadata":[]})", "nonsense"}) {
    CAPTURE(text);
    CHECK_FALSE(object.read(text));
  }
}

TEST_CASE("A line of a watch is an event, a bookmark or an error, or nothing") {
  WatchEventReader reader;
  using Type = WatchEvent::Type;
  auto event = reader.read(R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})");
  CHECK(event.type == Type::Added);
  CHECK(event.object == R"({"metadata":{"name":"a"}})");
  event = reader.read(R"({"object":{"metadata":{"resourceVersion":"9"}},"type":"BOOKMARK"})");
  CHECK(event.type == Type::Bookmark);
  CHECK(event.bookmark == "9");
  event = reader.read(R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"old"}})");
  CHECK(event.type == Type::Failed);
  CHECK(event.code == 410);
  CHECK(event.message == "old");
  for (const char* line :
       {"", "{", R"({"type":"ADDED"})", R"({"type":"NEW","object":{}})",
        R"({"type":"BOOKMARK","object":{}})", R"({"type":"ADDED","object":{}} x)",
        R"({"type":1,"object":{}})", R"({"type":"ADDED","object":{"a":1})"}) {
    CAPTURE(line);
    CHECK(reader.read(line).type == Type::Invalid);
  }
}
