// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>

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

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"name", "namespace", "controller_name", "data_plane_account", "kubeconfig",
               "context", "lease"});
  out.name = config["name"].text();
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
  out.lease_namespace = out.name_space;
  out.lease_name = "hyperway-snapshot-" + out.name;
  if (const sdk::ConfigNode lease = config["lease"]; lease.present()) {
    lease.only({"namespace", "name"});
    out.lease_namespace = lease["namespace"].textOr(out.lease_namespace);
    out.lease_name = lease["name"].textOr(out.lease_name);
  }
  return out;
}

}  // namespace hyperway::snapshot_sink
