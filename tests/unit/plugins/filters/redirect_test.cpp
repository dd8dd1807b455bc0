// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "hyperway/sdk/fake_host.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_redirect;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_redirect};
};

struct Request {
  std::string scheme = "http";
  std::int64_t port = 80;
  std::string authority = "example.com";
  std::string path = "/a/b";
  std::string query = "";
  std::int64_t prefix = -1;
};

std::string locationOf(sdk::FakeFilter& filter, const Request& request) {
  auto stream = filter.stream();
  stream.setText(HW_TEXT_SCHEME, request.scheme);
  stream.setText(HW_TEXT_CLIENT_AUTHORITY, request.authority);
  stream.setText(HW_TEXT_PATH, request.path);
  if (!request.query.empty()) stream.setText(HW_TEXT_QUERY, request.query);
  stream.setNumber(HW_NUMBER_CLIENT_PORT, request.port);
  if (request.prefix >= 0) stream.setNumber(HW_NUMBER_PREFIX_SIZE, request.prefix);
  REQUIRE(stream.requestHead() == HW_FLOW_RESPONDED);
  REQUIRE(stream.answer.has_value());
  return std::to_string(stream.answer->status) + ' ' + stream.answer->fields.get("location");
}

TEST_CASE_FIXTURE(Fixture,
                  "RequestRedirect: the port follows the scheme, else the listener, and well-known "
                  "ones are left out") {
  struct Row {
    std::string_view config;
    Request request;
    std::string_view expected;
  };
  for (const Row& row : {
           Row{"{}", {}, "302 http://example.com/a/b"},
           Row{"{}", {.query = "x=1&y"}, "302 http://example.com/a/b?x=1&y"},
           Row{R"({"hostname": "example.org"})", {}, "302 http://example.org/a/b"},
           Row{R"({"hostname": "example.org", "statusCode": 301})",
               {},
               "301 http://example.org/a/b"},
           // No scheme, no port: the listener's port.
           Row{R"({"hostname": "a.test"})", {.port = 8080}, "302 http://a.test:8080/a/b"},
           Row{R"({"hostname": "a.test"})",
               {.scheme = "https", .port = 443},
               "302 https://a.test/a/b"},
           Row{R"({"hostname": "a.test"})",
               {.scheme = "https", .port = 8443},
               "302 https://a.test:8443/a/b"},
           // A scheme without port: its well-known one, left out.
           Row{R"({"scheme": "https"})", {.port = 8080}, "302 https://example.com/a/b"},
           Row{R"({"scheme": "http"})",
               {.scheme = "https", .port = 443},
               "302 http://example.com/a/b"},
           // A port: always meant, and left out only where it is the scheme's own.
           Row{R"({"port": 8443, "scheme": "https"})", {}, "302 https://example.com:8443/a/b"},
           Row{R"({"port": 443, "scheme": "https"})", {}, "302 https://example.com/a/b"},
           Row{R"({"port": 80, "scheme": "https"})", {}, "302 https://example.com:80/a/b"},
           Row{R"({"port": 443})", {}, "302 http://example.com:443/a/b"},
           Row{R"({"port": 80})", {.port = 8080}, "302 http://example.com/a/b"},
           // The client's authority loses its port, an IPv6 address keeps its brackets.
           Row{R"({"scheme": "https"})",
               {.authority = "example.com:8080"},
               "302 https://example.com/a/b"},
           Row{R"({"scheme": "https"})", {.authority = "[::1]:8080"}, "302 https://[::1]/a/b"},
           Row{R"({"scheme": "https"})", {.authority = "[::1]"}, "302 https://[::1]/a/b"},
           // Paths.
           Row{R"({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}})",
               {.query = "q"},
               "302 http://example.com/x?q"},
           Row{R"({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}})",
               {.prefix = 2},
               "302 http://example.com/x/b"},
           Row{R"({"statusCode": 303})", {}, "303 http://example.com/a/b"},
           Row{R"({"statusCode": 307})", {}, "307 http://example.com/a/b"},
           Row{R"({"statusCode": 308})", {}, "308 http://example.com/a/b"},
       }) {
    CAPTURE(row.config);
    auto filter = plugin.filter("RequestRedirect", row.config);
    REQUIRE(filter.accepted());
    CHECK(locationOf(filter, row.request) == row.expected);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "RequestRedirect: a request that names no host gets 400, a prefix that was not "
                  "matched a fault") {
  auto filter = plugin.filter("RequestRedirect", "{}");
  auto stream = filter.stream();
  stream.setText(HW_TEXT_CLIENT_AUTHORITY, "");
  CHECK(stream.requestHead() == HW_FLOW_RESPONDED);
  CHECK(stream.answer->status == 400);

  auto prefix = plugin.filter(
      "RequestRedirect", R"({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}})");
  auto other = prefix.stream();
  CHECK(other.requestHead() == HW_FLOW_FAULT);
}

TEST_CASE_FIXTURE(Fixture, "RequestRedirect refuses other values, at their place") {
  struct Row {
    std::string_view json, pointers;
  };
  for (
      const Row& row : {
          Row{R"({"scheme": "ftp"})", "/scheme"},
          Row{R"({"statusCode": 304})", "/statusCode"},
          Row{R"({"port": 0})", "/port"},
          Row{R"({"port": 65536})", "/port"},
          Row{R"({"port": "80"})", "/port"},
          Row{R"({"hostname": "*.example.com"})", "/hostname"},
          Row{R"({"hostname": "a.test:80"})", "/hostname"},
          Row{R"({"hostname": ""})", "/hostname"},
          Row{R"({"path": {"type": "Replace"}})", "/path/type"},
          Row{R"({"path": {"type": "ReplaceFullPath"}})", "/path/replaceFullPath"},
          Row{R"({"path": {"type": "ReplaceFullPath", "replaceFullPath": "x"}})",
              "/path/replaceFullPath"},
          Row{R"({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/a b"}})",
              "/path/replaceFullPath"},
          Row{R"({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/a", "replacePrefixMatch": "/b"}})",
              "/path/replacePrefixMatch"},
          Row{R"({"url": "x"})", "/url"},
      }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("RequestRedirect", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

}  // namespace
}  // namespace hyperway
