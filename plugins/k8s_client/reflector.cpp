// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/reflector.hpp"

#include <algorithm>
#include <utility>

namespace hyperway::k8s_client {
namespace {

// Failures of a watch in a row after which its version is no longer believed.
constexpr unsigned kFailuresBeforeList = 5;
// A list that takes long is repeated more seldom: at most one part in so many of the time.
constexpr int kListShare = 20;
// Between two pages of a poll a server has so many times as long as one took to itself.
constexpr int kPauseShare = 3;
constexpr Duration kMostPause = std::chrono::milliseconds(500);
// Objects of a page that are worked on before events get their turn: about a tenth of a
// millisecond.
constexpr std::size_t kSlice = 50;

Error invalid(std::string message) {
  Error error;
  error.kind = Error::Kind::Invalid;
  error.message = std::move(message);
  return error;
}

}  // namespace

Reflector::Reflector(Api& api, Options options, Observer& observer)
    : api_(api),
      options_(std::move(options)),
      observer_(observer),
      lines_(options_.most_line),
      own_readers_(options_.readers == nullptr ? std::make_unique<Readers>() : nullptr),
      readers_(own_readers_ ? *own_readers_ : *options_.readers) {}

Reflector::~Reflector() {
  *alive_ = false;
  for (const Api::Id id : {stream_, retry_, poll_, silence_, page_timer_})
    if (id != 0) api_.cancel(id);
  endTurn();
}

void Reflector::start() { wantList(); }

void Reflector::inherit(Reflector& before) {
  known_ = std::move(before.known_);
  for (auto& [key, known] : known_) known.list = 0;  // no list of ours had it
  marked_ = 0;
}

void Reflector::schedule(Duration delay, void (Reflector::*what)()) {
  if (retry_ != 0) api_.cancel(retry_);
  retry_ = api_.after(delay, [this, what] {
    retry_ = 0;
    (this->*what)();
  });
}

// ---- lists --------------------------------------------------------------------------------------

void Reflector::schedulePoll() {
  if (poll_ != 0) api_.cancel(poll_);
  const auto took = api_.now() - list_began_;
  Duration wait = std::max<Duration>(options_.poll, took * kListShare);
  wait -= std::chrono::duration_cast<Duration>(wait * 0.1 * random());
  poll_ = api_.after(wait, [this] {
    poll_ = 0;
    pollInTurn();
  });
}

void Reflector::pollInTurn() {
  // Who waits for a list or a watch to come back needs no net beneath it.
  const auto poll = [this] {
    const bool useful = !listing_ && stream_ != 0;
    if (useful)
      list();
    else
      schedulePoll();
    return useful;
  };
  if (options_.turns == nullptr || listing_ || stream_ == 0) {
    (void)poll();  // There is no turn that others could have instead.
    return;
  }
  endTurn();
  turn_ = options_.turns->poll(poll);
}

void Reflector::wantList() {
  version_.clear();
  endWatch();
  if (retry_ != 0) api_.cancel(std::exchange(retry_, 0));
  if (listing_) return;
  const TimePoint now = api_.now();
  if (last_list_ && now < *last_list_ + options_.list_gap)
    schedule(*last_list_ + options_.list_gap - now, &Reflector::takeTurn);
  else
    takeTurn();
}

void Reflector::takeTurn() {
  endTurn();
  if (options_.turns == nullptr) return list();
  turn_ = options_.turns->need([this] {
    list();
    return true;
  });
}

void Reflector::endTurn() {
  if (turn_ != 0) options_.turns->end(std::exchange(turn_, 0));
}

void Reflector::list() {
  listing_ = true;
  ++list_number_;
  marked_ = 0;
  removed_.clear();
  list_version_.clear();
  list_began_ = api_.now();
  last_list_ = list_began_;
  newest_at_list_ = newest_;
  next_page_.clear();
  askPage();
}

void Reflector::askPage() {
  Request request;
  request.path = pagePath(options_.path, next_page_, stream_ != 0 ? kPollPageSize : kPageSize);
  page_asked_ = api_.now();
  if (options_.metadata_only) request.accept = kMetadataList;
  api_.call(std::move(request), [this, alive = alive_](Reply reply) {
    if (*alive) onPage(std::move(reply));
  });
}

void Reflector::onPage(Reply reply) {
  if (!reply.ok()) return listFailed(reply.error);
  ListPage page;
  page_.clear();
  page_at_ = 0;
  page_readable_ = true;
  const auto keep = [this](std::string_view text) { page_.push_back(text); };
  if (!page_reader_) page_reader_.emplace();
  if (!page_reader_->read(reply.body, page, keep))
    return listFailed(invalid(page_reader_->error()));
  // The first page's version is the one that all pages show.
  if (list_version_.empty()) list_version_ = std::move(page.resource_version);
  next_page_ = std::move(page.next);
  takeSome();
}

void Reflector::takeSome() {
  for (const std::size_t end = std::min(page_.size(), page_at_ + kSlice); page_at_ < end;
       ++page_at_) {
    if (readers_.object.read(page_[page_at_]))
      take(readers_.object, false);
    else
      page_readable_ = false;
  }
  if (page_at_ == page_.size()) return endPage();
  page_timer_ = api_.after(Duration{0}, [this] {
    page_timer_ = 0;
    takeSome();
  });
}

void Reflector::endPage() {
  if (!page_readable_) return listFailed(invalid("an object in the list cannot be read"));
  if (next_page_.empty()) return endList();
  // A poll is not to keep the server from what somebody waits for.
  const Duration pause = stream_ != 0 ? (api_.now() - page_asked_) * kPauseShare : Duration{0};
  if (pause <= Duration{0}) return askPage();
  page_timer_ = api_.after(std::min<Duration>(pause, kMostPause), [this] {
    page_timer_ = 0;
    askPage();
  });
}

void Reflector::listFailed(const Error& error) {
  listing_ = false;
  dropPage();
  endTurn();
  ++list_failures_;
  // The server was not there to be burdened.
  if (error.kind == Error::Kind::Connect) last_list_.reset();
  if (stream_ != 0) {
    // A poll: the watch goes on without it, and one that fails is no state yet.
    if (list_failures_ > 1) trouble(error);
    return schedulePoll();
  }
  trouble(error);
  Duration wait =
      backOff(list_failures_, options_.first_back_off, options_.most_back_off, random());
  if (error.retry_after) wait = std::max<Duration>(wait, *error.retry_after);
  if (last_list_) wait = std::max<Duration>(wait, *last_list_ + options_.list_gap - api_.now());
  schedule(wait, &Reflector::takeTurn);
}

// Its buffers are several times as large as what was read.
void Reflector::dropPage() {
  page_ = std::vector<std::string_view>();
  page_reader_.reset();
}

void Reflector::endList() {
  dropPage();
  endTurn();
  const std::uint64_t version = versionOf(list_version_);
  if (isOtherHistory(version)) {
    listing_ = false;
    return wantList();
  }
  newest_ = std::max(newest_, version);
  // Mostly it had them all, and nobody has to go through them.
  for (auto at = known_.begin(); marked_ != known_.size() && at != known_.end();) {
    // What the watch saw while the list was on its way is newer than the list.
    const bool gone = at->second.list != list_number_ && at->second.version <= version;
    if (!gone) {
      ++at;
      continue;
    }
    observer_.onRemoved(at->first);
    at = known_.erase(at);
  }
  decltype(removed_)().swap(removed_);
  listing_ = false;
  listed_ = true;
  list_failures_ = 0;
  observer_.onListed();
  if (stream_ != 0) well();
  if (stream_ == 0 && retry_ == 0) {
    version_ = list_version_;
    watch();
  }
  schedulePoll();
}

// A list shows what the server has reached by its beginning. If that is behind what it had reached
// before, its data was restored from a backup: versions of before mean nothing, objects stay known
// until the next list tells what has become of them.
bool Reflector::isOtherHistory(std::uint64_t version) {
  if (version == 0 || version >= newest_at_list_) return false;
  for (auto& [key, known] : known_) known.version = 0;
  newest_ = version;
  observer_.onOtherHistory();
  return true;
}

// ---- watches ------------------------------------------------------------------------------------

void Reflector::watch() {
  lines_.clear();
  watch_error_ = {};
  const auto limit = options_.watch_limit.count();
  const std::string seconds =
      std::to_string(limit + static_cast<std::int64_t>(random() * static_cast<double>(limit) / 4));
  Request request;
  request.timeout = std::chrono::seconds(10);
  request.path = withQuery(options_.path, {{"watch", "true"},
                                           {"allowWatchBookmarks", "true"},
                                           {"resourceVersion", version_},
                                           {"timeoutSeconds", seconds}});
  if (options_.metadata_only) request.accept = kMetadata;
  watch_began_ = api_.now();
  stream_ = api_.stream(std::move(request), *this);
}

void Reflector::onOpen() {
  well();
  expectSign();
}

void Reflector::expectSign() {
  last_sign_ = api_.now();
  if (silence_ == 0) checkSilenceAfter(options_.silence);
}

void Reflector::checkSilenceAfter(Duration wait) {
  silence_ = api_.after(wait, [this] {
    silence_ = 0;
    if (stream_ == 0) return;
    const Duration quiet = api_.now() - last_sign_;
    if (quiet < options_.silence) return checkSilenceAfter(options_.silence - quiet);
    // From where it was: nothing is lost, and nothing listed.
    endWatch();
    watch();
  });
}

void Reflector::endWatch() {
  if (stream_ != 0) api_.cancel(std::exchange(stream_, 0));
  if (silence_ != 0) api_.cancel(std::exchange(silence_, 0));
}

void Reflector::onData(std::string_view bytes) {
  last_sign_ = api_.now();
  const bool fine = lines_.feed(bytes, [this](std::string_view line) {
    if (stream_ != 0) onLine(line);
  });
  if (stream_ == 0) return;
  if (!fine) watch_error_ = invalid("a line of the watch is too long");
  if (watch_error_) {
    endWatch();
    watchFailed(std::exchange(watch_error_, {}));
  }
}

void Reflector::onLine(std::string_view line) {
  if (watch_error_ || line.empty()) return;
  WatchEvent event = readers_.event.read(line);
  using Type = WatchEvent::Type;
  switch (event.type) {
    case Type::Bookmark:
      version_ = std::move(event.bookmark);
      newest_ = std::max(newest_, versionOf(version_));
      watch_failures_ = 0;
      return;
    case Type::Failed:
      watch_error_.kind = Error::Kind::Status;
      watch_error_.status = event.code != 0 ? event.code : 500;
      watch_error_.message = std::move(event.message);
      return;
    case Type::Invalid:
      watch_error_ = invalid("a line of the watch is no event: " + event.message);
      return;
    default: break;
  }
  ObjectText& object = readers_.object;
  if (!object.read(event.object)) {
    watch_error_ = invalid("an object of the watch cannot be read");
    return;
  }
  watch_failures_ = 0;
  if (event.type == Type::Deleted)
    takeRemoval(object);
  else
    take(object, true);
  if (object.resourceVersion().empty()) return;
  version_ = object.resourceVersion();
  newest_ = std::max(newest_, versionOf(version_));
}

void Reflector::onEnd(Error error) {
  stream_ = 0;
  if (silence_ != 0) api_.cancel(std::exchange(silence_, 0));
  if (!error && !lines_.atLineStart()) error = invalid("the watch ended within a line");
  // The server ends watches as a matter of course.
  if (!error && api_.now() - watch_began_ >= std::chrono::seconds(1)) return watch();
  if (!error) error = invalid("the server ends watches at once");
  watchFailed(error);
}

void Reflector::watchFailed(const Error& error) {
  if (error.status == 410) return wantList();
  ++watch_failures_;
  const bool answered = error.kind == Error::Kind::Status || error.kind == Error::Kind::Invalid;
  const bool refused = error.status == 401 || error.status == 403 || error.status == 429;
  // The first failure is mostly a connection that ended; the second is a state.
  if (watch_failures_ > 1 || error.kind == Error::Kind::Status) trouble(error);
  if (answered && !refused && watch_failures_ >= kFailuresBeforeList) return wantList();
  Duration wait =
      watch_failures_ == 1 && error.kind == Error::Kind::Broken
          ? Duration{0}
          : backOff(watch_failures_, options_.first_back_off, options_.most_back_off, random());
  if (error.retry_after) wait = std::max<Duration>(wait, *error.retry_after);
  schedule(wait, &Reflector::watch);
}

// ---- objects ------------------------------------------------------------------------------------

void Reflector::take(const ObjectText& object, bool from_watch) {
  const std::uint64_t version = versionOf(object.resourceVersion());
  std::string key = object.key();
  if (!from_watch) {
    const auto gone = removed_.find(key);
    if (gone != removed_.end() && version <= gone->second) return;
  }
  const auto [at, added] = known_.try_emplace(std::move(key));
  mark(at->second);
  // Seen already, or older than what was seen: events may come twice after a resume.
  if (!added && version != 0 && version <= at->second.version) return;
  at->second.version = version;
  observer_.onObject(object);
}

void Reflector::takeRemoval(const ObjectText& object) {
  const std::uint64_t version = versionOf(object.resourceVersion());
  const std::string key = object.key();
  if (listing_) removed_[key] = version;
  const auto at = known_.find(key);
  if (at == known_.end() || (version != 0 && version < at->second.version)) return;
  observer_.onRemoved(key);
  if (at->second.list == list_number_) --marked_;
  known_.erase(at);
}

// The list of now, or an event since, has it.
void Reflector::mark(Known& known) {
  if (known.list == list_number_) return;
  known.list = list_number_;
  ++marked_;
}

void Reflector::trouble(const Error& error) {
  std::string text = error.text();
  if (troubled_ && text == last_trouble_) return;
  troubled_ = true;
  last_trouble_ = std::move(text);
  observer_.onTrouble(error);
}

void Reflector::well() {
  if (!std::exchange(troubled_, false)) return;
  last_trouble_.clear();
  observer_.onWell();
}

}  // namespace hyperway::k8s_client
