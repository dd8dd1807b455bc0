// SPDX-License-Identifier: Apache-2.0
// One snapshot for each Gateway: what goes into which, who may read it, and when it goes.
#include "snapshot_set.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "k8s_client/fake_api.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_sink {
namespace {

using namespace std::chrono_literals;
using k8s_client::textOf;
using k8s_client::valueOf;

// An API server that takes what is applied and tells it in the answer; lists have what is in
// `objects`, by the path of their collection.
struct World {
  World() {
    Settings settings;
    settings.per_gateway = true;
    settings.name_space.clear();
    Writer::Listener listener;
    listener.written = [this](std::uint64_t as_of) { written = as_of; };
    listener.programmed = [](const auto&) {};
    listener.trouble = [this](const std::string& text) { trouble = text; };
    listener.attempted = [](const auto&, const auto&) {};
    listener.now = [] { return "2026-01-02T03:04:05Z"; };
    set = std::make_unique<SnapshotSet>(api, settings, listener);
    set->start();
    set->lead(true);
  }

  void pass(k8s_client::Duration time = 500ms) {
    const auto end = api.now() + time;
    serve();
    while (api.now() < end) {
      api.pass(10ms);
      serve();
    }
  }
  void take(std::string_view batch) {
    std::string text(batch), error;
    std::replace(text.begin(), text.end(), '\'', '"');
    auto read = readBatch(text, error);
    REQUIRE_MESSAGE(read.has_value(), error);
    set->take(++taken, std::move(*read));
    pass();
  }
  // The spec of the snapshot of that name as it was applied last.
  [[nodiscard]] sdk::json::Value spec(const std::string& name) const {
    const auto found = applied.find("/apis/hyperway.arloor.dev/v1alpha1/namespaces/" + name);
    if (found == applied.end()) return {};
    const sdk::json::Value object = valueOf(found->second);
    return *object.find("spec");
  }
  [[nodiscard]] std::size_t ruleCount(const std::string& name) const {
    const sdk::json::Value all = spec(name);
    const sdk::json::Value* rules = all.find("httpRoutesV1");
    return rules != nullptr ? rules->items().size() : 0;
  }

  k8s_client::FakeApi api;
  std::map<std::string, std::string> applied;               // path -> body
  std::map<std::string, std::vector<std::string>> objects;  // path of a collection -> items
  std::map<std::string, std::string> there;                 // path -> object of somebody else
  std::vector<std::string> removed;                         // paths
  std::string trouble;
  std::uint64_t written = 0, taken = 0;
  int early = 0;  // so many bindings come before the server knows of their Roles
  std::unique_ptr<SnapshotSet> set;

 private:
  void serve() {
    while (!api.calls.empty()) {
      const k8s_client::Request request = api.calls.front().request;
      const std::string path = request.path.substr(0, request.path.find('?'));
      if (request.method == "GET" && request.path.find("limit=") != std::string::npos) {
        std::string items;
        for (const std::string& item : objects[path]) items += (items.empty() ? "" : ",") + item;
        api.answer(R"({"apiVersion":"v1","metadata":{"resourceVersion":")" +
                   std::to_string(++version_) + R"("},"items":[)" + items + "]}");
      } else if (request.method == "GET") {
        if (there.contains(path))
          api.answer(there[path]);
        else
          api.refuse(404, R"({"kind":"Status","reason":"NotFound","code":404})");
      } else if (path.find("/rolebindings/") != std::string::npos && early > 0) {
        --early;
        api.refuse(404, R"({"kind":"Status","reason":"NotFound","code":404})");
      } else if (request.method == "DELETE") {
        removed.push_back(path);
        api.answer("{}");
      } else {
        // A merge patch has a spec and no more; it is the last member of what was applied.
        std::string& now = objects_[path];
        if (request.content_type == "application/merge-patch+json" && !path.ends_with("/status"))
          now = now.substr(0, now.find(R"("spec":{)")) +
                request.body.substr(request.body.find(R"("spec":{)"));
        else
          now = request.body;
        applied[path] = now;
        // The status is of the whole object.
        const bool status = path.ends_with("/status");
        std::string body =
            status ? objects_[path.substr(0, path.size() - std::string("/status").size())] : now;
        const std::string version = std::to_string(++version_);
        body.insert(
            body.find(R"("metadata":{)") + 12,
            R"("uid":"u","generation":)" + version + R"(,"resourceVersion":")" + version + R"(",)");
        api.answer(body);
      }
    }
  }

  std::map<std::string, std::string> objects_;  // as the server has them
  int version_ = 1;
};

constexpr std::string_view kTwo =
    "{'gateways':[{'namespace':'ns','name':'a','uid':'ua','labels':{'team':'x'},'annotations':{}},"
    "{'namespace':'ns','name':'b','uid':'ub','labels':{},'annotations':{}}],"
    "'listeners':[{'name':'ns/a/http','port':80},{'name':'ns/b/http','port':80}],"
    "'routes':[{'key':'HTTPRoute/ns/r','rules':["
    "{'id':'1','gatewayNamespace':'ns','gatewayName':'a','backends':[{'namespace':'shop'}]},"
    "{'id':'2','gatewayNamespace':'ns','gatewayName':'b','requestMirrors':[{'backend':{"
    "'namespace':'copy'}}]}]}]}";

constexpr const char* kRoles = "/apis/rbac.authorization.k8s.io/v1/namespaces/";

}  // namespace

TEST_CASE("Each Gateway's snapshot has its own listeners and routes, and no others") {
  World world;
  world.take(kTwo);
  CHECK(world.written == 1);
  const auto a = world.spec("ns/routesnapshots/hyperway-a");
  CHECK(k8s_client::toText(*a.find("listeners")) == R"([{"name":"ns/a/http","port":80}])");
  CHECK(textOf(a.find("httpRoutesV1")->items().front(), "id") == "1");
  CHECK(world.ruleCount("ns/routesnapshots/hyperway-b") == 1);

  SUBCASE("a route that leaves a Gateway leaves its snapshot") {
    world.take(
        "{'routes':[{'key':'HTTPRoute/ns/r','rules':[{'id':'3','gatewayNamespace':'ns',"
        "'gatewayName':'b'}]}]}");
    CHECK(world.ruleCount("ns/routesnapshots/hyperway-a") == 0);
    CHECK(world.ruleCount("ns/routesnapshots/hyperway-b") == 1);
  }
  SUBCASE("a change of one writes nothing of the other") {
    world.applied.clear();
    world.take("{'listeners':[{'name':'ns/a/http','port':81}]}");
    CHECK(world.spec("ns/routesnapshots/hyperway-a").find("listeners") != nullptr);
    CHECK(world.spec("ns/routesnapshots/hyperway-b").find("listeners") == nullptr);
  }
  SUBCASE("a route that is gone is gone everywhere") {
    world.take("{'removedRoutes':['HTTPRoute/ns/r']}");
    CHECK(world.ruleCount("ns/routesnapshots/hyperway-a") == 0);
    CHECK(world.ruleCount("ns/routesnapshots/hyperway-b") == 0);
  }
}

TEST_CASE("A snapshot belongs to its Gateway, with its labels, and follows them") {
  World world;
  world.take(kTwo);
  const std::string path =
      "/apis/hyperway.arloor.dev/v1alpha1/namespaces/ns/routesnapshots/hyperway-a";
  const auto metadata = [&] { return *valueOf(world.applied[path]).find("metadata"); };
  CHECK(textOf(metadata().find("ownerReferences")->items().front(), "uid") == "ua");
  CHECK(textOf(*metadata().find("labels"), "team") == "x");
  CHECK(textOf(*metadata().find("labels"), "gateway.networking.k8s.io/gateway-name") == "a");
  world.take(
      "{'gateways':[{'namespace':'ns','name':'a','uid':'ua2','labels':{'team':'y'},"
      "'annotations':{}}]}");
  CHECK(textOf(metadata().find("ownerReferences")->items().front(), "uid") == "ua2");
  CHECK(textOf(*metadata().find("labels"), "team") == "y");
  CHECK(world.ruleCount("ns/routesnapshots/hyperway-a") == 1);
}

TEST_CASE("Backends of filters are among the namespaces that a snapshot names") {
  World world;
  world.take(kTwo);
  world.take(
      "{'routes':[{'key':'HTTPRoute/ns/r','rules':[{'id':'1','gatewayNamespace':'ns',"
      "'gatewayName':'a','filters':[{'type':'T','backends':[{'namespace':'one'}]}],'backends':[{"
      "'namespace':'two','filters':[{'type':'T','backends':[{'namespace':'three'}]}]}]}]}]}");
  const auto a = world.spec("ns/routesnapshots/hyperway-a");
  CHECK(k8s_client::toText(*a.find("backendNamespaces")) == R"(["one","three","two"])");
  const auto take = [&](const std::string& filters) {
    world.take("{'listeners':[{'name':'ns/a/http','port':80,'filters':[" + filters + "]}]}");
    return k8s_client::toText(
        *world.spec("ns/routesnapshots/hyperway-a").find("backendNamespaces"));
  };
  CHECK(take("{'type':'T','backends':[{'namespace':'who'},{'namespace':'one'}]}") ==
        R"(["one","three","two","who"])");
  CHECK(take("{'type':'T'}") == R"(["one","three","two"])");
}

TEST_CASE(
    "Data planes may read the backends' namespaces that their snapshot names, and no others") {
  World world;
  world.take(kTwo);
  const auto a = world.spec("ns/routesnapshots/hyperway-a");
  CHECK(k8s_client::toText(*a.find("backendNamespaces")) == R"(["shop"])");
  CHECK(k8s_client::toText(*world.spec("ns/routesnapshots/hyperway-b").find("backendNamespaces")) ==
        R"(["copy"])");
  std::string accounts, rules;
  for (const auto& [at, body] : world.applied) {
    if (at.starts_with(std::string(kRoles) + "shop/rolebindings/"))
      accounts += k8s_client::toText(*valueOf(body).find("subjects"));
    if (at.starts_with(std::string(kRoles) + "shop/roles/"))
      rules += k8s_client::toText(*valueOf(body).find("rules"));
  }
  CHECK(accounts == R"([{"kind":"ServiceAccount","namespace":"ns","name":"hyperway-a"}])");
  CHECK(rules == R"([{"apiGroups":[""],"resources":["services"],"verbs":["list","watch"]},)"
                 R"({"apiGroups":["discovery.k8s.io"],"resources":["endpointslices"],)"
                 R"("verbs":["list","watch"]}])");
}

TEST_CASE("Each snapshot says what became of its Gateway and of the routes there") {
  World world;
  world.take(kTwo);
  world.take(
      "{'statuses':[{'key':'GatewayClass//c','entries':[{'name':'c'}]},"
      "{'key':'Gateway/ns/a','entries':[{'gatewayName':'a'}]},"
      "{'key':'HTTPRoute/ns/r','entries':[{'routeName':'r','parentName':'a'},"
      "{'routeName':'r','parentName':'b','parentNamespace':'ns'}]},"
      "{'key':'ListenerSet/x/s','entries':[{'gatewayNamespace':'ns','gatewayName':'b',"
      "'listenerName':'x/s/l'}]},"
      "{'key':'HTTPRoute/x/t','entries':[{'routeName':'t','parentKind':'ListenerSet',"
      "'parentName':'a','gatewayNamespace':'ns','gatewayName':'b'}]}]}");
  const auto said = [&](const std::string& name, const char* list) {
    const sdk::json::Value spec = world.spec(name);
    return k8s_client::toText(*spec.find(list));
  };
  for (const std::string name : {"ns/routesnapshots/hyperway-a", "ns/routesnapshots/hyperway-b"})
    CHECK(said(name, "gatewayClassStatuses") == R"([{"name":"c"}])");
  CHECK(said("ns/routesnapshots/hyperway-a", "gatewayListenerStatuses") ==
        R"([{"gatewayName":"a"}])");
  CHECK(said("ns/routesnapshots/hyperway-b", "gatewayListenerStatuses") ==
        R"([{"gatewayNamespace":"ns","gatewayName":"b","listenerName":"x/s/l"}])");
  CHECK(said("ns/routesnapshots/hyperway-a", "routeDiagnostics") ==
        R"([{"routeName":"r","parentName":"a"}])");
  CHECK(said("ns/routesnapshots/hyperway-b", "routeDiagnostics") ==
        R"([{"routeName":"r","parentName":"b","parentNamespace":"ns"},)"
        R"({"routeName":"t","parentKind":"ListenerSet","parentName":"a",)"
        R"("gatewayNamespace":"ns","gatewayName":"b"}])");
  world.take(
      "{'statuses':[{'key':'HTTPRoute/ns/r','entries':[{'routeName':'r','parentName':'a'}]}],"
      "'removedStatuses':['Gateway/ns/a','HTTPRoute/x/t','ListenerSet/x/s']}");
  CHECK(said("ns/routesnapshots/hyperway-b", "routeDiagnostics") == "[]");
  CHECK(said("ns/routesnapshots/hyperway-a", "gatewayListenerStatuses") == "[]");
}

TEST_CASE("The snapshot of a Gateway that is made later says what became of its class, too") {
  World world;
  world.take(
      "{'gateways':[{'namespace':'ns','name':'a','uid':'ua','labels':{},'annotations':{}}],"
      "'listeners':[{'name':'ns/a/http','port':80}]}");
  world.take("{'statuses':[{'key':'GatewayClass//c','entries':[{'name':'c'}]}]}");
  world.take(kTwo);
  for (const std::string name : {"ns/routesnapshots/hyperway-a", "ns/routesnapshots/hyperway-b"}) {
    CAPTURE(name);
    const sdk::json::Value spec = world.spec(name);
    CHECK(k8s_client::toText(*spec.find("gatewayClassStatuses")) == R"([{"name":"c"}])");
    CHECK(world.ruleCount(name) == 1);
  }
}

TEST_CASE("A Role that the server does not know of yet is bound a moment later, before the index") {
  World world;
  world.early = 3;
  world.take(kTwo);
  world.pass(1s);
  CHECK(world.early == 0);
  std::size_t bindings = 0;
  for (const auto& [at, body] : world.applied)
    bindings += at.find("/rolebindings/") != std::string::npos ? 1U : 0U;
  CHECK(bindings == 2);
  CHECK(world.written == 1);
  CHECK(world.ruleCount("ns/routesnapshots/hyperway-a") == 1);
}

TEST_CASE("What somebody else made under that name is left alone, and the others are written") {
  World world;
  const std::string path =
      "/apis/hyperway.arloor.dev/v1alpha1/namespaces/ns/routesnapshots/hyperway-a";
  world.there[path] =
      R"({"metadata":{"namespace":"ns","name":"hyperway-a","uid":"f","resourceVersion":"1"},)"
      R"("spec":{}})";
  world.take(kTwo);
  CHECK_FALSE(world.applied.contains(path));
  CHECK(world.trouble ==
        "RouteSnapshot ns/hyperway-a is there already, and was not made for this Gateway");
  CHECK(world.ruleCount("ns/routesnapshots/hyperway-b") == 1);
  CHECK(world.written == 1);
}

TEST_CASE(
    "What was made for Gateways that are gone is removed, by whoever leads and once it knows") {
  World world;
  const auto made = [](const std::string& gateway, const std::string& controller) {
    return R"({"metadata":{"namespace":"far","name":"x","uid":"1","resourceVersion":"1","labels":{)"
           R"("app.kubernetes.io/managed-by":"hyperway","hyperway.arloor.dev/snapshot":"s"},)"
           R"("annotations":{"hyperway.arloor.dev/gateway":")" +
           gateway + R"(","hyperway.arloor.dev/controller":")" + controller + R"("}}})";
  };
  const std::string collection = "/apis/rbac.authorization.k8s.io/v1/roles";
  SUBCASE("of a Gateway that is gone") {
    world.objects[collection] = {made("ns/gone", "hyperway.arloor.dev/gateway-controller")};
    world.pass();
    CHECK(world.removed.empty());
    world.take(kTwo);
    CHECK(world.removed == std::vector<std::string>{std::string(kRoles) + "far/roles/x"});
  }
  SUBCASE("of one that is there") {
    world.objects[collection] = {made("ns/a", "hyperway.arloor.dev/gateway-controller")};
    world.take(kTwo);
    CHECK(world.removed.empty());
    world.take("{'removedGateways':['ns/a']}");
    CHECK(world.removed == std::vector<std::string>{std::string(kRoles) + "far/roles/x"});
  }
  SUBCASE("of another installation") {
    world.objects[collection] = {made("ns/gone", "example.com/other")};
    world.take(kTwo);
    CHECK(world.removed.empty());
  }
}

}  // namespace hyperway::snapshot_sink
