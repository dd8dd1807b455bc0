// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "hyperway/sdk/host.hpp"
#include "k8s_client/lease.hpp"

namespace hyperway::k8s_source {

/// The source's part of the configuration file.
struct Settings {
  std::string kubeconfig;         ///< File; empty: KUBECONFIG, or else the Pod's own account.
  std::string context;            ///< In the kubeconfig; empty: its current one.
  std::string name_space;         ///< Only objects in it; empty: all.
  std::chrono::seconds poll{30};  ///< Lists beside the watches, as a safety net.
  std::string controller_name{
      k8s_client::kDefaultController};  ///< Whose entries in statuses are ours.
  bool statuses = true;                 ///< Write them.
  bool endpoints = true;                ///< Follow EndpointSlices: who does not serve needs none.
  bool wait_for_forbidden = false;      ///< Say nothing as long as a kind may not be listed.
  std::string lease_namespace;  ///< Of the Lease; empty: the Pod's namespace, or the context's.
  std::string lease_name;       ///< The Lease that the writer of statuses holds; see leaseName().
};

/// Reads the settings; problems are reported in place.
[[nodiscard]] Settings readSettings(sdk::Setup& setup);

}  // namespace hyperway::k8s_source
