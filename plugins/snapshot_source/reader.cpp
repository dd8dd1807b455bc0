// SPDX-License-Identifier: Apache-2.0
#include "reader.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "cluster_addresses.hpp"
#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_source {
namespace {

using k8s_client::Error;
using k8s_client::ObjectText;
using k8s_client::Reply;
using sdk::json::Parser;
using sdk::json::Value;
using namespace std::chrono_literals;

constexpr std::size_t kAtOnce = 32;                // parts asked for
constexpr std::size_t kBatchBytes = 512 << 10;     // handed on at once, but for an index
constexpr std::chrono::milliseconds kPoll{30000};  // of Services, EndpointSlices and Secrets
constexpr auto kPatience = 3s;                     // with an API server, before the cache counts
constexpr std::string_view kServices = "v1", kSlices = "discovery.k8s.io/v1";

k8s_client::Reflector::Options optionsFor(std::string path, std::chrono::milliseconds poll) {
  k8s_client::Reflector::Options options;
  options.path = std::move(path);
  options.poll = poll;
  options.list_gap = std::min(options.list_gap, poll);
  return options;
}

std::string byName(std::string_view group_version, std::string_view name_space,
                   std::string_view resource, std::string_view name) {
  return k8s_client::withQuery(k8s_client::path(group_version, name_space, resource),
                               {{"fieldSelector", "metadata.name=" + std::string(name)}});
}

// A KEY of a batch; `key` is "namespace/name".
void appendKey(std::string& out, std::string_view group, std::string_view kind,
               std::string_view key) {
  const std::size_t slash = key.find('/');
  out += out.empty() ? R"({"group":)" : R"(,{"group":)";
  k8s_client::appendText(out, group);
  out += R"(,"kind":)";
  k8s_client::appendText(out, kind);
  out += R"(,"namespace":)";
  k8s_client::appendText(out, key.substr(0, slash));
  out += R"(,"name":)";
  k8s_client::appendText(out, key.substr(slash + 1));
  out += '}';
}

}  // namespace

Reader::Follower::Follower(Reader& reader, std::string said, std::string path,
                           std::chrono::milliseconds poll, Seen seen, Gone gone)
    : reflector(reader.api_, optionsFor(std::move(path), poll), *this),
      what(std::move(said)),
      reader_(reader),
      seen_(seen),
      gone_(gone) {}

void Reader::Follower::onTrouble(const Error& problem) {
  error = problem;
  reader_.states_changed_ = true;
}

void Reader::Follower::onWell() {
  error = {};
  reader_.states_changed_ = true;
}

Reader::Backends::Backends(Reader& reader, const std::string& name_space)
    : services(reader,
               reader.settings_.backends_of_snapshot ? "Services of " + name_space : "Services",
               k8s_client::path(kServices, name_space, "services"), kPoll, &Reader::onService,
               &Reader::onServiceGone),
      slices(reader,
             reader.settings_.backends_of_snapshot ? "EndpointSlices of " + name_space
                                                   : "EndpointSlices",
             k8s_client::path(kSlices, name_space, "endpointslices"), kPoll, &Reader::onSlice,
             &Reader::onSliceGone) {}

Reader::Reader(k8s_client::Api& api, Settings settings, Identity identity, Listener listener)
    : api_(api),
      settings_(std::move(settings)),
      listener_(std::move(listener)),
      self_(std::make_shared<Reader*>(this)),
      presence_(
          api, std::move(identity), settings_.name_space, settings_.name,
          [this](const std::string& text) {
            presence_trouble_ = text;
            states_changed_ = true;
          },
          listener_.now,
          [engine = std::minstd_rand(std::random_device{}())]() mutable {
            return std::uniform_real_distribution<double>()(engine);
          }),
      index_(*this, "RouteSnapshot " + settings_.name_space + '/' + settings_.name,
             byName(kGroupVersion, settings_.name_space, kResource, settings_.name), settings_.poll,
             &Reader::onIndex, &Reader::onIndexGone),
      cache_(settings_.cache) {}

Reader::~Reader() {
  *self_ = nullptr;
  if (retry_) api_.cancel(*retry_);
}

void Reader::start() {
  if (!settings_.cache.empty())
    api_.after(kPatience, [self = self_] {
      if (*self != nullptr) (*self)->serveFromCache();
    });
  index_.reflector.start();
  if (!settings_.backends_of_snapshot) followBackends({settings_.backends_namespace});
}

// ---- the snapshot
// ---------------------------------------------------------------------------------

void Reader::onIndex(const ObjectText& object) {
  exists_ = true;
  states_changed_ = true;
  presence_.observe(object.member("status"));
  const std::int64_t generation = generationOf(object);
  if (generation != 0 && generation == generation_ && object.uid() == uid_) return;
  generation_ = generation;
  uid_ = object.uid();
  auto index = readIndex(object);
  if (!index) return;  // Nothing is said that could be served; a schema forbids it.
  std::vector<std::string> missing;
  for (const auto& [name, checksum] : index->parts)
    if (!parts_.contains(name) && !fetched_.contains(name)) missing.push_back(name);
  std::erase_if(fetched_, [&](const auto& one) { return !index->parts.contains(one.first); });
  waiting_ = Waiting{std::move(*index), std::move(missing), 0, {}};
  ++number_;
  if (retry_) api_.cancel(*std::exchange(retry_, std::nullopt));
  failures_ = 0;
  askForParts();
}

void Reader::onIndexGone(std::string_view /*key*/) {
  exists_ = false;
  uid_.clear();
  states_changed_ = true;
  waiting_.reset();
  ++number_;
  presence_.lost();
}

void Reader::askForParts() {
  while (!waiting_->missing.empty() && waiting_->asked < kAtOnce) {
    const std::string name = std::move(waiting_->missing.back());
    waiting_->missing.pop_back();
    askForPart(name);
  }
  if (waiting_->asked == 0 && waiting_->missing.empty() && !retry_) bringIntoForce();
}

// A listener whose certificate is on the way would be refused for a moment.
bool Reader::awaitsSecrets() {
  std::set<std::string> wanted = wanted_secrets_;
  wanted.insert(waiting_->index.secrets.begin(), waiting_->index.secrets.end());
  followSecrets(wanted);
  return std::any_of(waiting_->index.secrets.begin(), waiting_->index.secrets.end(),
                     [this](const auto& key) {
                       const Follower& follower = *secrets_.at(key);
                       return !follower.reflector.listed() && !follower.error;
                     });
}

// A backend whose endpoints are on the way would answer 503 for a moment.
bool Reader::awaitsBackends() {
  if (!settings_.backends_of_snapshot) return false;
  const std::set<std::string>& needed = waiting_->index.namespaces;
  std::set<std::string> wanted = namespaces_;
  wanted.insert(needed.begin(), needed.end());
  followBackends(wanted);
  return std::any_of(needed.begin(), needed.end(), [this](const auto& name_space) {
    const Backends& backends = *backends_.at(name_space);
    const auto awaited = [](const Follower& one) { return !one.reflector.listed() && !one.error; };
    return awaited(backends.services) || awaited(backends.slices);
  });
}

// From the server's memory, which is as new as the index and so has the part; what it lacked is
// asked of its store.
void Reader::askForPart(const std::string& name) {
  ++waiting_->asked;
  k8s_client::Request request;
  request.path = k8s_client::path(kGroupVersion, settings_.name_space, kResource, name);
  if (const std::string& version = waiting_->index.version; failures_ == 0 && !version.empty())
    request.path = k8s_client::withQuery(std::move(request.path), {{"resourceVersion", version}});
  api_.call(std::move(request), [self = self_, number = number_, name](Reply reply) {
    if (*self != nullptr) (*self)->onPart(number, name, std::move(reply));
  });
}

void Reader::onPart(std::uint64_t number, const std::string& name, Reply reply) {
  if (!waiting_) return;
  const auto part = waiting_->index.parts.find(name);
  // Also the answer to an older index's question is good, if this one names the part too.
  if (part != waiting_->index.parts.end() && reply.ok()) {
    ObjectText object;
    std::string wrong = "it cannot be read";
    auto text = object.read(reply.body) ? readPart(object, settings_.name, part->second, wrong)
                                        : std::nullopt;
    if (text) {
      fetched_[name] = std::move(*text);
    } else {
      reply.error.kind = Error::Kind::Invalid;
      reply.error.message = wrong;
    }
  }
  if (number != number_) return;
  --waiting_->asked;
  if (!reply.ok()) {
    waiting_->trouble = "part " + name + " cannot be had: " + reply.error.text();
    states_changed_ = true;
    retryParts();
  }
  askForParts();
}

void Reader::retryParts() {
  if (retry_) return;
  const auto wait = k8s_client::backOff(++failures_, 50ms, 2000ms, 0.5);
  retry_ = api_.after(wait, [this] {
    retry_.reset();
    if (!waiting_) return;
    for (const auto& [name, checksum] : waiting_->index.parts)
      if (!parts_.contains(name) && !fetched_.contains(name) &&
          std::find(waiting_->missing.begin(), waiting_->missing.end(), name) ==
              waiting_->missing.end())
        waiting_->missing.push_back(name);
    ++number_;  // Answers that are still under way are asked for once more.
    waiting_->asked = 0;
    askForParts();
  });
}

// In one batch: an index with new parts, and the removal of those that it does not name any more.
void Reader::bringIntoForce() {
  const bool awaits_backends = awaitsBackends();
  if (awaitsSecrets() || awaits_backends) return;
  Waiting now = std::move(*waiting_);
  waiting_.reset();
  std::string upserts = std::move(now.index.text), removals;
  cache_.put("RouteSnapshot", settings_.name_space + '/' + settings_.name, upserts);
  for (const auto& [name, text] : std::exchange(fetched_, {})) {
    upserts += ',' + text;
    cache_.put("RouteSnapshot", settings_.name_space + '/' + name, text);
  }
  for (const std::string& name : parts_) {
    if (now.index.parts.contains(name)) continue;
    const std::string key = settings_.name_space + '/' + name;
    appendKey(removals, "hyperway.arloor.dev", "RouteSnapshot", key);
    cache_.remove("RouteSnapshot", key);
  }
  parts_.clear();
  for (const auto& [name, checksum] : now.index.parts) parts_.insert(name);
  wanted_secrets_ = std::move(now.index.secrets);
  namespaces_ = std::move(now.index.namespaces);
  has_index_ = true;
  states_changed_ = true;
  followSecrets(wanted_secrets_);
  // Certificates come before the listeners that show them.
  if (!upserts_.empty() || !removals_.empty())
    listener_.publish(std::exchange(upserts_, {}), std::exchange(removals_, {}), false);
  listener_.publish(upserts, removals, false);
  // Backends go after the rules that lead to them.
  if (settings_.backends_of_snapshot) followBackends(namespaces_);
}

// ---- what it refers to
// ----------------------------------------------------------------------------

void Reader::followSecrets(const std::set<std::string>& wanted) {
  for (auto at = secrets_.begin(); at != secrets_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    if (at->second->reflector.has(at->first)) addRemoval("", "Secret", at->first);
    at = secrets_.erase(at);
  }
  for (const std::string& key : wanted) {
    auto& follower = secrets_[key];
    if (follower) continue;
    const std::size_t slash = key.find('/');
    follower = std::make_unique<Follower>(
        *this, "Secret " + key,
        byName("v1", key.substr(0, slash), "secrets", key.substr(slash + 1)), kPoll,
        &Reader::onSecret, &Reader::onSecretGone);
    follower->reflector.start();
  }
}

void Reader::onSecret(const ObjectText& object) { addUpsert(object, "v1", "Secret"); }
void Reader::onSecretGone(std::string_view key) { addRemoval("", "Secret", key); }

void Reader::followBackends(const std::set<std::string>& namespaces) {
  for (auto at = backends_.begin(); at != backends_.end();) {
    if (namespaces.contains(at->first)) {
      ++at;
      continue;
    }
    forgetBackends(at->first, *at->second);
    at = backends_.erase(at);
  }
  for (const std::string& name_space : namespaces) {
    auto& backends = backends_[name_space];
    if (backends) continue;
    backends = std::make_unique<Backends>(*this, name_space);
    backends->services.reflector.start();
    backends->slices.reflector.start();
  }
}

// What was known of it is gone for us.
void Reader::forgetBackends(const std::string& name_space, Backends& backends) {
  const std::string prefix = name_space + '/';
  std::vector<std::string> services;
  for (auto at = cluster_addresses_.lower_bound(prefix);
       at != cluster_addresses_.end() && at->first.starts_with(prefix); ++at)
    services.push_back(at->first);
  for (const std::string& key : services) onServiceGone(key);
  const auto slices = std::move(backends.known_slices);
  for (const std::string& key : slices) addRemoval("discovery.k8s.io", "EndpointSlice", key);
}

Reader::Backends* Reader::backendsOf(std::string_view key) {
  const auto found =
      backends_.find(settings_.backends_of_snapshot ? std::string(key.substr(0, key.find('/')))
                                                    : settings_.backends_namespace);
  return found != backends_.end() ? found->second.get() : nullptr;
}

// Who says what became of an object; null if nobody follows it.
Reader::Follower* Reader::followerOf(const std::string& kind, const std::string& key) {
  if (kind == "Secret") {
    const auto secret = secrets_.find(key);
    return secret != secrets_.end() ? secret->second.get() : nullptr;
  }
  if (kind != "Service" && kind != "EndpointSlice") return nullptr;
  Backends* backends = backendsOf(key);
  if (backends == nullptr) return nullptr;
  return kind == "Service" ? &backends->services : &backends->slices;
}

void Reader::onService(const ObjectText& object) {
  addUpsert(object, kServices, "Service");
  const Backends* backends = backendsOf(object.key());
  const bool of_use = backends == nullptr || !backends->slices.reflector.listed();
  // By namespace, which Services there are is told when it goes.
  if (!of_use && !settings_.backends_of_snapshot) return;
  std::string address = of_use ? clusterAddress(object) : std::string();
  std::string& known = cluster_addresses_[object.key()];
  if (known == address) return;
  known = std::move(address);
  if (backends != nullptr && backends->uses_cluster_addresses && !known.empty())
    addClusterAddress(object.key(), known);
}

// With EndpointSlices nobody needs them.
void Reader::dropClusterAddresses(Backends& backends) {
  if (!backends.slices.reflector.listed() ||
      std::exchange(backends.dropped_cluster_addresses, true))
    return;
  if (!settings_.backends_of_snapshot) return cluster_addresses_.clear();
  for (auto& [service, address] : cluster_addresses_)
    if (backendsOf(service) == &backends) address = {};
}

void Reader::onServiceGone(std::string_view key) {
  addRemoval("", "Service", key);
  const Backends* backends = backendsOf(key);
  if (backends != nullptr && backends->uses_cluster_addresses)
    addRemoval("discovery.k8s.io", "EndpointSlice", clusterAddressName(std::string(key)));
  cluster_addresses_.erase(std::string(key));
}

void Reader::onSlice(const ObjectText& object) {
  if (settings_.backends_of_snapshot)
    if (Backends* backends = backendsOf(object.key())) backends->known_slices.insert(object.key());
  addUpsert(object, kSlices, "EndpointSlice");
}
void Reader::onSliceGone(std::string_view key) {
  if (Backends* backends = backendsOf(key)) backends->known_slices.erase(std::string(key));
  addRemoval("discovery.k8s.io", "EndpointSlice", key);
}

void Reader::useClusterAddresses(Backends& backends, bool use) {
  if (std::exchange(backends.uses_cluster_addresses, use) == use) return;
  for (const auto& [service, address] : cluster_addresses_) {
    if (address.empty() || backendsOf(service) != &backends) continue;
    if (use)
      addClusterAddress(service, address);
    else
      addRemoval("discovery.k8s.io", "EndpointSlice", clusterAddressName(service));
  }
}

// ---- the way to the host
// --------------------------------------------------------------------------

void Reader::addUpsert(const ObjectText& object, std::string_view group_version,
                       std::string_view kind) {
  if (!upserts_.empty()) upserts_ += ',';
  const std::size_t begin = upserts_.size();
  object.appendSlim(upserts_, group_version, kind, false);
  cache_.put(kind, object.key(), std::string_view(upserts_).substr(begin));
  if (upserts_.size() >= kBatchBytes)
    listener_.publish(std::exchange(upserts_, {}), std::exchange(removals_, {}), false);
}

void Reader::addClusterAddress(const std::string& service, std::string_view address) {
  if (!upserts_.empty()) upserts_ += ',';
  const std::string slice = clusterAddressSlice(service, address);
  upserts_ += slice;
  cache_.put("EndpointSlice", clusterAddressName(service), slice);
}

void Reader::addRemoval(std::string_view group, std::string_view kind, std::string_view key) {
  // Order counts where one batch has both for one object: removals are read first.
  if (!upserts_.empty())
    listener_.publish(std::exchange(upserts_, {}), std::exchange(removals_, {}), false);
  appendKey(removals_, group, kind, key);
  cache_.remove(kind, key);
}

bool Reader::isSynced() const {
  return has_index_ &&
         std::all_of(backends_.begin(), backends_.end(),
                     [](const auto& one) {
                       return one.second->services.settled() && one.second->slices.settled();
                     }) &&
         std::all_of(secrets_.begin(), secrets_.end(),
                     [](const auto& one) { return one.second->settled(); });
}

void Reader::endTurn() {
  if (std::exchange(states_changed_, false)) {
    if (waiting_) askForParts();
    for (const auto& [name_space, backends] : backends_) {
      const Follower& slices = backends->slices;
      useClusterAddresses(*backends, slices.error.status == 403 && !slices.reflector.listed());
      dropClusterAddresses(*backends);
    }
    forgetWhatTheCacheHadAlone();
    tellTrouble();
  }
  // Before the first of everything is there, an older and whole cache is better than a part.
  if (synced_ || isSynced())
    if (std::string wrong = cache_.commit(api_.now()); wrong != cache_trouble_) {
      cache_trouble_ = std::move(wrong);
      tellTrouble();
    }
  const bool now_synced = !synced_ && isSynced();
  if (upserts_.empty() && removals_.empty() && !now_synced) return;
  synced_ = synced_ || now_synced;
  listener_.publish(std::exchange(upserts_, {}), std::exchange(removals_, {}), now_synced);
  if (now_synced) tellTrouble();
}

// The API server has not answered, or not all: what was served when this process ended is better
// than nothing.
void Reader::serveFromCache() {
  if (synced_) return;
  const auto objects = cache_.load();
  if (has_index_) return completeFromCache(objects);
  const auto found = objects.find("RouteSnapshot " + settings_.name_space + '/' + settings_.name);
  ObjectText object;
  if (found == objects.end() || !object.read(found->second)) return;
  auto index = readIndex(object);
  if (!index) return;
  std::string upserts;
  for (const auto& [name, text] : objects) {
    const std::size_t space = name.find(' ');
    const std::string kind = name.substr(0, space), key = name.substr(space + 1);
    // Who follows it may have told of it, and knows better.
    if (const Follower* follower = followerOf(kind, key))
      if (follower->reflector.listed() || follower->reflector.has(key)) continue;
    upserts += (upserts.empty() ? "" : ",") + text;
    cached_[kind].insert(key);
    cache_.put(kind, key, text);
  }
  cached_.erase("RouteSnapshot");  // The next index says what of it stays.
  for (const auto& [name, checksum] : index->parts) parts_.insert(name);
  wanted_secrets_ = std::move(index->secrets);
  followSecrets(wanted_secrets_);
  namespaces_ = std::move(index->namespaces);
  if (settings_.backends_of_snapshot) followBackends(namespaces_);
  has_index_ = synced_ = from_cache_ = states_changed_ = true;
  listener_.publish(upserts, "", true);
  tellTrouble();
}

// The snapshot is there, but not all that it refers to.
void Reader::completeFromCache(const std::map<std::string, std::string>& objects) {
  if (objects.empty()) return;
  const auto lacks = [this](const std::string& kind, const std::string& key) {
    const Follower* follower = followerOf(kind, key);
    return follower != nullptr && !follower->settled() && !follower->reflector.has(key);
  };
  std::string upserts;
  for (const auto& [name, text] : objects) {
    const std::size_t space = name.find(' ');
    const std::string kind = name.substr(0, space), key = name.substr(space + 1);
    if (!lacks(kind, key)) continue;
    upserts += (upserts.empty() ? "" : ",") + text;
    cached_[kind].insert(key);
    cache_.put(kind, key, text);
  }
  synced_ = from_cache_ = states_changed_ = true;
  listener_.publish(upserts, "", true);
}

// What only the cache had is gone once its own follower has listed: another one may be forbidden
// for ever. What nobody follows is of no use, unless an index that is on the way needs it.
void Reader::forgetWhatTheCacheHadAlone() {
  const bool index_is_known = index_.reflector.listed() && !waiting_;
  for (auto& [kind, keys] : cached_)
    for (auto at = keys.begin(); at != keys.end();) {
      const Follower* follower = followerOf(kind, *at);
      if (follower != nullptr ? !follower->reflector.listed() : !index_is_known) {
        ++at;
        continue;
      }
      if (follower == nullptr || !follower->reflector.has(*at))
        addRemoval(kind == "EndpointSlice" ? "discovery.k8s.io" : "", kind, *at);
      at = keys.erase(at);
    }
  std::erase_if(cached_, [](const auto& one) { return one.second.empty(); });
}

void Reader::tellTrouble() {
  std::string text;
  const auto add = [&](const std::string& more) {
    if (!more.empty()) text += (text.empty() ? "" : "; ") + more;
  };
  const Error& index = index_.error;
  if (!exists_ && (index_.reflector.listed() || index.status == 404)) {
    add(index_.what + (has_index_ ? " does not exist" : " does not exist yet") +
        (index.status == 404 ? ", and the API server knows no RouteSnapshots: the CRD is missing"
                             : ""));
  } else if (index) {
    add(index_.what + ": " + index.text());
  }
  if (waiting_) add(waiting_->trouble);
  for (const auto& [name_space, backends] : backends_) {
    const Follower& services = backends->services;
    const Follower& slices = backends->slices;
    if (slices.error.status == 403 && !slices.reflector.listed())
      add(slices.what + " are forbidden: Services are reached by their cluster addresses");
    else if (slices.error)
      add(slices.what + ": " + slices.error.text());
    if (services.error) add(services.what + ": " + services.error.text());
  }
  for (const auto& [key, follower] : secrets_)
    if (follower->error) add(follower->what + ": " + follower->error.text());
  add(presence_trouble_);
  add(cache_trouble_);
  if (from_cache_ && !index_.reflector.listed())
    add("what is served is from the cache");
  else if (!cached_.empty())
    add("some of what is served is from the cache");
  if (!text.empty() && synced_) text += "; the last good state is served";
  if (text == trouble_) return;
  trouble_ = std::move(text);
  listener_.trouble(trouble_);
}

void Reader::report(std::string_view statuses) {
  const auto parsed = Parser::parse(statuses);
  const auto* list = std::get_if<Value>(&parsed);
  if (list == nullptr) return;
  const auto text = [](const Value& object, std::string_view name) {
    const Value* found = object.find(name);
    return found != nullptr ? found->text() : std::string();
  };
  for (const Value& one : list->items()) {
    const Value* status = one.find("status");
    const Value* generation = one.find("generation");
    if (text(one, "kind") != "RouteSnapshot" || text(one, "name") != settings_.name ||
        text(one, "namespace") != settings_.name_space || status == nullptr)
      continue;
    presence_.serves(generation != nullptr ? generation->integer() : 0,
                     k8s_client::toText(*status));
  }
}

}  // namespace hyperway::snapshot_source
