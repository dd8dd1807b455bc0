// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hyperway/sdk/source.hpp"
#include "settings.hpp"

namespace hyperway::k8s_source {

/// Gateway API objects of a cluster: lists and watches them, publishes them, and writes statuses
/// back while it holds the Lease. One thread of its own, the client's.
class K8sSource {
 public:
  /// For SourceClass.
  static constexpr const char* kId = "k8s_source";

  /// Reads settings and the way to the cluster; contacts nothing.
  K8sSource(sdk::Setup& setup, sdk::SourcePort port);
  K8sSource(const K8sSource&) = delete;
  K8sSource& operator=(const K8sSource&) = delete;
  ~K8sSource();

  /// For SourceClass: starts the thread. [control]
  void start();
  /// For SourceClass: gives the Lease up and ends the thread. [control]
  void stop();
  /// For SourceClass: statuses that changed. [control]
  void reportStatus(std::uint64_t seq, std::string_view statuses);

 private:
  class Cluster;
  std::string absent_;  // why there is no cluster
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace hyperway::k8s_source
