// SPDX-License-Identifier: Apache-2.0
#include "references.hpp"

#include <doctest/doctest.h>

using namespace hyperway::k8s_source;

namespace {

using Targets = std::set<References::Target>;

constexpr const char* kOurClass = R"({"controllerName":"us/here"})";
constexpr const char* kGateway = R"({"gatewayClassName":"c","listeners":[
  {"tls":{"certificateRefs":[{"name":"cert"},{"kind":"Secret","group":"","name":"far","namespace":"b"},
                             {"kind":"Other","group":"x.io","name":"no"},
                             {"kind":"ConfigMap","group":"","name":"no"}]}},{"name":"plain"}],
  "tls":{"backend":{"clientCertificateRef":{"name":"client"}},
         "frontend":{"default":{"validation":{"caCertificateRefs":[{"kind":"ConfigMap","name":"ca"}]}},
                     "perPort":[{"port":443,"tls":{"validation":{"caCertificateRefs":[
                       {"kind":"ConfigMap","name":"port-ca"},{"kind":"Secret","name":"secret-ca"}]}}}]}}})";

}  // namespace

TEST_CASE("What a Gateway of ours names is read, and nothing that others name") {
  References references("us/here");
  references.put("Gateway", "a/g", "a", kGateway);
  references.put("GatewayClass", "/c", "", R"({"controllerName":"them/there"})");
  CHECK(references.wanted().empty());
  references.put("GatewayClass", "/c", "", kOurClass);
  CHECK(references.wanted() == Targets{{"ConfigMap", "a/ca"},
                                       {"ConfigMap", "a/port-ca"},
                                       {"Secret", "a/cert"},
                                       {"Secret", "a/client"},
                                       {"Secret", "b/far"}});
  references.remove("GatewayClass", "/c");
  CHECK(references.wanted().empty());
}

TEST_CASE("What a ListenerSet names is read where a Gateway of ours may take it, and only there") {
  const Targets both{{"Secret", "a/cert"}, {"Secret", "b/cert"}};
  struct Row {
    const char* from;
    Targets wanted;
  };
  for (const Row& row : {Row{R"({})", {}}, Row{R"({"namespaces":{"from":"None"}})", {}},
                         Row{R"({"namespaces":{"from":"Same"}})", {{"Secret", "a/cert"}}},
                         Row{R"({"namespaces":{"from":"All"}})", both},
                         Row{R"({"namespaces":{"from":"Selector","selector":{}}})", both}}) {
    CAPTURE(row.from);
    References references("us/here");
    references.put("GatewayClass", "/c", "", kOurClass);
    const std::string listeners = R"("listeners":[{"tls":{"certificateRefs":[{"name":"cert"}]}}]})";
    references.put("ListenerSet", "a/s", "a", R"({"parentRef":{"name":"g"},)" + listeners);
    references.put("ListenerSet", "b/s", "b",
                   R"({"parentRef":{"name":"g","namespace":"a"},)" + listeners);
    CHECK(references.wanted().empty());
    references.put("Gateway", "a/g", "a",
                   std::string(R"({"gatewayClassName":"c","allowedListeners":)") + row.from + "}");
    CHECK(references.wanted() == row.wanted);
    (void)references.takeChanged();
    references.remove("ListenerSet", "a/s");
    references.remove("ListenerSet", "b/s");
    CHECK(references.takeChanged());
    CHECK(references.wanted().empty());
  }
}

TEST_CASE("A BackendTLSPolicy names its authorities") {
  References references("us/here");
  references.put("BackendTLSPolicy", "a/p", "a",
                 R"({"validation":{"caCertificateRefs":[{"kind":"ConfigMap","name":"ca"}]}})");
  CHECK(references.wanted() == Targets{{"ConfigMap", "a/ca"}});
  references.remove("BackendTLSPolicy", "a/p");
  CHECK(references.wanted().empty());
}

TEST_CASE(
    "Trust anchors of the whole cluster are read where a policy or a Gateway of ours names them") {
  constexpr const char* kBundle =
      R"({"group":"certificates.k8s.io","kind":"ClusterTrustBundle","name":"ca"})";
  References references("us/here");
  references.put("BackendTLSPolicy", "a/p", "a",
                 std::string(R"({"validation":{"caCertificateRefs":[)") + kBundle + "]}}");
  CHECK(references.wanted() == Targets{{"ClusterTrustBundle", "/ca"}});
  references.remove("BackendTLSPolicy", "a/p");
  references.put("GatewayClass", "/c", "", kOurClass);
  references.put(
      "Gateway", "a/g", "a",
      std::string(R"({"gatewayClassName":"c","tls":{"frontend":{"default":{"validation":)") +
          R"({"caCertificateRefs":[)" + kBundle +
          R"(,{"group":"else","kind":"ClusterTrustBundle","name":"x"}]}}}}})");
  CHECK(references.wanted() == Targets{{"ClusterTrustBundle", "/ca"}});
}

TEST_CASE("A policy cannot have a Secret read, which only Gateways of ours can") {
  References references("us/here");
  references.put("BackendTLSPolicy", "a/p", "a",
                 R"({"validation":{"caCertificateRefs":[{"kind":"Secret","name":"s"}]}})");
  CHECK(references.wanted().empty());
}

TEST_CASE("A change that changes no reference is none") {
  References references("us/here");
  references.put("GatewayClass", "/c", "", kOurClass);
  references.put("Gateway", "a/g", "a", kGateway);
  CHECK(references.takeChanged());
  references.put("GatewayClass", "/c", "", kOurClass);
  references.put("Gateway", "a/g", "a", kGateway);
  references.put("Service", "a/s", "a", "{}");
  CHECK_FALSE(references.takeChanged());
  references.remove("Gateway", "a/g");
  CHECK(references.takeChanged());
}
