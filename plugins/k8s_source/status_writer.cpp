// SPDX-License-Identifier: Apache-2.0
#include "status_writer.hpp"

#include <algorithm>

#include "k8s_client/json_text.hpp"
#include "status_merge.hpp"

namespace hyperway::k8s_source {
namespace {

using k8s_client::Duration;
using k8s_client::Error;
using k8s_client::Reply;
using sdk::json::Value;
using namespace std::chrono_literals;

// Quiet for so long, and the next write of an object need not wait.
constexpr auto kBurstEnds = 5s;

// What was seen of so many objects last is kept for the write that it may lead to.
constexpr std::size_t kRecent = 64, kMostRecentBytes = std::size_t{16} << 10;

// Only these have lists in which others have entries of their own; a condition without its writer
// cannot be told from one that is still meant.
bool isShared(std::string_view kind) {
  return kind.ends_with("Route") || kind == "BackendTLSPolicy";
}

std::string_view nothingOf(std::string_view kind) {
  return kind == "BackendTLSPolicy" ? R"({"ancestors":[]})" : R"({"parents":[]})";
}

}  // namespace

StatusWriter::StatusWriter(k8s_client::Api& api, Options options)
    : api_(api), options_(std::move(options)) {}

StatusWriter::~StatusWriter() {
  *alive_ = false;
  for (auto& [key, entry] : entries_)
    if (entry.timer != 0) api_.cancel(entry.timer);
  for (auto& [kind, denied] : denied_)
    if (denied.timer != 0) api_.cancel(denied.timer);
}

Value StatusWriter::withFeatures(const Value& status, Features features) {
  auto members = status.members();
  for (auto& member : members) {
    if (member.name != "supportedFeatures") continue;
    std::vector<Value> names;
    for (const Value& feature : member.value.items())
      if (const Value* name = feature.find("name"); name != nullptr && features == Features::Names)
        names.push_back(*name);
    member.value = Value(std::move(names));
  }
  if (features == Features::None)
    std::erase_if(members, [](const auto& member) { return member.name == "supportedFeatures"; });
  return Value(std::move(members));
}

void StatusWriter::setActive(bool active) {
  if (std::exchange(active_, active) == active || !active) return;
  for (auto& [key, entry] : entries_) {
    // What somebody else failed at, or we did some time ago, is no reason to wait.
    if (entry.timer != 0) api_.cancel(std::exchange(entry.timer, 0));
    entry.failures = entry.refusals = 0;
    consider(entry);
  }
  pump();
}

void StatusWriter::desire(const ObjectId& id, std::optional<std::string> status) {
  const std::string key = id.key();
  // A status may come when its object has gone already, and been forgotten.
  if (!status && options_.path(id).empty()) return forget(id);
  if (!status && !isShared(id.kind)) {
    const auto found = entries_.find(key);
    if (found != entries_.end()) found->second.wanted = false;
    return;
  }
  Entry& entry = entries_[key];
  if (entry.id.kind.empty()) entry.id = id;
  const std::string text = status ? std::move(*status) : std::string(nothingOf(id.kind));
  const Value desired = desiredStatus(text, options_.controller_name);
  entry.gone = false;
  entry.wanted = true;
  entry.wanted_print = fingerprint(desired, options_.controller_name);
  entry.desired = text;
  entry.kept_print = 0;
  // What was refused before may be accepted now; a right that lacks is not given by a change.
  if (entry.timer != 0 && !entry.denied && entry.failures + entry.refusals > 0) {
    entry.failures = entry.refusals = 0;
    api_.cancel(std::exchange(entry.timer, 0));
  }
  consider(entry);
  pump();
}

void StatusWriter::observe(const ObjectId& id, std::string_view status, std::string_view version) {
  const std::string key = id.key();
  Entry& entry = entries_[key];
  remember(key, version, status);
  if (entry.id.kind.empty()) entry.id = id;
  entry.gone = false;
  entry.news = entry.busy;
  entry.seen = true;
  entry.seen_print = fingerprint(parseJson(status), options_.controller_name);
  entry.watched = k8s_client::versionOf(version);
  consider(entry);
  pump();
}

void StatusWriter::remember(const std::string& key, std::string_view version,
                            std::string_view status) {
  recent_.erase(key);
  if (version.empty() || status.size() > kMostRecentBytes) return;
  recent_[key] = {std::string(version), std::string(status)};
  recent_keys_.push_back(key);
  if (recent_keys_.size() <= kRecent) return;
  recent_.erase(recent_keys_.front());
  recent_keys_.pop_front();
}

void StatusWriter::forget(const ObjectId& id) {
  recent_.erase(id.key());
  const auto found = entries_.find(id.key());
  if (found == entries_.end()) return;
  if (found->second.timer != 0) api_.cancel(std::exchange(found->second.timer, 0));
  if (found->second.busy) {
    found->second.gone = true;  // Its answer still comes.
    found->second.wanted = false;
    return;
  }
  entries_.erase(found);
}

bool StatusWriter::differs(const Entry& entry) const {
  if (!entry.wanted) return false;
  if (!entry.seen || entry.seen_print == entry.wanted_print) return !entry.seen;
  return entry.kept_print == 0 || entry.seen_print != entry.kept_print;
}

void StatusWriter::consider(Entry& entry) {
  if (!active_ || entry.busy || entry.queued || entry.timer != 0 || !differs(entry)) return;
  const auto now = api_.now();
  if (now - entry.last_write >= kBurstEnds) entry.burst = 0;
  Duration wait = options_.rest;
  if (entry.burst > 0) {
    const auto gap = std::min<std::chrono::milliseconds>(
        options_.first_gap * (1U << std::min(entry.burst - 1, 10U)), options_.most_gap);
    wait = std::max<Duration>(Duration{0}, entry.last_write + gap - now);
  }
  enqueue(entry.id.key(), wait);
}

void StatusWriter::enqueue(const std::string& key, Duration delay) {
  Entry& entry = entries_.at(key);
  if (delay <= Duration{0}) {
    entry.queued = true;
    queue_.push_back(key);
    return;
  }
  entry.timer = api_.after(delay, [this, key] {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    found->second.timer = 0;
    if (!active_ || found->second.queued || found->second.busy) return;
    found->second.queued = true;
    queue_.push_back(key);
    pump();
  });
}

void StatusWriter::pump() {
  while (active_ && under_way_ < options_.parallel && !queue_.empty()) {
    const auto found = entries_.find(queue_.front());
    queue_.pop_front();
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    entry.queued = false;
    if (!entry.busy && differs(entry)) begin(entry);
  }
  if (!active_) {
    for (const std::string& key : queue_)
      if (const auto found = entries_.find(key); found != entries_.end())
        found->second.queued = false;
    queue_.clear();
  }
  count();
}

void StatusWriter::count() { pending_ = queue_.size() + under_way_; }

void StatusWriter::begin(Entry& entry) {
  k8s_client::Request request;
  request.path = options_.path(entry.id);
  if (request.path.empty()) return;  // Gone, or no longer served: nobody waits for its status.
  entry.busy = true;
  entry.news = false;
  ++under_way_;
  // If it has changed since, the server says so, and it is read.
  if (const auto recent = recent_.extract(entry.id.key()); !recent.empty())
    return write(entry, recent.mapped().version, recent.mapped().status);
  api_.call(std::move(request), [this, alive = alive_, key = entry.id.key()](Reply reply) {
    if (*alive) onRead(key, std::move(reply));
  });
}

// Takes what an answer has for the object's status, unless the watch has shown a newer one: the
// answer may even be about an object that has been removed and made again since. The fingerprint of
// what the answer has.
std::uint64_t StatusWriter::see(Entry& entry, const k8s_client::ObjectText& object) {
  const std::uint64_t print =
      fingerprint(parseJson(object.member("status")), options_.controller_name);
  const std::uint64_t version = k8s_client::versionOf(object.resourceVersion());
  if (entry.seen && version != 0 && version < entry.watched) return print;
  entry.seen = true;
  entry.seen_print = print;
  return print;
}

void StatusWriter::onRead(const std::string& key, Reply reply) {
  Entry& entry = entries_.at(key);
  if (reply.ok() && !object_.read(reply.body)) {
    reply.error.kind = Error::Kind::Invalid;
    reply.error.message = "the object cannot be read";
  }
  if (reply.error.notFound()) return drop(entry);
  if (!reply.ok()) {
    tell(entry, Result::Failed, reply.error);
    return reply.error.transient() ? retry(entry) : retryRefused(entry, reply.error);
  }
  (void)see(entry, object_);
  if (!active_ || !differs(entry)) return finish(entry);
  write(entry, object_.resourceVersion(), object_.member("status"));
}

void StatusWriter::write(Entry& entry, std::string_view version, std::string_view status) {
  const Value current = parseJson(status);
  Value desired = desiredStatus(entry.desired, options_.controller_name);
  if (entry.features != Features::Objects) desired = withFeatures(desired, entry.features);
  std::string body = R"({"metadata":{"resourceVersion":)";
  k8s_client::appendText(body, version);
  body += R"(},"status":)";
  k8s_client::appendValue(body,
                          mergedStatus(current, desired, options_.controller_name, options_.now()));
  body += '}';
  const std::string path = options_.path(entry.id);
  if (path.empty()) return drop(entry);
  api_.call(k8s_client::mergePatchRequest(path + "/status", std::move(body)),
            [this, alive = alive_, key = entry.id.key(), print = entry.wanted_print](Reply reply) {
              if (!*alive) return;
              Entry& written = entries_.at(key);
              // What the server makes of a status is judged against the one that was sent.
              if (reply.ok() && object_.read(reply.body)) {
                const std::uint64_t kept = see(written, object_);
                if (written.wanted_print == print && kept != print) written.kept_print = kept;
              }
              onWritten(key, std::move(reply));
            });
}

void StatusWriter::onWritten(const std::string& key, Reply reply) {
  Entry& entry = entries_.at(key);
  const Error& error = reply.error;
  if (!error) {
    ++entry.burst;
    entry.failures = entry.refusals = 0;
    entry.denied = false;
    entry.last_write = api_.now();
    tell(entry, Result::Written, error);
    if (const auto denied = denied_.find(entry.id.kind); denied != denied_.end()) {
      denied->second.failures = 0;
      letGo(denied->second, 2);
    }
    return finish(entry);
  }
  if (error.conflict()) {
    tell(entry, Result::Conflict, error);
    return retry(entry);
  }
  // Gateway API v1.1 knows features as plain names, or not at all.
  const bool features =
      std::any_of(error.causes.begin(), error.causes.end(), [](const Error::Cause& cause) {
        return cause.field.find("supportedFeatures") != std::string::npos;
      });
  if (error.status == 422 && features && entry.features != Features::None) {
    entry.features = entry.features == Features::Objects ? Features::Names : Features::None;
    return retry(entry);
  }
  if (error.notFound()) return drop(entry);
  const bool refused = !error.transient();
  tell(entry, refused ? Result::Refused : Result::Failed, error);
  refused ? retryRefused(entry, error) : retry(entry);
}

void StatusWriter::tell(Entry& entry, Result result, const Error& error) {
  const std::size_t why = error ? std::hash<std::string>()(error.text()) : 0;
  options_.report(entry.id, result, error, std::exchange(entry.told, why) == why);
}

// ---- what did not succeed -----------------------------------------------------------------------

void StatusWriter::retry(Entry& entry) {
  ++entry.failures;
  again(entry, k8s_client::backOff(entry.failures, 20ms, 5s, 0.5));
}

void StatusWriter::retryRefused(Entry& entry, const Error& error) {
  ++entry.refusals;
  if (error.status == 403 && !entry.gone) deny(entry);
  again(entry,
        k8s_client::backOff(entry.refusals, options_.first_refused, options_.most_refused, 0));
}

void StatusWriter::again(Entry& entry, Duration wait) {
  if (entry.gone) return finish(entry);
  --under_way_;
  entry.busy = false;
  if (entry.wanted && active_) enqueue(entry.id.key(), wait);
  pump();
}

void StatusWriter::deny(Entry& entry) {
  Denied& denied = denied_[entry.id.kind];
  if (!std::exchange(entry.denied, true)) denied.keys.push_back(entry.id.key());
  tryOneLater(denied);
}

void StatusWriter::tryOneLater(Denied& denied) {
  if (denied.timer != 0 || denied.keys.empty()) return;
  const Duration wait =
      k8s_client::backOff(++denied.failures, options_.first_refused, options_.most_denied, 0);
  denied.timer = api_.after(wait, [this, &denied] {
    denied.timer = 0;
    if (!active_) return;
    letGo(denied, 1);
    tryOneLater(denied);
    pump();
  });
}

void StatusWriter::letGo(Denied& denied, unsigned count) {
  while (count > 0 && !denied.keys.empty()) {
    const auto found = entries_.find(denied.keys.front());
    denied.keys.pop_front();
    if (found == entries_.end() || !std::exchange(found->second.denied, false)) continue;
    if (found->second.timer == 0) continue;  // on its way already
    api_.cancel(std::exchange(found->second.timer, 0));
    enqueue(found->first, Duration{0});
    --count;
  }
}

// The object is gone, and the watch will say so; one that comes in its place is observed anew, if
// that has not happened before the answer came.
void StatusWriter::drop(Entry& entry) {
  if (!entry.news) {
    entry.seen = true;
    entry.seen_print = entry.wanted_print;
  }
  finish(entry);
}

void StatusWriter::finish(Entry& entry) {
  --under_way_;
  entry.busy = false;
  if (entry.gone)
    entries_.erase(entry.id.key());
  else
    consider(entry);
  pump();
}

}  // namespace hyperway::k8s_source
