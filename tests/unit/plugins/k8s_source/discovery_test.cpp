// SPDX-License-Identifier: Apache-2.0
#include "discovery.hpp"

#include <doctest/doctest.h>

#include "k8s_client/fake_api.hpp"

using namespace hyperway::k8s_source;
using hyperway::k8s_client::Error;
using hyperway::k8s_client::FakeApi;

namespace {

std::string resources(const std::vector<std::pair<std::string, std::string>>& list) {
  std::string items;
  for (const auto& [name, kind] : list)
    items += (items.empty() ? "" : ",") + (R"({"name":")" + name + R"(","kind":")" + kind + "\"}");
  return R"({"kind":"APIResourceList","resources":[)" + items + "]}";
}

struct Run {
  // `served`: "/apis/group/version" -> resources.
  explicit Run(const std::map<std::string, std::string>& served) {
    Discovery discovery(api, [this](Discovery::Served found, Error problem) {
      result = std::move(found);
      error = std::move(problem);
      ++done;
    });
    discovery.run();
    while (!api.calls.empty()) {
      const auto& request = api.calls.front().request;
      const auto found = served.find(request.path);
      if (found != served.end())
        api.answer(found->second);
      else
        api.refuse(404);
    }
  }
  FakeApi api;
  Discovery::Served result;
  Error error;
  int done = 0;
};

const std::string kGatewayApi = "/apis/gateway.networking.k8s.io/";

}  // namespace

TEST_CASE("Of each kind the newest served version that we can read is taken, across releases") {
  // v1.1: BackendTLSPolicy and ReferenceGrant are not v1 yet.
  const Run old(
      {{kGatewayApi + "v1", resources({{"gateways", "Gateway"},
                                       {"gateways/status", "Gateway"},
                                       {"gatewayclasses", "GatewayClass"},
                                       {"httproutes", "HTTPRoute"}})},
       {kGatewayApi + "v1beta1",
        resources({{"gateways", "Gateway"}, {"referencegrants", "ReferenceGrant"}})},
       {kGatewayApi + "v1alpha3", resources({{"backendtlspolicies", "BackendTLSPolicy"}})},
       {"/api/v1", resources({{"services", "Service"}})}});
  CHECK(old.done == 1);
  CHECK(old.result == Discovery::Served{{"BackendTLSPolicy", "gateway.networking.k8s.io/v1alpha3"},
                                        {"Gateway", "gateway.networking.k8s.io/v1"},
                                        {"GatewayClass", "gateway.networking.k8s.io/v1"},
                                        {"HTTPRoute", "gateway.networking.k8s.io/v1"},
                                        {"ReferenceGrant", "gateway.networking.k8s.io/v1beta1"},
                                        {"Service", "v1"}});
  // v1.7: all are v1.
  const Run now({{kGatewayApi + "v1", resources({{"referencegrants", "ReferenceGrant"},
                                                 {"backendtlspolicies", "BackendTLSPolicy"}})},
                 {kGatewayApi + "v1beta1", resources({{"referencegrants", "ReferenceGrant"}})}});
  CHECK(now.result == Discovery::Served{{"BackendTLSPolicy", "gateway.networking.k8s.io/v1"},
                                        {"ReferenceGrant", "gateway.networking.k8s.io/v1"}});
}

TEST_CASE("Kinds of flows are read in the versions that they had before") {
  const Run run({{kGatewayApi + "v1", resources({{"tlsroutes", "TLSRoute"}})},
                 {kGatewayApi + "v1alpha3", resources({{"tlsroutes", "TLSRoute"}})},
                 {kGatewayApi + "v1alpha2", resources({{"tcproutes", "TCPRoute"},
                                                       {"udproutes", "UDPRoute"},
                                                       {"tlsroutes", "TLSRoute"}})}});
  CHECK(run.result == Discovery::Served{{"TCPRoute", "gateway.networking.k8s.io/v1alpha2"},
                                        {"TLSRoute", "gateway.networking.k8s.io/v1"},
                                        {"UDPRoute", "gateway.networking.k8s.io/v1alpha2"}});
}

TEST_CASE("An error is no absence") {
  FakeApi api;
  Error error;
  bool done = false;
  Discovery discovery(api, [&](Discovery::Served found, Error problem) {
    CHECK(found.empty());
    error = std::move(problem);
    done = true;
  });
  discovery.run();
  api.fail();
  while (!api.calls.empty()) api.answer(resources({{"gateways", "Gateway"}}));
  CHECK(done);
  CHECK(error.kind == Error::Kind::Connect);
}
