// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

namespace hyperway::snapshot_source {

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"name", "namespace", "poll_seconds", "backends", "backends_namespace", "cache",
               "kubeconfig", "context"});
  out.name = config["name"].text();
  out.name_space = config["namespace"].textOr(out.name_space);
  out.poll = std::chrono::seconds(config["poll_seconds"].integerOr(5, 1, 86400));
  out.backends_namespace = config["backends_namespace"].textOr("");
  const std::string backends = config["backends"].textOr("all");
  out.backends_of_snapshot = backends == "snapshot";
  if (backends != "all" && !out.backends_of_snapshot)
    config["backends"].error("must be all or snapshot");
  if (out.backends_of_snapshot && !out.backends_namespace.empty())
    config["backends_namespace"].error("does not go with backends: snapshot");
  out.cache = config["cache"].textOr("");
  out.kubeconfig = config["kubeconfig"].textOr("");
  out.context = config["context"].textOr("");
  return out;
}

}  // namespace hyperway::snapshot_source
