// SPDX-License-Identifier: Apache-2.0
#include "file_source.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "ahead.hpp"
#include "certificate.hpp"
#include "documents.hpp"
#include "locate.hpp"
#include "scalar.hpp"

namespace hyperway::file_source {
namespace {

constexpr int kMaxDirectoryDepth = 16;
constexpr std::int64_t kSettleNs = 2'000'000'000;
// A writer that keeps a file open must go on writing to keep it from being read by a poll.
constexpr std::chrono::seconds kOpenWrite{60};
// Editors and version control put a new file in an old one's place by taking the old one away
// first.
constexpr std::chrono::milliseconds kGone{100};
// Clocks of file systems tick every few milliseconds: a second write may leave the same signature.
constexpr std::int64_t kTickNs = 20'000'000;
constexpr std::chrono::seconds kLookAgain{2};
constexpr const char* kSelfSignedPath = "(self-signed certificate)";

std::int64_t nowNs() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

void appendId(std::string& out, const ObjectId& id) {
  out += "{\"group\":";
  appendString(out, id.group);
  out += ",\"kind\":";
  appendString(out, id.kind);
  out += ",\"namespace\":";
  appendString(out, id.name_space);
  out += ",\"name\":";
  appendString(out, id.name);
  out += '}';
}

std::string documentOf(const Changes& changes) {
  std::string out = "{\"upserts\":[";
  std::size_t size = 0;
  for (const std::string& object : changes.upserts) size += object.size() + 1;
  out.reserve(size + 64);
  for (const std::string& object : changes.upserts) {
    if (out.back() != '[') out += ',';
    out += object;
  }
  out += "],\"removals\":[";
  for (const ObjectId& id : changes.removals) {
    if (out.back() != '[') out += ',';
    appendId(out, id);
  }
  out += "]}";
  return out;
}

// A file that was not known, read and converted; without content: look at it in the ordinary way.
struct NewFile {
  Signature signature;
  std::optional<ConvertedFile> content;
};

// On any thread. Large files are left: hundreds of results may wait, and they have many documents.
NewFile readNew(const std::string& path) {
  constexpr std::size_t kLarge = 64 * 1024;
  NewFile out;
  FileBuffer buffer;
  std::string ignored;
  if (const auto text = readFile(path, buffer, out.signature, ignored, kLarge))
    out.content = convertFile(*text);
  return out;
}

// "{group, kind, namespace, name}" as the ABI writes keys -> "Kind/namespace/name".
std::string plainKey(std::string_view key) {
  const auto parsed = sdk::json::Parser::parse(key);
  const auto* value = std::get_if<sdk::json::Value>(&parsed);
  if (value == nullptr || value->type() != sdk::json::Value::Type::Object) return std::string(key);
  const auto text = [&](std::string_view name) {
    const auto* found = value->find(name);
    return found != nullptr ? found->text() : std::string();
  };
  return text("kind") + '/' + text("namespace") + '/' + text("name");
}

}  // namespace

FileSource::FileSource(sdk::Setup& setup, sdk::SourcePort port)
    : settings_(readSettings(setup)),
      port_(port),
      log_(setup.services()),
      status_file_(settings_.status_file) {}

FileSource::~FileSource() { stop(); }

void FileSource::start() {
  stopping_ = false;
  if (!watcher_.open())
    log_.write(sdk::Level::Warning,
               "inotify is not available; files are looked at every poll_seconds only",
               {{"reason", std::strerror(errno)}});
  // Signals belong to the process, not to this thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void FileSource::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  watcher_.interrupt();
  thread_.join();
}

void FileSource::reportStatus(std::uint64_t /*seq*/, std::string_view statuses) {
  if (status_file_.take(statuses)) watcher_.interrupt();
}

void FileSource::run() {
  // Watches are set before the files are read, so that no change falls between the two.
  loadSelfSigned();
  scan(Reason::Event);
  publish(HW_PUBLISH_BEGIN | HW_PUBLISH_END | HW_PUBLISH_SYNCED);
  buffer_.release();
  bool quiet = true;
  auto next_poll = Clock::now() + settings_.poll;
  while (!stopping_) {
    auto wake = next_poll;
    for (const auto& [path, since] : gone_) wake = std::min(wake, since + kGone);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake - Clock::now());
    const auto events = watcher_.wait(std::max(left, std::chrono::milliseconds(0)));
    if (stopping_) break;
    std::string error;
    if (!status_file_.write(error))
      log_.write(sdk::Level::Error, "statuses are not written", {{"reason", error}});
    if (!events.empty()) {
      follow(events);
      quiet = false;
    }
    removeGone();
    if (unsettled_) next_poll = std::min(next_poll, Clock::now() + kLookAgain);
    if (Clock::now() >= next_poll) {
      // Between the edits of a busy hour the memory of the largest file is kept.
      if (std::exchange(quiet, true)) buffer_.release();
      unsettled_ = false;
      scan(Reason::Poll);
      const std::chrono::seconds wait =
          unsettled_ ? std::min(settings_.poll, kLookAgain) : settings_.poll;
      next_poll = Clock::now() + wait;
    }
    publish(0);
  }
}

void FileSource::scan(Reason reason) {
  Paths seen;
  std::map<std::string, Watched> before = std::exchange(watched_, {});
  for (const std::string& root : settings_.paths) scanRoot(root, reason, seen);
  for (const auto& from : settings_.certificates) scanCertificates(from, seen);
  seen.insert(kSelfSignedPath);
  const std::lock_guard lock(mutex_);
  for (const std::string& path : manifests_.paths()) {
    if (seen.contains(path) || (signatures_.contains(path) && mayComeBack(path))) continue;
    forget(path);
  }
  std::vector<std::string> keep;
  keep.reserve(watched_.size());
  for (const auto& [directory, what] : watched_) keep.push_back(directory);
  watcher_.keepOnly(keep);
}

void FileSource::scanRoot(const std::string& root, Reason reason, Paths& seen) {
  // What a root gave before stays if the root as a whole is away: an unmounted volume is no wish to
  // delete.
  const auto keepKnown = [&](std::string why) {
    keepBelow(root, std::move(why), seen);
    watchPath(root);
  };
  switch (lookAt(root, nullptr)) {
    case PathKind::Missing:
    case PathKind::Other: keepKnown("does not exist, or is neither a file nor a directory"); return;
    case PathKind::File:
      seen.insert(root);
      watchPath(root);
      visit(root, reason, false);
      return;
    case PathKind::Directory: break;
  }
  Listing listing;
  watched_[root].manifests = true;
  watcher_.watch(root);
  if (!listManifests(root, settings_.recursive ? kMaxDirectoryDepth : 0, listing)) {
    keepKnown(std::string("cannot be listed: ") + std::strerror(errno));
    return;
  }
  for (const std::string& directory : listing.directories) {
    watched_[directory].manifests = true;
    watcher_.watch(directory);
  }
  for (const auto& [directory, why] : listing.unreadable)
    keepBelow(directory, "cannot be listed: " + why, seen);
  const std::vector<ListedFile>& files = listing.files;
  seen.reserve(seen.size() + files.size());
  std::vector<const std::string*> unread;
  for (const ListedFile& file : files)
    if (!signatures_.contains(file.path)) unread.push_back(&file.path);
  const std::size_t helpers = Ahead<NewFile>::helpersFor(unread.size());
  Ahead<NewFile> ahead(
      helpers > 0 ? unread.size() : 0, [&](std::size_t index) { return readNew(*unread[index]); },
      helpers);
  auto next = helpers > 0 ? unread.begin() : unread.end();
  for (const ListedFile& file : files) {
    if (file.link && linkTarget(file.path)) watchPath(file.path);
    NewFile read;
    if (next != unread.end() && *next == &file.path) {
      read = ahead.take();
      ++next;
    }
    if (read.content)
      take(file.path, read.signature, std::move(*read.content));
    else
      visit(file.path, reason, false);
    seen.insert(file.path);
  }
}

void FileSource::keepBelow(const std::string& top, std::string why, Paths& seen) {
  const std::lock_guard lock(mutex_);
  for (const std::string& path : manifests_.paths())
    if (path == top || path.starts_with(top + '/')) seen.insert(path);
  manifests_.fail(top, std::move(why));
  seen.insert(top);
}

// With the lock held.
void FileSource::forget(const std::string& path) {
  manifests_.remove(path);
  signatures_.erase(path);
  being_written_.erase(path);
  pairs_.erase(path);
}

// True at first for a file that is not there any more: what it defined stays until removeGone().
bool FileSource::mayComeBack(const std::string& path) {
  const auto [at, is_new] = gone_.try_emplace(path, Clock::now());
  if (is_new || Clock::now() - at->second < kGone) return true;
  gone_.erase(at);
  return false;
}

void FileSource::removeGone() {
  std::vector<std::string> due;
  for (const auto& [path, since] : gone_)
    if (Clock::now() - since >= kGone) due.push_back(path);
  for (const std::string& path : due) {
    visit(path, Reason::Event, false);
    gone_.erase(path);
  }
}

// Watches the directory of a path and of everything that it links to, for that one name.
void FileSource::watchPath(const std::string& path) {
  std::string hop = path;
  for (int depth = 0; depth < 8; ++depth) {
    const std::string directory = parentOf(hop);
    watched_[directory].names[nameOf(hop)].insert(path);
    watcher_.watch(directory);
    const auto target = linkTarget(hop);
    if (!target) return;
    hop = *target;
  }
}

void FileSource::visit(const std::string& path, Reason reason, bool again) {
  const auto known = signatures_.find(path);
  Signature signature;
  std::string error;
  // Of ten thousand new files each look costs: one that is not known is just read.
  if (known == signatures_.end())
    if (const auto text = readFile(path, buffer_, signature, error)) {
      take(path, signature, *text);
      return;
    }
  const PathKind kind = lookAt(path, &signature);
  if (kind == PathKind::Missing) {
    const std::lock_guard lock(mutex_);
    const bool is_root =
        std::find(settings_.paths.begin(), settings_.paths.end(), path) != settings_.paths.end();
    if (is_root) {
      manifests_.fail(path, "is gone; what it defined stays in force");
      signatures_.erase(path);
      being_written_.erase(path);
    } else if (known == signatures_.end() || !mayComeBack(path)) {
      forget(path);
    }
    return;
  }
  gone_.erase(path);
  if (kind != PathKind::File) return;
  if (!again && known != signatures_.end() && known->second == signature) return;
  // A file in the middle of being written is of no use; its close or a later poll will do.
  const auto writing = being_written_.find(path);
  const bool open = writing != being_written_.end() && Clock::now() - writing->second < kOpenWrite;
  // An empty file is also what is seen between the truncation of the next write and its first byte.
  const bool fresh = (reason == Reason::Poll || signature.size == 0) &&
                     nowNs() - signature.modified_ns < kSettleNs;
  if (known != signatures_.end() && (open || fresh)) {
    unsettled_ = true;
    return;
  }
  if (const auto text = readFile(path, buffer_, signature, error)) {
    take(path, signature, *text);
    return;
  }
  being_written_.erase(path);
  signatures_.erase(path);
  const std::lock_guard lock(mutex_);
  manifests_.fail(path, error);
}

template <class Content>
void FileSource::take(const std::string& path, const Signature& signature, Content content) {
  being_written_.erase(path);
  gone_.erase(path);
  Signature& kept = signatures_[path] = signature;
  if (nowNs() - signature.modified_ns < kTickNs) kept.modified_ns = 0;  // so that it is read again
  const std::lock_guard lock(mutex_);
  manifests_.load(path, std::move(content));
}

void FileSource::scanCertificates(const Settings::CertificateDirectory& from, Paths& seen) {
  watched_[from.directory].certificates = true;
  if (!watcher_.watch(from.directory) && lookAt(from.directory, nullptr) != PathKind::Directory) {
    const std::lock_guard lock(mutex_);
    for (const std::string& path : manifests_.paths())
      if (path.starts_with(from.directory + '/')) seen.insert(path);
    manifests_.fail(from.directory, "is no directory");
    seen.insert(from.directory);
    return;
  }
  const bool own = lookAt(from.directory + "/tls.crt", nullptr) == PathKind::File ||
                   lookAt(from.directory + "/tls.key", nullptr) == PathKind::File;
  if (own)
    loadPair(from.directory, from.name_space,
             from.name.empty() ? nameOf(from.directory) : from.name, seen);
  for (const std::string& name : listDirectories(from.directory)) {
    const std::string directory = from.directory + '/' + name;
    watched_[directory].certificates = true;
    watcher_.watch(directory);
    loadPair(directory, from.name_space, name, seen);
  }
}

void FileSource::loadPair(const std::string& directory, std::string_view name_space,
                          const std::string& name, Paths& seen) {
  const std::string path = directory + "/tls.crt";
  seen.insert(path);
  pairs_[path] = {directory, std::string(name_space), name};
  std::string error;
  const auto chain = readFile(path, error);
  const auto key = readFile(directory + "/tls.key", error);
  const std::lock_guard lock(mutex_);
  if (chain && key)
    manifests_.load(path, tlsSecret(name_space, name, {*chain, *key}));
  else
    manifests_.fail(path, (chain ? "its tls.key " : "") + error);
}

void FileSource::loadSelfSigned() {
  if (!settings_.has_self_signed) return;
  const Settings::SelfSigned& wanted = settings_.self_signed;
  std::string error;
  CertificatePair pair;
  if (!wanted.directory.empty()) {
    std::string ignored;  // absent at the first run
    const auto chain = readFile(wanted.directory + "/tls.crt", ignored);
    const auto key = readFile(wanted.directory + "/tls.key", ignored);
    if (chain && key && !expiresWithin(*chain, wanted.days / 10)) pair = {*chain, *key};
  }
  if (pair.chain.empty()) {
    pair = makeSelfSigned(wanted.hosts, wanted.days, error);
    if (!pair.chain.empty() && !wanted.directory.empty()) {
      ::mkdir(wanted.directory.c_str(), 0700);
      // The key first: a certificate without its key would be taken for a pair at the next start.
      const bool kept = replaceFile(wanted.directory + "/tls.key", pair.key, 0600, error) &&
                        replaceFile(wanted.directory + "/tls.crt", pair.chain, 0644, error);
      if (!kept)
        log_.write(sdk::Level::Warning, "the self-signed certificate is not kept",
                   {{"reason", error}});
    }
  }
  const std::lock_guard lock(mutex_);
  if (pair.chain.empty()) {
    manifests_.fail(kSelfSignedPath, error);
    return;
  }
  self_signed_ = tlsSecret(wanted.name_space, wanted.name, pair);
  manifests_.load(kSelfSignedPath, self_signed_);
}

// A rival definition came or went.
void FileSource::reload(const std::string& path) {
  if (const auto pair = pairs_.find(path); pair != pairs_.end()) {
    const Pair from = pair->second;
    Paths ignored;
    loadPair(from.directory, from.name_space, from.name, ignored);
  } else if (path == kSelfSignedPath) {
    const std::lock_guard lock(mutex_);
    manifests_.load(path, self_signed_);
  } else {
    visit(path, Reason::Event, true);
  }
}

void FileSource::follow(const std::vector<WatchEvent>& events) {
  bool lost = false;  // more events than the system kept
  bool all = false;
  for (const WatchEvent& event : events) {
    lost = lost || event.directory.empty();
    all = !followOne(event) || all;
  }
  if (lost) being_written_.clear();  // ends of writes may be among them
  if (all) scan(lost ? Reason::Poll : Reason::Event);
}

// False: this event is none that a look at single files can answer.
bool FileSource::followOne(const WatchEvent& event) {
  const auto found = watched_.find(event.directory);
  // ConfigMap and Secret volumes swap the link "..data" and so every file at once.
  if (found == watched_.end() || event.name.empty() || event.name.starts_with("..")) return false;
  const Watched& watched = found->second;
  if (event.being_written) return followWrite(event);
  if (watched.certificates) return false;
  std::set<std::string> paths;  // a copy: what is watched may change on the way
  if (const auto names = watched.names.find(event.name); names != watched.names.end())
    paths = names->second;
  for (const std::string& named : paths) {
    // A root may have come back as a directory.
    if (lookAt(named, nullptr) == PathKind::Directory) return false;
    visitChanged(named);
  }
  if (!watched.manifests || event.name.starts_with('.')) return true;
  const std::string path = event.directory + '/' + event.name;
  if (!isManifestName(event.name))
    return !settings_.recursive || lookAt(path, nullptr) != PathKind::Directory;
  if (linkTarget(path)) watchPath(path);
  visitChanged(path);
  return true;
}

// Closed, moved here or gone: what there is now counts.
void FileSource::visitChanged(const std::string& path) {
  being_written_.erase(path);
  visit(path, Reason::Event, false);
}

// A write that is not closed yet: what the file held before stays in force, and that is said.
bool FileSource::followWrite(const WatchEvent& event) {
  const Watched& watched = watched_.find(event.directory)->second;
  std::set<std::string> paths;
  if (const auto names = watched.names.find(event.name); names != watched.names.end())
    paths = names->second;
  if (watched.manifests && isManifestName(event.name))
    paths.insert(event.directory + '/' + event.name);
  for (const std::string& path : paths) being_written_[path] = Clock::now();
  return true;
}

void FileSource::publish(std::uint32_t flags) {
  for (int round = 0; round < 4; ++round) {
    std::vector<std::string> again;
    {
      const std::lock_guard lock(mutex_);
      again = manifests_.takeReloads();
    }
    if (again.empty()) break;
    for (const std::string& path : again) reload(path);
  }
  // Before the batch: whoever waits for the batch then knows what is wrong with it, too.
  reportHealth();
  Changes changes;
  {
    const std::lock_guard lock(mutex_);
    changes = manifests_.takeChanges();
  }
  if (flags == 0 && changes.empty()) return;
  if (send(flags, changes) != HW_INVALID) return;
  // One object that the host does not take is not to cost the others.
  if ((flags & HW_PUBLISH_BEGIN) != 0) (void)send(HW_PUBLISH_BEGIN, {});
  for (const std::string& object : changes.upserts) (void)send(0, {{object}, {}});
  for (const ObjectId& id : changes.removals) (void)send(0, {{}, {id}});
  if ((flags & ~std::uint32_t{HW_PUBLISH_BEGIN}) != 0)
    (void)send(flags & ~std::uint32_t{HW_PUBLISH_BEGIN}, {});
}

hw_status FileSource::send(std::uint32_t flags, const Changes& changes) {
  const std::string document = documentOf(changes);
  const hw_status status = port_.publish(HW_DOC_OBJECTS, flags, {}, ++sequence_, document);
  if (status != HW_OK)
    log_.write(sdk::Level::Error, "the host refused a batch", {{"status", std::to_string(status)}});
  return status;
}

void FileSource::reportHealth() {
  std::string lines;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [path, since] : being_written_)
      lines += (lines.empty() ? "" : "\n") + path +
               ": is being written and not closed yet; what it defined before stays in force";
    for (const FileProblem& problem : manifests_.problems()) {
      if (!lines.empty()) lines += '\n';
      lines += problem.path;
      if (problem.line > 0) lines += ':' + std::to_string(problem.line);
      lines += ": " + problem.message;
    }
  }
  if (lines == health_) return;
  health_ = lines;
  port_.health(lines.empty() ? sdk::Health::Ok : sdk::Health::Degraded, lines);
}

hw_status FileSource::locate(std::string_view key, std::string_view pointer, sdk::Problems& where) {
  const std::lock_guard lock(mutex_);
  const Manifests::Origin origin = manifests_.origin(plainKey(key));
  if (origin.path.empty()) return HW_NOT_FOUND;
  where.note("", lineOf(origin, pointer));
  return HW_OK;
}

std::string FileSource::lineOf(const Manifests::Origin& origin, std::string_view pointer) const {
  std::string ignored;  // if the file is gone, the object's own line has to do
  const auto text = readFile(origin.path, ignored);
  std::size_t line = origin.line;
  if (text) {
    const auto documents = splitDocuments(*text);
    if (origin.document < documents.size()) {
      const Document& document = documents[origin.document];
      const std::string prefix = origin.in_list ? "/items/" + std::to_string(origin.item) : "";
      line = document.first_line - 1 +
             locateLine(std::string_view(*text).substr(document.offset, document.size),
                        prefix + std::string(pointer));
    }
  }
  return line > 0 ? origin.path + ':' + std::to_string(line) : origin.path;
}

}  // namespace hyperway::file_source
