// SPDX-License-Identifier: Apache-2.0
#include "presence.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "k8s_client/fake_api.hpp"

namespace hyperway::snapshot_source {
namespace {

using namespace std::chrono_literals;

TEST_CASE("A status that the definition does not know is said to be so, and tried seldom") {
  k8s_client::FakeApi api;
  std::string trouble;
  Presence presence(
      api, {"pod", "ns"}, "ns", "snap", [&](const std::string& text) { trouble = text; },
      [] { return std::string("now"); });
  presence.observe("{}");
  presence.serves(1, R"({"checksum":"c"})");
  REQUIRE(api.calls.size() == 1);
  api.refuse(500, R"({"kind":"Status","message":"failed to create typed patch object (ns/snap): )"
                  R"(.status.dataPlanes: field not declared in schema"})");
  CHECK(trouble.find("is the RouteSnapshot CRD an older one?") != std::string::npos);
  api.pass(29s);
  CHECK(api.calls.empty());
  api.pass(2s);
  REQUIRE(api.calls.size() == 1);
  api.answer("{}");
  CHECK(trouble.empty());
  // Another error of the server may be gone in a moment.
  presence.serves(2, R"({"checksum":"d"})");
  api.pass(1s);
  REQUIRE(api.calls.size() == 1);
  api.refuse(500, "etcd is away");
  api.pass(2s);
  CHECK(api.calls.size() == 1);
}

// A data plane among 100, and the chance that it has.
struct Crowd {
  explicit Crowd(double chance)
      : presence(
            api, {"pod", "ns"}, "ns", "snap", [](const std::string&) {},
            [] { return std::string("now"); }, [chance] { return chance; }) {}
  // What the others serve.
  void others(const std::string& checksum, const std::string& refused = "[]") {
    std::string status;
    for (int i = 0; i < 99; ++i)
      status += (status.empty() ? R"({"dataPlanes":[{"name":"p)" : R"(,{"name":"p)") +
                std::to_string(i) + R"(","checksum":")" + (i == 7 ? checksum : "old") +
                R"(","refused":)" + refused + '}';
    presence.observe(status + "]}");
  }
  k8s_client::FakeApi api;
  Presence presence;
};

TEST_CASE("Of many data planes each waits by chance, and those that say nothing new wait longer") {
  Crowd first(0.01), last(1.0);
  for (Crowd* one : {&first, &last}) {
    one->others("old");
    one->presence.serves(1, R"({"checksum":"new"})");
  }
  first.api.pass(199ms);
  CHECK(first.api.calls.size() == 1);
  last.api.pass(19s);
  CHECK(last.api.calls.empty());
  last.api.pass(1s);
  CHECK(last.api.calls.size() == 1);
  // Another one says the same: nobody waits for us.
  Crowd later(0.5);
  later.others("old");
  later.presence.serves(1, R"({"checksum":"new"})");
  later.api.pass(5s);
  later.others("new");
  later.api.pass(49s);
  CHECK(later.api.calls.empty());
  later.api.pass(1s);
  CHECK(later.api.calls.size() == 1);
}

TEST_CASE("What nobody has said yet is said soon, even while something else waits") {
  Crowd crowd(0.5);
  crowd.others("new");
  crowd.presence.serves(1, R"({"checksum":"new"})");
  crowd.api.pass(20s);
  CHECK(crowd.api.calls.empty());
  crowd.presence.serves(1, R"({"checksum":"new","refused":[{"name":"l","reason":"busy"}]})");
  crowd.api.pass(10s);
  REQUIRE(crowd.api.calls.size() == 1);
  CHECK(crowd.api.calls.front().request.body.find("busy") != std::string::npos);
}

}  // namespace
}  // namespace hyperway::snapshot_source
