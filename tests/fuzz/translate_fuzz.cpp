// SPDX-License-Identifier: Apache-2.0
// LINK: hw_gateway
// Any bytes as an object of any kind, in a small world: the same change twice changes nothing the
// second time, an object that is taken away again leaves no trace, and a batch never removes what
// is not there. The first byte chooses the kind.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/translate.hpp"

using namespace hyperway;
using namespace hyperway::gateway;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class AnyParser : public FilterConfigParser {
 public:
  [[nodiscard]] bool knows(std::string_view type) const override { return type != "unknown"; }
  [[nodiscard]] route::FilterBindingPtr parse(std::string_view, std::string_view,
                                              std::string_view json, Problems& problems) override {
    if (json.size() % 2 == 0) return binding_;
    problems.add(JsonPointer("/x"), "is odd");
    return nullptr;
  }

 private:
  class Binding : public route::FilterBinding {};
  route::FilterBindingPtr binding_ = std::make_shared<Binding>();
};

struct KindRow {
  const char* group;
  const char* kind;
  const char* name;
};
constexpr KindRow kKinds[] = {
    {"gateway.networking.k8s.io", "HTTPRoute", "fuzzed"},
    {"gateway.networking.k8s.io", "Gateway", "fuzzed"},
    {"gateway.networking.k8s.io", "GatewayClass", "fuzzed"},
    {"gateway.networking.k8s.io", "ReferenceGrant", "fuzzed"},
    {"", "Service", "fuzzed"},
    {"", "Secret", "fuzzed"},
    {"", "Namespace", "fuzzed"},
    {"discovery.k8s.io", "EndpointSlice", "fuzzed"},
    {"hyperway.arloor.dev", "Filter", "fuzzed"},
    {"gateway.networking.k8s.io", "GRPCRoute", "fuzzed"},
    {"gateway.networking.k8s.io", "ListenerSet", "fuzzed"},
    {"gateway.networking.k8s.io", "BackendTLSPolicy", "fuzzed"},
    {"gateway.networking.k8s.io", "TLSRoute", "fuzzed"},
    {"gateway.networking.k8s.io", "TCPRoute", "fuzzed"},
    {"gateway.networking.k8s.io", "UDPRoute", "fuzzed"},
};

ObjectChange object(const KindRow& row, const char* name, std::string json) {
  return {row.group, row.kind, std::string_view(row.kind).ends_with("Class") ? "" : "ns", name,
          std::move(json)};
}

// Gateways, a route, a Service and a Filter that the fuzzed object may refer to, be referred to by,
// or conflict with.
std::vector<ObjectChange> base() {
  return {
      object(kKinds[2], "c",
             R"({"spec":{"controllerName":"hyperway.arloor.dev/gateway-controller"}})"),
      object(
          kKinds[1], "g",
          R"({"spec":{"gatewayClassName":"c","listeners":[{"name":"http","port":80,"protocol":"HTTP"},
                {"name":"https","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":"fuzzed"}]}},
                {"name":"tls","port":443,"protocol":"TLS","hostname":"t.example","tls":{"mode":"Passthrough"}},
                {"name":"tcp","port":9000,"protocol":"TCP"},{"name":"udp","port":9001,"protocol":"UDP"}],
                "allowedListeners":{"namespaces":{"from":"All"}}}})"),
      object(
          kKinds[0], "r",
          R"({"spec":{"parentRefs":[{"name":"g"},{"name":"fuzzed"},{"kind":"ListenerSet","name":"fuzzed"}],"rules":[{"backendRefs":[{"name":"s","port":80},
                {"name":"fuzzed","port":80}],"filters":[{"type":"ExtensionRef","extensionRef":{"group":
                "hyperway.arloor.dev","kind":"Filter","name":"fuzzed"}}]}]}})"),
      object(kKinds[4], "s", R"({"spec":{"ports":[{"port":80}]}})"),
      object(kKinds[8], "f", R"({"spec":{"plugin":"p","config":{"a":1}}})"),
  };
}

// The keys in the model, kept up to date with batches.
class Keys {
 public:
  void take(const route::ModelBatch& batch) {
    merge(listeners_, batch.removed_listeners, batch.listeners);
    merge(routes_, batch.removed_routes, batch.routes);
    merge(upstreams_, batch.removed_upstreams, batch.upstreams);
    merge(certificates_, batch.removed_certificates, batch.certificates);
    // What a rule or listener names is there.
    for (const auto& route : batch.routes)
      for (const auto& attachment : route.attachments)
        require(listeners_.contains(attachment.listener));
    for (const auto& route : batch.routes)
      for (const auto& rule : *route.rules)
        for (const auto& backend : rule.backends)
          require(backend.upstream.empty() || upstreams_.contains(backend.upstream));
    for (const auto& listener : batch.listeners)
      for (const auto& certificate : listener.certificates)
        require(certificates_.contains(certificate));
  }

 private:
  template <class Items>
  static void merge(std::set<std::string>& keys, const std::vector<std::string>& removed,
                    const Items& upserts) {
    for (const std::string& key : removed) require(keys.erase(key) == 1);
    for (const auto& item : upserts) keys.insert(item.key);
  }
  std::set<std::string> listeners_, routes_, upstreams_, certificates_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const KindRow& row = kKinds[data[0] % std::size(kKinds)];
  std::string json(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (json.empty()) return 0;
  AnyParser parser;
  Translator translator({}, parser);
  Keys keys;
  keys.take(translator.apply(base()).model);
  const auto before = translator.statuses();

  const ObjectChange change = object(row, row.name, std::move(json));
  const auto first = translator.apply({change});
  keys.take(first.model);
  for (const auto& status : translator.statuses()) (void)toJson(status, "a.b/c");
  (void)translator.diagnose();
  const auto second = translator.apply({change});
  require(second.model.empty() && second.status.updated.empty() && second.status.removed.empty());
  require(first.rejected == second.rejected);

  ObjectChange gone = change;
  gone.json.clear();
  keys.take(translator.apply({gone}).model);
  require(translator.statuses() == before);
  require(!translator.diagnose().empty());  // "fuzzed" is referred to, and is not there
  return 0;
}
