// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kPem =
    "-----BEGIN CERTIFICATE-----\\naGVsbG8=\\n-----END CERTIFICATE-----\\n";
constexpr std::string_view kKey =
    "-----BEGIN PRIVATE KEY-----\\naGVsbG8=\\n-----END PRIVATE KEY-----\\n";

void addSecret(World& world, std::string_view name_space, std::string_view name,
               std::string_view chain = kPem) {
  world.put("Secret", name_space, name,
            "'type':'kubernetes.io/tls','stringData':{'tls.crt':'" + std::string(chain) +
                "','tls.key':'" + std::string(kKey) + "'}");
}

std::string https(std::string_view refs, std::string_view more = "") {
  return "{'name':'https','port':443,'protocol':'HTTPS','tls':{'certificateRefs':[" +
         std::string(refs) + "]}" + (more.empty() ? "" : "," + std::string(more)) + "}";
}

}  // namespace

TEST_CASE(
    "A listener that this version cannot serve is refused with the standard's reason, alone") {
  struct Row {
    std::string_view listener, accepted;
  };
  for (const Row& row :
       {Row{"'port':53,'protocol':'http'", "False UnsupportedProtocol"},
        Row{"'port':53,'protocol':'SCTP'", "False UnsupportedProtocol"},
        Row{"'port':53,'protocol':'TCP','tls':{}", "False UnsupportedValue"},
        Row{"'port':53,'protocol':'UDP','tls':{}", "False UnsupportedValue"},
        Row{"'port':53,'protocol':'TCP','hostname':'a.com'", "False UnsupportedValue"},
        Row{"'port':53,'protocol':'UDP','hostname':'a.com'", "False UnsupportedValue"},
        Row{"'port':443,'protocol':'TLS','tls':{'mode':'Else'}", "False UnsupportedValue"},
        Row{"'port':443,'protocol':'TLS','tls':{'mode':'Passthrough','options':{'a.b/x':'y'}}",
            "False UnsupportedValue"},
        Row{"'port':0,'protocol':'HTTP'", "False UnsupportedValue"},
        Row{"'port':65536,'protocol':'HTTP'", "False UnsupportedValue"},
        Row{"'port':'81','protocol':'HTTP'", "False UnsupportedValue"},
        Row{"'port':81,'protocol':'HTTP','hostname':'*'", "False UnsupportedValue"},
        Row{"'port':81,'protocol':'HTTP','hostname':'10.0.0.1'", "False UnsupportedValue"},
        Row{"'port':81,'protocol':'HTTP','tls':{}", "False UnsupportedValue"},
        Row{"'port':81,'protocol':'HTTP','filters':{'requests':[{'type':'CORS'}]}",
            "False UnsupportedValue"},
        Row{"'port':81,'protocol':'TCP','filters':{'requests':[{'type':'ExtensionRef'}]}",
            "False UnsupportedValue"},
        Row{"'port':444,'protocol':'HTTPS','tls':{'mode':'Passthrough'}", "False UnsupportedValue"},
        Row{"'port':444,'protocol':'HTTPS','tls':{'options':{'example.com/x':'y'}}",
            "False UnsupportedValue"}}) {
    CAPTURE(row.listener);
    World world;
    world.addBasics();
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'},{'name':'odd'," +
                               std::string(row.listener) + "}");
    CHECK(world.listener("gw", "odd", "Accepted") == row.accepted);
    CHECK(world.listener("gw", "odd", "Programmed") == "False Invalid");
    CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
    CHECK(world.gateway("gw", "Accepted") == "True ListenersNotValid");
    CHECK(world.gateway("gw", "Programmed") == "True Programmed");
    CHECK(world.listeners.size() == 1);
  }
}

TEST_CASE("A Gateway none of whose listeners is accepted is not accepted") {
  World world;
  world.addBasics();
  world.addGateway("gw", "{'name':'sctp','port':80,'protocol':'SCTP'}");
  CHECK(world.gateway("gw", "Accepted") == "False ListenersNotValid");
  CHECK(world.gateway("gw", "Programmed") == "False Invalid");
  CHECK(world.listener("gw", "sctp").supported_kinds.empty());
  CHECK(world.listeners.empty());
}

TEST_CASE("Listeners of one Gateway that cannot be told apart are all refused") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  SUBCASE("HTTP and HTTPS on one port: ProtocolConflict, and PortConflict as operators know it") {
    world.addGateway(
        "gw",
        "{'name':'a','port':80,'protocol':'HTTP'},"
        "{'name':'b','port':80,'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'cert'}]}},"
        "{'name':'c','port':81,'protocol':'HTTP'}");
    for (const char* name : {"a", "b"}) {
      CHECK(world.listener("gw", name, "Conflicted") == "True ProtocolConflict");
      CHECK(world.listener("gw", name, "Accepted") == "False PortConflict");
      CHECK(world.listener("gw", name, "Programmed") == "False Invalid");
    }
  }
  SUBCASE("one host name twice: HostnameConflict, whatever its case") {
    world.addGateway("gw",
                     "{'name':'a','port':80,'protocol':'HTTP','hostname':'x.com'},"
                     "{'name':'b','port':80,'protocol':'HTTP','hostname':'X.com'},"
                     "{'name':'c','port':80,'protocol':'HTTP','hostname':'*.com'}");
    for (const char* name : {"a", "b"}) {
      CHECK(world.listener("gw", name, "Conflicted") == "True HostnameConflict");
      CHECK(world.listener("gw", name, "Accepted") == "False HostnameConflict");
    }
  }
  CHECK(world.listener("gw", "c", "Conflicted") == "False NoConflicts");
  CHECK(world.listener("gw", "c", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "Accepted") == "True ListenersNotValid");
  CHECK(world.listeners.size() == 1);
}

TEST_CASE("Between Gateways on one address the older keeps its listener") {
  World world;
  world.addBasics();
  const std::string_view http = "{'name':'http','port':80,'protocol':'HTTP'}";
  world.addGateway("gw", http, "", "'creationTimestamp':'2026-01-01T00:00:00Z'");
  world.addGateway("older", http, "", "'creationTimestamp':'2025-01-01T00:00:00Z'");
  CHECK(world.listener("older", "http", "Accepted") == "True Accepted");
  CHECK(world.listener("gw", "http", "Conflicted") == "True HostnameConflict");
  CHECK(world.listener("gw", "http", "Accepted") == "False HostnameConflict");
  CHECK(world.listeners.size() == 1);
  world.remove("Gateway", "default", "older");
  CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
  CHECK(world.listeners.contains("default/gw/http"));
}

TEST_CASE("A listener that lost within its own Gateway stands in no other's way") {
  World world;
  world.addBasics();
  world.addGateway(
      "gw", "{'name':'a','port':80,'protocol':'HTTP'},{'name':'b','port':80,'protocol':'HTTP'}", "",
      "'creationTimestamp':'2025-01-01T00:00:00Z'");
  world.addGateway("young", "{'name':'http','port':80,'protocol':'HTTP'}", "",
                   "'creationTimestamp':'2026-01-01T00:00:00Z'");
  CHECK(world.listener("young", "http", "Accepted") == "True Accepted");
}

TEST_CASE("HTTPS listeners whose host names overlap on a port say so") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  const auto listener = [](std::string_view name, std::string_view host) {
    return "{'name':'" + std::string(name) + "','port':443,'protocol':'HTTPS','hostname':'" +
           std::string(host) + "','tls':{'certificateRefs':[{'name':'cert'}]}}";
  };
  world.addGateway("gw", listener("a", "foo.example.com") + ',' + listener("b", "foo.example.org") +
                             ',' + listener("c", "*.example.com"));
  CHECK(world.listener("gw", "a", "OverlappingTLSConfig") == "True OverlappingHostnames");
  CHECK(world.listener("gw", "b", "OverlappingTLSConfig") == "");
  CHECK(world.listener("gw", "c", "OverlappingTLSConfig") == "True OverlappingHostnames");
}

TEST_CASE("Route kinds that a listener cannot take are refused, the others stay") {
  struct Row {
    std::string_view kinds;
    std::vector<std::string> supported;
    std::string_view resolved;
  };
  for (const Row& row :
       {Row{"", {"HTTPRoute", "GRPCRoute"}, "True ResolvedRefs"},
        Row{"{'kind':'HTTPRoute'}", {"HTTPRoute"}, "True ResolvedRefs"},
        Row{"{'kind':'HTTPRoute'},{'kind':'TCPRoute'}", {"HTTPRoute"}, "False InvalidRouteKinds"},
        Row{"{'kind':'HTTPRoute','group':'example.com'}", {}, "False InvalidRouteKinds"},
        Row{"{'kind':'HTTPRoute'},{'kind':'HTTPRoute'}", {"HTTPRoute"}, "True ResolvedRefs"}}) {
    CAPTURE(row.kinds);
    World world;
    world.addBasics();
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP','allowedRoutes':{'kinds':[" +
                               std::string(row.kinds) + "]}}");
    world.addRoute("web", kWeb);
    CHECK(world.listener("gw", "http").supported_kinds == row.supported);
    CHECK(world.listener("gw", "http", "ResolvedRefs") == row.resolved);
    CHECK(world.listener("gw", "http", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "http").attached_routes == (row.supported.empty() ? 0 : 1));
  }
}

TEST_CASE("Each protocol takes routes of its kinds") {
  struct Row {
    std::string_view listener;
    std::vector<std::string> kinds;
    route::Protocol protocol;
  };
  for (const Row& row :
       {Row{"'protocol':'HTTP'", {"HTTPRoute", "GRPCRoute"}, route::Protocol::Http},
        Row{"'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'cert'}]}",
            {"HTTPRoute", "GRPCRoute"},
            route::Protocol::Https},
        Row{"'protocol':'TLS','tls':{'certificateRefs':[{'name':'cert'}]}",
            {"TLSRoute"},
            route::Protocol::Tls},
        Row{"'protocol':'TLS','tls':{'mode':'Passthrough'}", {"TLSRoute"}, route::Protocol::Tls},
        Row{"'protocol':'TCP'", {"TCPRoute"}, route::Protocol::Tcp},
        Row{"'protocol':'UDP'", {"UDPRoute"}, route::Protocol::Udp}}) {
    CAPTURE(row.listener);
    World world;
    world.addBasics();
    addSecret(world, "default", "cert");
    world.addGateway("gw", "{'name':'one','port':443," + std::string(row.listener) + "}");
    CHECK(world.listener("gw", "one").supported_kinds == row.kinds);
    CHECK(world.listener("gw", "one", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "one", "Programmed") == "True Programmed");
    REQUIRE(world.listeners.contains("default/gw/one"));
    CHECK(world.listeners.at("default/gw/one").protocol == row.protocol);
  }
}

TEST_CASE("A TLS listener needs a certificate only if it terminates") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  world.addGateway("gw",
                   "{'name':'ends','port':443,'protocol':'TLS','hostname':'a.com',"
                   "'tls':{'mode':'Terminate','certificateRefs':[{'name':'cert'}]}},"
                   "{'name':'lacks','port':443,'protocol':'TLS','hostname':'b.com',"
                   "'tls':{'mode':'Terminate','certificateRefs':[{'name':'none'}]}},"
                   "{'name':'passes','port':443,'protocol':'TLS','hostname':'c.com',"
                   "'tls':{'mode':'Passthrough','certificateRefs':[{'name':'none'}]}}",
                   "'tls':{'frontend':{'default':{'validation':{'caCertificateRefs':"
                   "[{'group':'','kind':'ConfigMap','name':'none'}]}}}}");
  CHECK(world.listener("gw", "ends", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(world.listener("gw", "lacks", "ResolvedRefs") == "False InvalidCertificateRef");
  CHECK(world.listener("gw", "passes", "ResolvedRefs") == "True ResolvedRefs");
  REQUIRE(world.listeners.size() == 2);
  const route::Listener& ends = world.listeners.at("default/gw/ends");
  CHECK(ends.certificates == std::vector<std::string>{"default/cert"});
  CHECK_FALSE(ends.passthrough);
  // Clients' certificates are a matter of HTTPS listeners.
  CHECK(ends.validation == nullptr);
  const route::Listener& passes = world.listeners.at("default/gw/passes");
  CHECK(passes.certificates.empty());
  CHECK(passes.passthrough);
}

TEST_CASE("HTTPS and TLS listeners share a port if their host names differ") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  const std::string rest =
      "{'name':'https','port':443,'protocol':'HTTPS','hostname':'a.com',"
      "'tls':{'certificateRefs':[{'name':'cert'}]}},"
      "{'name':'pass','port':443,'protocol':'TLS','tls':{'mode':'Passthrough'},'hostname':";
  world.addGateway("gw", rest + "'b.com'}");
  CHECK(world.listeners.size() == 2);
  world.addGateway("gw", rest + "'a.com'}");
  CHECK(world.listener("gw", "https", "Conflicted") == "True HostnameConflict");
  CHECK(world.listener("gw", "pass", "Conflicted") == "True HostnameConflict");
  CHECK(world.listeners.empty());
}

TEST_CASE("A TCP listener shares its port with no other") {
  struct Row {
    std::string_view other;
  };
  for (const Row& row : {Row{"'protocol':'HTTP','hostname':'a.com'"}, Row{"'protocol':'TCP'"},
                         Row{"'protocol':'TLS','tls':{'mode':'Passthrough'},'hostname':'a.com'"}}) {
    CAPTURE(row.other);
    World world;
    world.addBasics();
    world.addGateway("gw", "{'name':'tcp','port':90,'protocol':'TCP'},{'name':'other','port':90," +
                               std::string(row.other) + "}");
    for (const char* name : {"tcp", "other"}) {
      CHECK(world.listener("gw", name, "Conflicted") == "True ProtocolConflict");
      CHECK(world.listener("gw", name, "Accepted") == "False PortConflict");
    }
  }
}

TEST_CASE("A certificate must be there, be permitted and look like one") {
  struct Row {
    std::string_view refs, resolved;
    bool served;
  };
  for (const Row& row :
       {Row{"{'name':'cert'}", "True ResolvedRefs", true},
        Row{"{'name':'cert'},{'name':'ecdsa'}", "True ResolvedRefs", true},
        Row{"{'name':'cert'},{'name':'none'}", "False InvalidCertificateRef", true},
        Row{"", "False InvalidCertificateRef", false},
        Row{"{'name':'none'}", "False InvalidCertificateRef", false},
        Row{"{'name':'bad'}", "False InvalidCertificateRef", false},
        Row{"{'name':'cert','kind':'ConfigMap'}", "False InvalidCertificateRef", false},
        Row{"{'name':'cert','group':'example.com'}", "False InvalidCertificateRef", false},
        Row{"{'name':'cert','namespace':'default'}", "True ResolvedRefs", true},
        Row{"{'name':'cert','namespace':'other'}", "False RefNotPermitted", false},
        Row{"{'name':'none','namespace':'other'}", "False RefNotPermitted", false}}) {
    CAPTURE(row.refs);
    World world;
    world.addBasics();
    addSecret(world, "default", "cert");
    addSecret(world, "default", "ecdsa");
    addSecret(world, "default", "bad", "hello");
    addSecret(world, "other", "cert");
    world.addGateway("gw", https(row.refs));
    CHECK(world.listener("gw", "https", "ResolvedRefs") == row.resolved);
    CHECK(world.listener("gw", "https", "Accepted") == "True Accepted");
    CHECK(world.listener("gw", "https", "Programmed") ==
          (row.served ? "True Programmed" : "False Invalid"));
    CHECK(world.gateway("gw", "ResolvedRefs") ==
          (row.resolved.starts_with("True") ? "True ResolvedRefs" : "False ListenersNotResolved"));
    CHECK(world.listeners.size() == (row.served ? 1 : 0));
    CHECK(world.certificates.empty() != row.served);
  }
}

TEST_CASE("Status does not tell whether a Secret that may not be used exists") {
  const auto statusJson = [](bool exists) {
    World world;
    world.addBasics();
    if (exists) addSecret(world, "other", "cert");
    world.addGateway("gw", https("{'name':'cert','namespace':'other'}"));
    return toJson(world.status("Gateway/default/gw"));
  };
  CHECK(statusJson(true) == statusJson(false));
}

TEST_CASE(
    "A certificate of another namespace needs a ReferenceGrant, and goes when the grant goes") {
  struct Row {
    std::string_view name_space, from, to;
    bool permitted;
  };
  for (const Row& row :
       {Row{"other", "'kind':'Gateway','namespace':'default'", "'kind':'Secret','name':'cert'",
            true},
        Row{"other", "'kind':'Gateway','namespace':'default'", "'kind':'Secret'", true},
        Row{"other", "'kind':'Gateway','namespace':'default'", "'kind':'Secret','name':'else'",
            false},
        Row{"other", "'kind':'Gateway','namespace':'default'", "'kind':'Service'", false},
        Row{"other", "'kind':'HTTPRoute','namespace':'default'", "'kind':'Secret'", false},
        Row{"other", "'kind':'Gateway','namespace':'third'", "'kind':'Secret'", false},
        Row{"default", "'kind':'Gateway','namespace':'default'", "'kind':'Secret'", false}}) {
    CAPTURE(row.from);
    CAPTURE(row.to);
    CAPTURE(row.name_space);
    World world;
    world.addBasics();
    addSecret(world, "other", "cert");
    world.addGateway("gw", https("{'name':'cert','namespace':'other'}"));
    world.put("ReferenceGrant", row.name_space, "grant",
              "'spec':{'from':[{'group':'gateway.networking.k8s.io'," + std::string(row.from) +
                  "}],'to':[{'group':''," + std::string(row.to) + "}]}");
    CHECK(world.certificates.contains("other/cert") == row.permitted);
    CHECK(world.listener("gw", "https", "ResolvedRefs") ==
          (row.permitted ? "True ResolvedRefs" : "False RefNotPermitted"));
    world.remove("ReferenceGrant", row.name_space, "grant");
    CHECK(world.certificates.empty());
    CHECK(world.listeners.empty());
    CHECK(world.listener("gw", "https", "ResolvedRefs") == "False RefNotPermitted");
  }
}

TEST_CASE(
    "A rotated certificate changes nothing but the certificate; a broken one leaves the last good "
    "in use") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  world.addGateway("gw", https("{'name':'cert'}"));
  const std::string first = world.certificates.at("default/cert").chain_pem;
  addSecret(world, "default", "cert",
            "-----BEGIN CERTIFICATE-----\\nd29ybGQ=\\n-----END CERTIFICATE-----\\n");
  const std::string second = world.certificates.at("default/cert").chain_pem;
  CHECK(first != second);
  CHECK(world.last.model.listeners.empty());
  CHECK(world.last.model.routes.empty());
  CHECK(world.last.status.updated.empty());

  addSecret(world, "default", "cert", "broken");
  CHECK(world.last.model.empty());
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "False InvalidCertificateRef");
  CHECK(world.listener("gw", "https", "Programmed") == "True Programmed");
  CHECK(world.certificates.at("default/cert").chain_pem == second);

  world.remove("Secret", "default", "cert");
  CHECK(world.certificates.empty());
  CHECK(world.listeners.empty());
  addSecret(world, "default", "cert");
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "True ResolvedRefs");
}

TEST_CASE("The certificate check of the configuration has the last word") {
  TranslateOptions options;
  options.check_certificate = [](const std::string&, const std::string&) {
    return std::string("the key does not fit");
  };
  World world(options);
  world.addBasics();
  addSecret(world, "default", "cert");
  world.addGateway("gw", https("{'name':'cert'}"));
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "False InvalidCertificateRef");
  CHECK(world.certificates.empty());
}

TEST_CASE("A Secret that no listener of ours refers to is not in the model") {
  World world;
  world.addBasics();
  addSecret(world, "default", "cert");
  CHECK(world.certificates.empty());
  world.addGateway("gw", https("{'name':'cert'}"));
  CHECK(world.certificates.size() == 1);
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}");
  CHECK(world.certificates.empty());
}

TEST_CASE(
    "A route that uses default Gateways attaches to those that take it, as they come and go") {
  constexpr std::string_view kHttp = "{'name':'http','port':80,'protocol':'HTTP'}";
  World world;
  world.addBasics();
  const auto add = [&](std::string_view name_space, std::string_view scope,
                       std::string_view more = "") {
    world.put("HTTPRoute", name_space, "web",
              "'spec':{'useDefaultGateways':'" + std::string(scope) + "'" + std::string(more) + "}",
              "'generation':3");
  };
  const auto parents = [&](std::string_view name_space) {
    std::string out;
    for (const ParentStatus& parent :
         world.status("HTTPRoute/" + std::string(name_space) + "/web").parents)
      out += parent.name_space + '/' + parent.name + ' ' +
             World::show(parent.conditions, "Accepted") + ';';
    return out;
  };
  add("default", "All");
  CHECK(world.routes.empty());
  CHECK(parents("default").empty());
  world.addGateway("gw", kHttp, "'defaultScope':'All'");
  CHECK(world.gateway("gw", "Accepted") == "True Accepted");
  CHECK(world.gateway("gw", "DefaultGateway") == "True DefaultGateway");
  CHECK(parents("default") == "default/gw True Accepted;");
  CHECK(world.routes.contains("HTTPRoute/default/web"));
  CHECK(world.listener("gw", "http").attached_routes == 1);
  // Another one, which the route refers to as well: once is enough.
  world.addGateway("other", "{'name':'http','port':81,'protocol':'HTTP'}", "'defaultScope':'All'");
  CHECK(parents("default") == "default/gw True Accepted;default/other True Accepted;");
  add("default", "All", ",'parentRefs':[{'name':'gw'}]");
  CHECK(parents("default") == "/gw True Accepted;default/other True Accepted;");
  add("default", "None");
  CHECK(parents("default").empty());
  CHECK(world.routes.empty());
  CHECK(world.listener("gw", "http").attached_routes == 0);
  // The usual rules hold.
  add("elsewhere", "All");
  CHECK(parents("elsewhere") ==
        "default/gw False NotAllowedByListeners;default/other False NotAllowedByListeners;");
  add("default", "All");
  world.addGateway("gw", kHttp, "'defaultScope':'None'");
  CHECK(world.gateway("gw", "DefaultGateway").empty());
  CHECK(parents("default") == "default/other True Accepted;");
  world.addGateway("gw", kHttp, "'defaultScope':'Some'");
  CHECK(parents("default") == "default/other True Accepted;");
  world.remove("Gateway", "default", "other");
  CHECK(parents("default").empty());
  CHECK(world.routes.empty());
}

TEST_CASE("Parameters are refused, on a Gateway and on its class") {
  World world;
  world.addBasics();
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                   "'infrastructure':{'parametersRef':{'group':'x','kind':'y','name':'z'}}");
  CHECK(world.gateway("gw", "Accepted") == "False InvalidParameters");
  CHECK(world.gateway("gw", "Programmed") == "False Invalid");
  CHECK(world.listeners.empty());
  world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}");
  CHECK(world.listeners.size() == 1);
  world.put("GatewayClass", "", "hyperway",
            "'spec':{'controllerName':'hyperway.arloor.dev/"
            "gateway-controller','parametersRef':{'name':'x'}}");
  CHECK(World::show(world.status("GatewayClass//hyperway").conditions, "Accepted") ==
        "False InvalidParameters");
  CHECK(world.gateway("gw", "Accepted") == "False InvalidParameters");
  CHECK(world.listeners.empty());
}

}  // namespace hyperway::gateway
