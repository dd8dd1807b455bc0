// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "hyperway/sdk/host.hpp"

namespace hyperway::snapshot_sink {

/// The Gateway that a snapshot is made for.
struct Owner {
  std::string name_space;                          ///< Its namespace.
  std::string name;                                ///< Its name.
  std::string uid;                                 ///< Its uid; may be empty.
  std::string controller;                          ///< Who we say that we are.
  std::map<std::string, std::string> labels;       ///< For what is made for it.
  std::map<std::string, std::string> annotations;  ///< Likewise.

  /// "namespace/name".
  [[nodiscard]] std::string key() const { return name_space + '/' + name; }
  /// Field-wise equality.
  friend bool operator==(const Owner&, const Owner&) = default;
};

/// The sink's settings.
struct Settings {
  bool per_gateway = false;    ///< `snapshots: per-gateway`: one for each Gateway, with its name.
  std::optional<Owner> owner;  ///< Of the snapshot at hand, if it is one of those.
  std::string name;            ///< `name` of the RouteSnapshot; required if it is one.
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

/// The settings of the snapshot of a Gateway.
[[nodiscard]] Settings settingsFor(const Settings& all, const Owner& owner);

/// Reads the settings; problems are reported in `setup`.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::snapshot_sink
