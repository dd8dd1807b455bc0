// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "batch.hpp"
#include "objects.hpp"
#include "ports.hpp"

namespace hyperway::gateway_deployer {

/// Which kind of object.
enum class ObjectKind : std::uint8_t { Service, EndpointSlice };

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
  /// True once a Gateway was named, there or gone. Before that none at all may just mean that they
  /// cannot be read, and a Service that is removed loses its address.
  bool believes = true;
};

/// What makePlan() came to.
struct Plan {
  std::vector<Write> writes;                    ///< In order: Services, slices, removals.
  std::map<std::string, std::string> problems;  ///< By Gateway: what cannot be done at all.
};

/// Compares what should be with what is. Nothing differs: no write. A Gateway that is not accepted,
/// or has no valid port, keeps what it has. EndpointSlices come once their Service is there.
/// Objects of Gateways that are gone are removed, if they are of this installation.
[[nodiscard]] Plan makePlan(const World& world, const Common& common, const PortRange& range);

}  // namespace hyperway::gateway_deployer
