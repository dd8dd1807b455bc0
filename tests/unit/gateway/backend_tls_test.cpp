// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kPem =
    "-----BEGIN CERTIFICATE-----\\naGVsbG8=\\n-----END CERTIFICATE-----\\n";
constexpr std::string_view kKey =
    "-----BEGIN PRIVATE KEY-----\\naGVsbG8=\\n-----END PRIVATE KEY-----\\n";
constexpr std::string_view kTarget = "{'group':'','kind':'Service','name':'web'}";
constexpr std::string_view kSection =
    "{'group':'','kind':'Service','name':'web','sectionName':'http'}";
constexpr std::string_view kGood =
    "'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'ca'}],'hostname':'Web.Example'";

void addAnchors(World& world, std::string_view name_space = "default", std::string_view name = "ca",
                std::string_view pem = kPem) {
  world.put("ConfigMap", name_space, name, "'data':{'ca.crt':'" + std::string(pem) + "'}");
}

void addPolicy(World& world, std::string_view name, std::string_view target = kTarget,
               std::string_view validation = kGood, std::string_view created = "2026",
               std::string_view more = "") {
  world.put("BackendTLSPolicy", "default", name,
            "'spec':{'targetRefs':[" + std::string(target) + "],'validation':{" +
                std::string(validation) + "}" + std::string(more) + "}",
            "'generation':5,'creationTimestamp':'" + std::string(created) + "-01-01T00:00:00Z'");
}

// A route to the Service "web", whose trust anchors are there.
void addSecuredWeb(World& world) {
  world.addBasics();
  world.addRoute("web", kWeb);
  addAnchors(world);
}

// "True Reason" of a policy's condition at its ancestor number `ancestor`.
std::string policy(const World& world, std::string_view name, std::string_view type,
                   std::size_t ancestor = 0) {
  const auto ancestors = world.status("BackendTLSPolicy/default/" + std::string(name)).ancestors;
  return ancestor < ancestors.size() ? World::show(ancestors[ancestor].conditions, type)
                                     : "no ancestor";
}

const route::Upstream& web(const World& world) { return world.upstreams.at("default/web:80"); }

}  // namespace

TEST_CASE("A BackendTLSPolicy secures the Service that it targets, and says so at the Gateway") {
  World world;
  addSecuredWeb(world);
  CHECK(web(world).tls == nullptr);
  addPolicy(world, "policy");
  REQUIRE(web(world).tls != nullptr);
  CHECK(web(world).tls->hostname == "web.example");
  CHECK(web(world).tls->refused.empty());
  REQUIRE(web(world).tls->authorities.size() == 1);
  CHECK(web(world).tls->authorities[0]->starts_with("-----BEGIN CERTIFICATE-----"));
  CHECK(web(world).endpoints.size() == 1);
  CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(policy(world, "policy", "Accepted") == "True Accepted");
  CHECK(policy(world, "policy", "ResolvedRefs") == "True ResolvedRefs");
  const auto status = world.status("BackendTLSPolicy/default/policy");
  REQUIRE(status.ancestors.size() == 1);
  CHECK(status.ancestors[0].kind == "Gateway");
  CHECK(status.ancestors[0].name_space == "default");
  CHECK(status.ancestors[0].name == "gw");
  CHECK(status.ancestors[0].conditions[0].observed_generation == 5);
  world.remove("BackendTLSPolicy", "default", "policy");
  CHECK(web(world).tls == nullptr);
  CHECK(world.status("BackendTLSPolicy/default/policy").ancestors.empty());
}

TEST_CASE("A policy of another namespace, for another kind or another port secures nothing") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "other", "{'group':'','kind':'Service','name':'web','sectionName':'else'}");
  CHECK(web(world).tls == nullptr);
  CHECK(policy(world, "other", "Accepted") == "False TargetNotFound");
  addPolicy(world, "other", "{'group':'example.com','kind':'Service','name':'web'}");
  CHECK(web(world).tls == nullptr);
  CHECK(policy(world, "other", "Accepted") == "no ancestor");
  world.put("BackendTLSPolicy", "elsewhere", "policy",
            "'spec':{'targetRefs':[" + std::string(kTarget) + "],'validation':{" +
                std::string(kGood) + "}}");
  CHECK(web(world).tls == nullptr);
}

TEST_CASE("What a policy asks for must be complete; else nothing is sent, least of all in plain") {
  struct Row {
    std::string_view validation, accepted, resolved;
  };
  for (const Row& row :
       {Row{"'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'none'}],'hostname':'a.b'",
            "False NoValidCACertificate", "False InvalidCACertificateRef"},
        Row{"'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'empty'}],'hostname':'a.b'",
            "False NoValidCACertificate", "False InvalidCACertificateRef"},
        Row{"'caCertificateRefs':[{'group':'x.io','kind':'Y','name':'ca'}],'hostname':'a.b'",
            "False NoValidCACertificate", "False InvalidKind"},
        Row{"'hostname':'a.b'", "False Invalid", "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'Mine','hostname':'a.b'", "False Invalid",
            "True ResolvedRefs"},
        Row{"'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'ca'}],"
            "'wellKnownCACertificates':'System','hostname':'a.b'",
            "False Invalid", "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System'", "False Invalid", "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System','hostname':'*.a.b'", "False Invalid",
            "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System','hostname':'10.0.0.1'", "False Invalid",
            "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System','hostname':7", "False Invalid",
            "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System','hostname':'a.b',"
            "'subjectAltNames':[{'type':'URI','uri':'nonsense'}]",
            "False Invalid", "True ResolvedRefs"},
        Row{"'wellKnownCACertificates':'System','hostname':'a.b',"
            "'subjectAltNames':[{'type':'IP','hostname':'a.b'}]",
            "False Invalid", "True ResolvedRefs"}}) {
    CAPTURE(row.validation);
    World world;
    addSecuredWeb(world);
    addAnchors(world, "default", "empty", "");
    addPolicy(world, "policy", kTarget, row.validation);
    CHECK(policy(world, "policy", "Accepted") == row.accepted);
    CHECK(policy(world, "policy", "ResolvedRefs") == row.resolved);
    REQUIRE(web(world).tls != nullptr);
    CHECK_FALSE(web(world).tls->refused.empty());
    CHECK(web(world).endpoints.empty());
    CHECK_FALSE(world.translator.diagnose().empty());
  }
}

TEST_CASE(
    "A ClusterTrustBundle is a trust anchor for all namespaces, and is followed as it changes") {
  constexpr std::string_view kBundle =
      "'caCertificateRefs':[{'group':'certificates.k8s.io','kind':'ClusterTrustBundle',"
      "'name':'ca'}],'hostname':'web.example'";
  World world;
  world.addBasics();
  world.addRoute("web", kWeb);
  // A ConfigMap of that name is another object.
  addAnchors(world);
  addPolicy(world, "policy", kTarget, kBundle);
  CHECK(policy(world, "policy", "ResolvedRefs") == "False InvalidCACertificateRef");
  CHECK(policy(world, "policy", "Accepted") == "False NoValidCACertificate");
  CHECK_FALSE(web(world).tls->refused.empty());
  const auto put = [&](std::string_view pem) {
    world.put("ClusterTrustBundle", "", "ca", "'spec':{'trustBundle':'" + std::string(pem) + "'}");
  };
  put(kPem);
  CHECK(policy(world, "policy", "ResolvedRefs") == "True ResolvedRefs");
  CHECK(policy(world, "policy", "Accepted") == "True Accepted");
  REQUIRE(web(world).tls->authorities.size() == 1);
  CHECK(web(world).tls->authorities[0]->starts_with("-----BEGIN CERTIFICATE-----"));
  put("nonsense");
  CHECK(policy(world, "policy", "ResolvedRefs") == "False InvalidCACertificateRef");
  CHECK(web(world).tls->authorities.empty());
  put(kPem);
  CHECK(web(world).tls->refused.empty());
  world.remove("ClusterTrustBundle", "", "ca");
  CHECK(policy(world, "policy", "Accepted") == "False NoValidCACertificate");
  CHECK_FALSE(web(world).tls->refused.empty());
}

TEST_CASE("Options of a policy that nobody knows are refused") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy", kTarget, kGood, "2026", ",'options':{'example.com/x':'1'}");
  CHECK(policy(world, "policy", "Accepted") == "False Invalid");
  CHECK_FALSE(web(world).tls->refused.empty());
}

TEST_CASE("With subject alternative names the host name is for SNI only") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy", kTarget,
            "'wellKnownCACertificates':'System','hostname':'a.b','subjectAltNames':["
            "{'type':'Hostname','hostname':'C.d'},{'type':'URI','uri':'spiffe://D/e'}]");
  CHECK(policy(world, "policy", "Accepted") == "True Accepted");
  const route::UpstreamTls& tls = *web(world).tls;
  CHECK(tls.hostname == "a.b");
  CHECK(tls.dns_names == std::vector<std::string>{"c.d"});
  CHECK(tls.uris == std::vector<std::string>{"spiffe://D/e"});
  CHECK(tls.system_authorities);
  CHECK(tls.authorities.empty());
}

TEST_CASE("Of several anchors the good ones count, and the bad one is named") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy", kTarget,
            "'caCertificateRefs':[{'group':'','kind':'ConfigMap','name':'none'},"
            "{'group':'','kind':'ConfigMap','name':'ca'}],'hostname':'a.b'");
  CHECK(policy(world, "policy", "Accepted") == "True Accepted");
  CHECK(policy(world, "policy", "ResolvedRefs") == "False InvalidCACertificateRef");
  CHECK(web(world).tls->refused.empty());
  CHECK(web(world).tls->authorities.size() == 1);
}

TEST_CASE("Of policies with one target the oldest wins, then the first by name, valid or not") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "b", kTarget, "'wellKnownCACertificates':'System','hostname':'b.b'", "2026");
  addPolicy(world, "a", kTarget, "'wellKnownCACertificates':'System','hostname':'a.a'", "2026");
  CHECK(web(world).tls->hostname == "a.a");
  CHECK(policy(world, "a", "Accepted") == "True Accepted");
  CHECK(policy(world, "b", "Accepted") == "False Conflicted");
  addPolicy(world, "c", kTarget, "'hostname':'c.c'", "2025");
  CHECK_FALSE(web(world).tls->refused.empty());
  CHECK(policy(world, "c", "Accepted") == "False Invalid");
  CHECK(policy(world, "a", "Accepted") == "False Conflicted");
  world.remove("BackendTLSPolicy", "default", "c");
  CHECK(web(world).tls->hostname == "a.a");
  CHECK(policy(world, "a", "Accepted") == "True Accepted");
}

TEST_CASE(
    "A policy for a port goes before one for the whole Service, and conflicts with its like") {
  World world;
  addSecuredWeb(world);
  world.put("Service", "default", "web",
            "'spec':{'ports':[{'name':'http','port':80},{'name':'more','port':81}]}");
  addPolicy(world, "all", kTarget, "'wellKnownCACertificates':'System','hostname':'all.b'", "2020");
  addPolicy(world, "port", kSection, "'wellKnownCACertificates':'System','hostname':'port.b'");
  addPolicy(world, "second", kSection, kGood);
  CHECK(web(world).tls->hostname == "port.b");
  CHECK(policy(world, "port", "Accepted") == "True Accepted");
  CHECK(policy(world, "second", "Accepted") == "False Conflicted");
  CHECK(policy(world, "all", "Accepted") == "no ancestor");
  world.addRoute("more", "{'backendRefs':[{'name':'web','port':81}]}");
  CHECK(world.upstreams.at("default/web:81").tls->hostname == "all.b");
  CHECK(policy(world, "all", "Accepted") == "True Accepted");
}

TEST_CASE("A policy has an entry for each Gateway that uses its target, and for no other") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy");
  world.addGateway("second", "{'name':'http','port':81,'protocol':'HTTP'}");
  CHECK(policy(world, "policy", "Accepted", 1) == "no ancestor");
  world.addRoute("more",
                 "{'filters':[{'type':'RequestMirror','requestMirror':{'backendRef':"
                 "{'name':'web','port':80}}}],'backendRefs':[{'name':'none','port':1}]}",
                 "", "{'name':'second'}");
  CHECK(policy(world, "policy", "Accepted", 1) == "True Accepted");
  world.remove("Gateway", "default", "gw");
  CHECK(policy(world, "policy", "Accepted", 0) == "True Accepted");
  CHECK(policy(world, "policy", "Accepted", 1) == "no ancestor");
  world.remove("HTTPRoute", "default", "more");
  CHECK(policy(world, "policy", "Accepted") == "no ancestor");
}

TEST_CASE("At most sixteen Gateways are told of, as many as the API has room for") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy");
  std::string parents;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "g" + std::to_string(i);
    world.addGateway(name,
                     "{'name':'http','port':" + std::to_string(100 + i) + ",'protocol':'HTTP'}");
    parents += (i == 0 ? "" : ",") + ("{'name':'" + name + "'}");
  }
  world.addRoute("web", kWeb, "", parents);
  CHECK(world.status("BackendTLSPolicy/default/policy").ancestors.size() == 16);
}

TEST_CASE("Anchors are followed as they change, and fail closed") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy");
  const std::string other = "-----BEGIN CERTIFICATE-----\\nb3RoZXI=\\n-----END CERTIFICATE-----\\n";
  addAnchors(world, "default", "ca", other);
  CHECK(web(world).tls->authorities[0]->find("b3RoZXI=") != std::string::npos);
  addAnchors(world, "default", "ca", "");
  CHECK_FALSE(web(world).tls->refused.empty());
  CHECK(policy(world, "policy", "Accepted") == "False NoValidCACertificate");
  addAnchors(world);
  CHECK(web(world).tls->refused.empty());
  CHECK(policy(world, "policy", "Accepted") == "True Accepted");
  world.remove("ConfigMap", "default", "ca");
  CHECK_FALSE(web(world).tls->refused.empty());
  CHECK(policy(world, "policy", "ResolvedRefs") == "False InvalidCACertificateRef");
}

TEST_CASE("The check of trust anchors has the last word") {
  TranslateOptions options;
  options.check_authorities = [](const std::string&) { return std::string("too old"); };
  World world(options);
  addSecuredWeb(world);
  addPolicy(world, "policy");
  CHECK(policy(world, "policy", "ResolvedRefs") == "False InvalidCACertificateRef");
  world.take(world.translator.reconfigure({}));
  CHECK(policy(world, "policy", "ResolvedRefs") == "True ResolvedRefs");
}

TEST_CASE("A ConfigMap that nobody relies on changes nothing") {
  World world;
  world.addBasics();
  addAnchors(world);
  CHECK(world.last.model.empty());
  CHECK(world.last.status.updated.empty());
  CHECK(world.last.rejected.empty());
  CHECK(world.translator.diagnose().empty());
}

TEST_CASE("A binary ca.crt is taken, one that is not base64 is refused") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy");
  world.put("ConfigMap", "default", "ca", "'binaryData':{'ca.crt':'***'}");
  CHECK_FALSE(web(world).tls->refused.empty());
  world.put(
      "ConfigMap", "default", "ca",
      "'binaryData':{'ca.crt':'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmFHVnNiRzg9Ci0tLS0tRU5EIEN"
      "FUlRJRklDQVRFLS0tLS0K'}");
  CHECK(web(world).tls->refused.empty());
}

TEST_CASE("Protocols that are TLS by name need a policy") {
  struct Row {
    std::string_view protocol;
    bool alone;
    route::UpstreamProtocol secured;
  };
  for (const Row& row : {Row{"http", true, route::UpstreamProtocol::Http1},
                         Row{"https", false, route::UpstreamProtocol::Http1},
                         Row{"HTTPS", false, route::UpstreamProtocol::Http1},
                         Row{"kubernetes.io/ws", true, route::UpstreamProtocol::WebSocketTls},
                         Row{"kubernetes.io/wss", false, route::UpstreamProtocol::WebSocketTls}}) {
    CAPTURE(row.protocol);
    World world;
    addSecuredWeb(world);
    world.put("Service", "default", "web",
              "'spec':{'ports':[{'name':'http','port':80,'appProtocol':'" +
                  std::string(row.protocol) + "'}]}");
    CHECK(world.route("web", "ResolvedRefs") ==
          (row.alone ? "True ResolvedRefs" : "False UnsupportedProtocol"));
    addPolicy(world, "policy");
    CHECK(world.route("web", "ResolvedRefs") == "True ResolvedRefs");
    CHECK(web(world).protocol == row.secured);
    CHECK(web(world).tls != nullptr);
    world.remove("BackendTLSPolicy", "default", "policy");
    CHECK(world.route("web", "ResolvedRefs") ==
          (row.alone ? "True ResolvedRefs" : "False UnsupportedProtocol"));
  }
}

TEST_CASE("An ExternalName Service is secured like any other") {
  TranslateOptions options;
  options.external_name_namespaces = {"default"};
  World world(options);
  addSecuredWeb(world);
  world.put("Service", "default", "web",
            "'spec':{'type':'ExternalName','externalName':'192.0.2.1'}");
  CHECK(web(world).tls == nullptr);
  addPolicy(world, "policy");
  REQUIRE(web(world).tls != nullptr);
  CHECK(web(world).endpoints.size() == 1);
}

TEST_CASE("A policy changes its upstream and its status, and no route") {
  World world;
  addSecuredWeb(world);
  addPolicy(world, "policy");
  CHECK(world.last.model.upstreams.size() == 1);
  CHECK(world.last.model.routes.empty());
  CHECK(world.last.status.updated.size() == 1);
  addPolicy(world, "policy");
  CHECK(world.last.model.empty());
  CHECK(world.last.status.updated.empty());
}

TEST_CASE(
    "A client certificate for backends is checked, and shown by the listeners of its Gateway") {
  struct Row {
    std::string_view ref, reason, certificate;
  };
  for (const Row& row :
       {Row{"{'name':'none'}", "False InvalidClientCertificateRef", ""},
        Row{"{'name':'cert','kind':'Else'}", "False InvalidClientCertificateRef", ""},
        Row{"{'name':'cert','group':'x.io'}", "False InvalidClientCertificateRef", ""},
        Row{"{'name':'cert','namespace':'other'}", "False RefNotPermitted", ""},
        Row{"{'name':'cert'}", "True ResolvedRefs", "default/cert"}}) {
    CAPTURE(row.ref);
    World world;
    world.addBasics();
    world.put("Secret", "default", "cert",
              "'stringData':{'tls.crt':'" + std::string(kPem) + "','tls.key':'" +
                  std::string(kKey) + "'}");
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}",
                     "'tls':{'backend':{'clientCertificateRef':" + std::string(row.ref) + "}}");
    CHECK(world.gateway("gw", "ResolvedRefs") == row.reason);
    CHECK(world.gateway("gw", "Accepted") == "True Accepted");
    CHECK(world.listeners.at("default/gw/http").backend_certificate == row.certificate);
    CHECK(world.certificates.contains("default/cert") == !row.certificate.empty());
    world.addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}");
    CHECK(world.listeners.at("default/gw/http").backend_certificate.empty());
    CHECK(world.certificates.empty());
  }
}

}  // namespace hyperway::gateway
