// SPDX-License-Identifier: Apache-2.0
#include "cache.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace hyperway::snapshot_source {
namespace {

// A record is a line: "+Kind namespace/name\tJSON", "-Kind namespace/name", or "=": all before it
// is whole. No name and no JSON that an API server sends has a tab or a new line in it.
constexpr char kPut = '+', kRemove = '-', kCommit = '=';
constexpr std::size_t kMostPending = std::size_t{64} << 20;  // then it is given up
constexpr std::size_t kLeast = std::size_t{1} << 20;  // below that much waste nothing is done

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
  std::size_t& size = sizes_[std::move(name)];
  outdated_secret_ = outdated_secret_ || (kind == kSecret && size != 0);
  live_ += record.size() - size;
  size = record.size();
  pending_ += record;
}

void Cache::remove(std::string_view kind, std::string_view key) {
  if (path_.empty() || off_) return;
  const std::string name = std::string(kind) + ' ' + std::string(key);
  if (const auto known = sizes_.find(name); known != sizes_.end()) {
    live_ -= known->second;
    sizes_.erase(known);
    outdated_secret_ = outdated_secret_ || kind == kSecret;
  }
  ((pending_ += kRemove) += name) += '\n';
}

std::string Cache::commit() {
  if (path_.empty() || off_ || pending_.empty()) return {};
  const bool anew = file_ < 0 || outdated_secret_;
  std::string wrong = anew ? writeAnew() : write(pending_ + kCommit + '\n');
  if (wrong.empty()) pending_.clear();
  if (wrong.empty() && written_ > 2 * live_ + kLeast) wrong = writeAnew();
  if (wrong.empty()) return wrong;
  // What is in the file stays, and is the beginning of the next one.
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  if (pending_.size() > kMostPending) {
    off_ = true;
    pending_.clear();
  }
  return wrong;
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

// Beside the old one, which counts until this one is whole.
std::string Cache::writeAnew() {
  std::map<std::string, std::string> objects;
  if (ours_) objects = load();
  std::istringstream pending(pending_ + kCommit + '\n');
  replay(pending, objects);
  const std::string part = path_ + ".new";
  // Never into a file that somebody else made, wherever it leads.
  ::unlink(part.c_str());
  const int fresh =
      ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fresh < 0) return reasonOf("the cache " + part + " cannot be made");
  if (file_ >= 0) ::close(file_);
  file_ = fresh;
  written_ = 0;
  std::string all;
  for (const auto& [name, text] : objects) all += kPut + name + '\t' + text + '\n';
  all += kCommit;
  all += '\n';
  if (std::string wrong = write(all); !wrong.empty()) return wrong;
  if (std::rename(part.c_str(), path_.c_str()) != 0)
    return reasonOf("the cache " + path_ + " cannot be replaced");
  ours_ = true;
  outdated_secret_ = false;
  return {};
}

}  // namespace hyperway::snapshot_source
