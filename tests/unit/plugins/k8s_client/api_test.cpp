// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/api.hpp"

#include <doctest/doctest.h>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

using namespace hyperway::k8s_client;
using namespace std::chrono_literals;

TEST_CASE("A refused request names status, reason, fields and when to come back") {
  const Error error =
      errorOf(422, "", R"({"kind":"Status","reason":"Invalid","message":"HTTPRoute is invalid",
        "details":{"retryAfterSeconds":7,"causes":[
          {"reason":"FieldValueInvalid","message":"bad","field":"status.parents[0]"}]}})");
  CHECK(error.kind == Error::Kind::Status);
  CHECK(error.reason == "Invalid");
  REQUIRE(error.causes.size() == 1);
  CHECK(error.text() == "422 Invalid: HTTPRoute is invalid; status.parents[0]: bad");
  CHECK(error.retry_after == 7s);
  CHECK_FALSE(error.transient());
}

TEST_CASE("An answer that is no Status is told by its first line, and Retry-After counts") {
  const Error error = errorOf(429, "3", "Too many requests\nplease wait");
  CHECK(error.text() == "429: Too many requests");
  CHECK(error.retry_after == 3s);
  CHECK(error.transient());
  CHECK_FALSE(errorOf(200, "", "").operator bool());
  CHECK(errorOf(503, "99999999999999999999", "").retry_after == std::nullopt);
}

TEST_CASE("A field that the schema lacks is a refusal, whatever its status") {
  const Error error = errorOf(500, "",
                              R"({"kind":"Status","message":"failed to create typed patch )"
                              R"(object (ns/a; v1, Kind=X): .spec.y: field not declared"})");
  CHECK(error.fieldUnknown());
  CHECK_FALSE(error.transient());
  CHECK_FALSE(errorOf(500, "", "etcd is away").fieldUnknown());
  CHECK(errorOf(400, "",
                R"({"kind":"Status","message":"strict decoding error: unknown field \"spec.x\""})")
            .fieldUnknown());
  CHECK(strict(createRequest("/api/v1/x", "{}")).path.ends_with("&fieldValidation=Strict"));
  CHECK(errorOf(500, "", "etcd is away").transient());
}

TEST_CASE("Paths are those of the API, with names and values escaped") {
  CHECK(path("v1", "shop", "services", "a") == "/api/v1/namespaces/shop/services/a");
  CHECK(path("apps/v1", "", "deployments") == "/apis/apps/v1/deployments");
  CHECK(path("v1", "x", "pods", "a/b?c", "status") == "/api/v1/namespaces/x/pods/a%2Fb%3Fc/status");
  CHECK(withQuery("/a", {{"fieldSelector", "metadata.name=x"}, {"limit", "1"}}) ==
        "/a?fieldSelector=metadata.name%3Dx&limit=1");
}

TEST_CASE("Writes say who writes: our field manager, and force only if asked") {
  CHECK(applyRequest("/x", "{}", false).path == "/x?fieldManager=hyperway&force=false");
  CHECK(applyRequest("/x", "{}", true).content_type == "application/apply-patch+yaml");
  CHECK(mergePatchRequest("/x", "{}").method == "PATCH");
  CHECK(putRequest("/x", "{}").method == "PUT");
  CHECK(
      removeRequest("/x", "u1", "5").body ==
      R"({"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u1","resourceVersion":"5"}})");
}

TEST_CASE("Back-off doubles up to its bound, and jitter takes at most half of it away") {
  CHECK(backOff(1, 100ms, 2000ms, 0) == 100ms);
  CHECK(backOff(4, 100ms, 2000ms, 0) == 800ms);
  CHECK(backOff(60, 100ms, 2000ms, 0) == 2000ms);
  CHECK(backOff(60, 100ms, 2000ms, 1) == 1000ms);
}

TEST_CASE("JSON that is written reads back as what it was") {
  const std::string text = R"({"a":[1,-2.5,true,null,"x\"\\\u0001ü"],"b":{}})";
  auto parsed = hyperway::sdk::json::Parser::parse(text);
  REQUIRE(std::holds_alternative<hyperway::sdk::json::Value>(parsed));
  CHECK(toText(std::get<hyperway::sdk::json::Value>(parsed)) == text);
}
