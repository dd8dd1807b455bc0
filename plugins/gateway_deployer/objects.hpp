// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "hyperway/sdk/json.hpp"
#include "ports.hpp"

namespace hyperway::gateway_deployer {

/// Which kind of object.
enum class ObjectKind : std::uint8_t {
  ServiceAccount,
  Role,
  RoleBinding,
  ConfigMap,
  Deployment,
  PodDisruptionBudget,
  HorizontalPodAutoscaler,
  Service,
  EndpointSlice,
};
/// How many there are.
inline constexpr std::size_t kObjectKinds = 9;

/// What the API knows a kind by.
struct KindInfo {
  std::string_view name;           ///< "Service".
  std::string_view group_version;  ///< "v1".
  std::string_view resource;       ///< "services".
};
/// See KindInfo.
[[nodiscard]] const KindInfo& infoOf(ObjectKind kind);
/// The path of an object, or of the collection without a name; in all namespaces without one.
[[nodiscard]] std::string pathOf(ObjectKind kind, std::string_view name_space,
                                 std::string_view name = {});

/// An object as the API server has it.
struct Actual {
  std::string name_space;        ///< metadata.namespace.
  std::string name;              ///< metadata.name.
  std::string uid;               ///< metadata.uid.
  std::uint64_t version = 0;     ///< metadata.resourceVersion, as a number.
  std::uint64_t generation = 0;  ///< metadata.generation; 0: the kind has none.
  std::string gateway;           ///< Whose it is: the annotation; empty: nobody's.
  std::string pods;              ///< Which installation's: the annotation.
  bool ours = false;             ///< Its label says that we made it.
  bool applied = false;          ///< kAppliedAnnotation is there: not fresh from POST.
  bool deleting = false;         ///< metadata.deletionTimestamp is set.
  sdk::json::Value content;      ///< All of it but managedFields.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
  /// Another one after each change of what is wanted of it; where the kind has a generation, its
  /// status does not count.
  [[nodiscard]] std::uint64_t mark() const { return generation != 0 ? generation : version; }
};

/// Reads an object; nothing if it is none.
[[nodiscard]] std::optional<Actual> readActual(std::string_view json);
/// The same, of JSON that is parsed.
[[nodiscard]] std::optional<Actual> readActual(const sdk::json::Value& root);

/// What POST has made belongs to the operation "Update" of its manager, and what apply leaves out
/// later would stay: a merge patch of an object that gives our fields to our "Apply", on the
/// condition that nobody writes in between. Nothing, if they are its already. `json`: the object
/// with its managedFields.
[[nodiscard]] std::optional<std::string> adoption(std::string_view json);

/// Target ports that a Service records.
[[nodiscard]] Targets recordedTargets(const Actual& service);

/// One of our Pods, as an EndpointSlice of `pods_service` names it.
struct Pod {
  std::string family;         ///< IPv4 or IPv6.
  std::string address;        ///< IP address.
  sdk::json::Value endpoint;  ///< The element of an EndpointSlice's endpoints that we write.
};

/// The Pods in the EndpointSlices of `pods_service`, sorted by address, each once.
[[nodiscard]] std::vector<Pod> readPods(const std::vector<const Actual*>& slices);

/// What all objects of an installation have in common.
struct Common {
  std::string pods_service;           ///< "namespace/name"; deployed shape: the controller's name.
  std::string type = "LoadBalancer";  ///< Of Services.
  bool deployed = false;              ///< Data planes for each Gateway (deployed shape).
  sdk::json::Value values{};          ///< Deployed shape: values for all Gateways.
};

/// An object that there should be.
struct Desired {
  std::string name_space;    ///< metadata.namespace.
  std::string name;          ///< metadata.name.
  std::string gateway;       ///< Whose it is.
  sdk::json::Value content;  ///< What is applied, but for metadata.uid; with kAppliedAnnotation.
  std::string first;         ///< What POST makes: `content` without that annotation, as JSON.
  std::string hash;          ///< The value of that annotation.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
};

/// An object for a Gateway: `rest` is what it has beside its metadata. Labels and annotations that
/// the Gateway asks for come first, so that they cannot take away what marks the object as ours.
[[nodiscard]] Desired makeDesired(const Gateway& gateway, std::string name,
                                  const std::map<std::string, std::string>& labels,
                                  const Common& common, std::string_view api_version,
                                  std::string_view kind, std::vector<sdk::json::Member> rest);

/// `ports` and what makes up the addresses of a Service: members of its spec.
[[nodiscard]] std::vector<sdk::json::Member> serviceSpecOf(const Gateway& gateway,
                                                           const Targets& targets,
                                                           const std::string& type);

/// The Service of a Gateway. `targets` has at least one port.
[[nodiscard]] Desired serviceOf(const Gateway& gateway, const Targets& targets,
                                const Common& common);

/// The EndpointSlices of a Gateway's Service: one for each address family with Pods, and more than
/// one where there are more than kMostEndpoints.
[[nodiscard]] std::vector<Desired> slicesOf(const Gateway& gateway, const Targets& targets,
                                            const std::vector<Pod>& pods, const Common& common);

/// Endpoints in one EndpointSlice (the API's own bound is 1000).
inline constexpr std::size_t kMostEndpoints = 500;

}  // namespace hyperway::gateway_deployer
