// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

namespace hyperway::k8s_source {

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"kubeconfig", "context", "namespace", "poll_seconds", "controller_name", "statuses",
               "lease", "endpoints", "wait_for_forbidden"});
  out.kubeconfig = config["kubeconfig"].textOr("");
  out.context = config["context"].textOr("");
  out.name_space = config["namespace"].textOr("");
  out.poll = std::chrono::seconds(config["poll_seconds"].integerOr(30, 1, 86400));
  out.controller_name = config["controller_name"].textOr(out.controller_name);
  if (out.controller_name.find('/') == std::string::npos)
    config["controller_name"].error("\"" + out.controller_name + "\" is no domain/path");
  out.statuses = config["statuses"].booleanOr(true);
  out.endpoints = config["endpoints"].booleanOr(true);
  out.wait_for_forbidden = config["wait_for_forbidden"].booleanOr(false);
  out.lease_name = k8s_client::leaseName("hyperway-status", out.controller_name);
  if (const sdk::ConfigNode lease = config["lease"]; lease.present()) {
    lease.only({"namespace", "name"});
    out.lease_namespace = lease["namespace"].textOr("");
    out.lease_name = lease["name"].textOr(out.lease_name);
    if (out.lease_name.empty()) lease["name"].error("must not be empty");
  }
  return out;
}

}  // namespace hyperway::k8s_source
