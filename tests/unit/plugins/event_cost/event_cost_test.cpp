// SPDX-License-Identifier: Apache-2.0
// What one event of a watch costs among few and among many objects: from the line that the API
// server sends to the table that requests are matched with, and to the status that is written.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "control/change_queue.hpp"
#include "fake_parser.hpp"
#include "gateway/translate.hpp"
#include "instructions.hpp"
#include "k8s_client/fake_api.hpp"
#include "k8s_client/list_page.hpp"
#include "k8s_client/reflector.hpp"
#include "plugin/object_batch.hpp"
#include "route/compile.hpp"
#include "status_batch.hpp"
#include "status_writer.hpp"

namespace hyperway {
namespace {

using k8s_client::ObjectText;
using k8s_client::Reflector;
using k8s_source::StatusWriter;

constexpr const char* kController = "hyperway.arloor.dev/gateway-controller";

// JSON with ' for ".
std::string json(std::string text) {
  for (char& c : text)
    if (c == '\'') c = '"';
  return text;
}

struct Kind {
  std::string group_version, name;
};

const Kind kClass{"gateway.networking.k8s.io/v1", "GatewayClass"};
const Kind kGateway{"gateway.networking.k8s.io/v1", "Gateway"};
const Kind kRoute{"gateway.networking.k8s.io/v1", "HTTPRoute"};
const Kind kService{"v1", "Service"};
const Kind kSlice{"discovery.k8s.io/v1", "EndpointSlice"};

// A cluster, and all that an event in it passes through but sockets and threads.
class World {
 public:
  explicit World(int size) {
    StatusWriter::Options options;
    options.controller_name = kController;
    options.path = [](const StatusWriter::ObjectId& id) { return '/' + id.key(); };
    options.now = [] { return "2026-01-02T03:04:05Z"; };
    options.report = [](const auto&, auto, const auto&, bool) {};
    writer_ = std::make_unique<StatusWriter>(api_, options);
    writer_->setActive(true);
    for (const Kind* kind : {&kClass, &kGateway, &kService, &kSlice, &kRoute}) follow(*kind);
    put(kClass, "hw", "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller'}");
    put(kGateway, "gw",
        "'spec':{'gatewayClassName':'hw','listeners':[{'name':'http','port':80,'protocol':'HTTP'}]"
        "}");
    for (int i = 0; i < size; ++i) {
      const std::string name = "s" + std::to_string(i);
      putService(name);
      putSlice(name, "10.0.0.1");
      putRoute(name, name);
    }
  }

  void putService(const std::string& name) {
    put(kService, name, "'spec':{'ports':[{'port':80,'targetPort':8000}]}");
  }
  void putSlice(const std::string& service, const std::string& address) {
    put(kSlice, service,
        "'addressType':'IPv4','ports':[{'name':'','port':8000,'protocol':'TCP'}],'endpoints':[{"
        "'addresses':['" +
            address + "'],'conditions':{'ready':true}}]",
        "'labels':{'kubernetes.io/service-name':'" + service + "'},");
  }
  void putRoute(const std::string& name, const std::string& service) {
    put(kRoute, name,
        "'spec':{'parentRefs':[{'name':'gw'}],'hostnames':['" + name +
            ".example'],'rules':[{'backendRefs':[{'name':'" + service + "','port':80}]}]}");
  }

  // A poll of the Services is due, and answered but for its last page, which has one of them.
  void pollButForTheEnd() {
    api_.pass(std::chrono::seconds(30));
    const auto forget_others = [this] {
      std::erase_if(api_.calls,
                    [](const auto& call) { return !call.request.path.starts_with("/Service"); });
    };
    forget_others();
    std::string items;
    int count = 0;
    for (const auto& [name, text] : services_) {
      items += (items.empty() ? "" : ",") + text;
      if (++count % k8s_client::kPageSize != 0) continue;
      api_.answer(page(std::exchange(items, {}), "more"));
      api_.pass(std::chrono::milliseconds(500));  // the longest pause between two pages
      forget_others();
      REQUIRE(api_.calls.size() == 1);
    }
    last_page_ = page(items, "");
  }
  // From now on the API server does not answer who writes statuses.
  void delayAnswers() { answers_ = false; }
  void endPoll() { api_.answer(std::move(last_page_)); }

  [[nodiscard]] std::size_t rules() const { return compiler_.current()->ruleCount(); }
  [[nodiscard]] std::size_t written() const { return written_; }

 private:
  // Hands on what a reflector tells, as k8s_source and the host do.
  struct Observer final : Reflector::Observer {
    Observer(World& the_world, const Kind& the_kind) : world(the_world), kind(the_kind) {}
    void onObject(const ObjectText& it) override {
      std::string text = R"({"removals":[],"upserts":[)";
      it.appendSlim(text, kind.group_version, kind.name, kind.name == "Service");
      if (kind.name != "Service" && kind.name != "EndpointSlice")
        world.writer_->observe({kind.name, it.nameSpace(), it.name()}, it.member("status"));
      world.publish(text + "]}");
    }
    void onRemoved(std::string_view key) override {
      const std::string name_space(key.substr(0, key.find('/')));
      const std::string name(key.substr(key.find('/') + 1));
      world.writer_->forget({kind.name, name_space, name});
      const bool core = kind.group_version == "v1";
      world.publish(json("{'removals':[{'group':'" +
                         (core ? "" : kind.group_version.substr(0, kind.group_version.find('/'))) +
                         "','kind':'" + kind.name + "','namespace':'" + name_space + "','name':'" +
                         name + "'}],'upserts':[]}"));
    }
    void onListed() override {}
    void onTrouble(const k8s_client::Error&) override {}
    void onWell() override {}
    World& world;
    const Kind& kind;
  };
  struct Followed {
    std::unique_ptr<Observer> observer;
    std::unique_ptr<Reflector> reflector;
    k8s_client::StreamHandler* watch = nullptr;
  };

  void follow(const Kind& kind) {
    Followed& followed = followed_[kind.name];
    followed.observer = std::make_unique<Observer>(*this, kind);
    Reflector::Options options;
    options.path = '/' + kind.name;
    followed.reflector = std::make_unique<Reflector>(api_, options, *followed.observer);
    followed.reflector->start();
    api_.answer(json("{'metadata':{'resourceVersion':'1'},'items':[]}"));
    for (const auto& [id, stream] : api_.streams)
      if (stream.request.path.starts_with(options.path + '?')) followed.watch = stream.handler;
  }

  std::string object(const Kind& kind, const std::string& name, const std::string& rest,
                     const std::string& meta) {
    return json("{'metadata':{'name':'" + name + "','namespace':'" +
                (kind.name == "GatewayClass" ? "" : "default") + "'," + meta +
                "'generation':1,'creationTimestamp':'2026-01-02T03:04:05Z','resourceVersion':'" +
                std::to_string(++version_) + "'}," + rest + "}");
  }
  void put(const Kind& kind, const std::string& name, const std::string& rest,
           const std::string& meta = "") {
    event(kind, "MODIFIED", object(kind, name, rest, meta));
  }
  [[nodiscard]] std::string page(const std::string& items, const std::string& next) const {
    return json("{'metadata':{'resourceVersion':'" + std::to_string(version_) + "','continue':'" +
                next + "'},'items':[") +
           items + "]}";
  }
  void event(const Kind& kind, const std::string& type, const std::string& it) {
    if (kind.name == "Service") services_[it.substr(0, it.find(','))] = it;
    followed_.at(kind.name).watch->onData("{\"type\":\"" + type + "\",\"object\":" + it + "}\n");
    // The status of a new object is read and written.
    while (answers_ && !api_.calls.empty()) {
      written_ += api_.calls.front().request.method == "PATCH" ? 1 : 0;
      api_.answer(it);
    }
  }

  void publish(const std::string& document) {
    auto changes = plugin::readObjectBatch(document);
    REQUIRE(changes);
    queue_.add(0, 0, {}, ++sequence_, std::move(*changes));
    for (auto& step : queue_.take(false)) {
      const auto outcome = translator_.apply(std::get<control::ChangeQueue::Changes>(step).list);
      REQUIRE(outcome.rejected.empty());
      (void)compiler_.apply(outcome.model);
      const bool fine = k8s_source::readStatusBatch(
          plugin::writeStatusBatch(outcome.status),
          [this](const StatusWriter::ObjectId& id, std::optional<std::string> status) {
            writer_->desire(id, std::move(status));
          });
      REQUIRE(fine);
    }
  }

  k8s_client::FakeApi api_;
  std::unique_ptr<StatusWriter> writer_;
  std::map<std::string, Followed> followed_;
  gateway::FakeParser parser_;
  gateway::Translator translator_{{}, parser_};
  control::ChangeQueue queue_;
  route::Compiler compiler_;
  std::uint64_t sequence_ = 0;
  int version_ = 1;
  std::size_t written_ = 0;
  bool answers_ = true;
  std::map<std::string, std::string> services_;
  std::string last_page_;
};

TEST_CASE("An event costs the same among ten times as many objects") {
  World few(501), many(5001);
  CHECK(few.rules() == 501);
  CHECK(many.rules() == 5001);
  CHECK(many.written() > 5000);
  // What follows an answer is most of the instructions, and has to do with one object only.
  few.delayAnswers();
  many.delayAnswers();
  const std::map<std::string, std::function<void(World&)>> events = {
      {"a new route", [](World& world) { world.putRoute("new", "s7"); }},
      {"a route that changes", [](World& world) { world.putRoute("s8", "s9"); }},
      {"an endpoint that moves", [](World& world) { world.putSlice("s11", "10.0.0.2"); }},
      {"a new Service", [](World& world) { world.putService("new"); }},
  };
  const auto compare = [&](const std::string& what, const std::function<void(World&)>& event) {
    CAPTURE(what);
    const auto among_few = instructionsOf([&] { event(few); });
    const auto among_many = instructionsOf([&] { event(many); });
    MESSAGE(what << ": " << among_few << " and " << among_many << " instructions");
    CHECK(among_few > 1000);
    CHECK(static_cast<double>(among_many) < 1.3 * static_cast<double>(among_few));
  };
  for (const auto& [what, event] : events) compare(what, event);
  few.pollButForTheEnd();
  many.pollButForTheEnd();
  compare("the end of a poll", [](World& world) { world.endPoll(); });
}

}  // namespace
}  // namespace hyperway
