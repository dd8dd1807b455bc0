// SPDX-License-Identifier: Apache-2.0
#include "refusals.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::snapshot_sink {
namespace {

using namespace std::chrono_literals;

Batch routes(int count) {
  Batch out;
  for (int i = 0; i < count; ++i)
    out.routes.push_back({"HTTPRoute/ns/" + std::to_string(i), "{}", 1});
  return out;
}

k8s_client::Error refusal(int status, std::string_view message = "is invalid") {
  return k8s_client::errorOf(status, "",
                             R"({"kind":"Status","message":")" + std::string(message) + R"("})");
}

TEST_CASE("An answer is about what was sent, about our rights, or about the server") {
  struct Row {
    int status;
    std::string_view message;
    bool about_content;
  };
  for (const Row& row :
       {Row{422, "is invalid", true}, Row{413, "", true}, Row{400, "", true},
        Row{500, "etcdserver: request is too large", true},
        Row{403, "admission webhook x denied the request", true},
        Row{403, "User u cannot patch resource", false}, Row{409, "conflict", false},
        Row{503, "", false}, Row{500, "failed to create typed patch object", false}}) {
    CAPTURE(row.message);
    CAPTURE(row.status);
    CHECK(isAboutContent(refusal(row.status, row.message)) == row.about_content);
  }
}

TEST_CASE("Without a place, what is new is halved until who is to blame is found") {
  k8s_client::TimePoint now{1h};
  Content content("snap");
  Refusals refusals(content);
  content.take(routes(3));
  content.acceptIndex();
  content.take(routes(50));  // 47 new ones, of which 20 is wrong
  int attempts = 0;
  for (;;) {
    ++attempts;
    REQUIRE(attempts < 40);
    const auto fresh = content.unacceptedOfIndex();
    if (std::find(fresh.begin(), fresh.end(), "HTTPRoute/ns/20") != fresh.end()) {
      REQUIRE(refusals.blame(refusal(422), nullptr, now));
      continue;
    }
    content.acceptIndex();
    if (refusals.resume(now).empty()) break;
  }
  CHECK(content.leftOut() == std::vector<std::string>{"HTTPRoute/ns/20"});
  CHECK(refusals.text().find("HTTPRoute/ns/20") != std::string::npos);
  CHECK(attempts < 20);
  // All else had been taken: it is not the content.
  CHECK_FALSE(refusals.blame(refusal(422), nullptr, now));
}

TEST_CASE("Nobody is to blame for a field that is no route's and no listener's") {
  Content content("snap");
  Refusals refusals(content);
  content.take(routes(2));
  const auto error =
      k8s_client::errorOf(422, "",
                          R"({"kind":"Status","message":"is invalid","details":{"causes":)"
                          R"([{"field":"spec.checksum","message":"must be an integer"}]}})");
  CHECK_FALSE(refusals.blame(error, nullptr, {}));
  CHECK(content.leftOut().empty());
}

TEST_CASE("What is to blame is tried again, ever more seldom") {
  k8s_client::TimePoint now{1h};
  Content content("snap");
  Refusals refusals(content);
  content.take(routes(1));
  for (const auto wait : {30s, 60s, 120s, 240s, 480s, 600s, 600s}) {
    REQUIRE(refusals.blame(refusal(422), nullptr, now));
    REQUIRE(refusals.due());
    CHECK(*refusals.due() - now == wait);
    CHECK(refusals.resume(now + wait - 1s).empty());
    now += wait;
    CHECK(refusals.resume(now).size() == 1);
  }
  content.acceptIndex();
  CHECK(refusals.resume(now).empty());
  CHECK_FALSE(refusals.due());
  CHECK(refusals.text().empty());
}

}  // namespace
}  // namespace hyperway::snapshot_sink
