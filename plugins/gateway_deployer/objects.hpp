// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "hyperway/sdk/json.hpp"
#include "ports.hpp"

namespace hyperway::gateway_deployer {

/// A Service or EndpointSlice as the API server has it.
struct Actual {
  std::string name_space;     ///< metadata.namespace.
  std::string name;           ///< metadata.name.
  std::string uid;            ///< metadata.uid.
  std::uint64_t version = 0;  ///< metadata.resourceVersion, as a number.
  std::string gateway;        ///< Whose it is: the annotation; empty: nobody's.
  std::string pods;           ///< Which installation's: the annotation.
  bool ours = false;          ///< Its label says that we made it.
  bool applied = false;       ///< kAppliedAnnotation is there: not fresh from POST.
  bool deleting = false;      ///< metadata.deletionTimestamp is set.
  sdk::json::Value content;   ///< All of it but managedFields.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
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
  std::string pods_service;           ///< "namespace/name".
  std::string type = "LoadBalancer";  ///< Of Services.
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
