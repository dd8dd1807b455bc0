// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>

#include "k8s_client/gateway_names.hpp"
#include "k8s_client/lease.hpp"

namespace hyperway::snapshot_sink {
namespace {

// DNS-1123 subdomain, as the API server wants names; parts put 36 characters behind it.
constexpr std::size_t kMostName = 253;

bool isName(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !text.empty() && text.size() <= kMostName &&
         std::all_of(text.begin(), text.end(), plain) && text.front() != '-' &&
         text.back() != '-' && text.front() != '.' && text.back() != '.';
}

}  // namespace

// The Deployment that gateway_deployer makes reads the snapshot of that name by the account of that
// name.
Settings settingsFor(const Settings& all, const Owner& owner) {
  Settings out = all;
  out.owner = owner;
  out.name_space = owner.name_space;
  out.name = k8s_client::serviceName(owner.name);
  out.data_plane_account = owner.name_space + '/' + out.name;
  return out;
}

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"snapshots", "name", "namespace", "controller_name", "data_plane_account",
               "kubeconfig", "context", "lease"});
  const std::string snapshots = config["snapshots"].textOr("one");
  out.per_gateway = snapshots == "per-gateway";
  if (snapshots != "one" && !out.per_gateway)
    config["snapshots"].error("must be one or per-gateway");
  if (out.per_gateway)
    for (const char* other : {"name", "namespace", "data_plane_account"})
      if (config[other].present())
        config[other].error("does not go with snapshots: per-gateway, where the Gateways say it");
  if (!out.per_gateway) out.name = config["name"].text();
  if (!out.name.empty() && !isName(out.name))
    config["name"].error("\"" + out.name + "\" is no name of an object");
  out.name_space = config["namespace"].textOr(out.name_space);
  if (!isName(out.name_space)) config["namespace"].error("must be the name of a namespace");
  out.controller_name = config["controller_name"].textOr(out.controller_name);
  out.data_plane_account = config["data_plane_account"].textOr("");
  const std::string& account = out.data_plane_account;
  if (!account.empty() && (std::count(account.begin(), account.end(), '/') != 1 ||
                           account.starts_with('/') || account.ends_with('/')))
    config["data_plane_account"].error("must be \"namespace/name\" of a ServiceAccount");
  out.kubeconfig = config["kubeconfig"].textOr("");
  out.context = config["context"].textOr("");
  if (out.per_gateway) {
    out.name_space.clear();
    out.lease_name = k8s_client::leaseName("hyperway-snapshots", out.controller_name);
  } else {
    out.lease_namespace = out.name_space;
    out.lease_name = "hyperway-snapshot-" + out.name;
  }
  if (const sdk::ConfigNode lease = config["lease"]; lease.present()) {
    lease.only({"namespace", "name"});
    out.lease_namespace = lease["namespace"].textOr(out.lease_namespace);
    out.lease_name = lease["name"].textOr(out.lease_name);
  }
  return out;
}

}  // namespace hyperway::snapshot_sink
