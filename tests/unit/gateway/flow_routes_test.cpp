// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kTls =
    "{'name':'tls','port':443,'protocol':'TLS',"
    "'tls':{'mode':'Passthrough'}}";
constexpr std::string_view kTcp = "{'name':'tcp','port':9000,'protocol':'TCP'}";

using Hosts = std::vector<std::string>;

}  // namespace

TEST_CASE("A TLSRoute serves its host names that meet the listener's, with weights") {
  World world;
  world.addBasics();
  world.addService("default", "other");
  world.addGateway("gw",
                   "{'name':'tls','port':443,'protocol':'TLS','hostname':'*.a.com',"
                   "'tls':{'mode':'Passthrough'}}");
  world.addKind("TLSRoute", "r",
                "{'name':'only','backendRefs':[{'name':'web','port':80,'weight':3},"
                "{'name':'other','port':80}]}",
                "'hostnames':['x.A.com','*.com','b.com']");
  CHECK(world.condition("TLSRoute/default/r", "Accepted") == "True Accepted");
  CHECK(world.condition("TLSRoute/default/r", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.listener("gw", "tls").attached_routes == 1);
  REQUIRE(world.routes.contains("TLSRoute/default/r"));
  const route::Route& made = world.routes.at("TLSRoute/default/r");
  CHECK(made.kind == route::RouteKind::Tls);
  REQUIRE(made.attachments.size() == 1);
  CHECK(made.attachments[0].listener == "default/gw/tls");
  CHECK(made.attachments[0].hostnames == Hosts{"x.a.com", "*.com"});
  REQUIRE(made.rules->size() == 1);
  const route::Rule& rule = made.rules->front();
  CHECK(rule.id == "default/r/0");
  CHECK(rule.name == "only");
  CHECK(rule.matches.empty());
  REQUIRE(rule.backends.size() == 2);
  CHECK(rule.backends[0].upstream == "default/web:80+tcp");
  CHECK(rule.backends[0].weight == 3);
  CHECK(world.upstreams.at("default/web:80+tcp").endpoints.size() == 1);
}

TEST_CASE("A TLSRoute none of whose host names meets a listener is not accepted") {
  World world;
  world.addBasics();
  world.addGateway("gw",
                   "{'name':'tls','port':443,'protocol':'TLS','hostname':'a.com',"
                   "'tls':{'mode':'Passthrough'}}");
  world.addKind("TLSRoute", "r", kWeb, "'hostnames':['b.com']");
  CHECK(world.condition("TLSRoute/default/r", "Accepted") == "False NoMatchingListenerHostname");
  CHECK(world.listener("gw", "tls").attached_routes == 0);
  CHECK(world.routes.empty());
}

TEST_CASE("Routes of several kinds may share a name") {
  World world;
  world.addBasics();
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}," + std::string(kTls) + "," +
                             std::string(kTcp));
  for (const char* kind : {"HTTPRoute", "TLSRoute", "TCPRoute"}) world.addKind(kind, "same", kWeb);
  CHECK(world.routes.size() == 3);
  for (const char* name : {"http", "tls", "tcp"})
    CHECK(world.listener("gw", name).attached_routes == 1);
  world.remove("TCPRoute", "default", "same");
  CHECK(world.routes.size() == 2);
  CHECK(world.status("TCPRoute/default/same").name.empty());
  CHECK(world.condition("TLSRoute/default/same", "Accepted") == "True Accepted");
  CHECK(world.upstreams.contains("default/web:80+tcp"));
  world.remove("TLSRoute", "default", "same");
  CHECK_FALSE(world.upstreams.contains("default/web:80+tcp"));
}

TEST_CASE("Two TCPRoutes at one listener are both accepted and counted") {
  World world;
  world.addBasics();
  world.addGateway("gw", kTcp);
  world.addKind("TCPRoute", "older", kWeb, "", "{'name':'gw','sectionName':'tcp'}",
                "'creationTimestamp':'2026-01-01T00:00:00Z'");
  world.addKind("TCPRoute", "newer", kWeb, "", "{'name':'gw','sectionName':'tcp'}",
                "'creationTimestamp':'2026-01-01T00:00:01Z'");
  for (const char* key : {"TCPRoute/default/older", "TCPRoute/default/newer"}) {
    CHECK(world.condition(key, "Accepted") == "True Accepted");
    REQUIRE(world.routes.contains(key));
    CHECK(world.routes.at(key).attachments[0].hostnames == Hosts{""});
  }
  CHECK(world.listener("gw", "tcp").attached_routes == 2);
  CHECK(world.routes.at("TCPRoute/default/older").created <
        world.routes.at("TCPRoute/default/newer").created);
}

TEST_CASE("A flow's parentRef picks listeners of its protocol by name and port") {
  struct Row {
    std::string_view parent, accepted;
    std::size_t listeners;
  };
  for (const Row& row :
       {Row{"'name':'gw'", "True Accepted", 2}, Row{"'name':'gw','port':9000", "True Accepted", 1},
        Row{"'name':'gw','sectionName':'two'", "True Accepted", 1},
        Row{"'name':'gw','sectionName':'two','port':9000", "False NoMatchingParent", 0},
        Row{"'name':'gw','sectionName':'none'", "False NoMatchingParent", 0},
        Row{"'name':'gw','sectionName':'http'", "False NotAllowedByListeners", 0}}) {
    CAPTURE(row.parent);
    World world;
    world.addBasics();
    world.addGateway("gw", std::string(kTcp) +
                               ",{'name':'two','port':9001,'protocol':'TCP'},"
                               "{'name':'http','port':80,'protocol':'HTTP'}");
    world.addKind("TCPRoute", "r", kWeb, "", "{" + std::string(row.parent) + "}");
    CHECK(world.condition("TCPRoute/default/r", "Accepted") == row.accepted);
    CHECK((row.listeners == 0
               ? world.routes.empty()
               : world.routes.at("TCPRoute/default/r").attachments.size() == row.listeners));
  }
}

TEST_CASE("A flow's backend that does not resolve keeps its share, and the standard's reason") {
  struct Row {
    std::string_view ref, reason;
  };
  for (const Row& row : {Row{"'name':'none','port':80", "BackendNotFound"},
                         Row{"'name':'web','port':81", "BackendNotFound"},
                         Row{"'name':'web','port':80,'kind':'Else'", "InvalidKind"},
                         Row{"'name':'web','port':80,'namespace':'other'", "RefNotPermitted"},
                         Row{"'name':'udp','port':80", "UnsupportedProtocol"}}) {
    CAPTURE(row.ref);
    World world;
    world.addBasics();
    world.addGateway("gw", kTcp);
    world.put("Service", "default", "udp", "'spec':{'ports':[{'port':80,'protocol':'UDP'}]}");
    world.addKind("TCPRoute", "r",
                  "{'backendRefs':[{'name':'web','port':80,'weight':9},{" + std::string(row.ref) +
                      ",'weight':1}]}");
    CHECK(world.condition("TCPRoute/default/r", "Accepted") == "True Accepted");
    CHECK(world.condition("TCPRoute/default/r", "ResolvedRefs") ==
          "False " + std::string(row.reason));
    CHECK(world.listener("gw", "tcp").attached_routes == 1);
    const auto& backends = world.routes.at("TCPRoute/default/r").rules->front().backends;
    REQUIRE(backends.size() == 2);
    CHECK(backends[0].upstream == "default/web:80+tcp");
    CHECK(backends[1].upstream.empty());
    CHECK(backends[1].weight == 1);
  }
}

TEST_CASE("A grant is for routes of its kind") {
  World world;
  world.addBasics();
  world.addService("other", "web");
  world.addGateway("gw", kTcp);
  world.addKind("TCPRoute", "r", "{'backendRefs':[{'name':'web','namespace':'other','port':80}]}");
  const auto grant = [&](const std::string& kind) {
    world.put("ReferenceGrant", "other", "grant",
              "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'" + kind +
                  "','namespace':'default'}],'to':[{'group':'','kind':'Service'}]}");
  };
  grant("HTTPRoute");
  CHECK(world.condition("TCPRoute/default/r", "ResolvedRefs") == "False RefNotPermitted");
  grant("TCPRoute");
  CHECK(world.condition("TCPRoute/default/r", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.upstreams.contains("other/web:80+tcp"));
  world.remove("ReferenceGrant", "other", "grant");
  CHECK(world.condition("TCPRoute/default/r", "ResolvedRefs") == "False RefNotPermitted");
  CHECK_FALSE(world.upstreams.contains("other/web:80+tcp"));
}

TEST_CASE("A flow has one rule with backends") {
  struct Row {
    std::string_view rules, accepted;
    std::string_view message;
  };
  const std::string two = std::string(kWeb) + "," + std::string(kWeb);
  for (const Row& row :
       {Row{two, "True Accepted", ""},
        Row{"", "False UnsupportedValue", "/spec/rules: needs a rule"},
        Row{"{}", "False UnsupportedValue",
            "no rule is valid: /spec/rules/0/backendRefs: needs at least one backend"},
        Row{"{'backendRefs':[{'name':'web','port':80,'weight':-1}]}", "False UnsupportedValue",
            "no rule is valid: /spec/rules/0/backendRefs/0/weight: must be 0 to 1000000, not "
            "-1"}}) {
    CAPTURE(row.rules);
    World world;
    world.addBasics();
    world.addGateway("gw", kTcp);
    world.addKind("TCPRoute", "r", row.rules);
    CHECK(world.condition("TCPRoute/default/r", "Accepted") == row.accepted);
    const auto status = world.status("TCPRoute/default/r");
    REQUIRE_FALSE(status.parents.empty());
    CHECK(status.parents[0].conditions[0].message == row.message);
    CHECK(world.routes.empty() == !row.message.empty());
    if (row.message.empty()) {
      CHECK(world.condition("TCPRoute/default/r", "PartiallyInvalid") == "True UnsupportedValue");
      CHECK(world.routes.at("TCPRoute/default/r").rules->size() == 1);
    }
  }
}

TEST_CASE("What is behind a flow's Service port concerns nobody, but for a policy") {
  World world;
  world.addBasics();
  world.addGateway("gw", kTcp);
  world.put("Service", "default", "web",
            "'spec':{'ports':[{'name':'http','port':80,'appProtocol':'example.com/own'}]}");
  world.addKind("TCPRoute", "r", kWeb);
  CHECK(world.condition("TCPRoute/default/r", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.upstreams.at("default/web:80+tcp").endpoints.size() == 1);
  CHECK(world.upstreams.at("default/web:80+tcp").tls == nullptr);
  world.put("BackendTLSPolicy", "default", "p",
            "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'web'}],"
            "'validation':{'hostname':'web.example','wellKnownCACertificates':'System'}}");
  REQUIRE(world.upstreams.at("default/web:80+tcp").tls != nullptr);
  CHECK(world.upstreams.at("default/web:80+tcp").tls->hostname == "web.example");
  const auto policy = world.status("BackendTLSPolicy/default/p");
  REQUIRE(policy.ancestors.size() == 1);
  CHECK(World::show(policy.ancestors[0].conditions, "Accepted") == "True Accepted");
}

TEST_CASE("A UDPRoute goes to the UDP port of a Service, over datagrams without TLS") {
  World world;
  world.addBasics();
  world.addGateway("gw", "{'name':'udp','port':53,'protocol':'UDP'}");
  world.put("Service", "default", "dns",
            "'spec':{'ports':[{'name':'tcp','port':53,'protocol':'TCP'},"
            "{'name':'udp','port':53,'protocol':'UDP'}]}");
  world.put("EndpointSlice", "default", "dns-1",
            "'addressType':'IPv4','ports':[{'name':'tcp','port':5300},"
            "{'name':'udp','port':5301,'protocol':'UDP'}],"
            "'endpoints':[{'addresses':['10.0.0.9']}]",
            "'labels':{'kubernetes.io/service-name':'dns'}");
  world.put("BackendTLSPolicy", "default", "p",
            "'spec':{'targetRefs':[{'group':'','kind':'Service','name':'dns'}],"
            "'validation':{'hostname':'dns.example','wellKnownCACertificates':'System'}}");
  world.addKind("UDPRoute", "r", "{'backendRefs':[{'name':'dns','port':53}]}");
  CHECK(world.condition("UDPRoute/default/r", "ResolvedRefs") == "True ResolvedRefs");
  const route::Upstream& upstream = world.upstreams.at("default/dns:53+udp");
  CHECK(upstream.endpoints == std::vector<route::Endpoint>{{"10.0.0.9", 5301}});
  CHECK(upstream.tls == nullptr);
  world.addKind("UDPRoute", "r", kWeb);
  CHECK(world.condition("UDPRoute/default/r", "ResolvedRefs") == "False UnsupportedProtocol");
}

}  // namespace hyperway::gateway
