// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::Error;
using k8s_client::Reply;
using namespace std::chrono_literals;

// Where the index says what statuses say, an edit is written together with what it makes of them.
constexpr auto kGather = 2ms;
constexpr std::size_t kAtOnce = 16;  // parts under way
// Removals are in no hurry. Each costs a server as much as the write of a part, so they wait for a
// second without one; but not for ever, and not all of them.
constexpr std::size_t kRemovalsAtOnce = 2, kMostUnused = 512, kFarTooMany = 2048;
constexpr k8s_client::Duration kQuiet = 1s, kUnusedMost = 300s, kRemovalGap = 250ms;
constexpr auto kUnused = 60s;  // a part lives on for readers that have the old index
// Who makes many routes one after the other has nearly all parts changed at any time. After a round
// with more parts than these, the server is left to others for as long as the round took.
constexpr std::size_t kFewParts = 8;
constexpr k8s_client::Duration kMostPause = 2s;
constexpr auto kStatusGap = 1s;
// Data planes read what was written just then, and that is what somebody waits for.
constexpr auto kStatusRest = 200ms;
constexpr auto kPods = 30s;  // between two looks whether data planes are still there
constexpr auto kRefusedAgain = 30s;
// What somebody else undoes is put right at once so often, and then ever more seldom.
constexpr unsigned kFreeRepeats = 5;
constexpr auto kLeftAlone = 120s;

k8s_client::Reflector::Options optionsFor(std::string path) {
  k8s_client::Reflector::Options options;
  options.path = std::move(path);
  return options;
}

// What is in a part its name says: of all of them that may be many megabytes.
k8s_client::Reflector::Options optionsForParts(std::string path) {
  k8s_client::Reflector::Options options = optionsFor(std::move(path));
  options.metadata_only = true;
  return options;
}

// What data planes read by an index beside it.
Secrets namedBy(std::string_view spec) {
  Secrets out = secretsOf(listenersOf(spec));
  for (const std::string& name : backendNamespacesOf(spec)) out[name].emplace(kBackends);
  return out;
}

// Until the next attempt, when this was the one of that number.
std::chrono::milliseconds waitAfter(const Error& error, unsigned failures) {
  return error.transient() || error.conflict() ? k8s_client::backOff(failures, 100ms, 5000ms, 0.5)
                                               : std::chrono::milliseconds(kRefusedAgain);
}

}  // namespace

Writer::Follower::Follower(Writer& writer, std::string what, k8s_client::Reflector::Options options)
    : reflector(writer.api_, std::move(options), *this), writer_(writer), what_(std::move(what)) {}

void Writer::Follower::onObject(const k8s_client::ObjectText& object) {
  writer_.onSeen(*this, object);
}

void Writer::Follower::onRemoved(std::string_view key) { writer_.onGone(*this, key); }

void Writer::Follower::onListed() { writer_.changed(0ms); }

void Writer::Follower::onOtherHistory() { writer_.forgetVersions(); }

void Writer::Follower::onTrouble(const Error& error) {
  writer_.tell("follow " + what_, "cannot follow " + what_ + ": " + error.text());
}

void Writer::Follower::onWell() { writer_.tell("follow " + what_, ""); }

Writer::Writer(k8s_client::Api& api, Settings settings, Listener listener, Cut cut)
    : api_(api),
      settings_(std::move(settings)),
      applied_(appliedOf(settings_)),
      listener_(std::move(listener)),
      self_(std::make_shared<Writer*>(this)),
      content_(settings_.name, cut),
      refusals_(content_),
      index_follower_(*this, "RouteSnapshot " + settings_.name_space + '/' + settings_.name,
                      optionsFor(k8s_client::withQuery(
                          path(""), {{"fieldSelector", "metadata.name=" + settings_.name}}))),
      part_follower_(
          *this,
          settings_.owner ? "parts of RouteSnapshot " + settings_.name_space + '/' + settings_.name
                          : "its parts",
          optionsForParts(k8s_client::withQuery(
              path(""),
              {{"labelSelector", std::string(kSnapshotLabel) + '=' + labelOf(settings_.name)}}))),
      grants_(
          api_, settings_, [this] { changed(0ms); },
          [this](const std::string& what, const Error& error) {
            listener_.attempted(what, error);
          }) {}

Writer::~Writer() { *self_ = nullptr; }

void Writer::start() {
  grants_.start();
  index_follower_.reflector.start();
  part_follower_.reflector.start();
}

void Writer::take(std::uint64_t generation, Batch batch) {
  generation_ = generation;
  if (batch.statuses_only) {
    content_.take(std::move(batch));
    return changed(kGather);
  }
  batch.full = batch.full || !has_batch_;
  Batch keys;  // the texts move on
  keys.full = batch.full;
  keys.removed_listeners = batch.removed_listeners;
  for (const Batch::Listener& one : batch.listeners) keys.listeners.push_back({one.key, ""});
  if (batch.full) refusals_.clear();
  for (const Batch::Listener& one : batch.listeners) refusals_.forget(one.key);
  for (const Batch::Route& one : batch.routes) refusals_.forget(one.key);
  for (const std::string& key : batch.removed_listeners) refusals_.forget(key);
  for (const std::string& key : batch.removed_routes) refusals_.forget(key);
  if (!batch.removed_listeners.empty()) refusals_.hurry();
  const bool differs = !batch.empty();
  content_.take(std::move(batch));
  (void)refusals_.makeRoom(api_.now());
  acknowledgements_.applied(++revision_, keys, content_.checksum());
  has_batch_ = true;
  // What was refused may be fine now.
  if (differs) not_before_ = {};
  changed(content_.hasAllDiagnostics() ? kGather : 0ms);
}

// Something was left out, or put back.
void Writer::contentChanged(const std::vector<std::string>& back) {
  Batch keys;
  for (const std::string& key : back)
    if (content_.hasListener(key)) keys.listeners.push_back({key, ""});
  acknowledgements_.applied(++revision_, keys, content_.checksum());
  round_.reset();
  tell("left out", refusals_.text());
}

void Writer::lead(bool leads) {
  leads_ = leads;
  not_before_ = {};
  if (leads) askForPods();
  changed(0ms);
}

void Writer::own(Owner owner) {
  if (settings_.owner == owner) return;
  settings_.owner = std::move(owner);
  applied_ = appliedOf(settings_);
  grants_.own(*settings_.owner);
  not_before_ = {};
  changed(kGather);
}

std::string Writer::path(std::string_view name, std::string_view subresource) const {
  return k8s_client::path(kGroupVersion, settings_.name_space, kResource, name, subresource);
}

k8s_client::Api::Done Writer::then(std::function<void(Reply)> done) {
  return [self = self_, done = std::move(done)](Reply reply) {
    if (*self != nullptr) done(std::move(reply));
  };
}

void Writer::changed(k8s_client::Duration after) {
  if (std::exchange(due_, true)) return;
  api_.after(after, [self = self_] {
    if (*self == nullptr) return;
    (*self)->due_ = false;
    (*self)->consider();
  });
}

void Writer::wakeAt(k8s_client::TimePoint time) {
  if (!alarms_.insert(time).second) return;
  const auto now = api_.now();
  api_.after(time > now ? time - now : k8s_client::Duration{0}, [self = self_, time] {
    if (*self == nullptr) return;
    (*self)->alarms_.erase(time);
    (*self)->changed(0ms);
  });
}

// ---- what there is
// --------------------------------------------------------------------------------

void Writer::onSeen(const Follower& from, const k8s_client::ObjectText& object) {
  if (&from == &index_follower_) {
    learnIndex(readObserved(object, true));
  } else {
    const Observed seen = readObserved(object, false);
    Part& part = parts_[seen.name];
    if (part.uid != seen.uid) part.accepted = false;
    part.intact = seen.generation <= 1;
    part.uid = seen.uid;
    part.deleting = seen.deleting;
  }
  changed(0ms);
}

void Writer::onGone(const Follower& from, std::string_view key) {
  if (&from == &index_follower_)
    index_.reset();
  else
    parts_.erase(std::string(key.substr(key.find('/') + 1)));
  changed(0ms);
}

// An answer to a write of ours may come before or after the event that it made.
void Writer::learnIndex(Observed seen) {
  if (index_ && index_->uid == seen.uid &&
      k8s_client::versionOf(index_->resource_version) >
          k8s_client::versionOf(seen.resource_version))
    return;
  if (index_ && index_->uid != seen.uid) settled_generation_ = 0;
  if (!index_ || index_->spec != seen.spec) named_ = namedBy(seen.spec);
  index_ = std::move(seen);
}

// The server's data is older than what it was: versions that we know mean nothing.
void Writer::forgetVersions() {
  if (index_) index_->resource_version.clear();
  settled_generation_ = 0;
}

// ---- what there should be
// -------------------------------------------------------------------------

void Writer::consider() {
  if (!has_batch_ || !index_follower_.reflector.listed() || !part_follower_.reflector.listed())
    return;
  judge();
  if (flying_ > 0 || (index_ && index_->deleting)) return;
  const auto parts = content_.parts();
  const std::string spec = indexSpec(settings_, content_);
  noteWhatIsThere(parts, spec);
  if (!leads_) {
    round_.reset();
    return listener_.written(generation_);
  }
  if (not_before_ > api_.now()) return wakeAt(not_before_);
  if (settings_.owner && index_ && index_->gateway != settings_.owner->key())
    return tell("write", "RouteSnapshot " + settings_.name_space + '/' + settings_.name +
                             " is there already, and was not made for this Gateway");
  if (!settings_.data_plane_account.empty() && !grants_.provide(secretsToGrant())) return;
  // Parts need the uid of their owner, so the very first index comes before them.
  if (!index_ && settings_.owner && !looked_) return lookFirst();
  if (!index_) return writeIndex(spec);
  // Back to what is there.
  if (round_ && round_->spec != spec && isSettled(spec)) round_.reset();
  if (!round_ && !isSettled(spec) && next_round_ > api_.now()) return wakeAt(next_round_);
  if (!round_) beginRound(parts, spec);
  if (!writeParts(*round_)) return;
  if (!isSettled(round_->spec) || (settings_.owner && index_->applied != applied_))
    return writeIndex(round_->spec);
  const Round done = *std::exchange(round_, std::nullopt);
  const auto now = api_.now();
  if (done.fresh > kFewParts) next_round_ = now + std::min(now - done.began, kMostPause);
  failures_ = 0;
  tell("write", "");
  if (done.spec != spec) {
    listener_.written(done.generation);
    collect(parts, done.parts);
    return changed(0ms);
  }
  if (const auto back = refusals_.resume(api_.now()); !back.empty()) {
    contentChanged(back);
    return changed(0ms);
  }
  tell("left out", refusals_.text());
  if (const auto due = refusals_.due()) wakeAt(*due);
  listener_.written(generation_);
  writeStatus();
  collect(parts);
}

bool Writer::isSettled(const std::string& spec) const {
  return index_ && index_->generation == settled_generation_ && spec == settled_spec_;
}

// What is at the server as it should be, the server has taken: from us, or from whoever led before.
void Writer::noteWhatIsThere(const std::vector<Content::Part>& parts, const std::string& spec) {
  for (const Content::Part& part : parts) {
    const auto known = parts_.find(part.name);
    if (known == parts_.end() || known->second.uid.empty() || !known->second.intact ||
        std::exchange(known->second.accepted, true))
      continue;
    content_.accept(part);
  }
  // With another checksum there is nothing to compare.
  if (!index_ || isSettled(spec) || index_->spec.find(content_.checksum()) == std::string::npos ||
      !differenceOf(index_->spec, spec).empty())
    return;
  settled_generation_ = index_->generation;
  settled_spec_ = spec;
  content_.acceptIndex();
}

// What the index is going to name, and what it names still, for whoever reads it: nothing that was
// not granted before, because others may edit the index.
Secrets Writer::secretsToGrant() const {
  Secrets out = secretsOf(content_.listeners());
  if (settings_.owner)
    for (const std::string& name : content_.namespaces()) out[name].emplace(kBackends);
  if (!index_) return out;
  for (const auto& [name_space, names] : named_)
    for (const std::string& name : names)
      if (grants_.has(name_space, name)) out[name_space].insert(name);
  return out;
}

void Writer::beginRound(std::vector<Content::Part> parts, const std::string& spec) {
  Round fresh;
  fresh.began = api_.now();
  fresh.generation = generation_;
  fresh.spec = spec;
  for (const Content::Part& part : parts)
    if (!parts_.contains(part.name))
      fresh.bodies[part.name] = partBody(settings_, content_, part, index_->uid);
  fresh.fresh = fresh.bodies.size();
  fresh.parts = std::move(parts);
  round_ = std::move(fresh);
}

// True if all are there and as they were made.
bool Writer::writeParts(Round& round) {
  bool complete = true;
  for (const Content::Part& part : round.parts) {
    const auto known = parts_.find(part.name);
    if (known != parts_.end() && known->second.intact && !known->second.deleting) {
      known->second.unused_since.reset();
      continue;
    }
    complete = false;
    // Its event or answer goes on.
    if (known != parts_.end() && (known->second.deleting || known->second.removing)) continue;
    if (known != parts_.end() && known->second.not_before > api_.now()) {
      wakeAt(known->second.not_before);
      continue;
    }
    if (flying_ >= kAtOnce) break;
    if (known != parts_.end()) {
      removePart(part.name, known->second);
    } else if (const auto next = made_[part.name].next(api_.now()); next > api_.now()) {
      wakeAt(next);
    } else if (const auto body = round.bodies.find(part.name); body != round.bodies.end()) {
      sendPart(part, body->second);
    } else if (content_.hasPart(part.name)) {  // It was there when the round began.
      sendPart(part, partBody(settings_, content_, part, index_->uid));
    } else {
      round_.reset();
      changed(0ms);
      return false;
    }
  }
  return complete;
}

void Writer::sendPart(const Content::Part& part, std::string body) {
  ++flying_;
  // Created, which is several times as fast as applied; something of that name that is not ours is
  // made what it should be, and then taken for edited.
  auto request = foreign_.erase(part.name) > 0
                     ? k8s_client::applyRequest(path(part.name), std::move(body), true)
                     : k8s_client::strict(k8s_client::createRequest(path(""), std::move(body)));
  request.accept = k8s_client::kMetadata;
  api_.call(std::move(request), then([this, part](Reply reply) {
              --flying_;
              if (reply.error.conflict()) {
                if (!parts_.contains(part.name)) foreign_.insert(part.name);
                return changed(0ms);
              }
              listener_.attempted("part " + part.name, reply.error);
              if (reply.ok()) {
                parts_[part.name];  // Its event says more.
                if (round_) round_->bodies.erase(part.name);
                made_[part.name].add(api_.now());
                if (content_.hasPart(part.name)) content_.accept(part);
              } else {
                refused("part " + part.name, reply.error, part, {});
              }
              changed(0ms);
            }));
}

// Places in a refusal of another content mean nothing, and this one may be fine.
bool Writer::isWanted(const Content::Part* part, const std::string& spec) const {
  return part != nullptr ? content_.hasPart(part->name) : spec == indexSpec(settings_, content_);
}

// One entry that the server refuses must not keep all others from being written.
void Writer::refused(const std::string& what, const Error& error,
                     const std::optional<Content::Part>& part, const std::string& spec) {
  round_.reset();
  const Content::Part* const place = part ? &*part : nullptr;
  const bool about_content = isAboutContent(error) || !error.causes.empty();
  if (!about_content) return failed(what, error);
  if (!isWanted(place, spec)) return;
  // Who was not there when the server took what it has reads it now: nothing of it is to go.
  if (index_) {
    learn(index_->spec);
    for (const std::string& name :
         part ? partsBefore(*index_, *part) : std::vector<std::string>()) {
      if (content_.hasPart(name) || !asked_before_.insert(name).second) continue;
      ++flying_;
      k8s_client::Request request;
      request.path = path(name);
      return api_.call(std::move(request), then([this, what, error, part, spec](Reply reply) {
                         --flying_;
                         k8s_client::ObjectText object;
                         if (reply.ok() && object.read(reply.body))
                           learn(std::string(object.member("spec")));
                         refused(what, error, part, spec);
                         changed(0ms);
                       }));
    }
  }
  if (!refusals_.blame(error, place, api_.now())) return failed(what, error);
  contentChanged();
}

// The server has this.
void Writer::learn(std::string_view spec) {
  for (auto& [key, entry] : entriesOf(spec)) {
    const std::string* now = content_.unacceptedText(key);
    if (now == nullptr) continue;
    if (sameEntries(*now, entry.text))
      content_.accept(key);
    else
      content_.had(key, {key, entry.text, entry.count, namespacesOf(entry.text)});
  }
}

// Nothing but this part waits for it.
void Writer::removePart(const std::string& name, Part& part) {
  ++removing_;
  last_removed_ = api_.now();
  part.removing = true;
  api_.call(k8s_client::removeRequest(path(name), part.uid), then([this, name](Reply reply) {
              --removing_;
              const bool gone = reply.ok() || reply.error.notFound();
              listener_.attempted("removal of part " + name, gone ? Error() : reply.error);
              // Not one of that name that was made since.
              if (const auto known = parts_.find(name);
                  known != parts_.end() && known->second.removing) {
                if (gone)
                  parts_.erase(known);
                else
                  notRemoved(known->second, reply.error);
              }
              if (!gone)
                tell("remove", "part " + name + " cannot be removed: " + reply.error.text());
              changed(0ms);
            }));
}

// Nor for the next attempt.
void Writer::notRemoved(Part& part, const Error& error) {
  part.removing = false;
  part.not_before = api_.now() + waitAfter(error, ++part.failures);
}

// Server-side apply would take over what somebody else made under that name.
void Writer::lookFirst() {
  ++flying_;
  k8s_client::Request request;
  request.path = path(settings_.name);
  api_.call(std::move(request), then([this](Reply reply) {
              --flying_;
              k8s_client::ObjectText object;
              looked_ = reply.error.notFound();
              if (reply.ok() && object.read(reply.body))
                learnIndex(readObserved(object, true));
              else if (!looked_)
                failed("RouteSnapshot " + settings_.name_space + '/' + settings_.name, reply.error);
              changed(0ms);
            }));
}

void Writer::writeIndex(const std::string& spec) {
  looked_ = false;
  const auto now = api_.now();
  if (spec != repeated_) index_writes_ = {};
  if (const auto next = index_writes_.next(now); next > now) return wakeAt(next);
  // Of the content: what is put right again is as old as it was.
  if (updated_for_ != content_.checksum()) {
    updated_for_ = content_.checksum();
    updated_at_ = listener_.now();
  }
  ++flying_;
  const bool patches = index_ && (!settings_.owner || index_->applied == applied_);
  api_.call(patches ? k8s_client::strict(k8s_client::mergePatchRequest(
                          path(settings_.name), indexPatch(settings_, spec, updated_at_)))
                    : k8s_client::applyRequest(path(settings_.name),
                                               indexBody(settings_, spec, updated_at_), true),
            then([this, spec, patches](Reply reply) {
              if (!patches || !reply.error.notFound())
                return onIndexWritten(spec, std::move(reply));
              // Gone while this was on its way: it is made anew.
              --flying_;
              index_.reset();
              changed(0ms);
            }));
}

void Writer::onIndexWritten(const std::string& spec, Reply reply) {
  --flying_;
  listener_.attempted("index", reply.error);
  k8s_client::ObjectText object;
  if (reply.ok() && object.read(reply.body)) {
    Observed seen = readObserved(object, true);
    const std::string missing = differenceOf(seen.spec, spec);
    tell("schema", missing.empty()
                       ? std::string()
                       : "the API server does not keep " + missing +
                             " as it was written: is the RouteSnapshot CRD an older one?");
    settled_generation_ = seen.generation;
    settled_spec_ = spec;
    if (spec == indexSpec(settings_, content_)) content_.acceptIndex();
    learnIndex(std::move(seen));
    // Only what was written can be undone.
    index_writes_.add(api_.now());
    last_written_ = api_.now();
    repeated_ = spec;
  } else if (!reply.ok()) {
    refused("RouteSnapshot " + settings_.name_space + '/' + settings_.name, reply.error,
            std::nullopt, spec);
  }
  changed(0ms);
}

void Writer::Repeats::add(k8s_client::TimePoint now) {
  if (now - last > kLeftAlone) count = 0;
  ++count;
  last = now;
}

k8s_client::TimePoint Writer::Repeats::next(k8s_client::TimePoint now) const {
  if (count < kFreeRepeats || now - last > kLeftAlone) return now;
  return last + k8s_client::backOff(count - kFreeRepeats + 1, 1000ms, 60000ms, 0.5);
}

void Writer::failed(const std::string& what, const Error& error) {
  round_.reset();
  not_before_ = api_.now() + waitAfter(error, ++failures_);
  tell("write",
       what + " cannot be written: " + error.text() +
           (error.fieldUnknown() || error.status == 422 ? ": is the RouteSnapshot CRD an older one?"
                                                        : ""));
}

void Writer::writeStatus() {
  const bool right = index_->status_checksum == content_.checksum() &&
                     index_->status_generation == index_->generation;
  if (right) status_due_.reset();
  if (right || status_flying_) return;
  if (!status_due_) status_due_ = std::max(status_not_before_, api_.now() + kStatusRest);
  if (*status_due_ > api_.now()) return wakeAt(*status_due_);
  status_due_.reset();
  status_flying_ = true;
  status_not_before_ = api_.now() + kStatusGap;
  const std::string body = statusBody(settings_, content_, *index_, listener_.now());
  api_.call(k8s_client::applyRequest(path(settings_.name, "status"), body, true),
            then([this](Reply reply) {
              status_flying_ = false;
              listener_.attempted("status", reply.error);
              k8s_client::ObjectText object;
              if (reply.ok() && object.read(reply.body))
                learnIndex(readObserved(object, true));
              else
                status_not_before_ = api_.now() + kRefusedAgain;
              changed(0ms);
            }));
}

// Parts that neither the index nor we name go after a while.
void Writer::collect(const std::vector<Content::Part>& parts,
                     const std::vector<Content::Part>& older) {
  std::set<std::string> named;
  for (const auto* list : {&parts, &older})
    for (const Content::Part& part : *list) named.insert(part.name);
  const auto now = api_.now();
  bool stuck = false;
  std::size_t unused = 0;
  std::optional<k8s_client::TimePoint> next;
  for (auto& [name, part] : parts_) {
    if (named.contains(name) || part.uid.empty()) continue;
    part.accepted = false;
    stuck = stuck || part.failures > 0;
    if (part.deleting || part.removing) continue;
    if (!part.unused_since) part.unused_since = now;
    auto quiet = std::min(last_written_ + kQuiet, *part.unused_since + kUnusedMost);
    if (++unused > kMostUnused) quiet = std::min(quiet, last_removed_ + kRemovalGap);
    if (unused > kFarTooMany) quiet = now;
    const auto due = std::max({*part.unused_since + kUnused, part.not_before, quiet});
    if (due > now) {
      next = next ? std::min(*next, due) : due;
    } else if (removing_ < kRemovalsAtOnce) {
      removePart(name, part);
    }
  }
  if (next) wakeAt(*next);
  if (!stuck) tell("remove", "");
  std::erase_if(made_, [&](const auto& one) { return now - one.second.last > kLeftAlone; });
  asked_before_.clear();
}

// ---- what is programmed
// ---------------------------------------------------------------------------

void Writer::judge() {
  if (!index_) return;
  std::vector<DataPlane> living = index_->data_planes;
  std::erase_if(living, [this](const DataPlane& one) { return gone_pods_.contains(one.key()); });
  if (const auto reports = acknowledgements_.judge(living, refusals_.reasons()); !reports.empty())
    listener_.programmed(reports);
}

// Whether the Pods of the status are still there; again after a while, as long as we lead.
void Writer::askForPods() {
  if (!leads_ || asking_) return;
  asking_ = true;
  api_.after(kPods, [self = self_] {
    if (*self == nullptr) return;
    (*self)->asking_ = false;
    (*self)->askForPods();
  });
  if (!index_ || pods_asked_ > 0) return;
  for (const DataPlane& plane : index_->data_planes) {
    if (plane.name_space.empty()) continue;
    ++pods_asked_;
    k8s_client::Request request;
    request.path = k8s_client::path("v1", plane.name_space, "pods", plane.name);
    api_.call(std::move(request), then([this, key = plane.key()](Reply reply) {
                --pods_asked_;
                if (reply.error.notFound())
                  gone_pods_.insert(key);
                else if (reply.ok())
                  gone_pods_.erase(key);
                if (pods_asked_ == 0) forgetPods();
              }));
  }
}

void Writer::forgetPods() {
  if (!leads_ || !index_) return;
  const auto gone = [this](const DataPlane& one) { return gone_pods_.contains(one.key()); };
  if (std::none_of(index_->data_planes.begin(), index_->data_planes.end(), gone))
    return gone_pods_.clear();
  api_.call(k8s_client::mergePatchRequest(path(settings_.name, "status"),
                                          withoutPlanes(*index_, gone_pods_)),
            then([this](Reply reply) {
              k8s_client::ObjectText object;
              if (reply.error.conflict()) return forgetPodsAfter(kStatusGap);
              if (!reply.ok() || !object.read(reply.body)) return;  // The next look comes to it.
              learnIndex(readObserved(object, true));
              gone_pods_.clear();
              changed(0ms);
            }));
  changed(0ms);
}

// A data plane was first; what it wrote is known by then.
void Writer::forgetPodsAfter(k8s_client::Duration wait) {
  api_.after(wait, [self = self_] {
    if (*self != nullptr) (*self)->forgetPods();
  });
}

void Writer::tell(const std::string& subject, const std::string& trouble) {
  std::string& known = troubles_[subject];
  if (known == trouble) return;
  known = trouble;
  std::string all;
  for (const auto& [what, text] : troubles_)
    if (!text.empty()) all += (all.empty() ? "" : "; ") + text;
  listener_.trouble(all);
}

}  // namespace hyperway::snapshot_sink
