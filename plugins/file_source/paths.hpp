// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::file_source {

/// What tells one state of a file from another without reading it.
struct Signature {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  /// Field-wise equality.
  friend bool operator==(const Signature&, const Signature&) = default;
};

/// What a path is, links followed.
enum class PathKind { Missing, File, Directory, Other };

/// Looks a path up; `signature` may be null.
[[nodiscard]] PathKind lookAt(const std::string& path, Signature* signature);

/// Largest file that is read.
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;

/// The whole of a regular file; `error` says why there is nothing.
[[nodiscard]] std::optional<std::string> readFile(const std::string& path, std::string& error);

/// Memory that one file after another is read into. A file with ten thousand documents has
/// megabytes: neither are they cleared first nor asked of the system anew at each edit.
class FileBuffer {
 public:
  /// At least `size` bytes; the first `kept` of what was in it stay.
  [[nodiscard]] char* reserve(std::size_t size, std::size_t kept);
  /// How many bytes there are.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Gives the memory back.
  void release() noexcept;

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
};

/// The same into `buffer`, in which the text stays until it is used again; `signature` is of what
/// was read, `most` the largest size in bytes.
[[nodiscard]] std::optional<std::string_view> readFile(const std::string& path, FileBuffer& buffer,
                                                       Signature& signature, std::string& error,
                                                       std::size_t most = kMaxFileBytes);

/// Writes a file so that readers see the old or the new content, never a part: a temporary file
/// beside it, then rename. `mode` are the permissions. False with `error` on a failure.
[[nodiscard]] bool replaceFile(const std::string& path, std::string_view content, unsigned mode,
                               std::string& error);

/// True for names that are manifests: *.yaml, *.yml, *.json, not hidden.
[[nodiscard]] bool isManifestName(std::string_view name) noexcept;

/// A manifest in a directory.
struct ListedFile {
  std::string path;   ///< With the directory in front.
  bool link = false;  ///< It may be a symbolic link.
};

/// What a directory holds.
struct Listing {
  /// A directory below that cannot be read.
  struct Unreadable {
    std::string path;    ///< The directory.
    std::string reason;  ///< In the system's words.
  };
  std::vector<ListedFile> files;         ///< Manifests, sorted.
  std::vector<std::string> directories;  ///< All that were read, the first one too.
  std::vector<Unreadable> unreadable;    ///< The others go on without them.
};

/// Adds the manifests in a directory; with `depth` above 0 also those in directories below. False,
/// with errno, if the directory itself cannot be read.
[[nodiscard]] bool listManifests(const std::string& directory, int depth, Listing& out);

/// Names of the directories in a directory, sorted, hidden ones left out.
[[nodiscard]] std::vector<std::string> listDirectories(const std::string& directory);

/// The directory part of a path ("." if there is none).
[[nodiscard]] std::string parentOf(const std::string& path);

/// The last part of a path.
[[nodiscard]] std::string nameOf(const std::string& path);

/// Where a symbolic link points, made usable from here; nothing if the path is no link.
[[nodiscard]] std::optional<std::string> linkTarget(const std::string& path);

}  // namespace hyperway::file_source
