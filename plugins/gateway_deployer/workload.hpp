// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "batch.hpp"
#include "objects.hpp"
#include "ports.hpp"
#include "values.hpp"

namespace hyperway::gateway_deployer {

/// An object of the deployed shape.
struct WorkloadObject {
  ObjectKind kind = ObjectKind::Service;  ///< What it is.
  Desired desired;                        ///< As it should be.
};

/// All that a Gateway has of its own in the deployed shape, in an order to make it in: account and
/// rights, configuration, Deployment, budget, autoscaler, and the Service that leads there. All are
/// called serviceName(), as is the RouteSnapshot that the data planes read.
[[nodiscard]] std::vector<WorkloadObject> workloadOf(const Gateway& gateway, const Targets& targets,
                                                     const Values& values, const Common& common);

/// The configuration of the data planes of a Gateway, as YAML.
[[nodiscard]] std::string configurationOf(const Gateway& gateway, const Values& values);

}  // namespace hyperway::gateway_deployer
