// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::Error;
using k8s_client::Reply;
using namespace std::chrono_literals;

constexpr auto kGather = 5ms;        // changes that come together are written together
constexpr std::size_t kAtOnce = 16;  // parts under way
constexpr auto kUnused = 60s;        // a part lives on for readers that have the old index
constexpr auto kStatusGap = 1s;
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

// "spec.httpRoutesV1[12].backends[0]" -> 12.
std::optional<std::size_t> indexIn(std::string_view field, std::string_view list) {
  if (!field.starts_with(list)) return std::nullopt;
  field.remove_prefix(list.size());
  std::size_t index = 0;
  if (!field.starts_with('[')) return std::nullopt;
  const auto read = std::from_chars(field.data() + 1, field.data() + field.size(), index);
  if (read.ec != std::errc{}) return std::nullopt;
  return index;
}

bool isTooLarge(const Error& error) {
  return error.status == 413 || error.message.find("too large") != std::string::npos;
}

// It is about what was sent.
bool isRefused(const Error& error) { return error.status == 422 || isTooLarge(error); }

// Until the next attempt, when this was the one of that number.
std::chrono::milliseconds waitAfter(const Error& error, unsigned failures) {
  return error.transient() || error.conflict() ? k8s_client::backOff(failures, 100ms, 5000ms, 0.5)
                                               : std::chrono::milliseconds(kRefusedAgain);
}

}  // namespace

Writer::Follower::Follower(Writer& writer, std::string what, std::string path)
    : reflector(writer.api_, optionsFor(std::move(path)), *this),
      writer_(writer),
      what_(std::move(what)) {}

void Writer::Follower::onObject(const k8s_client::ObjectText& object) {
  writer_.onSeen(*this, object);
}

void Writer::Follower::onRemoved(std::string_view key) { writer_.onGone(*this, key); }

void Writer::Follower::onListed() { writer_.changed(0ms); }

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
      index_follower_(
          *this, "RouteSnapshot " + settings_.name_space + '/' + settings_.name,
          k8s_client::withQuery(path(""), {{"fieldSelector", "metadata.name=" + settings_.name}})),
      part_follower_(
          *this, "its parts",
          k8s_client::withQuery(path(""), {{"labelSelector", std::string(kSnapshotLabel) + '=' +
                                                                 labelOf(settings_.name)}})),
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
  batch.full = batch.full || !has_batch_;
  Batch keys;  // the texts move on
  keys.full = batch.full;
  keys.removed_listeners = batch.removed_listeners;
  for (const Batch::Listener& one : batch.listeners) keys.listeners.push_back({one.key, ""});
  const bool differs = !batch.empty();
  content_.take(std::move(batch));
  acknowledgements_.applied(generation, keys, content_.checksum());
  has_batch_ = true;
  std::erase_if(left_out_,
                [&](const auto& one) { return !content_.leftOut().contains(one.first); });
  // What was refused may be fine now.
  if (differs) not_before_ = {};
  changed(kGather);
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
    part.uid = seen.uid;
    part.intact = seen.generation <= 1;
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
  index_ = std::move(seen);
}

// ---- what there should be
// -------------------------------------------------------------------------

void Writer::consider() {
  if (!has_batch_ || !index_follower_.reflector.listed() || !part_follower_.reflector.listed())
    return;
  judge();
  if (!leads_) return listener_.written(generation_);
  if (flying_ > 0 || (index_ && index_->deleting)) return;
  if (not_before_ > api_.now()) return wakeAt(not_before_);
  if (settings_.owner && index_ && index_->gateway != settings_.owner->key())
    return tell("write", "RouteSnapshot " + settings_.name_space + '/' + settings_.name +
                             " is there already, and was not made for this Gateway");
  const auto parts = content_.parts();
  const std::string spec = indexSpec(settings_, content_);
  if (!settings_.data_plane_account.empty() && !grants_.provide(secretsToGrant())) return;
  // Parts need the uid of their owner, so the very first index comes before them.
  if (!index_ && settings_.owner && !looked_) return lookFirst();
  if (!index_) return writeIndex(spec);
  if (!writeParts(parts)) return;
  const bool marked = !settings_.owner || index_->applied == applied_;
  if (!marked || index_->generation != settled_generation_ || spec != settled_spec_) {
    if (!marked || !differenceOf(index_->spec, spec).empty()) return writeIndex(spec);
    settled_generation_ = index_->generation;
    settled_spec_ = spec;
  }
  failures_ = 0;
  tell("write", "");
  listener_.written(generation_);
  writeStatus();
  collect(parts);
}

// What the index is going to name, and what it names still, for whoever reads it: nothing that was
// not granted before, because others may edit the index.
Secrets Writer::secretsToGrant() const {
  Secrets out = secretsOf(content_.listeners());
  if (settings_.owner)
    for (const std::string& name : content_.namespaces()) out[name].emplace(kBackends);
  if (!index_) return out;
  for (const std::string& name : backendNamespacesOf(index_->spec))
    if (grants_.has(name, std::string(kBackends))) out[name].emplace(kBackends);
  for (const auto& [name_space, names] : secretsOf(listenersOf(index_->spec)))
    for (const std::string& name : names)
      if (grants_.has(name_space, name)) out[name_space].insert(name);
  return out;
}

// True if all are there and as they were made.
bool Writer::writeParts(const std::vector<Content::Part>& parts) {
  bool complete = true;
  for (const Content::Part& part : parts) {
    const auto known = parts_.find(part.name);
    if (known != parts_.end() && known->second.intact && !known->second.deleting) {
      known->second.unused_since.reset();
      continue;
    }
    complete = false;
    if (known != parts_.end() && known->second.deleting) continue;  // Its event goes on.
    if (known != parts_.end() && known->second.not_before > api_.now()) {
      wakeAt(known->second.not_before);
      continue;
    }
    if (flying_ >= kAtOnce) break;
    if (known != parts_.end())
      removePart(part.name, known->second.uid);
    else
      sendPart(part);
  }
  return complete;
}

void Writer::sendPart(const Content::Part& part) {
  ++flying_;
  auto request = k8s_client::applyRequest(path(part.name),
                                          partBody(settings_, content_, part, index_->uid), true);
  api_.call(std::move(request), then([this, part](Reply reply) {
              --flying_;
              listener_.attempted("part " + part.name, reply.error);
              // Places in a refusal of another content mean nothing, and this one may be fine.
              const bool outdated = isRefused(reply.error) && !content_.hasPart(part.name);
              if (reply.ok())
                parts_[part.name];  // Its event says more.
              else if (!outdated && !leaveOutWhatIsRefused(reply.error, part.bucket))
                failed("part " + part.name, reply.error);
              changed(0ms);
            }));
}

void Writer::removePart(const std::string& name, const std::string& uid) {
  ++flying_;
  api_.call(k8s_client::removeRequest(path(name), uid), then([this, name](Reply reply) {
              --flying_;
              const bool gone = reply.ok() || reply.error.notFound();
              listener_.attempted("removal of part " + name, gone ? Error() : reply.error);
              if (gone)
                parts_.erase(name);
              else if (const auto part = parts_.find(name); part != parts_.end())
                notRemoved(part->second, reply.error);
              if (!gone)
                tell("remove", "part " + name + " cannot be removed: " + reply.error.text());
              changed(0ms);
            }));
}

// Nothing but this part waits for the next attempt.
void Writer::notRemoved(Part& part, const Error& error) {
  part.deleting = false;
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
  if (spec != repeated_ || now - last_repeat_ > kLeftAlone) repeats_ = 0;
  if (repeats_ >= kFreeRepeats) {
    const auto next =
        last_repeat_ + k8s_client::backOff(repeats_ - kFreeRepeats + 1, 1000ms, 60000ms, 0.5);
    if (next > now) return wakeAt(next);
  }
  // Of the content: what is put right again is as old as it was.
  if (updated_for_ != content_.checksum()) {
    updated_for_ = content_.checksum();
    updated_at_ = listener_.now();
  }
  ++flying_;
  api_.call(
      k8s_client::applyRequest(path(settings_.name), indexBody(settings_, spec, updated_at_), true),
      then([this, spec](Reply reply) { onIndexWritten(spec, std::move(reply)); }));
}

void Writer::onIndexWritten(const std::string& spec, Reply reply) {
  --flying_;
  listener_.attempted("index", reply.error);
  // As with parts.
  const bool outdated = isRefused(reply.error) && spec != indexSpec(settings_, content_);
  k8s_client::ObjectText object;
  if (reply.ok() && object.read(reply.body)) {
    Observed seen = readObserved(object, true);
    const std::string missing = differenceOf(seen.spec, spec);
    tell("schema", missing.empty()
                       ? std::string()
                       : "the API server does not keep " + missing +
                             " as it was written: is the RouteSnapshot CRD an older one?");
    const std::int64_t generation = seen.generation;
    learnIndex(std::move(seen));
    settled_generation_ = generation;
    settled_spec_ = spec;
    // Only what was written can be undone.
    ++repeats_;
    repeated_ = spec;
    last_repeat_ = api_.now();
  } else if (!reply.ok() && !outdated && !leaveOutWhatIsRefused(reply.error, std::nullopt)) {
    failed("RouteSnapshot " + settings_.name_space + '/' + settings_.name, reply.error);
  }
  changed(0ms);
}

// One entry that the server refuses must not keep all others from being written.
bool Writer::leaveOutWhatIsRefused(const Error& error, std::optional<std::size_t> bucket) {
  std::map<std::string, std::string> out;
  const auto keys = content_.listenerKeys();
  if (error.status == 422)
    for (const Error::Cause& cause : error.causes) {
      std::string key;
      if (const auto route = indexIn(cause.field, "spec.httpRoutesV1"))
        key = bucket ? content_.routeAt(*bucket, *route) : content_.routeAt(*route);
      else if (const auto at = indexIn(cause.field, "spec.listeners"); at && *at < keys.size())
        key = keys[*at];
      if (!key.empty()) out.emplace(key, cause.field + ": " + cause.message);
    }
  if (out.empty() && bucket && isTooLarge(error))
    if (std::string key = content_.largestOf(*bucket); !key.empty()) out.emplace(key, error.text());
  for (const auto& [key, why] : out) {
    content_.leaveOut(key);
    left_out_[key] = why;
  }
  std::string text;
  for (const auto& [key, why] : left_out_)
    text += (text.empty() ? "" : "; ") + key + " (" + why + ')';
  tell("left out", text.empty() ? text : "left out, because the API server refuses it: " + text);
  return !out.empty();
}

void Writer::failed(const std::string& what, const Error& error) {
  not_before_ = api_.now() + waitAfter(error, ++failures_);
  tell("write", what + " cannot be written: " + error.text() +
                    (error.fieldUnknown() ? ": is the RouteSnapshot CRD an older one?" : ""));
}

void Writer::writeStatus() {
  const bool right = index_->status_checksum == content_.checksum() &&
                     index_->status_generation == index_->generation;
  if (right || status_flying_) return;
  if (status_not_before_ > api_.now()) return wakeAt(status_not_before_);
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
void Writer::collect(const std::vector<Content::Part>& parts) {
  std::set<std::string> named;
  for (const Content::Part& part : parts) named.insert(part.name);
  const auto now = api_.now();
  bool stuck = false;
  for (auto& [name, part] : parts_) {
    if (named.contains(name) || part.uid.empty()) continue;
    stuck = stuck || part.failures > 0;
    if (part.deleting) continue;
    if (!part.unused_since) part.unused_since = now;
    const auto due = std::max(*part.unused_since + kUnused, part.not_before);
    if (due > now) {
      wakeAt(due);
    } else if (flying_ < kAtOnce) {
      removePart(name, part.uid);
      part.deleting = true;
    }
  }
  if (!stuck) tell("remove", "");
}

// ---- what is programmed
// ---------------------------------------------------------------------------

void Writer::judge() {
  if (!index_) return;
  std::vector<DataPlane> living = index_->data_planes;
  std::erase_if(living, [this](const DataPlane& one) { return gone_pods_.contains(one.key()); });
  if (const auto reports = acknowledgements_.judge(living); !reports.empty())
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
  if (!index_) return;
  for (const DataPlane& plane : index_->data_planes) {
    if (plane.name_space.empty() || gone_pods_.contains(plane.key())) continue;
    k8s_client::Request request;
    request.path = k8s_client::path("v1", plane.name_space, "pods", plane.name);
    api_.call(std::move(request), then([this, key = plane.key()](Reply reply) {
                if (!reply.error.notFound()) return;
                gone_pods_.insert(key);
                forgetPods();
              }));
  }
}

void Writer::forgetPods() {
  if (!leads_ || !index_) return;
  const auto gone = [this](const DataPlane& one) { return gone_pods_.contains(one.key()); };
  if (std::none_of(index_->data_planes.begin(), index_->data_planes.end(), gone)) return;
  api_.call(k8s_client::mergePatchRequest(path(settings_.name, "status"),
                                          withoutPlanes(*index_, gone_pods_)),
            then([this](Reply reply) {
              k8s_client::ObjectText object;
              if (!reply.ok() || !object.read(reply.body)) return;  // The next look comes to it.
              learnIndex(readObserved(object, true));
              gone_pods_.clear();
              changed(0ms);
            }));
  changed(0ms);
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
