// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

namespace hyperway::snapshot_source {

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"name", "namespace", "poll_seconds", "backends_namespace", "cache", "kubeconfig",
               "context"});
  out.name = config["name"].text();
  out.name_space = config["namespace"].textOr(out.name_space);
  out.poll = std::chrono::seconds(config["poll_seconds"].integerOr(5, 1, 86400));
  out.backends_namespace = config["backends_namespace"].textOr("");
  out.cache = config["cache"].textOr("");
  out.kubeconfig = config["kubeconfig"].textOr("");
  out.context = config["context"].textOr("");
  return out;
}

}  // namespace hyperway::snapshot_source
