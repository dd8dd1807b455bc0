// SPDX-License-Identifier: Apache-2.0
#include "route/precedence.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "fixture.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

TEST_CASE("Each criterion of the Gateway API decides before all that follow it") {
  // In every row `first` wins by one criterion and loses by the next.
  struct Row {
    const char* criterion;
    MatchRank first, second;
  };
  const auto rank = [](MatchKind kind, std::size_t path, bool method, std::size_t headers,
                       std::size_t query, std::int64_t created, std::string_view key,
                       std::uint32_t rule = 0, std::uint32_t match = 0) {
    return MatchRank{kind, path, method, headers, query, created, key, rule, match};
  };
  const auto E = MatchKind::Exact, R = MatchKind::Regex, P = MatchKind::Prefix;
  const Row rows[] = {
      {"exact before regex", rank(E, 2, false, 0, 0, 9, "H/z/z"),
       rank(R, 9, true, 3, 3, 1, "H/a/a")},
      {"regex before prefix", rank(R, 2, false, 0, 0, 9, "H/z/z"),
       rank(P, 9, true, 3, 3, 1, "H/a/a")},
      {"longest prefix", rank(P, 5, false, 0, 0, 9, "H/z/z"), rank(P, 4, true, 3, 3, 1, "H/a/a")},
      {"method", rank(P, 4, true, 0, 0, 9, "H/z/z"), rank(P, 4, false, 3, 3, 1, "H/a/a")},
      {"most headers", rank(P, 4, true, 3, 0, 9, "H/z/z"), rank(P, 4, true, 2, 3, 1, "H/a/a")},
      {"most query", rank(P, 4, true, 3, 2, 9, "H/z/z"), rank(P, 4, true, 3, 1, 1, "H/a/a")},
      {"oldest route", rank(P, 4, true, 3, 2, 1, "H/z/z"), rank(P, 4, true, 3, 2, 2, "H/a/a")},
      {"namespace/name", rank(P, 4, true, 3, 2, 1, "H/a/b", 9),
       rank(P, 4, true, 3, 2, 1, "H/a/c", 0)},
      {"name, not kind", rank(P, 4, true, 3, 2, 1, "Z/a/b"), rank(P, 4, true, 3, 2, 1, "A/a/c")},
      {"rule order", rank(P, 4, true, 3, 2, 1, "H/a/b", 0, 9),
       rank(P, 4, true, 3, 2, 1, "H/a/b", 1, 0)},
      {"match order", rank(P, 4, true, 3, 2, 1, "H/a/b", 1, 0),
       rank(P, 4, true, 3, 2, 1, "H/a/b", 1, 1)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.criterion);
    CHECK(precedes(row.first, row.second));
    CHECK_FALSE(precedes(row.second, row.first));
    CHECK_FALSE(precedes(row.first, row.first));
  }
}

TEST_CASE("Neither the size of an exact path nor of an expression is a criterion") {
  for (const MatchKind kind : {MatchKind::Exact, MatchKind::Regex}) {
    MatchRank a, b;
    a.path_kind = b.path_kind = kind;
    a.path_size = 1;
    b.path_size = 9;
    a.headers = 1;
    CHECK(precedes(a, b));
    CHECK_FALSE(precedes(b, a));
  }
}

TEST_CASE("A request goes to the match that is first in precedence, whatever the order of routes") {
  ModelBatch batch;
  batch.listeners = {listener()};
  batch.routes = {
      route("young", {""}, {{matchOf(prefix("/a"))}}, {"infra/gw/http"}, 20),
      route("old", {""}, {{matchOf(prefix("/a"))}, {matchOf(prefix("/a"))}}, {"infra/gw/http"}, 10),
      route("b-name", {""}, {{matchOf(prefix("/a"))}}, {"infra/gw/http"}, 10),
      route("method", {""}, {{matchOf(prefix("/a"), "POST")}}, {"infra/gw/http"}, 30),
      route("headers", {""},
            {{matchOf(prefix("/a"), "", {{"x-a", "1", MatchKind::Exact}})},
             {matchOf(prefix("/a"), "",
                      {{"x-a", "1", MatchKind::Exact}, {"x-b", "2", MatchKind::Exact}})}},
            {"infra/gw/http"}, 40),
      route("query", {""}, {{matchOf(prefix("/a"), "", {}, {{"q", "1", MatchKind::Exact}})}},
            {"infra/gw/http"}, 50),
      route("longer", {""}, {{matchOf(prefix("/a/b"))}}, {"infra/gw/http"}, 60),
      route("regex", {""}, {{matchOf(regex("/a/[0-9]+"))}}, {"infra/gw/http"}, 70),
      route("exact", {""}, {{matchOf(exact("/a/7"))}}, {"infra/gw/http"}, 80),
  };
  const auto check = [&](const RouteTable& table) {
    CHECK(answer(table, Request("h", "/a")) == "default/b-name/0");
    CHECK(answer(table, Request("h", "/a", "POST")) == "default/method/0");
    CHECK(answer(table, Request("h", "/a").with("X-A", "1")) == "default/headers/0");
    CHECK(answer(table, Request("h", "/a").with("X-A", "1").with("x-B", "2")) ==
          "default/headers/1");
    CHECK(answer(table, Request("h", "/a", "POST").with("X-A", "1")) == "default/method/0");
    CHECK(answer(table, Request("h", "/a?q=1").with("X-A", "1")) == "default/headers/0");
    CHECK(answer(table, Request("h", "/a?q=1")) == "default/query/0");
    CHECK(answer(table, Request("h", "/a/b", "POST")) == "default/longer/0");
    CHECK(answer(table, Request("h", "/a/8", "POST")) == "default/regex/0");
    CHECK(answer(table, Request("h", "/a/7", "POST")) == "default/exact/0");
    CHECK(answer(table, Request("h", "/b")).empty());
  };
  Compiler forwards;
  batch.full = true;
  (void)forwards.apply(batch);
  check(*forwards.current());
  std::reverse(batch.routes.begin(), batch.routes.end());
  Compiler backwards;
  (void)backwards.apply(batch);
  check(*backwards.current());
  batch.removed_routes = {"HTTPRoute/default/b-name"};
  batch.full = false;
  batch.routes.clear();
  (void)backwards.apply(batch);
  CHECK(answer(*backwards.current(), Request("h", "/a")) == "default/old/0");
}
