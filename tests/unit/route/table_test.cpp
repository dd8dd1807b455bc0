// SPDX-License-Identifier: Apache-2.0
#include "route/table.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "route/regex.hpp"

using namespace hyperway::route;
using namespace hyperway::route::fixture;

namespace {

/// A table of one listener for these routes.
std::shared_ptr<const RouteTable> tableOf(Compiler& compiler, std::vector<Route> routes) {
  ModelBatch batch;
  batch.full = true;
  batch.listeners = {listener()};
  batch.routes = std::move(routes);
  (void)compiler.apply(batch);
  return compiler.current();
}

}  // namespace

TEST_CASE("Of several route hostnames the most specific one that has a match answers") {
  Compiler compiler;
  const auto table = tableOf(compiler, {
                                           route("any", {""}, {{matchOf(prefix("/"))}}),
                                           route("com", {"*.com"}, {{matchOf(prefix("/"))}}),
                                           route("wild", {"*.a.com"}, {{matchOf(prefix("/w"))}}),
                                           route("exact", {"b.a.com"}, {{matchOf(prefix("/e"))}}),
                                       });
  struct Row {
    std::string host, path, name;
  };
  for (const Row& row :
       {Row{"b.a.com", "/e", "exact"}, Row{"b.a.com", "/w", "wild"}, Row{"b.a.com", "/x", "com"},
        Row{"c.b.a.com", "/w", "wild"}, Row{"c.b.a.com", "/e", "com"}, Row{"a.com", "/w", "com"},
        Row{"com", "/w", "any"}, Row{"example.org", "/e", "any"}, Row{"", "/", "any"},
        Row{"xa.com", "/w", "com"}, Row{".a.com", "/w", "com"}}) {
    CAPTURE(row.host);
    CAPTURE(row.path);
    CHECK(answer(*table, Request(row.host, row.path)) == "default/" + row.name + "/0");
  }
}

TEST_CASE("Of calls a service that is named counts more than a method that is") {
  Route calls = route("calls", {""},
                      {{matchOf(regex("/[^/]+/Get"))},
                       {matchOf(prefix("/a.B/"))},
                       {matchOf(prefix("/"))},
                       {matchOf(exact("/a.B/List"))}});
  calls.kind = RouteKind::Grpc;
  calls.key = "GRPCRoute/default/calls";
  Compiler compiler;
  const auto table = tableOf(compiler, {calls});
  struct Row {
    std::string path;
    std::uint32_t rule;
  };
  for (const Row& row :
       {Row{"/a.B/Get", 1}, Row{"/c.D/Get", 0}, Row{"/c.D/Other", 2}, Row{"/a.B/List", 3}}) {
    CAPTURE(row.path);
    const Request request("a.com", row.path, "POST");
    const MatchResult found = listenerOf(*table, "a.com")->match(request.head(), "POST");
    REQUIRE(found.rule != nullptr);
    CHECK(found.rule->rule_index == row.rule);
  }
}

TEST_CASE("No route for a host or path is no answer") {
  Compiler compiler;
  const auto table = tableOf(compiler, {route("a", {"a.com"}, {{matchOf(prefix("/x"))}})});
  CHECK(answer(*table, Request("b.com", "/x")).empty());
  CHECK(answer(*table, Request("a.com", "/")).empty());
  CHECK(answer(*table, Request("a.com", "*")).empty());
  CHECK(answer(*table, Request("a.com", "/x")) == "default/a/0");
}

TEST_CASE("A host longer than any DNS name is not tried against wildcards") {
  Compiler compiler;
  const auto table = tableOf(compiler, {route("w", {"*.com"}, {{matchOf(prefix("/"))}})});
  const std::string longest = std::string(249, 'a') + ".com";
  CHECK(answer(*table, Request(longest)) == "default/w/0");
  CHECK(answer(*table, Request("a" + longest)).empty());
}

TEST_CASE("PathPrefix covers whole path elements only") {
  struct Row {
    const char *prefix, *path;
    int covered;  // bytes, -1 for not
  };
  for (const Row& row :
       {Row{"/foo", "/foo", 4}, Row{"/foo", "/foo/", 4}, Row{"/foo", "/foo/bar", 4},
        Row{"/foo", "/foobar", -1}, Row{"/foo", "/fo", -1}, Row{"/foo", "/", -1},
        Row{"/foo/", "/foo", 4}, Row{"/foo/", "/foo/bar", 4}, Row{"/foo/", "/foobar", -1},
        Row{"/", "/", 0}, Row{"/", "/anything", 0}, Row{"/foo/bar", "/foo/barbaz", -1},
        Row{"/foo/bar", "/foo/bar/baz", 8}, Row{"/foo", "/Foo", -1}, Row{"/foo", "/foo%2Fbar", -1},
        Row{"/foo", "/foo//bar", 4}}) {
    CAPTURE(row.prefix);
    CAPTURE(row.path);
    Compiler compiler;
    const auto table = tableOf(compiler, {route("r", {""}, {{matchOf(prefix(row.prefix))}})});
    const Request request("h", row.path);
    const MatchResult result = listenerOf(*table, "h")->match(request.head(), "GET");
    REQUIRE((result.rule != nullptr) == (row.covered >= 0));
    if (result.rule != nullptr) CHECK(result.prefix_size == row.covered);
  }
}

TEST_CASE("Many nested prefixes are tried from the longest to the shortest") {
  // More than a look-up collects at once, each with a condition that fails but for one.
  std::vector<Route> routes;
  std::string path;
  for (int i = 0; i < 50; ++i) {
    path += "/p";
    routes.push_back(
        route("r" + std::to_string(i), {""},
              {{matchOf(prefix(path), "", {{"x-depth", std::to_string(i), MatchKind::Exact}})}}));
  }
  Compiler compiler;
  const auto table = tableOf(compiler, routes);
  for (int i = 0; i < 50; ++i) {
    const std::string depth = std::to_string(i);
    CHECK(answer(*table, Request("h", path + "/q").with("x-depth", depth)) ==
          "default/r" + depth + "/0");
  }
  CHECK(answer(*table, Request("h", path)).empty());
}

TEST_CASE("A regular expression matches the whole normalised path, without query") {
  struct Row {
    const char *pattern, *path;
    bool matches;
  };
  for (const Row& row :
       {Row{"/foo", "/foo", true}, Row{"/foo", "/foo/bar", false}, Row{"foo", "/foo", false},
        Row{"^/foo$", "/foo", true}, Row{"/v[0-9]+/.*", "/v12/x", true},
        Row{"/v[0-9]+/.*", "/a/v12/x", false}, Row{"/a|/b", "/b", true}, Row{"/a|/b", "/bb", false},
        Row{"/foo", "/foo?x=1", true}, Row{"/foo.*", "/FOO", false},
        Row{"(?i)/foo", "/FOO", true}}) {
    CAPTURE(row.pattern);
    CAPTURE(row.path);
    Compiler compiler;
    const auto table = tableOf(compiler, {route("r", {""}, {{matchOf(regex(row.pattern))}})});
    CHECK(answer(*table, Request("h", row.path)).empty() != row.matches);
  }
}

TEST_CASE("Regular expressions of one host are tried in order until one matches") {
  Compiler compiler;
  std::vector<Route> routes;
  for (const char* name : {"a", "b", "c", "d"})
    routes.push_back(route(name, {"h"}, {{matchOf(regex(std::string("/") + name + "|/cd"))}}));
  routes.push_back(route("other", {"i"}, {{matchOf(regex("/c.*"))}}));
  const auto table = tableOf(compiler, routes);
  std::vector<NearMiss> misses;
  const Request request("h", "/cd");
  const MatchResult first = listenerOf(*table, "h")->explain(request.head(), "GET", misses);
  REQUIRE(first.rule != nullptr);
  CHECK(first.rule->rule->id == "default/a/0");
  misses.clear();
  const MatchResult third =
      listenerOf(*table, "h")->explain(Request("h", "/c").head(), "GET", misses);
  REQUIRE(third.rule != nullptr);
  CHECK(third.rule->rule->id == "default/c/0");
  std::vector<std::string> tried;
  for (const NearMiss& miss : misses)
    if (miss.reason.ends_with("does not match")) tried.push_back(miss.rule_id);
  CHECK(tried == std::vector<std::string>{"default/a/0", "default/b/0"});
}

TEST_CASE("A host with one prefix answers as one with many, while others come and go") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listener()};
  batch.routes = {route("only", {"h"}, {{matchOf(prefix("/a"))}})};
  const auto alone = compiler.apply(batch).table;
  const auto asked = [](const RouteTable& table, const char* path, const char* method = "GET") {
    return answer(table, Request("h", path, method));
  };
  CHECK(asked(*alone, "/a/b") == "default/only/0");
  CHECK(asked(*alone, "/ab").empty());
  ModelBatch more;
  more.routes = {route("get", {"h"}, {{matchOf(prefix("/a"), "GET")}}),
                 route("exact", {"h"}, {{matchOf(exact("/a/b"))}})};
  const auto three = compiler.apply(more).table;
  CHECK(asked(*three, "/a/b") == "default/exact/0");
  CHECK(asked(*three, "/a") == "default/get/0");
  CHECK(asked(*three, "/a", "PUT") == "default/only/0");
  CHECK(asked(*alone, "/a/b") == "default/only/0");  // the old table is as it was
  ModelBatch edit;
  edit.routes = {route("only", {"h"}, {{matchOf(prefix("/c"))}})};
  edit.removed_routes = {"HTTPRoute/default/get", "HTTPRoute/default/exact"};
  const auto moved = compiler.apply(edit).table;
  CHECK(asked(*moved, "/c") == "default/only/0");
  CHECK(asked(*moved, "/a").empty());
}

TEST_CASE("A rule with an expression that RE2 refuses answers 500 and says why") {
  Compiler compiler;
  ModelBatch batch;
  batch.listeners = {listener()};
  batch.routes = {
      route("path", {""}, {{matchOf(regex("/(")), matchOf(prefix("/p"))}}),
      route("header", {""}, {{matchOf(prefix("/h"), "", {{"x-a", "(?!no)", MatchKind::Regex}})}}),
      route("sound", {""}, {{matchOf(prefix("/"))}})};
  const auto outcome = compiler.apply(batch);
  REQUIRE(outcome.problems.size() == 2);
  CHECK(outcome.problems[0].first == "default/path/0");
  CHECK(outcome.problems[0].second.find("/(") != std::string::npos);
  CHECK(outcome.problems[1].first == "default/header/0");
  const auto refused = [&](const char* path) {
    const Request request("h", path);
    const MatchResult result = listenerOf(*outcome.table, "h")->match(request.head(), "GET");
    return result.rule != nullptr && result.rule->refused;
  };
  CHECK(refused("/p"));
  CHECK(refused("/h"));  // without x-a: what cannot be tested must not fall through
  CHECK_FALSE(refused("/("));
  CHECK(regexProblem("/(").empty() == false);
  CHECK(regexProblem("/v[0-9]+").empty());
}

TEST_CASE("Header conditions see all lines of a name as one list") {
  struct Row {
    MatchKind kind;
    const char* wanted;
    std::vector<std::string> lines;
    bool matches;
  };
  const auto E = MatchKind::Exact, R = MatchKind::Regex;
  const std::string large(900, 'x');
  for (const Row& row : {Row{E, "a", {"a"}, true}, Row{E, "a", {"A"}, false},
                         Row{E, "a", {}, false}, Row{E, "", {""}, true}, Row{E, "", {}, false},
                         Row{E, "a, b", {"a", "b"}, true}, Row{E, "a", {"a", "b"}, false},
                         Row{E, "b, a", {"a", "b"}, false}, Row{E, "a, , b", {"a", "", "b"}, true},
                         Row{E, ", a", {"", "a"}, true}, Row{R, ", a", {"", "a"}, true},
                         Row{E, "a,b", {"a,b"}, true}, Row{R, "a.*", {"a", "b"}, true},
                         Row{R, "a", {"a", "b"}, false}, Row{R, "b", {"a", "b"}, false},
                         Row{R, "x+, x+", {large, large}, true}, Row{R, ".+", {""}, false}}) {
    CAPTURE(row.wanted);
    CAPTURE(row.lines.size());
    for (const char* name : {"x-test", "cookie"}) {
      Compiler compiler;
      const auto table =
          tableOf(compiler,
                  {route("r", {""}, {{matchOf(prefix("/"), "", {{name, row.wanted, row.kind}})}})});
      Request request("h");
      for (const std::string& line : row.lines) request.with(name, line);
      request.with("x-other", "a");
      CHECK(answer(*table, request).empty() != row.matches);
    }
  }
}

TEST_CASE("A header line that was removed does not count") {
  Compiler compiler;
  const auto table = tableOf(
      compiler, {route("r", {""}, {{matchOf(prefix("/"), "", {{"x-a", "1", MatchKind::Exact}})}})});
  Request request("h");
  request.with("X-A", "1");
  CHECK_FALSE(answer(*table, request).empty());
  request.head().fields.remove("x-a");
  CHECK(answer(*table, request).empty());
}

TEST_CASE("A condition on Host looks at the authority as received") {
  Compiler compiler;
  const auto table = tableOf(
      compiler,
      {route("r", {""}, {{matchOf(prefix("/"), "", {{"Host", "H.com:81", MatchKind::Exact}})}})});
  Request request("h.com");
  CHECK(answer(*table, request).empty());
  request.head().authority = "H.com:81";
  CHECK_FALSE(answer(*table, request).empty());
}

TEST_CASE("Query conditions look at the first parameter of a name, decoded") {
  struct Row {
    const char *name, *wanted, *query;
    bool matches;
  };
  for (const Row& row : {Row{"q", "1", "q=1", true},       Row{"q", "1", "q=2", false},
                         Row{"q", "1", "", false},         Row{"q", "1", "q=2&q=1", false},
                         Row{"q", "1", "q=1&q=2", true},   Row{"q", "1", "a=1&q=1", true},
                         Row{"q", "1", "qq=1", false},     Row{"q", "1", "Q=1", false},
                         Row{"q", "", "q", true},          Row{"q", "", "q=", true},
                         Row{"q", "a b", "q=a+b", true},   Row{"q", "a b", "q=a%20b", true},
                         Row{"q", "a+b", "q=a%2Bb", true}, Row{"q", "a+b", "q=a+b", false},
                         Row{"q", "a=b", "q=a=b", true},   Row{"q", "1", "%71=1", true},
                         Row{"q", "1", "&&q=1", true},     Row{"q", "\xc3\xa4", "q=%C3%a4", true},
                         Row{"q", "%zz", "q=%zz", true},   Row{"q", "12", "q=1", false},
                         Row{"q", "1", "q=12", false}}) {
    CAPTURE(row.wanted);
    CAPTURE(row.query);
    for (const MatchKind kind : {MatchKind::Exact, MatchKind::Regex}) {
      const bool special = std::string(row.wanted).find('+') != std::string::npos;
      if (kind == MatchKind::Regex && special) continue;
      Compiler compiler;
      const auto table = tableOf(
          compiler,
          {route("r", {""}, {{matchOf(prefix("/"), "", {}, {{row.name, row.wanted, kind}})}})});
      const std::string target = std::string("/?") + row.query;
      CHECK(answer(*table, Request("h", target)).empty() != row.matches);
    }
  }
}

TEST_CASE("A preflight can be matched with the method that it asks for") {
  Compiler compiler;
  const auto table = tableOf(compiler, {route("r", {""}, {{matchOf(prefix("/"), "PUT")}})});
  const Request request("h", "/", "OPTIONS");
  const CompiledListener* at = listenerOf(*table, "h");
  CHECK(at->match(request.head(), request.head().method).rule == nullptr);
  CHECK(at->match(request.head(), "PUT").rule != nullptr);
}

TEST_CASE("The most specific listener alone answers a host") {
  ModelBatch batch;
  batch.listeners = {listener("i/g/any", ""), listener("i/g/wild", "*.a.com"),
                     listener("i/g/deep", "*.b.a.com"), listener("i/g/exact", "x.a.com"),
                     listener("i/h/other", "y.com", 9090)};
  batch.listeners[3].binds.push_back({"127.0.0.1", 8080});
  Compiler compiler;
  (void)compiler.apply(batch);
  const RouteTable& table = *compiler.current();
  struct Row {
    const char *host, *key;
  };
  for (const Row& row :
       {Row{"x.a.com", "i/g/exact"}, Row{"z.a.com", "i/g/wild"}, Row{"z.b.a.com", "i/g/deep"},
        Row{"b.a.com", "i/g/wild"}, Row{"y.z.b.a.com", "i/g/deep"}, Row{"a.com", "i/g/any"},
        Row{"", "i/g/any"}, Row{"other", "i/g/any"}}) {
    CAPTURE(row.host);
    REQUIRE(listenerOf(table, row.host) != nullptr);
    CHECK(listenerOf(table, row.host)->model().key == row.key);
  }
  CHECK(listenerOf(table, "x.com", 9090) == nullptr);
  CHECK(listenerOf(table, "y.com", 9090)->model().key == "i/h/other");
  CHECK(table.group({"0.0.0.0", 8080})->fallback()->model().key == "i/g/any");
  CHECK(table.group({"0.0.0.0", 9090})->fallback()->model().key == "i/h/other");
  CHECK(table.group({"127.0.0.1", 8080})->listeners().size() == 1);
  CHECK(table.group({"0.0.0.0", 1}) == nullptr);
  CHECK(table.groups().size() == 3);
}

TEST_CASE("A wildcard route on a listener for one host serves that host alone") {
  ModelBatch batch;
  batch.listeners = {listener("infra/gw/http", "foo.example.com")};
  batch.routes = {route("r", {"*.example.com"}, {{matchOf(prefix("/"))}})};
  Compiler compiler;
  (void)compiler.apply(batch);
  CHECK(answer(*compiler.current(), Request("foo.example.com")) == "default/r/0");
  CHECK(answer(*compiler.current(), Request("bar.example.com")).empty());
}

TEST_CASE("explain names the candidates that lost, and why") {
  Compiler compiler;
  const auto table = tableOf(
      compiler,
      {route("tenant", {""}, {{matchOf(prefix("/a"), "", {{"x-tenant", "b", MatchKind::Exact}})}}),
       route("post", {""}, {{matchOf(prefix("/a"), "POST")}}),
       route("query", {""}, {{matchOf(prefix("/a"), "", {}, {{"v", "2", MatchKind::Exact}})}}),
       route("expression", {""}, {{matchOf(regex("/b.*"))}}),
       route("winner", {""}, {{matchOf(prefix("/a"))}}, {"infra/gw/http"}, 1),
       route("younger", {""}, {{matchOf(prefix("/a"))}}, {"infra/gw/http"}, 2),
       route("elsewhere", {""}, {{matchOf(exact("/z"))}})});
  Request request("h", "/a/x?v=1");
  request.with("x-tenant", "a");
  std::vector<NearMiss> misses;
  const MatchResult result = listenerOf(*table, "h")->explain(request.head(), "GET", misses);
  REQUIRE(result.rule != nullptr);
  CHECK(result.rule->rule->id == "default/winner/0");
  const auto why = [&](const char* id) {
    const auto miss = std::find_if(misses.begin(), misses.end(),
                                   [&](const NearMiss& each) { return each.rule_id == id; });
    return miss == misses.end() ? std::string() : miss->reason;
  };
  CHECK(why("default/tenant/0") == "path prefix \"/a\": header \"x-tenant\" is \"a\", needs \"b\"");
  CHECK(why("default/post/0") == "path prefix \"/a\": method is GET, needs POST");
  CHECK(why("default/query/0") ==
        "path prefix \"/a\": query parameter \"v\" is \"1\", needs \"2\"");
  CHECK(why("default/expression/0") == "path expression \"/b.*\": path \"/a/x\" does not match");
  CHECK(why("default/younger/0") ==
        "path prefix \"/a\": comes after default/winner/0 in precedence");
  CHECK(why("default/elsewhere/0") == "exact path \"/z\" is not \"/a/x\"");
  CHECK(misses.size() == 6);
}
