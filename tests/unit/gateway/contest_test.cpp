// SPDX-License-Identifier: Apache-2.0
#include "gateway/contest.hpp"

#include <doctest/doctest.h>

#include "gateway/hostname.hpp"
#include "world.hpp"

namespace hyperway::gateway {
namespace {

using route::RouteKind;
using Keys = std::set<std::string>;

// Whom `key` lost to; empty: nobody.
std::string winner(const HostContest& contest, const std::string& key) {
  const auto* found = contest.winnerOver(key);
  return found == nullptr ? std::string() : *found;
}

}  // namespace

TEST_CASE("Of an HTTPRoute and a GRPCRoute that ask for one hostname the older is accepted") {
  HostContest contest;
  contest.enter("HTTPRoute/a/web", {RouteKind::Http, 5, {"a.com", "b.com"}});
  contest.enter("GRPCRoute/a/rpc", {RouteKind::Grpc, 4, {"b.com"}});
  CHECK(contest.settle() == Keys{"HTTPRoute/a/web"});
  CHECK(winner(contest, "HTTPRoute/a/web") == "GRPCRoute/a/rpc");
  CHECK(contest.settle().empty());
  contest.enter("GRPCRoute/a/rpc", {RouteKind::Grpc, 6, {"b.com"}});
  CHECK(contest.settle() == Keys{"GRPCRoute/a/rpc", "HTTPRoute/a/web"});
  CHECK(winner(contest, "GRPCRoute/a/rpc") == "HTTPRoute/a/web");
  contest.leave("HTTPRoute/a/web");
  CHECK(contest.settle() == Keys{"GRPCRoute/a/rpc"});
  CHECK(winner(contest, "GRPCRoute/a/rpc").empty());
  contest.leave("GRPCRoute/a/rpc");
  CHECK_FALSE(contest.hasGrpc());
}

TEST_CASE("Routes of one age are in the order of their names") {
  HostContest contest;
  contest.enter("HTTPRoute/a/b", {RouteKind::Http, 5, {""}});
  contest.enter("GRPCRoute/a/a", {RouteKind::Grpc, 5, {""}});
  (void)contest.settle();
  CHECK(winner(contest, "HTTPRoute/a/b") == "GRPCRoute/a/a");
  contest.leave("GRPCRoute/a/a");
  contest.enter("GRPCRoute/a/b", {RouteKind::Grpc, 5, {""}});
  (void)contest.settle();
  CHECK(winner(contest, "GRPCRoute/a/b") == "HTTPRoute/a/b");
}

TEST_CASE("A route that lost stands in nobody's way, and equals of one kind do not fight") {
  HostContest contest;
  contest.enter("HTTPRoute/a/1", {RouteKind::Http, 1, {"a.com"}});
  contest.enter("HTTPRoute/a/1b", {RouteKind::Http, 1, {"a.com"}});
  contest.enter("GRPCRoute/a/2", {RouteKind::Grpc, 2, {"a.com", "b.com"}});
  contest.enter("HTTPRoute/a/3", {RouteKind::Http, 3, {"b.com"}});
  CHECK(contest.settle() == Keys{"GRPCRoute/a/2"});
}

TEST_CASE("Hostnames are contested wherever they meet") {
  const std::vector<std::string> hosts = {
      "",      "*.com",  "a.com",    "*.a.com", "b.a.com", "*.b.a.com", "c.b.a.com",
      "b.com", "xa.com", "*.xa.com", "a.org",   "*.org",   "*.a.org",   "com"};
  for (const std::string& older : hosts)
    for (const std::string& newer : hosts) {
      CAPTURE(older);
      CAPTURE(newer);
      HostContest contest;
      contest.enter("HTTPRoute/a/older", {RouteKind::Http, 1, {older}});
      contest.enter("GRPCRoute/a/newer", {RouteKind::Grpc, 2, {newer}});
      (void)contest.settle();
      CHECK(winner(contest, "GRPCRoute/a/newer").empty() == !hostnamesMeet(older, newer));
    }
}

TEST_CASE("An HTTPRoute and a GRPCRoute are not accepted for one hostname of one listener") {
  World world;
  world.addBasics();
  world.addGateway("gw",
                   "{'name':'http','port':80,'protocol':'HTTP'},"
                   "{'name':'more','port':81,'protocol':'HTTP'}");
  const auto older = [&](std::string_view kind, std::string_view name, std::string_view host,
                         std::string_view section, int year) {
    world.addKind(kind, name, kWeb, "'hostnames':['" + std::string(host) + "']",
                  "{'name':'gw','sectionName':'" + std::string(section) + "'}",
                  "'creationTimestamp':'" + std::to_string(year) + "-01-01T00:00:00Z'");
  };
  older("HTTPRoute", "web", "*.a.com", "http", 2020);
  older("GRPCRoute", "elsewhere", "x.a.com", "more", 2019);
  CHECK(world.route("web", "Accepted") == "True Accepted");
  SUBCASE("the younger is refused, and taken when the other goes") {
    older("GRPCRoute", "rpc", "x.a.com", "http", 2021);
    CHECK(world.condition("GRPCRoute/default/rpc", "Accepted") == "False HostnameConflict");
    CHECK(world.listener("gw", "http").attached_routes == 1);
    CHECK_FALSE(world.routes.contains("GRPCRoute/default/rpc"));
    older("HTTPRoute", "web", "b.com", "http", 2020);
    CHECK(world.condition("GRPCRoute/default/rpc", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "http").attached_routes == 2);
    older("HTTPRoute", "web", "x.a.com", "http", 2020);
    CHECK(world.condition("GRPCRoute/default/rpc", "Accepted") == "False HostnameConflict");
    world.remove("HTTPRoute", "default", "web");
    CHECK(world.condition("GRPCRoute/default/rpc", "Accepted") == "True Accepted");
  }
  SUBCASE("an older one that comes later takes the place, and gives it back") {
    older("GRPCRoute", "rpc", "x.a.com", "http", 2019);
    CHECK(world.condition("GRPCRoute/default/rpc", "Accepted") == "True Accepted");
    CHECK(world.route("web", "Accepted") == "False HostnameConflict");
    CHECK(world.message("web", "Accepted") ==
          "/spec/parentRefs/0: GRPCRoute/default/rpc, which goes before this route, has a hostname "
          "of it at listener default/gw/http");
    CHECK(world.rules("web") == nullptr);
    world.remove("GRPCRoute", "default", "rpc");
    CHECK(world.route("web", "Accepted") == "True Accepted");
    CHECK(world.rules("web") != nullptr);
    CHECK(world.listener("gw", "http").attached_routes == 1);
  }
  SUBCASE("a route is accepted where it does not lose") {
    world.addKind("HTTPRoute", "web", kWeb, "", "{'name':'gw'}",
                  "'creationTimestamp':'2022-01-01T00:00:00Z'");
    CHECK(world.route("web", "Accepted") == "True Accepted");
    REQUIRE(world.routes.at("HTTPRoute/default/web").attachments.size() == 1);
    CHECK(world.routes.at("HTTPRoute/default/web").attachments[0].listener == "default/gw/http");
    CHECK(world.listener("gw", "more").attached_routes == 1);
  }
}

}  // namespace hyperway::gateway
