// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "hyperway/sdk/host.hpp"

namespace hyperway::snapshot_sink {

/// The sink's settings.
struct Settings {
  std::string name;                    ///< `name` of the RouteSnapshot; required.
  std::string name_space = "default";  ///< `namespace` of it.
  std::string controller_name =
      "hyperway.arloor.dev/gateway-controller";  ///< `controller_name`: who we say that we are.
  std::string
      data_plane_account;  ///< `data_plane_account`, "namespace/name": the ServiceAccount that
                           ///< may read the Secrets of the snapshot; empty: not our business.
  std::string kubeconfig;  ///< `kubeconfig`: a file; empty: KUBECONFIG, else the Pod's own account.
  std::string context;     ///< `context` of it; empty: its current one.
  std::string lease_namespace;  ///< `lease.namespace`; empty: that of the RouteSnapshot.
  std::string lease_name;       ///< `lease.name`; default: "hyperway-snapshot-NAME".
};

/// Reads the settings; problems are reported in `setup`.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::snapshot_sink
