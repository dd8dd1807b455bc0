// SPDX-License-Identifier: Apache-2.0
#include "k8s_source.hpp"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "discovery.hpp"
#include "followed_kind.hpp"
#include "k8s_client/client.hpp"
#include "k8s_client/json_text.hpp"
#include "k8s_client/lease.hpp"
#include "k8s_client/time_text.hpp"
#include "kinds.hpp"
#include "references.hpp"
#include "status_batch.hpp"
#include "status_merge.hpp"
#include "status_writer.hpp"

namespace hyperway::k8s_source {
namespace {

using k8s_client::Error;
using sdk::json::Value;
using ObjectId = StatusWriter::ObjectId;
using namespace std::chrono_literals;

// What is published at once; a page of a list is a few times as much.
constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
// How long stop() waits for the Lease to be given up.
constexpr auto kReleaseLimit = 2s;
// A status is not what somebody waits for who has changed a route: a controller's snapshot goes
// first.
constexpr auto kStatusRest = 50ms;

std::string hostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "hyperway";
  return name;
}

ObjectId idOf(std::string_view kind, std::string_view key) {
  const auto slash = key.find('/');
  return {std::string(kind), std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

}  // namespace

class K8sSource::Cluster final : public Follower {
 public:
  Cluster(Settings settings, k8s_client::ClusterConfig config, sdk::Setup& setup,
          sdk::SourcePort port)
      : settings_(std::move(settings)),
        name_space_of_us_(config.name_space),
        url_(config.url()),
        port_(port),
        log_(setup.services()),
        clock_(setup.services()),
        client_(std::move(config), "hyperway/k8s_source"),
        references_(settings_.controller_name),
        writer_(client_, writerOptions()) {
    static constexpr const char* kResults[] = {"written", "conflict", "refused", "failed"};
    for (std::size_t i = 0; i < 4; ++i)
      writes_[i] = setup.counter("k8s_source_status_writes_total",
                                 "Statuses written to the cluster.", {{"result", kResults[i]}});
    events_ = setup.counter("k8s_source_objects_total", "Objects and removals published.");
    troubled_kinds_ =
        setup.gauge("k8s_source_troubled_kinds", "Kinds that cannot be followed now.");
    lease_held_ = setup.gauge("k8s_source_lease_held", "1 if this process writes statuses.");
    client_.afterTurn([this] { endTurn(); });
  }

  void start() {
    started_ = true;
    client_.start();
    client_.post([this] {
      discover();
      if (settings_.statuses) beginLease();
    });
  }

  void stop() {
    if (!std::exchange(started_, false)) return;
    releaseLease();
    client_.stop();
    // Nothing may call back from here on.
    lease_.reset();
    named_.clear();
    followed_.clear();
    discovery_.reset();
  }

  void report(std::string_view statuses) {
    client_.post([this, text = std::string(statuses)] { takeStatuses(text); });
  }

 private:
  // ---- discovery --------------------------------------------------------------------------------

  void discover() {
    if (discovery_) return;
    discovery_ =
        std::make_unique<Discovery>(client_, [this](Discovery::Served served, Error error) {
          discovery_.reset();
          if (error)
            onUndiscovered(error);
          else
            onDiscovered(served);
        });
    discovery_->run();
  }

  void onUndiscovered(const Error& error) {
    ++discovery_failures_;
    discovery_trouble_ = error.text();
    tellHealth();
    auto wait = k8s_client::backOff(discovery_failures_, 100ms, 2000ms, random());
    if (error.retry_after) wait = std::max<std::chrono::milliseconds>(wait, *error.retry_after);
    discoverAfter(wait);
  }

  void discoverAfter(k8s_client::Duration wait) {
    if (discovery_timer_ != 0) client_.cancel(discovery_timer_);
    discovery_timer_ = client_.after(wait, [this] {
      discovery_timer_ = 0;
      discover();
    });
  }

  void onDiscovered(const Discovery::Served& served) {
    discovery_failures_ = 0;
    discovery_trouble_.clear();
    served_ = served;
    for (const KindSpec& kind : kinds()) {
      const auto found = served.find(kind.kind);
      if (found == served.end() || kind.by_name || !wants(kind)) continue;
      auto& followed = followed_[std::string(kind.kind)];
      // A version that is served no more is left for the one that is.
      if (followed && followed->groupVersion() == found->second) continue;
      if (followed && !followed->unavailable()) continue;
      const auto before = std::move(followed);
      const std::string only = kind.kind == "Namespace" ? settings_.name_space : std::string();
      followed = std::make_unique<FollowedKind>(client_, *this, kind, found->second,
                                                settings_.name_space, only, followOptions());
      followed->start(before.get());
    }
    discovered_ = true;
    references_due_ = true;
    tellMissing();
    tellHealth();
    bool complete = true;
    for (const KindSpec& kind : kinds()) complete = complete && served.contains(kind.kind);
    if (!complete) discoverAfter(settings_.poll);
  }

  [[nodiscard]] bool wants(const KindSpec& kind) const {
    return settings_.endpoints || kind.kind != "EndpointSlice";
  }

  // Each kind that cannot be had is named once in the log, and in the condition of our classes.
  void tellMissing() {
    std::map<std::string, std::string> missing;
    for (const KindSpec& kind : kinds()) {
      if (!wants(kind)) continue;
      const auto found = followed_.find(std::string(kind.kind));
      if (!served_.contains(kind.kind) && kind.newer) continue;
      if (!served_.contains(kind.kind))
        missing[std::string(kind.kind)] = "not served";
      else if (found != followed_.end() && found->second->unavailable())
        missing[std::string(kind.kind)] =
            found->second->trouble().status == 403 ? "forbidden" : "not served";
    }
    if (missing == missing_) return;
    for (const auto& [kind, why] : missing)
      if (!missing_.contains(kind) || missing_[kind] != why)
        log_.write(sdk::Level::Warning, "a kind cannot be read and counts as empty",
                   {{"kind", kind}, {"why", why}});
    missing_ = std::move(missing);
    for (const auto& [id, status] : class_statuses_)
      writer_.desire(idOf("GatewayClass", id), classStatus(status));
  }

  k8s_client::Reflector::Options followOptions(k8s_client::ListTurns* turns = nullptr) {
    k8s_client::Reflector::Options out;
    out.poll = settings_.poll;
    out.random = random_;
    out.readers = &readers_;
    out.turns = turns;
    return out;
  }

  // ---- objects ----------------------------------------------------------------------------------

  void onObject(const FollowedKind& from, const k8s_client::ObjectText& object) override {
    const KindSpec& kind = from.kind();
    upserts_ += upserts_.empty() ? "" : ",";
    object.appendSlim(upserts_, from.groupVersion(), kind.kind, kind.kind == "Service");
    ++batch_objects_;
    references_.put(kind.kind, object.key(), object.nameSpace(), object.member("spec"));
    if (kind.has_status && settings_.statuses)
      writer_.observe({std::string(kind.kind), object.nameSpace(), object.name()},
                      object.member("status"), object.resourceVersion());
    if (upserts_.size() >= kBatchBytes) publish(0);
  }

  void onRemoved(const FollowedKind& from, std::string_view key) override {
    const KindSpec& kind = from.kind();
    addRemoval(kind, key);
    references_.remove(kind.kind, std::string(key));
    if (kind.has_status) writer_.forget(idOf(kind.kind, key));
  }

  void addRemoval(const KindSpec& kind, std::string_view key) {
    const ObjectId id = idOf(kind.kind, key);
    // Order counts where one batch has both for one object: removals are read first.
    if (!upserts_.empty()) publish(0);
    removals_ += removals_.empty() ? R"({"group":)" : R"(,{"group":)";
    k8s_client::appendText(removals_, kind.group);
    removals_ += R"(,"kind":)";
    k8s_client::appendText(removals_, kind.kind);
    removals_ += R"(,"namespace":)";
    k8s_client::appendText(removals_, id.name_space);
    removals_ += R"(,"name":)";
    k8s_client::appendText(removals_, id.name);
    removals_ += '}';
    ++batch_objects_;
  }

  void onState(FollowedKind&) override { states_changed_ = true; }

  void publish(std::uint32_t flags) {
    if (batch_objects_ == 0 && flags == 0) return;
    std::string document = R"({"removals":[)" + removals_ + R"(],"upserts":[)";
    document += upserts_;
    document += "]}";
    upserts_.clear();
    removals_.clear();
    if (upserts_.capacity() > 2 * kBatchBytes) upserts_.shrink_to_fit();
    events_.add(static_cast<double>(std::exchange(batch_objects_, 0)));
    if (port_.publish(HW_DOC_OBJECTS, flags, {}, ++sequence_, document) == HW_INVALID)
      log_.write(sdk::Level::Error, "the host refused objects of the cluster");
  }

  // After everything that has arrived was worked on.
  void endTurn() {
    if (references_.takeChanged() || references_due_) followReferences();
    if (std::exchange(states_changed_, false)) {
      tellMissing();
      tellHealth();
      rediscoverMissing();
    }
    const bool now_synced = !synced_ && isSynced();
    publish(now_synced ? HW_PUBLISH_SYNCED : 0);
    if (!now_synced) return;
    synced_ = true;
    log_.write(sdk::Level::Info, "the cluster is read", {{"server", url_}});
    tellHealth();
  }

  [[nodiscard]] bool settled(std::string_view kind) const {
    const auto found = followed_.find(std::string(kind));
    return found == followed_.end() ? discovered_ : found->second->settled();
  }

  [[nodiscard]] bool isSynced() const {
    if (!discovered_ || references_due_) return false;
    for (const auto& [kind, followed] : followed_) {
      if (!followed->settled()) return false;
      // Without it, what is published would have less than there is.
      if (settings_.wait_for_forbidden && !followed->listed() && followed->trouble().status == 403)
        return false;
    }
    for (const auto& [target, followed] : named_)
      if (!followed->settled()) return false;
    return true;
  }

  // A kind that went away may be served in another version now.
  void rediscoverMissing() {
    for (const auto& [kind, followed] : followed_)
      if (followed->trouble().status == 404 && discovery_timer_ == 0) return discoverAfter(5s);
  }

  // ---- what is referred to ----------------------------------------------------------------------

  void followReferences() {
    // Until then it is not known which Gateways are ours.
    references_due_ = !settled("GatewayClass") || !settled("Gateway") || !settled("ListenerSet") ||
                      !settled("BackendTLSPolicy");
    if (references_due_) return;
    const std::set<References::Target> wanted = references_.wanted();
    for (auto at = named_.begin(); at != named_.end();) {
      if (wanted.contains(at->first)) {
        ++at;
        continue;
      }
      if (at->second->has(at->first.key)) addRemoval(at->second->kind(), at->first.key);
      at = named_.erase(at);
    }
    for (const References::Target& target : wanted) {
      const ObjectId id = idOf(target.kind, target.key);
      const KindSpec& kind = *findKind(target.kind);
      if (kind.namespaced && !settings_.name_space.empty() && id.name_space != settings_.name_space)
        continue;
      const auto served = served_.find(kind.kind);
      if (served == served_.end()) continue;  // looked for again with each discovery
      auto& followed = named_[target];
      if (followed && followed->groupVersion() == served->second) continue;
      auto& turns = turns_[target.kind];
      if (!turns) turns = std::make_unique<k8s_client::ListTurns>(client_);
      const auto before = std::move(followed);
      followed = std::make_unique<FollowedKind>(client_, *this, kind, served->second, id.name_space,
                                                id.name, followOptions(turns.get()));
      followed->start(before.get());
    }
    states_changed_ = true;
  }

  // ---- health -----------------------------------------------------------------------------------

  void tellHealth() {
    // What many kinds suffer from alike is said once.
    std::map<std::string, std::vector<std::string>> reasons;
    if (!discovery_trouble_.empty()) reasons[discovery_trouble_].push_back("discovery");
    std::size_t troubled = 0;
    const auto add = [&](const FollowedKind& followed, std::string what) {
      const Error& error = followed.trouble();
      if (!error) return;
      ++troubled;
      // Known to be absent is no trouble, unless it was there before.
      if (followed.unavailable() && !followed.listed() && error.status == 404) return;
      // Its definition was deleted.
      if (discovered_ && !served_.contains(followed.kind().kind)) return;
      reasons[error.text()].push_back(std::move(what));
    };
    for (const auto& [kind, followed] : followed_) add(*followed, kind);
    for (const auto& [target, followed] : named_) add(*followed, target.kind + ' ' + target.key);
    troubled_kinds_.set(static_cast<double>(troubled));
    std::string text;
    for (const auto& [reason, whom] : reasons) {
      text += text.empty() ? "" : "; ";
      text += whom.front();
      if (whom.size() > 1) text += " and " + std::to_string(whom.size() - 1) + " more";
      text += ": " + reason;
    }
    if (!text.empty())
      text = url_ + ": " + text + (synced_ ? "; the last good state is served" : "");
    if (text == health_) return;
    health_ = std::move(text);
    port_.health(health_.empty() ? sdk::Health::Ok : sdk::Health::Degraded, health_);
  }

  // ---- statuses ---------------------------------------------------------------------------------

  StatusWriter::Options writerOptions() {
    StatusWriter::Options out;
    out.controller_name = settings_.controller_name;
    out.rest = kStatusRest;
    out.path = [this](const ObjectId& id) -> std::string {
      const auto found = followed_.find(id.kind);
      if (found == followed_.end() || !found->second->has(id.name_space + '/' + id.name)) return {};
      return k8s_client::path(found->second->groupVersion(), id.name_space,
                              found->second->kind().resource, id.name);
    };
    out.now = [this] { return k8s_client::timeText(clock_.wall()); };
    out.report = [this](const ObjectId& id, StatusWriter::Result result, const Error& error,
                        bool known) { onWrite(id, result, error, known); };
    return out;
  }

  void onWrite(const ObjectId& id, StatusWriter::Result result, const Error& error, bool known) {
    writes_[static_cast<std::size_t>(result)].add();
    if (result == StatusWriter::Result::Written || result == StatusWriter::Result::Conflict) return;
    const std::string what = id.key(), why = error.text();
    const bool refused = result == StatusWriter::Result::Refused;
    log_.write(refused && !known ? sdk::Level::Error : sdk::Level::Debug, "status not written",
               {{"object", what}, {"why", why}});
  }

  void takeStatuses(const std::string& text) {
    const bool fine =
        readStatusBatch(text, [this](const ObjectId& id, std::optional<std::string> status) {
          if (id.kind == "GatewayClass") {
            const std::string key = id.name_space + '/' + id.name;
            if (status) {
              class_statuses_[key] = *status;
              status = classStatus(*status);
            } else {
              class_statuses_.erase(key);
            }
          }
          if (settings_.statuses) writer_.desire(id, std::move(status));
        });
    if (!fine) log_.write(sdk::Level::Error, "a batch of statuses cannot be read");
  }

  // A class's status with a condition that names what cannot be read, if there is something.
  [[nodiscard]] std::string classStatus(const std::string& status) const {
    if (missing_.empty()) return status;
    std::string message;
    for (const auto& [kind, why] : missing_) {
      message += message.empty() ? "" : ", ";
      message += kind + " (" + why + ')';
    }
    const Value parsed = parseJson(status);
    auto members = parsed.members();
    for (auto& member : members) {
      if (member.name != "conditions") continue;
      std::vector<Value> list = member.value.items();
      std::vector<sdk::json::Member> condition;
      const auto text = [&](const char* name, std::string value) {
        condition.push_back({name, Value(std::move(value))});
      };
      text("type", "hyperway.arloor.dev/KindsMissing");
      text("status", "True");
      text("reason", "NotReadable");
      text("message", "cannot be read and count as empty: " + message);
      if (!list.empty())
        if (const Value* seen = list.front().find("observedGeneration"))
          condition.push_back({"observedGeneration", *seen});
      list.emplace_back(std::move(condition));
      member.value = Value(std::move(list));
    }
    return k8s_client::toText(Value(std::move(members)));
  }

  void beginLease() {
    k8s_client::Lease::Options options;
    options.name_space = settings_.lease_namespace;
    if (options.name_space.empty()) options.name_space = name_space_of_us_;
    if (options.name_space.empty()) options.name_space = "default";
    options.name = settings_.lease_name;
    const std::uint64_t salt = std::random_device{}();
    options.identity = hostName() + '_' + std::to_string(::getpid()) + '_' + std::to_string(salt);
    options.random = random_;
    lease_ = std::make_unique<k8s_client::Lease>(
        client_, std::move(options),
        [this](bool held) {
          lease_held_.set(held ? 1 : 0);
          log_.write(sdk::Level::Info,
                     held ? "this process writes statuses" : "this process writes no statuses",
                     {{"lease", settings_.lease_name}});
          writer_.setActive(held);
        },
        [this](const Error& error) {
          const std::string why = error.text();
          log_.write(sdk::Level::Warning, "the Lease of the writer of statuses cannot be had",
                     {{"lease", settings_.lease_name}, {"why", why}});
        });
    lease_->start();
  }

  // The next holder need not wait until it is over.
  void releaseLease() {
    struct Released {
      std::mutex mutex;
      std::condition_variable signal;
      bool done = false;
    };
    const auto released = std::make_shared<Released>();
    client_.post([this, released] {
      const auto tell = [released] {
        const std::lock_guard lock(released->mutex);
        released->done = true;
        released->signal.notify_all();
      };
      if (lease_)
        lease_->release(tell);
      else
        tell();
    });
    std::unique_lock lock(released->mutex);
    released->signal.wait_for(lock, kReleaseLimit, [&] { return released->done; });
  }

  double random() { return std::uniform_real_distribution<>(0, 1)(engine_); }

  const Settings settings_;
  const std::string name_space_of_us_;
  const std::string url_;
  sdk::SourcePort port_;
  sdk::Log log_;
  sdk::Clock clock_;
  sdk::Metric writes_[4], events_, troubled_kinds_, lease_held_;
  std::minstd_rand engine_{std::random_device{}()};
  std::function<double()> random_ = [this] { return random(); };
  k8s_client::Client client_;
  bool started_ = false;

  // The loop's thread only.
  std::unique_ptr<Discovery> discovery_;
  k8s_client::Api::Id discovery_timer_ = 0;
  unsigned discovery_failures_ = 0;
  std::string discovery_trouble_;
  bool discovered_ = false;
  Discovery::Served served_;
  std::map<std::string, std::string> missing_;  // kind -> why

  References references_;
  bool references_due_ = true;
  k8s_client::Reflector::Readers readers_;
  std::map<std::string, std::unique_ptr<FollowedKind>> followed_;
  std::map<std::string, std::unique_ptr<k8s_client::ListTurns>> turns_;  // of kinds read by name
  std::map<References::Target, std::unique_ptr<FollowedKind>> named_;
  bool states_changed_ = false;
  bool synced_ = false;
  std::string health_;

  std::string upserts_, removals_;
  std::size_t batch_objects_ = 0;
  std::uint64_t sequence_ = 0;

  StatusWriter writer_;
  std::map<std::string, std::string> class_statuses_;  // "/name" -> as the translator has it
  std::unique_ptr<k8s_client::Lease> lease_;
};

K8sSource::K8sSource(sdk::Setup& setup, sdk::SourcePort port) {
  Settings settings = readSettings(setup);
  if (setup.problems().failed()) return;
  auto config = k8s_client::loadConfig(settings.kubeconfig, settings.context,
                                       k8s_client::processEnvironment(), absent_);
  if (!config) {
    // A Pod's configuration is checked elsewhere too: there it fails when it is to start.
    if (!settings.kubeconfig.empty()) setup.problems().error("/kubeconfig", absent_);
    return;
  }
  cluster_ = std::make_unique<Cluster>(std::move(settings), std::move(*config), setup, port);
}

K8sSource::~K8sSource() { stop(); }

void K8sSource::start() {
  if (!cluster_) throw std::runtime_error(absent_);
  cluster_->start();
}

void K8sSource::stop() {
  if (cluster_) cluster_->stop();
  cluster_.reset();
}

void K8sSource::reportStatus(std::uint64_t /*seq*/, std::string_view statuses) {
  if (cluster_) cluster_->report(statuses);
}

}  // namespace hyperway::k8s_source
