// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "batch.hpp"
#include "objects.hpp"
#include "ports.hpp"
#include "values.hpp"

namespace hyperway::gateway_deployer {

/// One thing to do at the API server.
struct Write {
  /// What is done.
  enum class Action : std::uint8_t {
    Create,  ///< Make it, if the name is free.
    Apply,   ///< Apply to the object with this uid.
    Remove,  ///< Delete the object with this uid.
  };
  Action action = Action::Apply;          ///< What.
  ObjectKind kind = ObjectKind::Service;  ///< To what.
  std::string name_space;                 ///< Of the object.
  std::string name;                       ///< Of the object.
  std::string uid;                        ///< Of the object; empty for Create.
  std::string gateway;                    ///< For which Gateway.
  bool fresh = false;                     ///< Apply: POST has made it, nothing was applied yet.
  std::string body;                       ///< What is made or applied; empty for Remove.
  std::string hash;                       ///< Tells one body from another.

  /// "Service ns/name".
  [[nodiscard]] std::string subject() const;
};

/// Objects by "namespace/name".
using Objects = std::map<std::string, Actual>;

/// What there is, for makePlan().
struct World {
  std::map<std::string, Gateway> gateways;  ///< All of ours, by key.
  Objects services;                         ///< Those that bear our label.
  Objects slices;                           ///< Likewise.
  Objects pod_slices;                       ///< EndpointSlices of `pods_service`.
  std::map<ObjectKind, Objects> others;     ///< Deployed shape: of other kinds, with our label.
  /// Deployed shape: ConfigMaps that Gateways name as parameters, by key: none if it is not there.
  /// What is not known yet is missing.
  std::map<std::string, const Objects*> parameters;
  /// True once a Gateway was named, there or gone. Before that none at all may just mean that they
  /// cannot be read, and a Service that is removed loses its address.
  bool believes = true;

  /// The objects of a kind.
  [[nodiscard]] Objects& of(ObjectKind kind);
  /// The objects of a kind.
  [[nodiscard]] const Objects& of(ObjectKind kind) const;
};

/// What makePlan() came to.
struct Plan {
  std::vector<Write> writes;                      ///< In order: Services, slices, removals.
  std::map<std::string, std::string> problems;    ///< By Gateway: what cannot be done at all.
  std::map<std::string, std::string> parameters;  ///< By Gateway: what is wrong with them.
};

/// The values of a Gateway in the deployed shape: those of the installation, of the ConfigMap that
/// its class names, and of its own, one over the other. Nothing, with a sentence in `error`, if one
/// of them is wrong, and without one, if it is not known yet.
[[nodiscard]] std::optional<Values> valuesOf(const Gateway& gateway, const World& world,
                                             const Common& common, std::string& error);

/// Compares what should be with what is. Nothing differs: no write. A Gateway that is not accepted,
/// or has no valid port or wrong parameters, keeps what it has. EndpointSlices come once their
/// Service is there. Objects of Gateways that are gone are removed, if they are of this
/// installation.
[[nodiscard]] Plan makePlan(const World& world, const Common& common, const PortRange& range);

}  // namespace hyperway::gateway_deployer
