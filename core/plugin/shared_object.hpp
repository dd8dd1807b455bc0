// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "hyperway/abi/manifest.h"

namespace hyperway::plugin {

/// A private copy of a plugin's file that nobody can change: a sealed memfd. What is hashed and
/// checked is therefore what runs, and overwriting the file in place harms nobody
/// (ARCHITECTURE decision 12). Move-only; owns the descriptor and a read-only mapping.
class SealedFile {
 public:
  /// Copies the file at `path`. Throws LoadError if the path is not absolute, the file is not a
  /// regular one, is writable by everyone, is larger than kMaxBytes, or cannot be read.
  [[nodiscard]] static SealedFile copyOf(const std::string& path);
  SealedFile(SealedFile&& other) noexcept;
  SealedFile& operator=(SealedFile&&) = delete;
  ~SealedFile();

  /// The content.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {map_, size_}; }
  /// SHA-256 of the content, 64 lower-case hex digits.
  [[nodiscard]] const std::string& sha256() const noexcept { return sha256_; }
  /// Where it came from.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Gives the descriptor away; it must then stay open for as long as the process runs.
  [[nodiscard]] int releaseDescriptor() noexcept;
  /// The descriptor.
  [[nodiscard]] int descriptor() const noexcept { return fd_; }

  /// Largest plugin file.
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

 private:
  SealedFile() = default;

  int fd_ = -1;
  const std::byte* map_ = nullptr;
  std::size_t size_ = 0;
  std::string sha256_;
  std::string path_;
};

/// Loads `file` and returns the manifest that it exports. Before any code of the file runs, its ELF
/// image is probed: machine, symbol, magic, versions (checkVersions()), and libraries of which this
/// process already runs another version. Then dlopen(RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) by
/// descriptor, so that the loader cannot hand back an older object of the same path. Nothing is
/// ever unmapped. Throws LoadError. [control]
[[nodiscard]] const hw_plugin_manifest& loadSharedObject(SealedFile file);

}  // namespace hyperway::plugin
