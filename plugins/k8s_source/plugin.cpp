// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/plugin.hpp"

#include "k8s_source.hpp"

HYPERWAY_PLUGIN("dev.arloor.hyperway.k8s-source", "0.1.0",
                hyperway::sdk::Sources<hyperway::k8s_source::K8sSource>);
