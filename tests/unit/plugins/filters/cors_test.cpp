// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "hyperway/sdk/fake_host.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_cors;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_cors};
};

constexpr std::string_view kPolicy = R"({
  "allowOrigins": ["https://www.foo.com", "https://*.bar.com", "http://port.test:8080"],
  "allowMethods": ["GET", "OPTIONS"],
  "allowHeaders": ["x-header-1", "x-header-2"],
  "exposeHeaders": ["x-header-3", "x-header-4"],
  "allowCredentials": true,
  "maxAge": 3600})";

sdk::FakeAnswer preflight(sdk::FakeFilter& filter, std::string origin, std::string method = "GET",
                          std::string headers = "") {
  auto stream = filter.stream();
  stream.setText(HW_TEXT_METHOD, "OPTIONS");
  stream.request.add("Origin", std::move(origin));
  stream.request.add("Access-Control-Request-Method", std::move(method));
  if (!headers.empty()) stream.request.add("Access-Control-Request-Headers", std::move(headers));
  REQUIRE(stream.requestHead() == HW_FLOW_RESPONDED);
  return *stream.answer;
}

TEST_CASE_FIXTURE(Fixture, "CORS answers an allowed preflight itself with 204 and the policy") {
  auto filter = plugin.filter("CORS", kPolicy);
  REQUIRE(filter.accepted());
  const auto answer = preflight(filter, "https://www.foo.com", "GET", "x-header-1, x-header-2");
  CHECK(answer.status == 204);
  CHECK(answer.fields.get("access-control-allow-origin") == "https://www.foo.com");
  CHECK(answer.fields.get("access-control-allow-credentials") == "true");
  CHECK(answer.fields.get("access-control-allow-methods") == "GET, OPTIONS");
  CHECK(answer.fields.get("access-control-allow-headers") == "x-header-1, x-header-2");
  CHECK(answer.fields.get("access-control-expose-headers") == "x-header-3, x-header-4");
  CHECK(answer.fields.get("access-control-max-age") == "3600");
  CHECK(answer.fields.get("vary").starts_with("Origin"));
}

TEST_CASE_FIXTURE(
    Fixture, "CORS origins: exact, leading wildcard over any number of labels, default ports") {
  auto filter = plugin.filter("CORS", kPolicy);
  struct Row {
    std::string_view origin;
    bool allowed;
  };
  for (const Row& row : {
           Row{"https://www.foo.com", true},
           Row{"https://www.foo.com:443", true},
           Row{"https://WWW.foo.com", true},
           Row{"http://www.foo.com", false},
           Row{"https://www.foo.com:8443", false},
           Row{"https://a.www.foo.com", false},
           Row{"https://www.foo.com.evil.test", false},
           Row{"https://www.bar.com", true},
           Row{"https://a.b.bar.com", true},
           Row{"https://bar.com", false},
           Row{"https://evilbar.com", false},
           Row{"https://.bar.com", false},
           Row{"https://a.bar.com.evil.test", false},
           Row{"http://port.test:8080", true},
           Row{"http://port.test", false},
           Row{"null", false},
           Row{"https://", false},
           Row{"www.foo.com", false},
       }) {
    CAPTURE(row.origin);
    const auto answer = preflight(filter, std::string(row.origin));
    CHECK(answer.status == 204);
    CHECK(answer.fields.has("access-control-allow-origin") == row.allowed);
    CHECK(answer.fields.has("access-control-allow-methods") == row.allowed);
    CHECK(answer.fields.has("access-control-allow-credentials") == row.allowed);
  }
}

TEST_CASE_FIXTURE(Fixture, "CORS wildcards: sent as * without credentials, never with them") {
  auto open = plugin.filter("CORS", R"({"allowOrigins": ["*"], "allowMethods": ["*"],
      "allowHeaders": ["*"], "exposeHeaders": ["*"]})");
  auto answer = preflight(open, "https://a.test", "PUT", "x-one, x-two");
  CHECK(answer.fields.get("access-control-allow-origin") == "*");
  CHECK(answer.fields.get("access-control-allow-methods") == "*");
  CHECK(answer.fields.get("access-control-allow-headers") == "*");
  CHECK(answer.fields.get("access-control-expose-headers") == "*");
  CHECK(answer.fields.get("access-control-max-age") == "5");
  CHECK_FALSE(answer.fields.has("access-control-allow-credentials"));

  auto closed = plugin.filter("CORS", R"({"allowOrigins": ["*"], "allowMethods": ["*"],
      "allowHeaders": ["*"], "exposeHeaders": ["*"], "allowCredentials": true})");
  answer = preflight(closed, "https://a.test", "PUT", "x-one, x-two");
  CHECK(answer.fields.get("access-control-allow-origin") == "https://a.test");
  CHECK(answer.fields.get("access-control-allow-methods") == "PUT");
  CHECK(answer.fields.get("access-control-allow-headers") == "x-one, x-two");
  CHECK_FALSE(answer.fields.has("access-control-expose-headers"));
  CHECK(answer.fields.get("access-control-allow-credentials") == "true");
  CHECK_FALSE(preflight(closed, "https://a.test").fields.has("access-control-allow-headers"));
  // A page without an origin must never be given a user's credentials.
  CHECK_FALSE(preflight(closed, "null").fields.has("access-control-allow-origin"));
}

TEST_CASE_FIXTURE(Fixture, "CORS: OPTIONS without the preflight fields goes on to the backend") {
  auto filter = plugin.filter("CORS", kPolicy);
  for (const bool with_origin : {false, true}) {
    auto stream = filter.stream();
    stream.setText(HW_TEXT_METHOD, "OPTIONS");
    if (with_origin) stream.request.add("origin", "https://www.foo.com");
    CHECK(stream.requestHead() == HW_FLOW_CONTINUE);
  }
  CHECK((filter.type().interest & HW_INTEREST_PREFLIGHT) != 0);
}

struct Response {
  sdk::FakeFields fields;
};

sdk::FakeFields respond(sdk::FakeFilter& filter, std::string_view origin,
                        const sdk::FakeFields& from_backend) {
  auto stream = filter.stream();
  if (!origin.empty()) stream.request.add("Origin", std::string(origin));
  REQUIRE(stream.requestHead() == HW_FLOW_CONTINUE);
  stream.response = from_backend;
  REQUIRE(stream.responseHead(200) == HW_FLOW_CONTINUE);
  return stream.response;
}

TEST_CASE_FIXTURE(Fixture, "CORS adds its fields to actual responses and overrides the backend's") {
  auto filter = plugin.filter("CORS", kPolicy);
  sdk::FakeFields backend;
  backend.add("Access-Control-Allow-Origin", "*");
  backend.add("Vary", "Accept-Encoding");

  auto fields = respond(filter, "https://x.bar.com", backend);
  CHECK(fields.all("access-control-allow-origin") == std::vector<std::string>{"https://x.bar.com"});
  CHECK(fields.get("access-control-allow-credentials") == "true");
  CHECK(fields.get("access-control-expose-headers") == "x-header-3, x-header-4");
  CHECK(fields.all("vary") == std::vector<std::string>{"Accept-Encoding", "Origin"});
  CHECK_FALSE(fields.has("access-control-max-age"));

  fields = respond(filter, "https://evil.test", backend);
  CHECK_FALSE(fields.has("access-control-allow-origin"));
  CHECK_FALSE(fields.has("access-control-allow-credentials"));

  fields = respond(filter, "", sdk::FakeFields());
  CHECK_FALSE(fields.has("access-control-allow-origin"));
  CHECK(fields.get("vary") == "Origin");
}

TEST_CASE_FIXTURE(Fixture, "CORS: Vary is added once, and not where every origin gets the same") {
  auto filter = plugin.filter("CORS", kPolicy);
  sdk::FakeFields backend;
  backend.add("Vary", "Accept, ORIGIN");
  CHECK(respond(filter, "https://x.bar.com", backend).all("vary").size() == 1);

  auto open = plugin.filter("CORS", R"({"allowOrigins": ["*"]})");
  const auto fields = respond(open, "https://x.bar.com", sdk::FakeFields());
  CHECK_FALSE(fields.has("vary"));
  CHECK(fields.get("access-control-allow-origin") == "*");
}

TEST_CASE_FIXTURE(Fixture, "CORS refuses what the standard refuses, at its place") {
  struct Row {
    std::string_view json, pointers;
  };
  for (const Row& row : {
           Row{R"({"allowOrigins": ["*", "https://a.test"]})", "/allowOrigins"},
           Row{R"({"allowOrigins": ["a.test"]})", "/allowOrigins/0"},
           Row{R"({"allowOrigins": ["ftp://a.test"]})", "/allowOrigins/0"},
           Row{R"({"allowOrigins": ["https://a.*.test"]})", "/allowOrigins/0"},
           Row{R"({"allowOrigins": ["https://a.test/path"]})", "/allowOrigins/0"},
           Row{R"({"allowMethods": ["*", "GET"]})", "/allowMethods"},
           Row{R"({"allowMethods": ["GET POST"]})", "/allowMethods/0"},
           Row{R"({"allowHeaders": [""]})", "/allowHeaders/0"},
           Row{R"({"maxAge": 0})", "/maxAge"},
           Row{R"({"allowCredentials": "yes"})", "/allowCredentials"},
           Row{R"({"origins": []})", "/origins"},
       }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("CORS", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

}  // namespace
}  // namespace hyperway
