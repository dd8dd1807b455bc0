// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "external_auth/check_message.hpp"
#include "hyperway/sdk/fake_host.hpp"

extern "C" const hw_plugin_manifest hyperway_plugin_v1_external_auth;

namespace hyperway {
namespace {

struct Fixture {
  sdk::FakeHost host;
  sdk::FakePlugin plugin{host, hyperway_plugin_v1_external_auth};
};

constexpr std::string_view kHttp = R"({"protocol": "HTTP", "backendRef": {"name": "auth"},
  "http": {"path": "auth/", "allowedHeaders": ["X-In"], "allowedResponseHeaders": ["X-User"]}})";
constexpr std::string_view kGrpc = R"({"protocol": "GRPC", "grpc": {},
  "backendRef": {"name": "auth", "namespace": "infra"}, "forwardBody": {"maxSize": 4}})";

TEST_CASE_FIXTURE(Fixture, "ExternalAuth pauses the head, asks, and lets it go on when told so") {
  auto filter = plugin.filter("ExternalAuth", kHttp);
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.backends = 1;
  stream.setText(HW_TEXT_PATH, "/a");
  stream.setText(HW_TEXT_QUERY, "b=c");
  stream.request.add("Authorization", "Bearer x");
  stream.request.add("x-in", "1");
  stream.request.add("x-out", "2");
  stream.request.add("x-user", "forged");
  REQUIRE(stream.requestHead(false) == HW_FLOW_PAUSE);
  REQUIRE(stream.callouts.size() == 1);
  const sdk::FakeCallout& asked = stream.callouts.back();
  CHECK(asked.method == "GET");
  CHECK(asked.authority == "example.com");
  CHECK(asked.path == "/auth/a?b=c");
  CHECK(asked.fields.list() == std::vector<std::pair<std::string, std::string>>{
                                   {"Authorization", "Bearer x"}, {"x-in", "1"}});
  CHECK((stream.ignored() & HW_HOOK_REQUEST_BODY) != 0);
  sdk::FakeAnswer yes{200, {}, "welcome"};
  yes.fields.add("X-User", "ann");
  REQUIRE(stream.answerCallout(yes));
  CHECK(stream.resumed(HW_HOOK_REQUEST_HEAD) == HW_FLOW_CONTINUE);
  CHECK(stream.request.all("x-user") == std::vector<std::string>{"ann"});
  CHECK(stream.callouts.back().ended);
  CHECK_FALSE(stream.answer.has_value());
}

TEST_CASE_FIXTURE(Fixture, "ExternalAuth gives the client any other answer as its own") {
  auto filter = plugin.filter("ExternalAuth", kHttp);
  auto stream = filter.stream();
  stream.backends = 1;
  REQUIRE(stream.requestHead() == HW_FLOW_PAUSE);
  sdk::FakeAnswer no{401, {}, "who?"};
  no.fields.add("WWW-Authenticate", "Basic");
  REQUIRE(stream.answerCallout(no));
  CHECK(stream.resumed(HW_HOOK_REQUEST_HEAD) == HW_FLOW_RESPONDED);
  REQUIRE(stream.answer.has_value());
  CHECK(stream.answer->status == 401);
  CHECK(stream.answer->body == "who?");
  CHECK(stream.answer->fields.get("www-authenticate") == "Basic");
}

TEST_CASE_FIXTURE(Fixture, "ExternalAuth answers 403 whatever keeps it from a clear yes") {
  auto filter = plugin.filter("ExternalAuth", kHttp);
  for (const std::int32_t outcome :
       std::initializer_list<std::int32_t>{HW_CALLOUT_UNREACHABLE, HW_CALLOUT_TIMEOUT,
                                           HW_CALLOUT_BROKEN, HW_CALLOUT_TOO_LARGE, 77}) {
    CAPTURE(outcome);
    auto stream = filter.stream();
    stream.backends = 1;
    REQUIRE(stream.requestHead() == HW_FLOW_PAUSE);
    REQUIRE(stream.endCallout(outcome));
    CHECK(stream.resumed(HW_HOOK_REQUEST_HEAD) == HW_FLOW_RESPONDED);
    CHECK(stream.answer.value().status == 403);
  }
  SUBCASE("no backend") {
    auto stream = filter.stream();
    CHECK(stream.requestHead() == HW_FLOW_RESPONDED);
    CHECK(stream.answer.value().status == 403);
  }
  SUBCASE("no such service in this host") {
    host.without["hyperway.callout/draft-1"] = true;
    auto bare = plugin.filter("ExternalAuth", kHttp);
    auto stream = bare.stream();
    stream.backends = 1;
    CHECK(stream.requestHead() == HW_FLOW_RESPONDED);
    CHECK(stream.answer.value().status == 403);
  }
}

TEST_CASE_FIXTURE(Fixture, "ExternalAuth holds a body within its bound, and asks at its end") {
  auto filter = plugin.filter("ExternalAuth", kGrpc);
  REQUIRE(filter.accepted());
  auto stream = filter.stream();
  stream.backends = 1;
  REQUIRE(stream.requestHead(false) == HW_FLOW_HOLD);
  REQUIRE(stream.requestBody("ab") == HW_FLOW_HOLD);
  REQUIRE(stream.requestBody("cd", true) == HW_FLOW_PAUSE);
  const sdk::FakeCallout& asked = stream.callouts.back();
  CHECK(asked.path == "/envoy.service.auth.v3.Authorization/Check");
  CHECK(asked.authority == "auth.infra");
  CHECK(asked.fields.get("content-type") == "application/grpc");
  CHECK(external_auth::grpcMessage(asked.body)->find("abcd") != std::string_view::npos);
  sdk::FakeAnswer yes{200, {}, external_auth::grpcFrame(std::string("\x0a\x00", 2))};
  yes.fields.add("content-type", "application/grpc");
  sdk::FakeFields trailers;
  trailers.add("grpc-status", "0");
  REQUIRE(stream.answerCallout(yes, trailers));
  CHECK(stream.resumed(HW_HOOK_REQUEST_BODY) == HW_FLOW_CONTINUE);

  SUBCASE("too large in chunks") {
    auto other = filter.stream();
    other.backends = 1;
    REQUIRE(other.requestHead(false) == HW_FLOW_HOLD);
    CHECK(other.requestBody("abcde") == HW_FLOW_RESPONDED);
    CHECK(other.answer.value().status == 413);
    CHECK(other.callouts.empty());
  }
  SUBCASE("too large by its announced length") {
    auto other = filter.stream();
    other.backends = 1;
    other.setNumber(HW_NUMBER_REQUEST_LENGTH, 5);
    CHECK(other.requestHead(false) == HW_FLOW_RESPONDED);
    CHECK(other.answer.value().status == 413);
  }
}

TEST_CASE_FIXTURE(Fixture, "ExternalAuth says what is wrong with its configuration, and where") {
  struct Row {
    std::string_view json, pointers;
  };
  for (const Row& row : {
           Row{R"({})", "/protocol"},
           Row{R"({"protocol": "SMTP"})", "/protocol"},
           Row{R"({"protocol": "HTTP", "grpc": {}})", "/grpc"},
           Row{R"({"protocol": "GRPC", "http": {}})", "/http"},
           Row{R"({"protocol": "HTTP", "http": {"path": "/a/../b"}})", "/http/path"},
           Row{R"({"protocol": "HTTP", "http": {"path": "/a/%2e%2E/b"}})", "/http/path"},
           Row{R"({"protocol": "HTTP", "http": {"path": "/a//b"}})", "/http/path"},
           Row{R"({"protocol": "HTTP", "http": {"path": "/a%2fb"}})", "/http/path"},
           Row{R"({"protocol": "HTTP", "http": {"path": "/a?b"}})", "/http/path"},
           Row{R"({"protocol": "HTTP", "http": {"allowedHeaders": ["a b"]}})",
               "/http/allowedHeaders/0"},
           Row{R"({"protocol": "HTTP", "forwardBody": {"maxSize": -1}})", "/forwardBody/maxSize"},
           Row{R"({"protocol": "HTTP", "timeout": "1s"})", "/timeout"},
       }) {
    CAPTURE(row.json);
    CHECK(plugin.filter("ExternalAuth", row.json).pointers() == row.pointers);
  }
  CHECK(plugin.filter("ExternalAuth", R"({"protocol": "HTTP"})").accepted());
}

}  // namespace
}  // namespace hyperway
