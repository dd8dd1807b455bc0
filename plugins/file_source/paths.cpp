// SPDX-License-Identifier: Apache-2.0
#include "paths.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

namespace hyperway::file_source {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using DirectoryPtr = std::unique_ptr<DIR, CloseDirectory>;

Signature signatureOf(const struct stat& info) {
  return {info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
          nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

struct Name {
  std::string name;
  bool is_directory = false;
  bool may_be_link = false;
};

// Sorted by name; hidden ones left out.
bool listNames(const std::string& directory, std::vector<Name>& out) {
  const DirectoryPtr handle(::opendir(directory.c_str()));
  if (handle == nullptr) return false;
  while (const dirent* entry = ::readdir(handle.get())) {
    if (entry->d_name[0] == '.') continue;
    Name& found = out.emplace_back();
    found.name = entry->d_name;
    found.is_directory = entry->d_type == DT_DIR;
    found.may_be_link = entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
    if (found.may_be_link)
      found.is_directory = lookAt(directory + '/' + entry->d_name, nullptr) == PathKind::Directory;
  }
  std::sort(out.begin(), out.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  return true;
}

std::string reason() { return std::strerror(errno); }

}  // namespace

PathKind lookAt(const std::string& path, Signature* signature) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return PathKind::Missing;
  if (signature != nullptr) *signature = signatureOf(info);
  if (S_ISREG(info.st_mode)) return PathKind::File;
  return S_ISDIR(info.st_mode) ? PathKind::Directory : PathKind::Other;
}

char* FileBuffer::reserve(std::size_t size, std::size_t kept) {
  if (size <= capacity_) return data_.get();
  // A file that grows by some bytes with each edit is not to need another buffer each time.
  const std::size_t room = size + size / 8;
  auto larger = std::make_unique_for_overwrite<char[]>(room);
  if (kept > 0) std::memcpy(larger.get(), data_.get(), kept);
  data_ = std::move(larger);
  capacity_ = room;
  return data_.get();
}

void FileBuffer::release() noexcept {
  data_.reset();
  capacity_ = 0;
}

std::optional<std::string> readFile(const std::string& path, std::string& error) {
  FileBuffer buffer;
  Signature ignored;
  const auto text = readFile(path, buffer, ignored, error);
  if (!text) return std::nullopt;
  return std::string(*text);
}

std::optional<std::string_view> readFile(const std::string& path, FileBuffer& buffer,
                                         Signature& signature, std::string& error,
                                         std::size_t most) {
  // O_NONBLOCK: a pipe with a manifest's name must not hold the thread.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) {
    error = "cannot be read: " + reason();
    return std::nullopt;
  }
  if (!S_ISREG(info.st_mode)) {
    error = "is not a regular file";
    return std::nullopt;
  }
  const auto tooLarge = [&] {
    error = "is larger than " + std::to_string(most >> 20) + " MiB; split it";
    return std::nullopt;
  };
  const auto expected = static_cast<std::size_t>(info.st_size);
  if (expected > most) return tooLarge();
  signature = signatureOf(info);
  char* out = buffer.reserve(expected + 1, 0);
  std::size_t size = 0;
  for (;;) {
    if (size == buffer.capacity()) out = buffer.reserve(size * 2, size);
    const ssize_t got = ::read(file.get(), out + size, buffer.capacity() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      error = "cannot be read: " + reason();
      return std::nullopt;
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
    if (size > most) return tooLarge();
    // More was asked for, so this is the end; ten thousand files need not be asked again.
    if (size == expected && size < buffer.capacity()) break;
  }
  return std::string_view(out, size);
}

bool replaceFile(const std::string& path, std::string_view content, unsigned mode,
                 std::string& error) {
  const std::string temporary =
      parentOf(path) + "/." + nameOf(path) + "." + std::to_string(::getpid());
  bool good = false;
  {
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    good = file.get() >= 0;
    while (good && !content.empty()) {
      const ssize_t put = ::write(file.get(), content.data(), content.size());
      if (put < 0 && errno == EINTR) continue;
      good = put > 0;
      if (good) content.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  good = good && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (good) return true;
  error = path + " cannot be written: " + reason();
  ::unlink(temporary.c_str());
  return false;
}

bool isManifestName(std::string_view name) noexcept {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

bool listManifests(const std::string& directory, int depth, Listing& out) {
  std::vector<Name> names;
  if (!listNames(directory, names)) return false;
  out.directories.push_back(directory);
  for (const auto& [name, is_directory, may_be_link] : names) {
    std::string path = directory + '/' + name;
    if (!is_directory && isManifestName(name))
      out.files.push_back({std::move(path), may_be_link});
    else if (is_directory && depth > 0 && !listManifests(path, depth - 1, out) && errno != ENOENT)
      out.unreadable.push_back({std::move(path), reason()});
  }
  return true;
}

std::vector<std::string> listDirectories(const std::string& directory) {
  std::vector<Name> names;
  std::vector<std::string> out;
  if (!listNames(directory, names)) return out;
  for (Name& found : names)
    if (found.is_directory) out.push_back(std::move(found.name));
  return out;
}

std::string parentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string nameOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::optional<std::string> linkTarget(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), buffer, sizeof buffer);
  if (size <= 0) return std::nullopt;
  std::string target(buffer, static_cast<std::size_t>(size));
  return target.front() == '/' ? target : parentOf(path) + '/' + target;
}

}  // namespace hyperway::file_source
