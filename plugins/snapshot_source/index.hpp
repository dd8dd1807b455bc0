// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "k8s_client/object_text.hpp"

namespace hyperway::snapshot_source {

/// The resource, for k8s_client::path().
inline constexpr std::string_view kGroupVersion = "hyperway.arloor.dev/v1alpha1";
/// Its plural.
inline constexpr std::string_view kResource = "routesnapshots";

/// What has to be known of an index before it can be handed on.
struct Index {
  std::string text;                          ///< The object, without its status.
  std::string checksum;                      ///< spec.checksum.
  std::int64_t generation = 0;               ///< metadata.generation.
  std::string version;                       ///< metadata.resourceVersion.
  std::map<std::string, std::string> parts;  ///< Name -> checksum.
  std::set<std::string> namespaces;          ///< `backendNamespaces`.
  std::set<std::string> secrets;             ///< "namespace/name" that its listeners name.
};

/// metadata.generation, which moves with the spec and not with the status; 0 if there is none.
[[nodiscard]] std::int64_t generationOf(const k8s_client::ObjectText& object);

/// Reads an index; nothing if its spec is no object.
[[nodiscard]] std::optional<Index> readIndex(const k8s_client::ObjectText& object);

/// A part as it is handed on. Nothing, with a sentence in `error`, if it is not what the index
/// `snapshot` named: another checksum, another index's, or edited by hand.
[[nodiscard]] std::optional<std::string> readPart(const k8s_client::ObjectText& object,
                                                  std::string_view snapshot,
                                                  std::string_view checksum, std::string& error);

}  // namespace hyperway::snapshot_source
