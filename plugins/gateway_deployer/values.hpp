// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hyperway/sdk/config.hpp"
#include "hyperway/sdk/json.hpp"

namespace hyperway::gateway_deployer {

/// Key of a ConfigMap that has values.
inline constexpr std::string_view kValuesKey = "values.yaml";

/// What shapes the data planes of a Gateway (deployed shape). Docs: deployed.md.
struct Values {
  /// `service`.
  struct Service {
    std::string type = "LoadBalancer";    ///< `type`.
    sdk::json::Value annotations;         ///< `annotations`: an object of texts.
    std::string load_balancer_class;      ///< `loadBalancerClass`; empty: the cluster's default.
    std::string external_traffic_policy;  ///< `externalTrafficPolicy`; empty: the default.
    sdk::json::Value source_ranges;       ///< `loadBalancerSourceRanges`: a list of texts.
  };
  /// `image`.
  struct Image {
    std::string repository = "hyperway";       ///< `repository`.
    std::string tag = "latest";                ///< `tag`.
    std::string digest;                        ///< `digest`; if there is one, it counts.
    std::string pull_policy = "IfNotPresent";  ///< `pullPolicy`.
    std::vector<std::string> pull_secrets;     ///< `pullSecrets`: names.
  };
  /// `autoscaling`.
  struct Autoscaling {
    bool enabled = false;     ///< `enabled`.
    std::int64_t least = 2;   ///< `minReplicas`.
    std::int64_t most = 10;   ///< `maxReplicas`.
    std::int64_t cpu = 80;    ///< `targetCPUUtilizationPercentage`; 0: does not count.
    std::int64_t memory = 0;  ///< `targetMemoryUtilizationPercentage`; 0: does not count.
  };
  /// `podDisruptionBudget`.
  struct DisruptionBudget {
    bool enabled = true;           ///< `enabled`.
    sdk::json::Value available;    ///< `minAvailable`: a number or "N%".
    sdk::json::Value unavailable;  ///< `maxUnavailable`: likewise.
  };
  std::int64_t replicas = 2;           ///< `replicas`; without a meaning under `autoscaling`.
  Image image;                         ///< Which hyperway.
  Service service;                     ///< How clients come in.
  Autoscaling autoscaling;             ///< A HorizontalPodAutoscaler.
  DisruptionBudget disruption_budget;  ///< A PodDisruptionBudget.
  sdk::json::Value resources;          ///< `resources` of the container.
  sdk::json::Value node_selector;      ///< `nodeSelector`.
  sdk::json::Value tolerations;        ///< `tolerations`.
  sdk::json::Value affinity;           ///< `affinity`.
  sdk::json::Value spread;             ///< `topologySpreadConstraints`; null: over machines.
  sdk::json::Value pod_annotations;    ///< `podAnnotations`.
  sdk::json::Value pod_labels;         ///< `podLabels`.
  std::string priority_class;          ///< `priorityClassName`.
  std::int64_t workers = 0;            ///< `workers`; 0: one for each core.
  std::int64_t drain_delay = 5;        ///< `drain.delaySeconds`.
  std::int64_t drain_deadline = 30;    ///< `drain.deadlineSeconds`.
  std::string log_level = "info";      ///< `logLevel`.
  std::string access_log = "off";      ///< `accessLog`: off, text or json.
};

/// Puts `over` over `base`: objects member by member, anything else as a whole.
[[nodiscard]] sdk::json::Value merged(const sdk::json::Value& base, const sdk::json::Value& over);

/// Reads values; problems are reported with the place of the key.
[[nodiscard]] Values readValues(const sdk::ConfigNode& node);

/// Reads values of which nobody has said where they are from; nothing, with the first problem in
/// `error` ("/service/type: must be ..."), if there is one.
[[nodiscard]] std::optional<Values> readValues(const sdk::json::Value& tree, std::string& error);

}  // namespace hyperway::gateway_deployer
