// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "content.hpp"
#include "hyperway/sdk/json.hpp"
#include "k8s_client/object_text.hpp"
#include "settings.hpp"

namespace hyperway::snapshot_sink {

/// The resource, for k8s_client::path().
inline constexpr std::string_view kGroupVersion = "hyperway.arloor.dev/v1alpha1";
/// Its plural.
inline constexpr std::string_view kResource = "routesnapshots";
/// Label of parts: the snapshot that they belong to.
inline constexpr std::string_view kSnapshotLabel = "hyperway.arloor.dev/snapshot";

/// The value of kSnapshotLabel for a snapshot: its name, cut and hashed if it is too long.
[[nodiscard]] std::string labelOf(const std::string& name);

/// The `spec` of the index, without `updatedAt`: what is compared.
[[nodiscard]] std::string indexSpec(const Settings& settings, const Content& content);
/// The index as it is applied.
[[nodiscard]] std::string indexBody(const Settings& settings, const std::string& spec,
                                    const std::string& updated_at);
/// A merge patch for an index whose metadata is as it should be. A server reads it several times
/// faster than what is applied, which it takes for YAML.
[[nodiscard]] std::string indexPatch(const Settings& settings, const std::string& spec,
                                     const std::string& updated_at);
/// A part as it is made; `uid` is that of the index.
[[nodiscard]] std::string partBody(const Settings& settings, const Content& content,
                                   const Content::Part& part, const std::string& uid);

/// An entry of `status.dataPlanes`.
struct DataPlane {
  std::string name;        ///< Of the Pod.
  std::string name_space;  ///< Of the Pod; empty: it is none.
  std::string checksum;    ///< What it serves.
  /// A listener or rule that it cannot serve.
  struct Refusal {
    std::string name;    ///< See route::Listener::key and route::Rule::id.
    std::string reason;  ///< In the user's words.
  };
  std::vector<Refusal> refused;  ///< May be cut.
  std::string text;              ///< The entry as it is.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
};

/// A RouteSnapshot as the server has it.
struct Observed {
  std::string name;                    ///< metadata.name.
  std::string uid;                     ///< metadata.uid.
  std::string resource_version;        ///< metadata.resourceVersion.
  std::int64_t generation = 0;         ///< metadata.generation.
  bool deleting = false;               ///< It has a deletionTimestamp.
  std::string spec;                    ///< As text.
  std::vector<DataPlane> data_planes;  ///< status.dataPlanes.
  std::string status_checksum;         ///< status.lastAppliedChecksum.
  std::int64_t status_generation = 0;  ///< status.observedGeneration.
  std::string gateway;                 ///< Whose it is, by its annotation; empty: nobody's.
  std::string applied;                 ///< The annotation kAppliedAnnotation.
  std::string ready_since;             ///< Of the condition Ready, if it is True.
};

/// The index's status as it is applied, but for data planes, who apply their own entries.
[[nodiscard]] std::string statusBody(const Settings& settings, const Content& content,
                                     const Observed& index, const std::string& now);
/// A merge patch that takes the data planes `gone` ("namespace/name") out of the status.
[[nodiscard]] std::string withoutPlanes(const Observed& index, const std::set<std::string>& gone);

/// Reads an object. With `whole`, spec and status too.
[[nodiscard]] Observed readObserved(const k8s_client::ObjectText& object, bool whole);

/// Compares two specs as values, `updatedAt` apart. The first member that `has` lacks or has
/// otherwise, as "spec.name"; empty if there is none.
[[nodiscard]] std::string differenceOf(std::string_view has, std::string_view wanted);

/// The elements of `listeners` of a spec, comma-separated.
[[nodiscard]] std::string listenersOf(std::string_view spec);

/// `backendNamespaces` of a spec.
[[nodiscard]] std::vector<std::string> backendNamespacesOf(std::string_view spec);

/// What kAppliedAnnotation says once the index has the labels and annotations that it should have;
/// empty if it is for no Gateway.
[[nodiscard]] std::string appliedOf(const Settings& settings);

/// Members of the metadata of what is made for a Gateway, with a comma before each: labels,
/// annotations (with kAppliedAnnotation if `whole`) and its owner, if that is in the same
/// namespace.
[[nodiscard]] std::string ownedMetadata(const Owner& owner, std::string_view name_space,
                                        const std::map<std::string, std::string>& labels,
                                        bool whole);

/// What a spec has of a route or listener.
struct Entry {
  std::string text;       ///< Elements of its list, comma-separated.
  std::size_t count = 0;  ///< How many.
};
/// What a spec, of an index or of a part, has of routes and listeners, by their keys.
[[nodiscard]] std::map<std::string, Entry> entriesOf(std::string_view spec);
/// True if two texts of elements have the same values.
[[nodiscard]] bool sameEntries(std::string_view a, std::string_view b);

/// The parts that an index names where `part` is to be: what routes of it were before, if they
/// were cut in the same way.
[[nodiscard]] std::vector<std::string> partsBefore(const Observed& index,
                                                   const Content::Part& part);

/// The names of `parts` of a spec.
[[nodiscard]] std::vector<std::string> partNamesOf(std::string_view spec);

}  // namespace hyperway::snapshot_sink
