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

}  // namespace
}  // namespace hyperway::snapshot_source
