// SPDX-License-Identifier: Apache-2.0
#include "deployer.hpp"

#include <utility>
#include <vector>

#include "naming.hpp"

namespace hyperway::gateway_deployer {
namespace {

using k8s_client::Error;
using k8s_client::Reply;

// Changes that come together are answered together.
constexpr std::chrono::milliseconds kGather{5};
constexpr std::chrono::milliseconds kFirstDelay{1000}, kMostDelay{60000};
constexpr std::chrono::milliseconds kPatience{2000};  // with what the leader is to make
// What is undone by somebody else is put right at once so often, and then ever more seldom, until
// it was left alone for so long.
constexpr unsigned kFreeRepeats = 5;
constexpr std::chrono::milliseconds kLeftAlone = 2 * kMostDelay;

std::string labelled(std::string_view label, std::string_view value) {
  return std::string(label) + '=' + std::string(value);
}

// What is made in either shape.
constexpr ObjectKind kShared[] = {ObjectKind::Service, ObjectKind::EndpointSlice};
constexpr ObjectKind kDeployed[] = {
    ObjectKind::ServiceAccount, ObjectKind::Role,
    ObjectKind::RoleBinding,    ObjectKind::ConfigMap,
    ObjectKind::Deployment,     ObjectKind::PodDisruptionBudget,
    ObjectKind::Service,        ObjectKind::HorizontalPodAutoscaler};

// "Services": as texts have it.
std::string manyOf(ObjectKind kind) {
  std::string out(infoOf(kind).name);
  return out + 's';
}

}  // namespace

Deployer::Deployer(k8s_client::Api& api, Settings settings, Listener listener)
    : api_(api),
      settings_(std::move(settings)),
      listener_(std::move(listener)),
      self_(std::make_shared<Deployer*>(this)) {
  const auto follow = [&](const std::string& what, std::string path, const std::string& selector,
                          Objects& objects) {
    return std::make_unique<Collection>(
        api_, what, k8s_client::withQuery(std::move(path), {{"labelSelector", selector}}), objects,
        [this] { changed(); }, [this, what](const std::string& text) { tellTrouble(what, text); });
  };
  const auto follow_kind = [&](ObjectKind kind) {
    const std::string selector = kind == ObjectKind::EndpointSlice
                                     ? labelled(kSliceManagedByLabel, kSliceManagedBy)
                                     : labelled(kManagedByLabel, kManagedBy);
    collections_[kind] =
        follow(manyOf(kind), pathOf(kind, settings_.name_space), selector, world_.of(kind));
  };
  if (settings_.common.deployed) {
    for (const ObjectKind kind : kDeployed) follow_kind(kind);
    return;
  }
  for (const ObjectKind kind : kShared) follow_kind(kind);
  const std::string& pods = settings_.common.pods_service;
  const std::size_t slash = pods.find('/');
  pods_ = follow("EndpointSlices of Service " + pods,
                 pathOf(ObjectKind::EndpointSlice, std::string_view(pods).substr(0, slash)),
                 labelled(kServiceNameLabel, std::string_view(pods).substr(slash + 1)),
                 world_.pod_slices);
}

Deployer::~Deployer() { *self_ = nullptr; }

void Deployer::start() {
  for (auto& [kind, collection] : collections_) collection->start();
  if (pods_) pods_->start();
}

bool Deployer::synced() const {
  for (const auto& [kind, collection] : collections_)
    if (!collection->synced()) return false;
  return !pods_ || pods_->synced();
}

// Those that are named now, each by its own name; no other is read.
void Deployer::followParameters() {
  if (!settings_.common.deployed) return;
  std::set<std::string> wanted;
  for (const auto& [key, gateway] : world_.gateways)
    for (const Parameters& one : gateway.parameters)
      if (one.isConfigMap() && !one.name_space.empty()) wanted.insert(one.key());
  for (auto at = parameters_.begin(); at != parameters_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    tellTrouble("ConfigMap " + at->first, "");
    at = parameters_.erase(at);
  }
  for (const std::string& key : wanted) {
    const auto [entry, is_new] = parameters_.try_emplace(key);
    if (!is_new) continue;
    Followed& followed = entry->second;
    const std::string what = "ConfigMap " + key;
    const std::size_t slash = key.find('/');
    followed.collection = std::make_unique<Collection>(
        api_, what,
        k8s_client::withQuery(pathOf(ObjectKind::ConfigMap, key.substr(0, slash)),
                              {{"fieldSelector", "metadata.name=" + key.substr(slash + 1)}}),
        followed.objects, [this] { changed(); },
        [this, what](const std::string& text) { tellTrouble(what, text); });
    followed.collection->start();
  }
  world_.parameters.clear();
  for (const auto& [key, followed] : parameters_)
    if (followed.collection->synced()) world_.parameters[key] = &followed.objects;
}

void Deployer::take(Batch batch, bool full) {
  if (full || !has_batch_) world_.gateways.clear();
  if (!has_batch_) world_.believes = false;
  if (!batch.removed.empty() || !batch.gateways.empty()) world_.believes = true;
  for (const std::string& key : batch.removed) world_.gateways.erase(key);
  for (Gateway& gateway : batch.gateways) {
    std::string key = gateway.key();
    world_.gateways.insert_or_assign(std::move(key), std::move(gateway));
  }
  has_batch_ = true;
  changed();
}

void Deployer::lead(bool leads) {
  leads_ = leads;
  // What others wrote meanwhile is in our copy; what failed may be right by now.
  for (auto& [subject, attempt] : attempts_) attempt.not_before = {};
  changed();
}

void Deployer::changed() {
  if (due_) return;
  due_ = true;
  api_.after(kGather, [self = self_] {
    if (*self == nullptr) return;
    (*self)->due_ = false;
    (*self)->reconcile();
  });
}

void Deployer::wakeAt(k8s_client::TimePoint time) {
  if (!alarms_.insert(time).second) return;
  const auto now = api_.now();
  api_.after(time > now ? time - now : k8s_client::Duration{0}, [self = self_, time] {
    if (*self == nullptr) return;
    (*self)->alarms_.erase(time);
    (*self)->changed();
  });
}

void Deployer::reconcile() {
  if (!has_batch_) return;
  followParameters();
  if (!synced()) return;
  const Plan plan = makePlan(world_, settings_.common, settings_.target_ports);
  for (auto& [subject, attempt] : attempts_) attempt.wanted = false;
  // Who does not write says what is in the way too: statuses may be written by another replica than
  // Services. What the leader has not made after a while is looked at.
  for (const Write& write : plan.writes)
    if (leads_ || write.action == Write::Action::Create) consider(write);
  std::erase_if(attempts_,
                [](const auto& entry) { return !entry.second.wanted && !entry.second.flying; });
  report(plan);
}

void Deployer::consider(const Write& write) {
  Attempt& attempt = attempts_[write.subject()];
  attempt.wanted = true;
  attempt.gateway = write.gateway;
  if (attempt.flying) return;
  if (attempt.hash != write.hash) {
    attempt = {false, true, 0, {}, write.hash, write.gateway, {}, 0};
    if (!leads_) attempt.not_before = api_.now() + kPatience;
  }
  // The server took it and has something else all the same: asking again would not end.
  if (write.action == Write::Action::Apply && attempt.settled != 0 &&
      attempt.settled == versionOf(write))
    return;
  if (attempt.not_before > api_.now()) return wakeAt(attempt.not_before);
  const auto repeats = repeats_.find(write.subject());
  if (repeats != repeats_.end() && repeats->second.hash == write.hash &&
      write.action != Write::Action::Remove && repeats->second.not_before > api_.now())
    return wakeAt(repeats->second.not_before);
  if (flying_ >= kMostFlying) return;  // An answer makes room and looks again.
  begin(write);
}

void Deployer::begin(const Write& write) {
  attempts_[write.subject()].flying = true;
  ++flying_;
  if (write.action == Write::Action::Create)
    lookFirst(write);
  else if (write.fresh)
    adopt(write);
  else
    send(write);
}

k8s_client::Api::Done Deployer::then(std::function<void(Reply)> done) {
  return [self = self_, done = std::move(done)](Reply reply) {
    if (*self != nullptr) done(std::move(reply));
  };
}

// A look costs nobody anything; a POST that is bound to fail would be an error in others' logs each
// time that it is tried again.
void Deployer::lookFirst(const Write& write) {
  k8s_client::Request request;
  request.path = pathOf(write.kind, write.name_space, write.name);
  api_.call(std::move(request),
            then([this, write](Reply reply) { onLooked(write, std::move(reply)); }));
}

void Deployer::onLooked(const Write& write, Reply reply) {
  if (leads_ && reply.error.notFound()) return create(write);
  if (leads_ && !reply.ok()) return onWritten(write, std::move(reply));
  Attempt& attempt = attempts_[write.subject()];
  attempt.flying = false;
  --flying_;
  if (!reply.ok()) {  // That it is not there is the leader's business.
    attempt.problem.clear();
    attempt.not_before = api_.now() + kMostDelay;
    return changed();
  }
  auto actual = readActual(reply.body);
  // Made a moment ago: its event is on the way.
  if (actual && actual->ours && !actual->gateway.empty()) {
    collection(write.kind).learn(std::move(*actual));
    return changed();
  }
  failed(write, write.subject() + " is there already, and was not made by hyperway");
}

// Server-side apply would take over an object that somebody made since we looked, and cannot be
// told to do otherwise; POST refuses.
void Deployer::create(const Write& write) {
  api_.call(k8s_client::createRequest(pathOf(write.kind, write.name_space), write.body),
            then([this, write](Reply reply) {
              if (reply.error.reason == "AlreadyExists") return lookFirst(write);
              onWritten(write, std::move(reply));
            }));
}

void Deployer::adopt(const Write& write) {
  k8s_client::Request request;
  request.path = pathOf(write.kind, write.name_space, write.name);
  api_.call(std::move(request),
            then([this, write](Reply reply) { onOwners(write, std::move(reply)); }));
}

void Deployer::onOwners(const Write& write, Reply reply) {
  if (!reply.ok()) return onWritten(write, std::move(reply));
  auto patch = adoption(reply.body);
  if (!patch) return send(write);
  const std::string path = pathOf(write.kind, write.name_space, write.name);
  api_.call(k8s_client::mergePatchRequest(path, std::move(*patch)),
            then([this, write](Reply answer) {
              if (answer.ok()) return send(write);
              // Who gives the Service its address writes to it at the same time.
              if (answer.error.conflict()) return adopt(write);
              onWritten(write, std::move(answer));
            }));
}

void Deployer::send(const Write& write) {
  const std::string path = pathOf(write.kind, write.name_space, write.name);
  auto request = write.action == Write::Action::Remove
                     ? k8s_client::removeRequest(path, write.uid)
                     : k8s_client::applyRequest(path, write.body, true);
  api_.call(std::move(request),
            then([this, write](Reply reply) { onWritten(write, std::move(reply)); }));
}

void Deployer::onWritten(const Write& write, Reply reply) {
  Attempt& attempt = attempts_[write.subject()];
  attempt.flying = false;
  --flying_;
  const bool removal = write.action == Write::Action::Remove;
  const bool gone_already = removal && reply.error.notFound();
  if (!gone_already) listener_.written(write, reply.error);
  if (!reply.ok() && !gone_already)
    return failed(write, write.subject() +
                             (removal ? " cannot be removed: " : " cannot be written: ") +
                             reply.error.text());
  attempt.failures = 0;
  attempt.not_before = {};
  attempt.problem.clear();
  if (removal) {
    attempt.settled = 0;
    repeats_.erase(write.subject());
    // Our copy may be of before; a finalizer keeps the object for a while, and its event says so.
    collection(write.kind).forget(write.name_space + '/' + write.name);
  } else if (auto actual = readActual(reply.body)) {
    countRepeat(write);
    // What POST has made is applied next.
    attempt.settled = write.action == Write::Action::Apply ? actual->mark() : 0;
    collection(write.kind).learn(std::move(*actual));
  }
  changed();
}

void Deployer::failed(const Write& write, std::string problem) {
  Attempt& attempt = attempts_[write.subject()];
  attempt.problem = std::move(problem);
  attempt.not_before =
      api_.now() + k8s_client::backOff(attempt.failures++, kFirstDelay, kMostDelay, 0.5);
  wakeAt(attempt.not_before);
  changed();
}

void Deployer::countRepeat(const Write& write) {
  Repeats& repeats = repeats_[write.subject()];
  const auto now = api_.now();
  if (repeats.hash != write.hash || now - repeats.last >= kLeftAlone)
    repeats = {write.hash, 0, {}, {}};
  repeats.last = now;
  if (++repeats.count <= kFreeRepeats) return;
  repeats.not_before =
      now + k8s_client::backOff(repeats.count - kFreeRepeats, kFirstDelay, kMostDelay, 0.5);
}

void Deployer::report(const Plan& plan) {
  std::map<std::string, std::string> now = plan.problems;
  for (const auto& [subject, attempt] : attempts_)
    if (!attempt.problem.empty() && world_.gateways.contains(attempt.gateway))
      now.try_emplace(attempt.gateway, attempt.problem);
  const auto tell = [](std::map<std::string, std::string>& known,
                       std::map<std::string, std::string> all, const auto& listener) {
    std::map<std::string, std::string> different;
    for (const auto& [gateway, reason] : all) {
      const auto found = known.find(gateway);
      if (found == known.end() || found->second != reason) different[gateway] = reason;
    }
    for (const auto& [gateway, reason] : known)
      if (!all.contains(gateway)) different[gateway] = {};
    known = std::move(all);
    if (!different.empty()) listener(different);
  };
  tell(reported_, std::move(now), listener_.gateways);
  tell(wrong_parameters_, plan.parameters, listener_.parameters);
}

void Deployer::tellTrouble(const std::string& what, const std::string& text) {
  troubles_[what] = text;
  std::string all;
  for (const auto& [name, one] : troubles_)
    if (!one.empty()) all += (all.empty() ? "" : "; ") + one;
  listener_.trouble(all);
}

Collection& Deployer::collection(ObjectKind kind) { return *collections_.at(kind); }

std::uint64_t Deployer::versionOf(const Write& write) const {
  const Objects& objects = world_.of(write.kind);
  const auto found = objects.find(write.name_space + '/' + write.name);
  return found != objects.end() ? found->second.mark() : 0;
}

}  // namespace hyperway::gateway_deployer
