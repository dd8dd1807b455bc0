// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "hyperway/sdk/fake_host.hpp"
#include "json_mask/masker.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_json_mask;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_json_mask};
};

struct Case {
  std::string_view text, expected;
};

constexpr Case kCases[] = {
    {R"({"password":"x"})", R"({"password":"***"})"},
    {R"({"a":1,"password" : "x" ,"b":2})", R"({"a":1,"password" : "***" ,"b":2})"},
    {R"({"password":12.5e3})", R"({"password":"***"})"},
    {R"({"password":-1,"b":2})", R"({"password":"***","b":2})"},
    {R"({"password":null })", R"({"password":"***" })"},
    {R"({"password":true})", R"({"password":"***"})"},
    {R"({"password":["a",{"b":"c"}],"d":1})", R"({"password":"***","d":1})"},
    {R"({"password":{"password":"x","y":[1,2]}})", R"({"password":"***"})"},
    {R"({"password":""})", R"({"password":"***"})"},
    {R"({"password":"a\"b\\"})", R"({"password":"***"})"},
    {R"({"password":"\u0022,\"x\":1"})", R"({"password":"***"})"},
    {R"([{"password":1},{"ssn":2},[{"ssn":[]}]])",
     R"([{"password":"***"},{"ssn":"***"},[{"ssn":"***"}]])"},
    {R"({"x":{"ssn":"1"},"y":"password"})", R"({"x":{"ssn":"***"},"y":"password"})"},
    {R"({"\u0070ass\u0077ord":"x"})", R"({"\u0070ass\u0077ord":"***"})"},
    {R"({"p\u00e4ss":"x"})", R"({"p\u00e4ss":"***"})"},
    {"{\"p\xc3\xa4ss\":\"x\"}", "{\"p\xc3\xa4ss\":\"***\"}"},
    {R"({"\ud83d\ude00":"x"})", R"({"\ud83d\ude00":"***"})"},
    {R"({"passwords":"x","passwor":"y","Password":"z"})",
     R"({"passwords":"x","passwor":"y","Password":"z"})"},
    {R"("password")", R"("password")"},
    {R"(["password","x"])", R"(["password","x"])"},
    {"{\"ssn\":1}\n{\"ssn\":2}\n", "{\"ssn\":\"***\"}\n{\"ssn\":\"***\"}\n"},
    {"12 34", "12 34"},
    {R"({})", R"({})"},
    {R"([])", R"([])"},
    {"", ""},
};

json_mask::MaskRules rules() {
  return {{"password", "ssn", "p\xc3\xa4ss", "\xf0\x9f\x98\x80"}, "\"***\""};
}

TEST_CASE(
    "json_mask: named values of every type are masked at every depth, all else is untouched") {
  const auto mask = rules();
  for (const Case& one : kCases) {
    CAPTURE(one.text);
    json_mask::Masker masker(mask);
    std::string out;
    CHECK(masker.feed(one.text, out));
    CHECK(out == one.expected);
  }
}

TEST_CASE("json_mask: where a text is cut into chunks makes no difference") {
  const auto mask = rules();
  for (const Case& one : kCases) {
    CAPTURE(one.text);
    for (std::size_t cut = 0; cut <= one.text.size(); ++cut) {
      CAPTURE(cut);
      json_mask::Masker masker(mask);
      std::string out;
      CHECK(masker.feed(one.text.substr(0, cut), out));
      CHECK(masker.feed(one.text.substr(cut), out));
      CHECK(out == one.expected);
    }
    json_mask::Masker masker(mask);
    std::string out;
    for (const char byte : one.text) CHECK(masker.feed({&byte, 1}, out));
    CHECK(out == one.expected);
  }
}

TEST_CASE("json_mask: nothing of a masked value passes before its end is seen") {
  const auto mask = rules();
  json_mask::Masker masker(mask);
  std::string out;
  CHECK(masker.feed(R"({"password":"sec)", out));
  CHECK(out == R"({"password":"***")");
  CHECK(masker.feed(R"(ret","a":"b"})", out));
  CHECK(out == R"({"password":"***","a":"b"})");
}

TEST_CASE("json_mask: what is not JSON does not pass") {
  const auto mask = rules();
  for (const std::string_view text :
       {"{password:1}", "<html>", "{\"a\":1]", "[1}", "]", "{\"a\" 1}", "{\"a\":}", "{,}", "[1,,2]",
        "{\"a\":\"\x01\"}", "{\"\\x\":1}", "{\"\\u12g4\":1}", "{'a':1}", "1]", "{\"a\":1}]",
        "// comment"}) {
    CAPTURE(text);
    json_mask::Masker masker(mask);
    std::string out;
    CHECK_FALSE(masker.feed(text, out));
  }
  json_mask::Masker deep(mask);
  std::string out;
  CHECK(deep.feed(std::string(json_mask::Masker::kMaxDepth, '['), out));
  CHECK_FALSE(deep.feed("[", out));
}

TEST_CASE_FIXTURE(Fixture,
                  "json_mask: a response is masked as it streams; requests only if asked") {
  auto filter = plugin.filter("json_mask", R"({"fields": ["ssn"], "replacement": "x\"y"})");
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.request.add("content-type", "application/json");
  stream.request.add("accept-encoding", "gzip");
  stream.request.add("range", "bytes=0-10");
  CHECK(stream.requestHead(false) == HW_FLOW_CONTINUE);
  CHECK(stream.request.get("accept-encoding") == "identity");
  CHECK_FALSE(stream.request.has("range"));
  CHECK((stream.ignored() & HW_HOOK_REQUEST_BODY) != 0);

  stream.response.add("content-type", "application/problem+json; charset=utf-8");
  stream.response.add("content-digest", "sha-256=:x:");
  CHECK(stream.responseHead(200, false) == HW_FLOW_CONTINUE);
  CHECK_FALSE(stream.response.has("content-digest"));
  CHECK(stream.responseBody(R"({"name":"ann","ssn":"12)") == HW_FLOW_CONTINUE);
  CHECK(stream.responseBody(R"(34"})", true) == HW_FLOW_CONTINUE);
  CHECK(stream.response_body == R"({"name":"ann","ssn":"x\"y"})");
  CHECK(stream.held() == 0);
}

TEST_CASE_FIXTURE(Fixture, "json_mask: request bodies, if asked; what cannot be read is refused") {
  auto filter =
      plugin.filter("json_mask", R"({"fields": ["ssn"], "request": true, "response": false})");
  {
    auto stream = filter.stream();
    stream.request.add("content-type", "Application/JSON");
    CHECK(stream.requestHead(false) == HW_FLOW_CONTINUE);
    CHECK(stream.requestBody(R"({"ssn":1})", true) == HW_FLOW_CONTINUE);
    CHECK(stream.request_body == R"({"ssn":"***"})");
    CHECK((stream.ignored() & HW_HOOK_RESPONSE_BODY) != 0);
  }
  {
    auto stream = filter.stream();
    stream.request.add("content-type", "application/json");
    CHECK(stream.requestHead(false) == HW_FLOW_CONTINUE);
    CHECK(stream.requestBody("{oops", true) == HW_FLOW_RESPONDED);
    CHECK(stream.answer->status == 400);
    CHECK(stream.request_body.empty());
  }
  {
    auto stream = filter.stream();
    stream.request.add("content-type", "application/json");
    stream.request.add("content-encoding", "gzip");
    CHECK(stream.requestHead(false) == HW_FLOW_RESPONDED);
    CHECK(stream.answer->status == 415);
  }
}

TEST_CASE_FIXTURE(
    Fixture, "json_mask: other types pass; compressed, partial or broken JSON responses do not") {
  auto filter = plugin.filter("json_mask", R"({"fields": ["ssn"]})");
  {
    auto stream = filter.stream();
    (void)stream.requestHead();
    stream.response.add("content-type", "text/html");
    CHECK(stream.responseHead(200, false) == HW_FLOW_CONTINUE);
    CHECK((stream.ignored() & HW_HOOK_RESPONSE_BODY) != 0);
  }
  for (const bool partial : {false, true}) {
    auto stream = filter.stream();
    (void)stream.requestHead();
    stream.response.add("content-type", "application/json");
    if (!partial) stream.response.add("content-encoding", "gzip");
    CHECK(stream.responseHead(partial ? 206 : 200, false) == HW_FLOW_RESPONDED);
    CHECK(stream.answer->status == 502);
  }
  auto stream = filter.stream();
  (void)stream.requestHead();
  stream.response.add("content-type", "application/json");
  CHECK(stream.responseHead(200, false) == HW_FLOW_CONTINUE);
  CHECK(stream.responseBody("<html>") == HW_FLOW_FAULT);
  CHECK(stream.response_body.empty());
}

TEST_CASE_FIXTURE(Fixture, "json_mask refuses other configurations, at their place") {
  struct Row {
    std::string_view json, pointers;
  };
  for (const Row& row : {
           Row{"{}", "/fields"},
           Row{R"({"fields": "ssn"})", "/fields /fields"},
           Row{R"({"fields": [1]})", "/fields/0"},
           Row{R"({"fields": ["a"], "response": false})", "(root)"},
           Row{R"({"fields": ["a"], "mask": "x"})", "/mask"},
       }) {
    CAPTURE(row.json);
    auto filter = plugin.filter("json_mask", row.json);
    CHECK_FALSE(filter.accepted());
    CHECK(filter.pointers() == row.pointers);
  }
}

}  // namespace
}  // namespace hyperway
