// SPDX-License-Identifier: Apache-2.0
#include "plugin/shared_object.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "plugin/elf_probe.hpp"
#include "plugin/load_error.hpp"
#include "plugin/manifest_check.hpp"
#include "plugin/sha256.hpp"

namespace hyperway::plugin {
namespace {

constexpr const char* kSymbol = "hyperway_plugin_v1";

std::string reason(int error) { return std::strerror(error); }

/// Closes a descriptor unless it was given away.
struct Descriptor {
  explicit Descriptor(int value) : fd(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  int fd;
};

int openPlugin(const std::string& path) {
  if (!path.starts_with('/')) throw LoadError(path + ": a plugin is named by an absolute path");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw LoadError(path + ": cannot be opened: " + reason(errno));
  return fd;
}

std::size_t sizeOf(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw LoadError(path + ": " + reason(errno));
  if (!S_ISREG(info.st_mode)) throw LoadError(path + ": not a regular file");
  if ((info.st_mode & S_IWOTH) != 0)
    throw LoadError(path + ": every user may write it; run chmod o-w on it");
  if (info.st_size <= 0) throw LoadError(path + ": the file is empty");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > SealedFile::kMaxBytes) throw LoadError(path + ": larger than 256 MiB");
  return size;
}

int makeMemfd(const std::string& name) {
  // MFD_EXEC is asked for where the kernel knows it (6.3), because vm.memfd_noexec may be set.
  constexpr unsigned kExec = 0x0010U;
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = ::memfd_create(name.c_str(), kFlags | kExec);
  return fd >= 0 || errno != EINVAL ? fd : ::memfd_create(name.c_str(), kFlags);
}

// In pieces that stay in the processor's cache, so that each is read from memory once; gives the
// copy's SHA-256.
std::string copyAll(int from, int to, std::size_t size, const std::string& path) {
  std::vector<std::byte> buffer(std::size_t{64} << 10);
  Sha256 hash;
  std::size_t copied = 0;
  while (copied < size) {
    const ssize_t got = ::read(from, buffer.data(), std::min(buffer.size(), size - copied));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw LoadError(path + ": the file changed while it was read; try again");
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::write(to, buffer.data() + done, static_cast<std::size_t>(got - done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) throw LoadError(path + ": cannot be copied: " + reason(errno));
      done += put;
    }
    hash.add({buffer.data(), static_cast<std::size_t>(got)});
    copied += static_cast<std::size_t>(got);
  }
  return hash.hex();
}

/// "libssl.so.3" -> {"libssl", "3"}; an empty version if there is none.
std::pair<std::string, std::string> splitSoname(std::string_view soname) {
  const auto at = soname.find(".so.");
  if (at == std::string_view::npos) return {std::string(soname), ""};
  return {std::string(soname.substr(0, at)), std::string(soname.substr(at + 4))};
}

int collectLoaded(dl_phdr_info* info, std::size_t, void* out) {
  const std::string_view path = info->dlpi_name != nullptr ? info->dlpi_name : "";
  static_cast<std::vector<std::string>*>(out)->emplace_back(
      path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1));
  return 0;
}

// Two versions of one library in a process share symbols by accident: OpenSSL above all.
void refuseMixedLibraries(const ElfProbe& probe, const std::string& path) {
  std::vector<std::string> loaded;
  ::dl_iterate_phdr(&collectLoaded, &loaded);
  for (const std::string& needed : probe.needed) {
    const auto [library, version] = splitSoname(needed);
    for (const std::string& present : loaded) {
      const auto [other, other_version] = splitSoname(present);
      if (library == other && !version.empty() && !other_version.empty() &&
          version != other_version)
        throw LoadError(path + ": needs " + needed + ", but this process runs " + present +
                        "; build the plugin against the latter, or link it statically and hidden");
    }
  }
}

void refuseByProbe(const ElfProbe& probe, const std::string& path) {
  if (!probe.manifest) {
    std::string message = path + ": does not export the data symbol " + kSymbol;
    if (!probe.other_majors.empty())
      message += " of ABI major " + std::to_string(HW_ABI_MAJOR) + ", only " +
                 probe.other_majors.front() + "; rebuild it with this host's headers";
    else
      message += "; define it with HYPERWAY_PLUGIN(...) and export nothing else";
    throw LoadError(message);
  }
  const ElfProbe::Manifest& manifest = *probe.manifest;
  checkVersions({manifest.magic, manifest.struct_size, manifest.abi_major, manifest.abi_minor,
                 manifest.abi_minor_needed},
                path);
  refuseMixedLibraries(probe, path);
}

std::string loaderMessage(const std::string& fd_path, const std::string& path) {
  const char* text = ::dlerror();
  std::string message = text != nullptr ? text : "unknown error";
  // The loader names the descriptor, which tells an operator nothing.
  if (const auto at = message.find(fd_path); at != std::string::npos)
    message.replace(at, fd_path.size(), path);
  else
    message.insert(0, path + ": ");
  return message;
}

}  // namespace

SealedFile SealedFile::copyOf(const std::string& path) {
  const Descriptor source(openPlugin(path));
  const std::size_t size = sizeOf(source.fd, path);
  const std::string name = "hyperway:" + std::filesystem::path(path).filename().string();
  SealedFile out;
  out.path_ = path;
  out.fd_ = makeMemfd(name.substr(0, 200));
  if (out.fd_ < 0) throw LoadError(path + ": memfd_create: " + reason(errno));
  out.sha256_ = copyAll(source.fd, out.fd_, size, path);
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  // EBUSY: on a loaded machine the kernel may still hold references to the pages just written, and
  // gives up waiting for them too soon (memfd_wait_for_pins).
  int sealed = ::fcntl(out.fd_, F_ADD_SEALS, kSeals);
  for (int tries = 0; sealed != 0 && errno == EBUSY && tries < 20; ++tries) {
    ::usleep(50'000);
    sealed = ::fcntl(out.fd_, F_ADD_SEALS, kSeals);
  }
  if (sealed != 0) throw LoadError(path + ": cannot seal the copy: " + reason(errno));
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, out.fd_, 0);
  if (map == MAP_FAILED) throw LoadError(path + ": mmap: " + reason(errno));
  out.map_ = static_cast<const std::byte*>(map);
  out.size_ = size;
  return out;
}

SealedFile::SealedFile(SealedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      map_(std::exchange(other.map_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      sha256_(std::move(other.sha256_)),
      path_(std::move(other.path_)) {}

SealedFile::~SealedFile() {
  if (map_ != nullptr) ::munmap(const_cast<std::byte*>(map_), size_);
  if (fd_ >= 0) ::close(fd_);
}

int SealedFile::releaseDescriptor() noexcept { return std::exchange(fd_, -1); }

const hw_plugin_manifest& loadSharedObject(SealedFile file) {
  const std::string path = file.path();
  refuseByProbe(probeElf(file.bytes(), kSymbol, path), path);

  const std::string fd_path = "/proc/self/fd/" + std::to_string(file.descriptor());
  void* handle = ::dlopen(fd_path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) throw LoadError(loaderMessage(fd_path, path));
  // The loader knows objects by name too: were the descriptor closed, its number would come again
  // and the next plugin would get this one. So it stays open, like the object stays mapped.
  (void)file.releaseDescriptor();

  void* symbol = ::dlsym(handle, kSymbol);
  Dl_info where{};
  void* map = nullptr;
  const bool own =
      symbol != nullptr && ::dladdr1(symbol, &where, &map, RTLD_DL_LINKMAP) != 0 && map == handle;
  if (!own) throw LoadError(path + ": does not export the data symbol " + kSymbol + " itself");
  return *static_cast<const hw_plugin_manifest*>(symbol);
}

}  // namespace hyperway::plugin
