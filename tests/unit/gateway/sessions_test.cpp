// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kBackends = "'backendRefs':[{'name':'web','port':80}]";

// The session of the only rule, or null if the rule was dropped.
const route::Session* sessionOf(World& world, std::string_view session,
                                std::string_view matches = "[{}]") {
  world.addBasics();
  world.addRoute("web", "{'matches':" + std::string(matches) + ',' + std::string(kBackends) +
                            ",'sessionPersistence':" + std::string(session) + '}');
  const auto* rules = world.rules("web");
  return rules == nullptr || rules->empty() || !rules->front().session
             ? nullptr
             : &rules->front().session.value();
}

}  // namespace

TEST_CASE("Session persistence of v1.7: cookie and header, with the API's defaults") {
  World world;
  const auto* session = sessionOf(world, "{'cookie':{'name':'sticky'}}");
  REQUIRE(session != nullptr);
  CHECK_FALSE(session->header);
  CHECK(session->name == "sticky");
  CHECK(session->path == "/");
  CHECK_FALSE(session->permanent);
  CHECK_FALSE(session->absolute_timeout);
  CHECK_FALSE(session->idle_timeout);
  World permanent;
  session = sessionOf(permanent,
                      "{'type':'Cookie','cookie':{'path':'/shop','lifetimeType':'Permanent'},"
                      "'absoluteTimeout':'1h30m'}",
                      "[{'path':{'value':'/elsewhere'}}]");
  REQUIRE(session != nullptr);
  CHECK(session->path == "/shop");
  CHECK(session->permanent);
  CHECK(session->absolute_timeout == std::chrono::minutes(90));
  CHECK(session->name.starts_with("hw-session-"));
  World header;
  session = sessionOf(header, "{'type':'Header','header':{'name':'X-Session'}}");
  REQUIRE(session != nullptr);
  CHECK(session->header);
  CHECK(session->name == "X-Session");
}

TEST_CASE("Session persistence of v1.1 to v1.6: the cookie's path is what the matches share") {
  struct Row {
    std::string_view matches, path;
  };
  for (const Row& row : {
           Row{"[{}]", "/"},
           Row{"[{'path':{'value':'/shop/'}}]", "/shop"},
           Row{"[{'path':{'type':'Exact','value':'/shop/cart'}}]", "/shop/cart"},
           Row{"[{'path':{'value':'/shop/a'}},{'path':{'value':'/shop/b'}}]", "/shop"},
           Row{"[{'path':{'value':'/shop'}},{'path':{'value':'/shop/b'}}]", "/shop"},
           Row{"[{'path':{'value':'/shop'}},{'path':{'value':'/shopping'}}]", "/"},
           Row{"[{'path':{'value':'/a'}},{}]", "/"},
           Row{"[{'path':{'type':'RegularExpression','value':'/p1/p2/.*/p3'}}]", "/p1/p2"},
           Row{"[{'path':{'type':'RegularExpression','value':'/p1/p2/?'}}]", "/p1"},
           Row{"[{'path':{'type':'RegularExpression','value':'/p1/a|/p2/b'}}]", "/"},
           Row{"[{'path':{'type':'RegularExpression','value':'/p1/ab+'}}]", "/p1"},
           Row{"[{'path':{'type':'RegularExpression','value':'.*'}}]", "/"},
       }) {
    CAPTURE(row.matches);
    World world;
    const auto* session = sessionOf(world, "{'sessionName':'s','idleTimeout':'5m'}", row.matches);
    REQUIRE(session != nullptr);
    CHECK(session->name == "s");
    CHECK(session->path == row.path);
    CHECK(session->idle_timeout == std::chrono::minutes(5));
  }
  World world;
  const auto* session =
      sessionOf(world, "{'cookieConfig':{'lifetimeType':'Permanent'},'absoluteTimeout':'1s'}");
  REQUIRE(session != nullptr);
  CHECK(session->permanent);
}

TEST_CASE("No two rules share sessions, and a route that is made anew has new ones") {
  const auto scopes = [](std::string_view route, std::string_view uid, std::string_view rules) {
    World world;
    world.addBasics();
    world.put("HTTPRoute", "default", route,
              "'spec':{'parentRefs':[{'name':'gw'}],'rules':[" + std::string(rules) + "]}",
              "'uid':'" + std::string(uid) + "'");
    std::vector<std::string> out;
    for (const route::Rule& rule : *world.rules(route)) out.push_back(rule.session->scope);
    return out;
  };
  const std::string plain = "{'sessionPersistence':{'cookie':{}}}";
  const auto two = scopes("web", "u1", plain + ',' + plain);
  CHECK(two[0] != two[1]);
  CHECK(scopes("web", "u1", plain)[0] == two[0]);
  CHECK(scopes("web", "u2", plain)[0] != two[0]);
  CHECK(scopes("other", "u1", plain)[0] != two[0]);
  // A rule with a name keeps its sessions wherever it stands.
  const std::string named = "{'name':'cart','sessionPersistence':{'cookie':{}}}";
  CHECK(scopes("web", "u1", named + ',' + plain)[0] == scopes("web", "u1", plain + ',' + named)[1]);
}

TEST_CASE("Sessions of a route without a uid are sealed with what this process alone knows") {
  const auto scope = [](std::string_view secret, std::string_view meta) {
    TranslateOptions options;
    options.session_secret = secret;
    World world(options);
    world.addBasics();
    world.put(
        "HTTPRoute", "default", "web",
        "'spec':{'parentRefs':[{'name':'gw'}],'rules':[{'sessionPersistence':{'cookie':{}}}]}",
        meta);
    const route::Session& session = *world.rules("web")->front().session;
    return std::pair(session.scope, session.name);
  };
  const auto [one, name] = scope("secret-1", "");
  CHECK(one.starts_with("secret-1 "));
  CHECK(scope("secret-2", "").first.starts_with("secret-2 "));
  // Its uid counts where it has one; the cookie's name tells of neither.
  CHECK(scope("secret-1", "'uid':'u1'").first.starts_with("u1 "));
  CHECK(scope("secret-2", "'uid':'u1'").second == name);
}

TEST_CASE("Session persistence that cannot be honoured drops its rule and is named") {
  struct Row {
    std::string_view session, pointer;
  };
  const std::string long_name(257, 'a');
  const std::string long_row = "{'cookie':{'name':'" + long_name + "'}}";
  for (const Row& row : {
           Row{"{'type':'IP'}", "/type"},
           Row{"{'cookie':{'name':'a b'}}", "/cookie/name"},
           Row{"{'cookie':{'name':'a;b'}}", "/cookie/name"},
           Row{long_row, "/cookie/name"},
           Row{"{'cookie':{'path':'shop'}}", "/cookie/path"},
           Row{"{'cookie':{'path':'/; Domain=evil.example'}}", "/cookie/path"},
           Row{"{'cookie':{'lifetimeType':'Forever'}}", "/cookie/lifetimeType"},
           Row{"{'cookie':{'lifetimeType':'Permanent'}}", "/absoluteTimeout"},
           Row{"{'cookie':{},'absoluteTimeout':'0s'}", "/absoluteTimeout"},
           Row{"{'cookie':{},'absoluteTimeout':'soon'}", "/absoluteTimeout"},
           Row{"{'idleTimeout':'0ms'}", "/idleTimeout"},
           Row{"{'type':'Header','header':{'name':'Host'}}", "/header/name"},
           Row{"{'type':'Header','header':{'name':'Cookie'}}", "/header/name"},
           Row{"{'type':'Header','header':{'name':'Set-Cookie'}}", "/header/name"},
           Row{"{'type':'Header','header':{'name':'Content-Length'}}", "/header/name"},
           Row{"{'type':'Header','header':{'name':'X-Forwarded-For'}}", "/header/name"},
           Row{"{'type':'Header','header':{'name':'Authorization'}}", "/header/name"},
       }) {
    CAPTURE(row.session);
    World world;
    CHECK(sessionOf(world, row.session) == nullptr);
    CHECK(world.route("web", "Accepted") == "False UnsupportedValue");
    const std::string message = world.message("web", "Accepted");
    CAPTURE(message);
    CHECK(message.find("/spec/rules/0/sessionPersistence" + std::string(row.pointer) + ": ") !=
          std::string::npos);
  }
}

TEST_CASE("A GRPCRoute has sessions too") {
  World world;
  world.addBasics();
  world.addKind("GRPCRoute", "rpc",
                "{'matches':[{'method':{'service':'a.B','method':'Get'}}],"
                "'backendRefs':[{'name':'web','port':80}],"
                "'sessionPersistence':{'type':'Header','header':{'name':'x-session'}}}");
  const auto& rules = *world.routes.at("GRPCRoute/default/rpc").rules;
  REQUIRE(rules.size() == 1);
  REQUIRE(rules[0].session);
  CHECK(rules[0].session->name == "x-session");
}

TEST_CASE("A backend of weight 0 is in the model for the sessions that it has") {
  World world;
  world.addBasics();
  world.addRoute("web",
                 "{'backendRefs':[{'name':'web','port':80,'weight':0}],"
                 "'sessionPersistence':{'cookie':{}}}");
  CHECK(world.upstreams.count("default/web:80") == 1);
}

}  // namespace hyperway::gateway
