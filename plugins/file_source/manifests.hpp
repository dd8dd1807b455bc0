// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "documents.hpp"
#include "yaml_to_json.hpp"

namespace hyperway::file_source {

/// Identity of an object.
struct ObjectId {
  std::string group, kind, name_space, name;  ///< name_space empty for cluster-scoped kinds.
};

/// What became of the set of objects since changes were last taken.
struct Changes {
  std::vector<std::string>
      upserts;  ///< Whole objects, JSON, with namespace, generation and creationTimestamp.
  std::vector<ObjectId> removals;  ///< Objects that are gone.
  /// True if there is nothing to tell.
  [[nodiscard]] bool empty() const noexcept { return upserts.empty() && removals.empty(); }
};

/// Something wrong with a file.
struct FileProblem {
  std::string path;      ///< The file.
  std::size_t line = 0;  ///< From 1; 0: the file as a whole.
  std::string message;   ///< In the user's words.
};

/// The objects of a document, or why there are none.
struct Conversion {
  bool good = false;                ///< False: `error` says why.
  std::vector<YamlObject> objects;  ///< May be empty.
  YamlError error;                  ///< Lines of the document.
};

/// A file's text, cut and converted.
struct ConvertedFile {
  std::vector<Document> documents;
  std::vector<Conversion> conversions;  ///< One for each of `documents`.
};

/// Cuts and converts a text; pure, on any thread.
[[nodiscard]] ConvertedFile convertFile(std::string_view text);

/// The objects that a set of files defines, kept up to date file by file. Pure: texts come in,
/// changes go out; a document whose hash did not change is not parsed again. A file with a document
/// that does not parse removes nothing: its last good documents stay until it is whole again. Of an
/// object defined twice the first in the order of paths, then of lines, counts. One thread.
class Manifests {
 public:
  Manifests();
  Manifests(const Manifests&) = delete;
  Manifests& operator=(const Manifests&) = delete;
  ~Manifests();

  /// The content of a file, new or changed. Where many documents changed, other threads help.
  void load(const std::string& path, std::string_view text);
  /// The same with everything converted already: for a file that is read for the first time.
  void load(const std::string& path, ConvertedFile file);
  /// A file cannot be read for now: what it gave stays, and `reason` is a problem.
  void fail(const std::string& path, std::string reason);
  /// A file is gone, and what it gave with it.
  void remove(const std::string& path);
  /// Paths that are known.
  [[nodiscard]] std::vector<std::string> paths() const;

  /// Files that have to be loaded again, because an object that they define too is gone elsewhere.
  /// Cleared by the call.
  [[nodiscard]] std::vector<std::string> takeReloads();
  /// What changed since the last call, each object once.
  [[nodiscard]] Changes takeChanges();
  /// Everything that is wrong now, by path and line.
  [[nodiscard]] std::vector<FileProblem> problems() const;
  /// How many objects there are.
  [[nodiscard]] std::size_t size() const noexcept;

  /// Where an object comes from.
  struct Origin {
    std::string path;          ///< Empty if the object is not known.
    std::size_t document = 0;  ///< Index among the file's documents (splitDocuments()).
    std::size_t item = 0;      ///< Index in a List …
    bool in_list = false;      ///< … if it is in one.
    std::size_t line = 0;      ///< First line of the object in the file.
  };
  /// Looks an object up by "Kind/namespace/name", as statuses and problems name it.
  [[nodiscard]] Origin origin(std::string_view kind_namespace_name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::file_source
