// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "hyperway/sdk/host.hpp"

namespace hyperway::snapshot_source {

/// The source's settings.
struct Settings {
  std::string name;                    ///< `name` of the RouteSnapshot; required.
  std::string name_space = "default";  ///< `namespace` of it.
  std::chrono::seconds poll{5};        ///< `poll_seconds`: reads of it beside the watch.
  bool backends_of_snapshot = false;   ///< `backends: snapshot`: of the namespaces that it names.
  std::string backends_namespace;  ///< `backends_namespace`: Services only of it; empty: of all.
  std::string cache;       ///< `cache`: a file to start from without API server; empty: none.
  std::string kubeconfig;  ///< `kubeconfig`: a file; empty: KUBECONFIG, else the Pod's own account.
  std::string context;     ///< `context` of it; empty: its current one.
};

/// Reads the settings; problems are reported in `setup`.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::snapshot_source
