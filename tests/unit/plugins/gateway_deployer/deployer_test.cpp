// SPDX-License-Identifier: Apache-2.0
// The sink against an API server in memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "deployer.hpp"
#include "fake_cluster.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string json(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '\'', '"');
  return out;
}

constexpr const char* kPods = "/apis/discovery.k8s.io/v1/namespaces/infra/endpointslices/pods-1";
constexpr const char* kServiceA = "/api/v1/namespaces/ns/services/hyperway-a";
constexpr const char* kServiceB = "/api/v1/namespaces/ns/services/hyperway-b";
constexpr const char* kSliceA =
    "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/hyperway-a-ipv4";
constexpr const char* kSliceB =
    "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices/hyperway-b-ipv4";

Gateway gateway(const std::string& name, std::int64_t age, std::uint16_t port = 80) {
  Gateway out;
  out.name_space = "ns";
  out.name = name;
  out.uid = "gateway-" + name;
  out.created = age;
  out.ports = {{port, "TCP"}};
  return out;
}

using Lines = std::vector<std::string>;

std::string sorted(Lines lines) {
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

struct Fixture {
  Fixture() {
    settings.common.pods_service = "infra/pods";
    settings.target_ports = {10000, 10009};
    addPods("10.77.0.5");
  }
  void addPods(const std::string& address) {
    cluster.put(kPods, json("{'metadata':{'namespace':'infra','name':'pods-1','labels':{"
                            "'kubernetes.io/service-name':'pods'}},'addressType':'IPv4',"
                            "'endpoints':[{'addresses':['" +
                            address + "']}]}"));
  }
  void start(bool leads = true) {
    Deployer::Listener listener;
    listener.gateways = [this](const auto& now) {
      for (const auto& [key, reason] : now) reasons[key] = reason;
      ++reports;
    };
    listener.parameters = [this](const auto& now) {
      for (const auto& [key, reason] : now) wrong_parameters[key] = reason;
    };
    listener.trouble = [this](const std::string& reason) { trouble = reason; };
    listener.written = [](const Write&, const k8s_client::Error&) {};
    deployer = std::make_unique<Deployer>(cluster, settings, std::move(listener));
    deployer->start();
    deployer->lead(leads);
    cluster.run();
  }
  void give(std::vector<Gateway> gateways, std::vector<std::string> removed = {},
            bool full = false) {
    deployer->take({std::move(gateways), std::move(removed)}, full);
    cluster.run();
  }
  // What was written since the last call, one a line, sorted: requests of one turn have no order.
  std::string story() { return sorted(std::exchange(cluster.writes, {})); }

  FakeCluster cluster;
  Settings settings;
  std::unique_ptr<Deployer> deployer;
  std::map<std::string, std::string> reasons, wrong_parameters;
  int reports = 0;
  std::string trouble;
};

// What is written to objects that are there.
Lines patched(std::initializer_list<const char*> paths) {
  Lines out;
  for (const char* path : paths) out.push_back("PATCH " + std::string(path));
  return out;
}

// What is written to make objects: they are ours by apply in the end.
Lines made(std::initializer_list<const char*> paths) {
  Lines out = patched(paths);
  for (const char* path : paths)
    for (const char* what : {"ADOPT ", "POST "}) out.push_back(what + std::string(path));
  return out;
}

Lines operator+(Lines a, const Lines& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool isApplyTo(const char* path, const k8s_client::Request& request) {
  return request.content_type == "application/apply-patch+yaml" && request.path.starts_with(path);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "Each Gateway gets a Service and slices, and then nothing is written") {
  start();
  CHECK(story().empty());
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(story() == sorted(made({kServiceA, kServiceB, kSliceA, kSliceB})));
  CHECK(textAt(*cluster.find(kServiceA),
               {"metadata", "annotations", "hyperway.arloor.dev/gateway"}) == "ns/a");
  cluster.run(std::chrono::minutes(10));
  CHECK(story().empty());
  CHECK(reports == 0);
}

TEST_CASE_FIXTURE(Fixture, "Only the leader writes; a new leader writes what differs") {
  start(false);
  give({gateway("a", 1)});
  CHECK(story().empty());
  deployer->lead(true);
  cluster.run();
  CHECK(story() == sorted(made({kServiceA, kSliceA})));
  deployer->lead(false);
  give({gateway("b", 2)});
  CHECK(story().empty());
}

TEST_CASE_FIXTURE(Fixture, "Nothing is written or removed before the first batch and the lists") {
  cluster.intercept = [](const k8s_client::Request& request) -> std::optional<k8s_client::Reply> {
    if (request.path.starts_with("/api/v1/services"))
      return FakeCluster::refusal(403, "Forbidden", "services is forbidden");
    return std::nullopt;
  };
  cluster.put(kServiceA,
              json("{'metadata':{'namespace':'ns','name':'hyperway-a','labels':{"
                   "'app.kubernetes.io/managed-by':'hyperway'},'annotations':{"
                   "'hyperway.arloor.dev/gateway':'ns/a','hyperway.arloor.dev/pods':'infra/pods'}},"
                   "'spec':{'ports':[{'port':80,'protocol':'TCP','targetPort':10007}]}}"));
  start();
  give({gateway("a", 1)});
  CHECK(story().empty());
  CHECK(trouble.find("cannot follow Services: 403") == 0);
  cluster.intercept = nullptr;
  cluster.run(std::chrono::minutes(2));
  CHECK(trouble.empty());
  CHECK(story() == sorted(patched({kServiceA}) + made({kSliceA})));
  // What was recorded is kept.
  CHECK(k8s_client::toText(*cluster.find(kServiceA)).find(json("'targetPort':10007")) !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "After a restart objects of Gateways that are gone are removed") {
  start();
  give({gateway("a", 1), gateway("b", 2)});
  (void)story();
  start();
  give({gateway("a", 1)});
  CHECK(story() == sorted({"DELETE " + std::string(kServiceB), "DELETE " + std::string(kSliceB)}));
  give({}, {"ns/a"});
  CHECK(story() == sorted({"DELETE " + std::string(kServiceA), "DELETE " + std::string(kSliceA)}));
  CHECK(cluster.paths() == std::vector<std::string>{kPods});
}

TEST_CASE_FIXTURE(Fixture, "Who knows of no Gateway at all removes nothing") {
  start();
  give({gateway("a", 1)});
  (void)story();
  start();  // say, without the right to list Gateways
  give({});
  cluster.run(std::chrono::minutes(2));
  CHECK(story().empty());
  give({gateway("b", 1)});
  CHECK(cluster.find(kServiceA) == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "A Pod that comes is in all slices at once") {
  start();
  give({gateway("a", 1)});
  (void)story();
  addPods("10.77.0.6");
  cluster.run();
  CHECK(story() == sorted(patched({kSliceA})));
  CHECK(k8s_client::toText(*cluster.find(kSliceA)).find("10.77.0.6") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "A write that is refused is told, tried again, and stops nobody else") {
  cluster.intercept = [](const k8s_client::Request& request) -> std::optional<k8s_client::Reply> {
    if (request.method == "GET" || FakeCluster::objectPath(request) != kServiceA)
      return std::nullopt;
    auto reply = FakeCluster::refusal(422, "Invalid", "Service is invalid");
    reply.error.causes = {{"spec.ports[0].port", "must be something else"}};
    return reply;
  };
  start();
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(story() == sorted(Lines{"POST " + std::string(kServiceA)} + made({kServiceB, kSliceB})));
  CHECK(reasons.at("ns/a").find("Service ns/hyperway-a cannot be written: 422") == 0);
  CHECK(reasons.at("ns/a").find("spec.ports[0].port") != std::string::npos);
  CHECK_FALSE(reasons.contains("ns/b"));
  cluster.run(std::chrono::minutes(5));
  const std::string tries = story();
  const auto count = std::count(tries.begin(), tries.end(), '\n');
  CHECK(count >= 5);
  CHECK(count <= 15);
  CHECK(reports == 1);

  SUBCASE("until it goes through") {
    cluster.intercept = nullptr;
    cluster.run(std::chrono::minutes(2));
    CHECK(story() == sorted(made({kServiceA, kSliceA})));
    CHECK(reasons.at("ns/a").empty());
  }
  SUBCASE("and at once if the Gateway changes") {
    cluster.intercept = nullptr;
    give({gateway("a", 1, 81)});
    CHECK(story() == sorted(made({kServiceA, kSliceA})));
  }
}

TEST_CASE_FIXTURE(Fixture, "A Service of somebody else is not taken over, and said so") {
  cluster.put(kServiceA, json("{'metadata':{'namespace':'ns','name':'hyperway-a'},'spec':{}}"));
  start();
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(story() == sorted(made({kServiceB, kSliceB})));
  CHECK(reasons.at("ns/a") ==
        "Service ns/hyperway-a is there already, and was not made by hyperway");
  cluster.remove(kServiceA);
  cluster.run(std::chrono::minutes(2));
  CHECK(story() == sorted(made({kServiceA, kSliceA})));
  CHECK(reasons.at("ns/a").empty());
}

TEST_CASE_FIXTURE(Fixture, "Who does not lead says, too, what is in the leader's way") {
  cluster.put(kServiceA, json("{'metadata':{'namespace':'ns','name':'hyperway-a'},'spec':{}}"));
  start(false);
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(reasons.empty());
  cluster.run(std::chrono::seconds(5));
  CHECK(reasons.size() == 1);
  CHECK(reasons["ns/a"] == "Service ns/hyperway-a is there already, and was not made by hyperway");
  cluster.remove(kServiceA);
  cluster.run(std::chrono::minutes(2));
  CHECK(reasons["ns/a"].empty());
  CHECK(story().empty());
}

TEST_CASE_FIXTURE(Fixture, "What somebody makes right after our look is not taken over") {
  const char* theirs = nullptr;
  SUBCASE("a Service") { theirs = kServiceA; }
  SUBCASE("an EndpointSlice") { theirs = kSliceA; }
  CAPTURE(theirs);
  const std::string name(std::string_view(theirs).substr(std::string_view(theirs).rfind('/') + 1));
  cluster.intercept = [&](const k8s_client::Request& request) -> std::optional<k8s_client::Reply> {
    if (request.method == "POST" && FakeCluster::objectPath(request) == theirs &&
        cluster.find(theirs) == nullptr)
      cluster.put(theirs, json("{'metadata':{'namespace':'ns','name':'" + name + "'},'spec':{}}"));
    return std::nullopt;
  };
  start();
  give({gateway("a", 1)});
  cluster.run(std::chrono::minutes(2));
  CHECK(cluster.operations(theirs).empty());
  CHECK(at(*cluster.find(theirs), {"metadata", "labels"}) == nullptr);
  CHECK(reasons.at("ns/a").find(name + " is there already, and was not made by hyperway") !=
        std::string::npos);
  cluster.intercept = nullptr;
  cluster.remove(theirs);
  cluster.run(std::chrono::minutes(2));
  CHECK(cluster.operations(theirs) == "Apply");
  CHECK(reasons.at("ns/a").empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "What we have made is ours by apply, so that a field that goes is gone") {
  SUBCASE("") {}
  SUBCASE("although others write at the same time") {
    int left = 3;
    cluster.intercept =
        [this,
         left](const k8s_client::Request& request) mutable -> std::optional<k8s_client::Reply> {
      if (request.content_type == "application/merge-patch+json" && left-- > 0)
        cluster.put(FakeCluster::objectPath(request),
                    k8s_client::toText(*cluster.find(FakeCluster::objectPath(request))));
      return std::nullopt;
    };
  }
  SUBCASE("although the first try ended in the midst") {
    bool first = true;
    cluster.intercept =
        [first](const k8s_client::Request& request) mutable -> std::optional<k8s_client::Reply> {
      if (request.content_type != "application/merge-patch+json" || !std::exchange(first, false))
        return std::nullopt;
      return FakeCluster::refusal(503, "ServiceUnavailable", "going down");
    };
  }
  start();
  give({gateway("a", 1)});
  cluster.run(seconds(5));
  CHECK(cluster.operations(kServiceA) == "Apply");
  CHECK(cluster.operations(kSliceA) == "Apply");
  (void)story();
  give({gateway("a", 1, 81)});
  CHECK(story() == sorted(patched({kServiceA, kSliceA})));
}

TEST_CASE_FIXTURE(Fixture, "A port range that is used up is said, and others are served") {
  settings.target_ports = {10000, 10000};
  start();
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(story() == sorted(made({kServiceA, kSliceA})));
  CHECK(reasons.at("ns/b").find("no target port is free for port 80") == 0);
  give({}, {"ns/a"});
  cluster.run();
  CHECK(cluster.find(kServiceB) != nullptr);
  CHECK(reasons.at("ns/b").empty());
}

TEST_CASE_FIXTURE(Fixture, "Who does not lead tells what it can see all the same") {
  settings.target_ports = {10000, 10000};
  start(false);
  give({gateway("a", 1), gateway("b", 2)});
  CHECK(story().empty());
  CHECK(reasons.at("ns/b").find("no target port is free for port 80") == 0);
}

TEST_CASE_FIXTURE(Fixture, "What somebody takes away or changes is put right") {
  start();
  give({gateway("a", 1)});
  (void)story();
  cluster.remove(kServiceA);
  cluster.run();
  CHECK(story() == sorted(made({kServiceA})));
  std::string text = k8s_client::toText(*cluster.find(kServiceA));
  text.replace(text.find("LoadBalancer"), 12, "NodePort");
  cluster.put(kServiceA, text);
  cluster.run();
  CHECK(story() == sorted(patched({kServiceA})));
}

TEST_CASE_FIXTURE(Fixture,
                  "Who undoes each write is answered ever more seldom, and delays no other") {
  start();
  give({gateway("a", 1)});
  (void)story();
  for (int i = 0; i < 600; ++i) {  // a minute
    std::string text = k8s_client::toText(*cluster.find(kServiceA));
    if (const std::size_t at = text.find("LoadBalancer"); at != std::string::npos)
      cluster.put(kServiceA, text.replace(at, 12, "NodePort"));
    cluster.run(milliseconds(100));
  }
  CHECK(std::count(cluster.writes.begin(), cluster.writes.end(),
                   "PATCH " + std::string(kServiceA)) <= 15);
  (void)story();
  give({gateway("a", 1, 81)});
  CHECK(story().find(sorted(patched({kServiceA}))) != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "A server that changes what it is given is not asked for ever") {
  cluster.intercept =
      [this](const k8s_client::Request& request) -> std::optional<k8s_client::Reply> {
    if (!isApplyTo(kServiceA, request)) return std::nullopt;
    std::string text = request.body;
    text.replace(text.find("PreferDualStack"), 15, "SingleStack");
    cluster.put(kServiceA, text);
    k8s_client::Reply reply;
    reply.status = 200;
    reply.body = k8s_client::toText(*cluster.find(kServiceA));
    return reply;
  };
  start();
  give({gateway("a", 1)});
  cluster.run(std::chrono::minutes(10));
  CHECK(story() == sorted(made({kServiceA, kSliceA})));
}

TEST_CASE_FIXTURE(Fixture, "A watch that ends, in whatever way, loses nothing") {
  start();
  give({gateway("a", 1)});
  (void)story();
  SUBCASE("the server ends it") {
    cluster.endWatches({});
    cluster.run(seconds(3));
    cluster.remove(kServiceA);
    cluster.run();
    CHECK(story() == sorted(made({kServiceA})));
  }
  SUBCASE("events are lost, and the watch with them") {
    cluster.watches_work = false;
    cluster.remove(kServiceA);
    cluster.watches_work = true;
    cluster.endWatches(FakeCluster::refusal(410, "Expired", "too old").error);
    cluster.run(seconds(40));
    CHECK(story() == sorted(made({kServiceA})));
  }
  SUBCASE("an error event") {
    cluster.watches_work = false;
    cluster.remove(kServiceA);
    cluster.watches_work = true;
    cluster.sendLine(json("{'type':'ERROR','object':{'code':410}}\n"));
    cluster.run(seconds(40));
    CHECK(story() == sorted(made({kServiceA})));
  }
}

TEST_CASE_FIXTURE(Fixture, "A list that fails drops nothing") {
  start();
  give({gateway("a", 1)});
  (void)story();
  cluster.intercept = [](const k8s_client::Request&) {
    return FakeCluster::refusal(500, "InternalError", "broken");
  };
  cluster.endWatches(FakeCluster::refusal(410, "Expired", "too old").error);
  cluster.run(seconds(60));
  CHECK(story().empty());
  CHECK(trouble.find("cannot follow") == 0);
  cluster.intercept = nullptr;
  cluster.run(seconds(60));
  CHECK(trouble.empty());
  CHECK(story().empty());
}

TEST_CASE_FIXTURE(Fixture, "What was made and gone before anybody told of it is made again") {
  start();
  cluster.watches_work = false;
  give({gateway("a", 1)});
  cluster.remove(kServiceA);
  (void)story();
  cluster.watches_work = true;
  cluster.run(std::chrono::minutes(2));
  CHECK(story() == sorted(made({kServiceA})));
}

TEST_CASE_FIXTURE(Fixture, "An answer that comes after the end does nothing") {
  start();
  deployer->take({{gateway("a", 1)}, {}}, false);
  deployer.reset();
  cluster.run(seconds(60));
  CHECK(story().empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "Deployed shape: all is made, by whoever leads, and goes with the Gateway") {
  settings.common = {"controller", "LoadBalancer", true, {}};
  start();
  give({gateway("a", 1)});
  const auto has = [&](const char* kind) {
    const auto paths = cluster.paths();
    return std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
      return path.ends_with('/' + std::string(kind) + "/hyperway-a");
    });
  };
  constexpr const char* kKinds[] = {"serviceaccounts",     "roles",       "rolebindings",
                                    "configmaps",          "deployments", "services",
                                    "poddisruptionbudgets"};
  for (const char* kind : kKinds) {
    CAPTURE(kind);
    CHECK(has(kind));
  }
  CHECK_FALSE(has("horizontalpodautoscalers"));
  CHECK_FALSE(has("endpointslices"));
  (void)story();
  cluster.run(seconds(60));
  CHECK(story().empty());
  give({}, {"ns/a"});
  for (const char* kind : kKinds) {
    CAPTURE(kind);
    CHECK_FALSE(has(kind));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "Deployed shape: a status that changes is no reason to write or to look") {
  settings.common = {"controller", "LoadBalancer", true, {}};
  constexpr const char* kDeployment = "/apis/apps/v1/namespaces/ns/deployments/hyperway-a";
  start();
  give({gateway("a", 1)});
  (void)story();
  std::string text = k8s_client::toText(*cluster.find(kDeployment));
  text.insert(text.find(json("'metadata':{")) + 12, json("'generation':1,"));
  text.insert(text.size() - 1, json(",'status':{'replicas':1}"));
  cluster.put(kDeployment, text);
  cluster.run();
  CHECK(story().empty());
  SUBCASE("what somebody else does to it is put right") {
    text.replace(text.find(json("'generation':1")), 14, json("'generation':2"));
    text.replace(text.find(json("'replicas':2")), 12, json("'replicas':9"));
    cluster.put(kDeployment, text);
    cluster.run();
    CHECK(story() == "PATCH " + std::string(kDeployment) + '\n');
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "Deployed shape: parameters are read by name while a Gateway names them") {
  settings.common = {"controller", "LoadBalancer", true, {}};
  constexpr const char* kShape = "/api/v1/namespaces/ns/configmaps/shape";
  constexpr const char* kDeployment = "/apis/apps/v1/namespaces/ns/deployments/hyperway-a";
  const auto replicas = [&] {
    const auto* deployment = cluster.find(kDeployment);
    return deployment != nullptr ? at(*deployment, {"spec", "replicas"})->integer() : -1;
  };
  const auto put = [&](const char* values) {
    cluster.put(kShape, json("{'metadata':{'namespace':'ns','name':'shape'},'data':{"
                             "'values.yaml':'" +
                             std::string(values) + "'}}"));
    cluster.run();
  };
  Gateway asked = gateway("a", 1);
  asked.parameters = {{"", "", "ConfigMap", "ns", "shape"}};
  start();
  give({asked});
  CHECK(replicas() == -1);
  CHECK(wrong_parameters.at("ns/a").ends_with("ConfigMap ns/shape does not exist"));
  put("replicas: 4");
  CHECK(wrong_parameters.at("ns/a").empty());
  CHECK(replicas() == 4);
  put("replicas: none");
  CHECK(wrong_parameters.at("ns/a").ends_with("values.yaml: /replicas: must be a whole number"));
  CHECK(replicas() == 4);
  give({gateway("a", 1)});
  CHECK(wrong_parameters.at("ns/a").empty());
  CHECK(replicas() == 2);
}

}  // namespace hyperway::gateway_deployer
