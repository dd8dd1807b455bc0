// SPDX-License-Identifier: Apache-2.0
#include "cache.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <utility>

namespace hyperway::snapshot_source {
namespace {

// A record is a line: "+Kind namespace/name\tJSON", "-Kind namespace/name", or "=": all before it
// is whole. No name and no JSON that an API server sends has a tab or a new line in it.
constexpr char kPut = '+', kRemove = '-', kCommit = '=';
constexpr std::size_t kMostPending = std::size_t{64} << 20;  // then it is given up
constexpr std::size_t kLeast = std::size_t{1} << 20;  // below that much waste nothing is done

constexpr std::chrono::seconds kFirstWait{1}, kMostWait{60};

constexpr std::string_view kSecret = "Secret";

std::string reasonOf(const std::string& what) { return what + ": " + std::strerror(errno); }

// Takes in what the log says up to its last commit.
void replay(std::istream& log, std::map<std::string, std::string>& out) {
  std::map<std::string, std::string> pending;
  std::string line;
  while (std::getline(log, line)) {
    if (log.eof()) break;  // a last line without its end
    if (line.empty()) continue;
    const std::size_t tab = std::min(line.find('\t'), line.size());
    const std::string key = line.substr(1, tab - 1);
    if (line[0] == kPut && tab < line.size())
      pending[key] = line.substr(tab + 1);
    else if (line[0] == kRemove)
      pending[key].clear();
    if (line[0] != kCommit) continue;
    for (auto& [name, text] : pending)
      if (text.empty())
        out.erase(name);
      else
        out[name] = std::move(text);
    pending.clear();
  }
}

}  // namespace

Cache::~Cache() {
  if (file_ >= 0) ::close(file_);
}

std::map<std::string, std::string> Cache::load() const {
  std::map<std::string, std::string> out;
  std::ifstream in(path_, std::ios::binary);
  if (!path_.empty() && in) replay(in, out);
  return out;
}

void Cache::put(std::string_view kind, std::string_view key, std::string_view text) {
  if (path_.empty() || off_) return;
  std::string name = std::string(kind) + ' ' + std::string(key);
  std::string record = kPut + name + '\t' + std::string(text) + '\n';
  std::replace(record.begin(), record.end() - 1, '\n', ' ');
  std::size_t& size = sizes_[std::hash<std::string>{}(name)];
  outdated_secret_ = outdated_secret_ || (kind == kSecret && size != 0);
  live_ += record.size() - size;
  size = record.size();
  pending_ += record;
}

void Cache::remove(std::string_view kind, std::string_view key) {
  if (path_.empty() || off_) return;
  const std::string name = std::string(kind) + ' ' + std::string(key);
  if (const auto known = sizes_.find(std::hash<std::string>{}(name)); known != sizes_.end()) {
    live_ -= known->second;
    sizes_.erase(known);
    outdated_secret_ = outdated_secret_ || kind == kSecret;
  }
  ((pending_ += kRemove) += name) += '\n';
}

std::string Cache::commit(TimePoint now) {
  if (path_.empty() || off_ || pending_.empty() || now < not_before_) return wrong_;
  wrong_ = tryCommit();
  failures_ = wrong_.empty() ? 0 : failures_ + 1;
  if (failures_ > 0)
    not_before_ = now + std::min(kFirstWait * (1U << std::min(failures_ - 1, 10U)), kMostWait);
  return wrong_;
}

std::string Cache::tryCommit() {
  const bool replaced = isReplaced();
  if (replaced && isAnothers()) {
    // What we know stays with us, for the case that it ends before we do.
    off_ = pending_.size() > kMostPending;
    if (off_) std::string().swap(pending_);
    return {};
  }
  const bool anew = file_ < 0 || outdated_secret_ || replaced;
  std::string wrong = anew ? writeAnew() : write(pending_ + kCommit + '\n');
  // With what it has room for, which an assignment keeps: the first commit is a thousand times as
  // large as others.
  if (wrong.empty()) std::string().swap(pending_);
  if (wrong.empty() && written_ > 2 * live_ + kLeast) wrong = writeAnew();
  if (wrong.empty()) return wrong;
  // What is in the file stays, and is the beginning of the next one.
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  if (pending_.size() > kMostPending) {
    off_ = true;
    wrong += ", and is not tried again: too much has changed since";
    std::string().swap(pending_);
  }
  return wrong;
}

bool Cache::isReplaced() const {
  struct stat own {};
  struct stat there {};
  return file_ >= 0 && ::fstat(file_, &own) == 0 && ::stat(path_.c_str(), &there) == 0 &&
         (own.st_ino != there.st_ino || own.st_dev != there.st_dev);
}

// Whoever writes a cache holds a lock on it, which ends with the process.
bool Cache::isAnothers() const {
  const int there = ::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const bool locked = there >= 0 && ::flock(there, LOCK_SH | LOCK_NB) != 0;
  if (there >= 0) ::close(there);
  return locked;
}

std::string Cache::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(file_, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return reasonOf("the cache " + path_ + " cannot be written");
    text.remove_prefix(static_cast<std::size_t>(done));
    written_ += static_cast<std::size_t>(done);
  }
  return {};
}

std::string Cache::writeWhole(int before) {
  pending_ += kCommit;
  pending_ += '\n';
  // At a start there is nothing else; what is in it twice does no harm, unless it is a key.
  if (!ours_ && !outdated_secret_) {
    std::string wrong = write(pending_);
    pending_.resize(pending_.size() - 2);
    return wrong;
  }
  std::map<std::string, std::string> objects;
  // By the descriptor: at the path there may be somebody else's.
  if (std::ifstream own("/proc/self/fd/" + std::to_string(before), std::ios::binary); before >= 0)
    replay(own, objects);
  else if (ours_)
    objects = load();
  std::istringstream pending(pending_);
  pending_.resize(pending_.size() - 2);
  replay(pending, objects);
  for (const auto& [name, text] : objects)
    if (std::string wrong = write(kPut + name + '\t' + text + '\n'); !wrong.empty()) return wrong;
  return write(std::string(1, kCommit) + '\n');
}

// Beside the old one, which counts until this one is whole.
std::string Cache::writeAnew() {
  const std::string part = path_ + ".new";
  // Never into a file that somebody else made, wherever it leads.
  ::unlink(part.c_str());
  const int fresh =
      ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fresh < 0) return reasonOf("the cache " + part + " cannot be made");
  (void)::flock(fresh, LOCK_EX | LOCK_NB);  // Nobody else can have it: it was not there.
  const int before = std::exchange(file_, fresh);
  written_ = 0;
  std::string wrong = writeWhole(before);
  if (before >= 0) ::close(before);
  if (!wrong.empty()) return wrong;
  if (std::rename(part.c_str(), path_.c_str()) != 0)
    return reasonOf("the cache " + path_ + " cannot be replaced");
  ours_ = true;
  outdated_secret_ = false;
  return {};
}

}  // namespace hyperway::snapshot_source
