// SPDX-License-Identifier: Apache-2.0
// LINK: hw_gateway
// What translation costs: 10,000 HTTPRoutes from nothing, and then one edit among them, in each of
// the forms of ARCHITECTURE decision 10, and of what a route refers to.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/translate.hpp"

namespace {

using hyperway::gateway::ObjectChange;
using hyperway::gateway::Translator;
using Clock = std::chrono::steady_clock;

class AnyParser : public hyperway::gateway::FilterConfigParser {
 public:
  [[nodiscard]] bool knows(std::string_view) const override { return true; }
  [[nodiscard]] hyperway::route::FilterBindingPtr parse(std::string_view, std::string_view,
                                                        std::string_view,
                                                        hyperway::Problems&) override {
    return binding_;
  }

 private:
  class Binding : public hyperway::route::FilterBinding {};
  hyperway::route::FilterBindingPtr binding_ = std::make_shared<Binding>();
};

ObjectChange object(std::string group, std::string kind, std::string name_space, std::string name,
                    std::string rest) {
  std::string json = "{\"apiVersion\":\"x/v1\",\"kind\":\"" + kind +
                     "\",\"metadata\":{\"name\":\"" + name + "\",\"namespace\":\"" + name_space +
                     "\",\"generation\":1,\"resourceVersion\":\"123456\"," +
                     "\"uid\":\"2c1e4b1e-1111-2222-3333-444455556666\",\"creationTimestamp\":"
                     "\"2026-01-02T03:04:05Z\"," +
                     rest + "}";
  return {std::move(group), std::move(kind), std::move(name_space), std::move(name),
          std::move(json)};
}

std::string hostOf(std::size_t i, bool one_host) {
  return one_host ? "www.example.com" : "host-" + std::to_string(i) + ".example.com";
}

// A route of the size that is usual in clusters, managedFields included: about 1.6 KiB.
ObjectChange route(std::size_t i, bool one_host, std::string_view value) {
  static const std::string kManaged =
      "\"managedFields\":[{\"apiVersion\":\"gateway.networking.k8s.io/"
      "v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{"
      "\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:kubectl.kubernetes.io/"
      "last-applied-configuration\":{}}},"
      "\"f:spec\":{\".\":{},\"f:hostnames\":{},\"f:parentRefs\":{},\"f:rules\":{}}},\"manager\":"
      "\"kubectl\","
      "\"operation\":\"Update\",\"time\":\"2026-01-02T03:04:05Z\"}]}";
  const std::string number = std::to_string(i);
  const std::string backend = "{\"group\":\"\",\"kind\":\"Service\",\"name\":\"svc-" +
                              std::to_string(i % 500) + "\",\"port\":80,\"weight\":1}";
  return object(
      "gateway.networking.k8s.io", "HTTPRoute", "team-" + std::to_string(i % 50), "route-" + number,
      "\"labels\":{\"app\":\"shop\"}," + kManaged +
          ",\"spec\":{\"parentRefs\":[{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
          "\"Gateway\",\"name\":"
          "\"gw\",\"namespace\":\"infra\"}],\"hostnames\":[\"" +
          hostOf(i, one_host) +
          "\"],\"rules\":[{\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/p" +
          number + "\"}}],\"backendRefs\":[" + backend +
          "]},{\"matches\":[{\"path\":{\"type\":\"Exact\",\"value\":\"/e" + number +
          "\"},\"headers\":[{\"name\":\"X-Version\",\"type\":\"Exact\",\"value\":\"" +
          std::string(value) +
          "\"}]}],\"filters\":[{\"type\":\"RequestHeaderModifier\","
          "\"requestHeaderModifier\":{\"set\":[{\"name\":\"x-a\",\"value\":\"b\"}]}}],"
          "\"backendRefs\":[" +
          backend +
          "]}]},\"status\":{\"parents\":[{\"controllerName\":\"x/y\",\"conditions\":[]}]}");
}

std::vector<ObjectChange> basics() {
  std::vector<ObjectChange> list;
  list.push_back(
      object("gateway.networking.k8s.io", "GatewayClass", "", "hw",
             "\"x\":1},\"spec\":{\"controllerName\":\"hyperway.arloor.dev/gateway-controller\"}"));
  list.push_back(
      object("gateway.networking.k8s.io", "Gateway", "infra", "gw",
             "\"x\":1},\"spec\":{\"gatewayClassName\":\"hw\",\"listeners\":[{\"name\":\"http\","
             "\"port\":80,"
             "\"protocol\":\"HTTP\",\"allowedRoutes\":{\"namespaces\":{\"from\":\"All\"}}}]}"));
  for (std::size_t n = 0; n < 50; ++n)
    for (std::size_t i = n; i < 500; i += 50) {
      const std::string name = "svc-" + std::to_string(i), space = "team-" + std::to_string(n);
      list.push_back(
          object("", "Service", space, name, "\"x\":1},\"spec\":{\"ports\":[{\"port\":80}]}"));
      list.push_back(object("discovery.k8s.io", "EndpointSlice", space, name,
                            "\"labels\":{\"kubernetes.io/service-name\":\"" + name +
                                "\"}},\"addressType\":\"IPv4\",\"ports\":[{\"port\":80}],"
                                "\"endpoints\":[{\"addresses\":["
                                "\"10.0.0.1\"]}]"));
    }
  return list;
}

double microseconds(Clock::time_point from) {
  return std::chrono::duration<double, std::micro>(Clock::now() - from).count();
}

void edits(const char* what, Translator& translator,
           const std::function<ObjectChange(std::size_t)>& edit) {
  constexpr std::size_t kRounds = 2000;
  std::vector<double> times;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::vector<ObjectChange> change{edit(i)};
    const auto start = Clock::now();
    const auto outcome = translator.apply(change);
    times.push_back(microseconds(start));
    if (outcome.model.empty()) std::abort();
  }
  std::sort(times.begin(), times.end());
  std::printf("  %-28s median %8.1f us   p99 %8.1f us   max %8.1f us\n", what, times[kRounds / 2],
              times[kRounds * 99 / 100], times.back());
}

void run(bool one_host) {
  std::vector<ObjectChange> all = basics();
  std::size_t bytes = 0;
  constexpr std::size_t kRoutes = 10'000;
  for (std::size_t i = 0; i < kRoutes; ++i) {
    all.push_back(route(i, one_host, "1"));
    bytes += all.back().json.size();
  }
  std::printf("%s, %zu routes, %.1f MiB of JSON\n", one_host ? "one host" : "a host each", kRoutes,
              static_cast<double>(bytes) / 1048576);
  AnyParser parser;
  const std::size_t heap = mallinfo2().uordblks;
  Translator translator({}, parser);
  const std::clock_t cpu = std::clock();
  const auto start = Clock::now();
  {
    const auto outcome = translator.apply(all);
    for (const std::string& line : outcome.rejected) std::fprintf(stderr, "%s\n", line.c_str());
    if (outcome.model.routes.size() != kRoutes) std::abort();
    std::printf("  decoded and translated in %.0f ms (%.0f ms of processor time)\n",
                microseconds(start) / 1000,
                static_cast<double>(std::clock() - cpu) * 1000 / CLOCKS_PER_SEC);
  }
  std::printf("  kept: %.0f bytes a route\n",
              static_cast<double>(mallinfo2().uordblks - heap) / kRoutes);
  edits("a route's header match", translator, [&](std::size_t i) {
    return route(i * 7919 % kRoutes, one_host, "v" + std::to_string(i));
  });
  edits("a slice's endpoint", translator, [](std::size_t i) {
    return object("discovery.k8s.io", "EndpointSlice", "team-7", "svc-7",
                  "\"labels\":{\"kubernetes.io/"
                  "service-name\":\"svc-7\"}},\"addressType\":\"IPv4\",\"ports\":[{\"port\":80}"
                  "],\"endpoints\":[{\"addresses\":[\"10.1." +
                      std::to_string(i / 250) + '.' + std::to_string(1 + i % 250) + "\"]}]");
  });
  edits("a Service there and gone", translator, [](std::size_t i) {
    ObjectChange change =
        object("", "Service", "team-9", "svc-9", "\"x\":1},\"spec\":{\"ports\":[{\"port\":80}]}");
    if (i % 2 == 0) change.json.clear();
    return change;
  });
}

}  // namespace

int main() {
  run(false);
  run(true);
  return 0;
}
