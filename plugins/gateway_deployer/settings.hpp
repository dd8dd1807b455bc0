// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "hyperway/sdk/host.hpp"
#include "objects.hpp"
#include "ports.hpp"

namespace hyperway::gateway_deployer {

/// The sink's settings.
struct Settings {
  Common common;           ///< `pods_service` and `type`.
  PortRange target_ports;  ///< `target_ports`.
  std::string kubeconfig;  ///< `kubeconfig`: a file; empty: KUBECONFIG, else the Pod's own account.
  std::string context;     ///< `context` of it; empty: its current one.
  std::string name_space;  ///< `namespace`: only Gateways in it; empty: all.
  std::string lease_namespace;  ///< `lease.namespace`; empty: our own Pod's namespace.
  std::string lease_name;  ///< `lease.name`; without it, see leaseName(), by `controller_name`.
};

/// Reads the settings; problems are reported in `setup`.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::gateway_deployer
