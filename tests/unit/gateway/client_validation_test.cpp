// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "world.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kPem =
    "-----BEGIN CERTIFICATE-----\\naGVsbG8=\\n-----END CERTIFICATE-----\\n";
constexpr std::string_view kKey =
    "-----BEGIN PRIVATE KEY-----\\naGVsbG8=\\n-----END PRIVATE KEY-----\\n";
constexpr std::string_view kListeners =
    "{'name':'https','port':443,'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'cert'}]}},"
    "{'name':'more','port':444,'protocol':'HTTPS','tls':{'certificateRefs':[{'name':'cert'}]}},"
    "{'name':'http','port':80,'protocol':'HTTP'}";

void addAnchors(World& world, std::string_view name_space, std::string_view name,
                std::string_view pem = kPem) {
  world.put("ConfigMap", name_space, name, "'data':{'ca.crt':'" + std::string(pem) + "'}");
}

std::string validation(std::string_view refs, std::string_view mode = "") {
  return "'validation':{'caCertificateRefs':[" + std::string(refs) + "]" +
         (mode.empty() ? "" : ",'mode':'" + std::string(mode) + "'") + "}";
}

void addGateway(World& world, std::string_view fallback, std::string_view ports = "") {
  world.addBasics();
  world.put(
      "Secret", "default", "cert",
      "'stringData':{'tls.crt':'" + std::string(kPem) + "','tls.key':'" + std::string(kKey) + "'}");
  addAnchors(world, "default", "ca");
  addAnchors(world, "other", "ca");
  world.addGateway("gw", kListeners,
                   "'tls':{'frontend':{'default':{" + std::string(fallback) + "},'perPort':[" +
                       std::string(ports) + "]}}");
}

constexpr std::string_view kRef = "{'group':'','kind':'ConfigMap','name':'ca'}";

}  // namespace

TEST_CASE("Client validation is for HTTPS listeners; a port's own takes the place of the default") {
  World world;
  addGateway(world, validation(kRef), "{'port':444,'tls':{}}");
  REQUIRE(world.listeners.at("default/gw/https").validation != nullptr);
  CHECK(world.listeners.at("default/gw/https").validation->required);
  CHECK(world.listeners.at("default/gw/https").validation->authorities.size() == 1);
  CHECK(world.listeners.at("default/gw/more").validation == nullptr);
  CHECK(world.listeners.at("default/gw/http").validation == nullptr);
  CHECK(world.gateway("gw", "InsecureFrontendValidationMode").empty());
  CHECK(world.gateway("gw", "ResolvedRefs") == "True ResolvedRefs");
}

TEST_CASE("The insecure fallback is said on the Gateway, and no longer when it is gone") {
  World world;
  addGateway(world, validation(kRef),
             "{'port':444,'tls':{" + validation(kRef, "AllowInsecureFallback") + "}}");
  CHECK(world.gateway("gw", "InsecureFrontendValidationMode") == "True ConfigurationChanged");
  CHECK(world.listeners.at("default/gw/https").validation->required);
  CHECK_FALSE(world.listeners.at("default/gw/more").validation->required);
  addGateway(world, validation(kRef, "AllowInsecureFallback"));
  CHECK(world.gateway("gw", "InsecureFrontendValidationMode") == "True ConfigurationChanged");
  addGateway(world, validation(kRef, "AllowValidOnly"));
  CHECK(world.gateway("gw", "InsecureFrontendValidationMode").empty());
}

TEST_CASE("Trust anchors for clients that are no good take down the HTTPS listeners they are for") {
  struct Row {
    std::string_view refs, resolved, accepted;
  };
  for (const Row& row : {Row{"{'group':'','kind':'ConfigMap','name':'none'}",
                             "False InvalidCACertificateRef", "False NoValidCACertificate"},
                         Row{"{'group':'','kind':'Service','name':'web'}",
                             "False InvalidCACertificateKind", "False NoValidCACertificate"},
                         Row{"{'group':'','kind':'ConfigMap','name':'ca','namespace':'other'}",
                             "False RefNotPermitted", "False NoValidCACertificate"},
                         Row{"", "False InvalidCACertificateRef", "False NoValidCACertificate"},
                         Row{"{'group':'','kind':'ConfigMap','name':'none'},"
                             "{'group':'','kind':'ConfigMap','name':'ca'}",
                             "False InvalidCACertificateRef", "True Accepted"}}) {
    CAPTURE(row.refs);
    World world;
    addGateway(world, validation(row.refs), "{'port':444,'tls':{" + validation(kRef) + "}}");
    CHECK(world.listener("gw", "https", "ResolvedRefs") == row.resolved);
    CHECK(world.listener("gw", "https", "Accepted") == row.accepted);
    CHECK(world.listeners.contains("default/gw/https") == row.accepted.starts_with("True"));
    for (const char* other : {"more", "http"}) {
      CHECK(world.listener("gw", other, "Accepted") == "True Accepted");
      CHECK(world.listener("gw", other, "ResolvedRefs") == "True ResolvedRefs");
    }
    CHECK(world.gateway("gw", "Programmed") == "True Programmed");
  }
}

TEST_CASE(
    "A ClusterTrustBundle says whose clients are good, in whatever namespace the Gateway is") {
  World world;
  addGateway(world, validation("{'group':'certificates.k8s.io','kind':'ClusterTrustBundle',"
                               "'name':'clients','namespace':'elsewhere'}"));
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "False InvalidCACertificateRef");
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
  world.put("ClusterTrustBundle", "", "clients",
            "'spec':{'trustBundle':'" + std::string(kPem) + "'}");
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "True ResolvedRefs");
  REQUIRE(world.listeners.contains("default/gw/https"));
  CHECK(world.listeners.at("default/gw/https").validation->authorities.size() == 1);
  world.remove("ClusterTrustBundle", "", "clients");
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
}

TEST_CASE("A mode that nobody knows refuses the listener") {
  World world;
  addGateway(world, validation(kRef, "Sometimes"));
  CHECK(world.listener("gw", "https", "Accepted") == "False UnsupportedValue");
}

TEST_CASE("Trust anchors of another namespace need a ReferenceGrant, and go when the grant goes") {
  World world;
  addGateway(world, validation("{'group':'','kind':'ConfigMap','name':'ca','namespace':'other'}"));
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "False RefNotPermitted");
  world.put("ReferenceGrant", "other", "grant",
            "'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'Gateway','namespace':"
            "'default'}],'to':[{'group':'','kind':'ConfigMap'}]}");
  CHECK(world.listener("gw", "https", "Accepted") == "True Accepted");
  world.remove("ReferenceGrant", "other", "grant");
  CHECK(world.listener("gw", "https", "ResolvedRefs") == "False RefNotPermitted");
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
}

TEST_CASE("Trust anchors for clients are followed as they change, and fail closed") {
  World world;
  addGateway(world, validation(kRef));
  addAnchors(world, "default", "ca",
             "-----BEGIN CERTIFICATE-----\\nb3RoZXI=\\n-----END CERTIFICATE-----\\n");
  CHECK(world.listeners.at("default/gw/https").validation->authorities[0]->find("b3RoZXI=") !=
        std::string::npos);
  world.remove("ConfigMap", "default", "ca");
  CHECK_FALSE(world.listeners.contains("default/gw/https"));
  CHECK(world.listener("gw", "https", "Accepted") == "False NoValidCACertificate");
}

}  // namespace hyperway::gateway
