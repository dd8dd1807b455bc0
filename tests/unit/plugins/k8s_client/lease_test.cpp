// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/lease.hpp"

#include <doctest/doctest.h>

#include "fake_api.hpp"

using namespace hyperway::k8s_client;
using namespace std::chrono_literals;

namespace {

std::string lease(int version, const std::string& holder, int transitions = 0) {
  return R"({"metadata":{"resourceVersion":")" + std::to_string(version) +
         R"("},"spec":{"holderIdentity":")" + holder +
         R"(","leaseDurationSeconds":15,"leaseTransitions":)" + std::to_string(transitions) + "}}";
}

struct World {
  World() {
    Lease::Options options;
    options.name_space = "here";
    options.name = "writer";
    options.identity = "me";
    options.wall = [] { return std::chrono::system_clock::time_point(1000001us); };
    it = std::make_unique<Lease>(
        api, options, [this](bool held) { changes.push_back(held); },
        [this](const Error& error) { troubles.push_back(error.text()); });
    it->start();
  }
  // Ours, renewed just now.
  void acquire() {
    api.refuse(404);
    api.answer(lease(1, "me"));
    REQUIRE(changes == std::vector<bool>{true});
  }
  FakeApi api;
  std::vector<bool> changes;
  std::vector<std::string> troubles;
  std::unique_ptr<Lease> it;
};

}  // namespace

TEST_CASE("A controller name of one's own makes a Lease of one's own") {
  CHECK(leaseName("hyperway-status", kDefaultController) == "hyperway-status");
  // printf %s example.com/mine | sha256sum
  CHECK(leaseName("hyperway-status", "example.com/mine") == "hyperway-status-b32e8104");
  CHECK(leaseName("hyperway-services", "example.com/other") !=
        leaseName("hyperway-services", "x/y"));
}

TEST_CASE("A Lease that is not there is made, and is ours") {
  World world;
  CHECK(world.api.calls.front().request.path ==
        "/apis/coordination.k8s.io/v1/namespaces/here/leases/writer");
  world.api.refuse(404);
  const Request& request = world.api.calls.front().request;
  CHECK(request.method == "POST");
  CHECK(request.body.find(R"("holderIdentity":"me","leaseDurationSeconds":15,)"
                          R"("renewTime":"1970-01-01T00:00:01.000001Z")") != std::string::npos);
  CHECK_FALSE(world.it->held());
  world.api.answer(lease(1, "me"));
  CHECK(world.it->held());
}

TEST_CASE("A Lease that others renew is left alone; one that nobody renews is taken over") {
  World world;
  for (int version = 1; version < 20; ++version) {
    world.api.answer(lease(version, "other"));
    CHECK(world.api.calls.empty());
    world.api.pass(2s);
    REQUIRE(world.api.calls.size() == 1);
    CHECK(world.api.calls.front().request.method == "GET");
  }
  int asked = 0;
  for (; asked < 20 && world.api.calls.front().request.method == "GET"; ++asked) {
    world.api.answer(lease(19, "other", 4));
    if (world.api.calls.empty()) world.api.pass(2s);
  }
  CHECK(asked == 8);  // 15 s without a change, looked at every 2 s
  CHECK(world.api.calls.front().request.method == "PUT");
  CHECK(world.api.calls.front().request.body.find(R"("leaseTransitions":5)") != std::string::npos);
  world.api.answer(lease(20, "me", 5));
  CHECK(world.it->held());
}

TEST_CASE("Whoever loses the race for it waits") {
  World world;
  world.api.refuse(404);
  world.api.refuse(409);
  CHECK_FALSE(world.it->held());
  world.api.pass(2s);
  CHECK(world.api.calls.front().request.method == "GET");
  world.api.answer(lease(1, "other"));
  CHECK(world.api.calls.empty());
  CHECK(world.changes.empty());
}

TEST_CASE("It is renewed every two seconds, and lost when that fails for ten") {
  World world;
  world.acquire();
  world.api.pass(2s);
  REQUIRE(world.api.calls.size() == 1);
  CHECK(world.api.calls.front().request.method == "PUT");
  world.api.answer(lease(2, "me"));
  for (int i = 0; i < 4; ++i) {
    world.api.pass(2s);
    world.api.fail();
    CHECK(world.it->held());
  }
  world.api.pass(2s);
  CHECK_FALSE(world.it->held());
  CHECK(world.changes == std::vector<bool>{true, false});
  CHECK(world.troubles == std::vector<std::string>{"nobody there"});
}

TEST_CASE("Why it cannot be had is told once in a minute, in however many ways it fails") {
  World world;
  world.acquire();
  for (int i = 0; i < 90; ++i) {  // three minutes
    world.api.pass(2s);
    world.api.refuse(i % 2 == 0 ? 500 : 503);
  }
  CHECK(world.troubles.size() == 3);
}

TEST_CASE("It is lost by our clock, even if no answer comes at all") {
  World world;
  world.acquire();
  world.api.pass(2s);
  REQUIRE(world.api.calls.size() == 1);
  world.api.pass(7999ms);
  CHECK(world.it->held());
  world.api.pass(1ms);
  CHECK_FALSE(world.it->held());
}

TEST_CASE("Somebody else's write takes it away at once") {
  World world;
  world.acquire();
  world.api.pass(2s);
  world.api.refuse(409);
  CHECK_FALSE(world.it->held());
}

TEST_CASE("Given up, it is nobody's, and the next one need not wait") {
  World world;
  world.acquire();
  bool done = false;
  world.it->release([&] { done = true; });
  CHECK_FALSE(world.it->held());
  REQUIRE(world.api.calls.size() == 1);
  CHECK(world.api.calls.front().request.body.find(R"("holderIdentity":"")") != std::string::npos);
  world.api.answer(lease(3, ""));
  CHECK(done);
  world.api.pass(60s);
  CHECK(world.api.calls.empty());
}

TEST_CASE("Giving up waits for a renewal under way, whose version it needs") {
  World world;
  world.acquire();
  world.api.pass(2s);
  bool done = false;
  world.it->release([&] { done = true; });
  CHECK_FALSE(done);
  world.api.answer(lease(7, "me"));
  REQUIRE(world.api.calls.size() == 1);
  CHECK(world.api.calls.front().request.body.find(R"("resourceVersion":"7")") != std::string::npos);
  world.api.answer(lease(8, ""));
  CHECK(done);
}

TEST_CASE("Giving up what is not held is done at once; a late answer finds nobody") {
  World world;
  bool done = false;
  world.it->release([&] { done = true; });
  CHECK(done);
  world.it.reset();
  world.api.answer(lease(1, "other"));
  CHECK(world.changes.empty());
}
