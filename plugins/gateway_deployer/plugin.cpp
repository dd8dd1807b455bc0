// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/plugin.hpp"

#include "gateway_deployer.hpp"

HYPERWAY_PLUGIN("dev.arloor.hyperway.gateway-deployer", "0.1.0",
                hyperway::sdk::Sinks<hyperway::gateway_deployer::GatewayDeployer>);
