// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hyperway::file_source {

/// Why a document cannot be used.
struct YamlError {
  std::size_t line = 0;  ///< From 1, counted in the text that was parsed.
  std::string message;   ///< One sentence, in the user's words.
};

/// A Kubernetes object found in a document, as JSON and with what identifies it.
struct YamlObject {
  std::string group;       ///< From apiVersion; empty for the core API.
  std::string kind;        ///< Never empty.
  std::string name_space;  ///< "default" if absent; empty for cluster-scoped kinds.
  std::string name;        ///< Never empty.
  std::string json;  ///< The whole object. Members that are null are left out, as an API server
                     ///< prunes them.
  std::size_t metadata_at = 0;  ///< Byte in `json` right after the '{' of its (non-empty) metadata.
  bool has_namespace = false;   ///< metadata.namespace is in `json`.
  bool has_generation = false;  ///< metadata.generation is in `json`.
  bool has_created = false;     ///< metadata.creationTimestamp is in `json`.
  std::size_t line = 0;         ///< First line, from 1, in the text that was parsed.
  bool in_list = false;         ///< It is an element of a List's items.
};

/// Deepest nesting that is read.
inline constexpr std::size_t kMaxDepth = 64;
/// Longest JSON form of one document; what aliases expand to counts.
inline constexpr std::size_t kMaxDocumentBytes = 16 * 1024 * 1024;

/// Converts one YAML document to the objects in it: one, or those of a List. Scalars by the
/// YAML 1.2 core schema. Aliases are expanded within kMaxDocumentBytes; merge keys ("<<"), custom
/// tags, duplicate keys and .inf are refused. Appends to `out`; on an error nothing is appended and
/// `error` says where and why. A document that is null gives no object.
[[nodiscard]] bool convertDocument(std::string_view text, std::vector<YamlObject>& out,
                                   YamlError& error);

/// True for kinds of the APIs we read that live outside of namespaces.
[[nodiscard]] bool isClusterScoped(std::string_view group, std::string_view kind) noexcept;

}  // namespace hyperway::file_source
