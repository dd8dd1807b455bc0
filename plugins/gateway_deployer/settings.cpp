// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "k8s_client/lease.hpp"
#include "values.hpp"

namespace hyperway::gateway_deployer {
namespace {

std::optional<std::uint16_t> portOf(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

PortRange readRange(const sdk::ConfigNode& node) {
  PortRange out;
  if (!node.present()) return out;
  const std::string range = node.text();
  if (range.empty()) return out;
  const std::size_t dash = range.find('-');
  const auto first = portOf(std::string_view(range).substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : portOf(std::string_view(range).substr(dash + 1));
  if (!first || !last || *first > *last)
    node.error("\"" + range + "\" is no range of ports, as in 10000-19999");
  else
    out = {*first, *last};
  return out;
}

// What both shapes have.
void readRest(const sdk::ConfigNode& config, Settings& out) {
  out.target_ports = readRange(config["target_ports"]);
  out.name_space = config["namespace"].textOr("");
  out.kubeconfig = config["kubeconfig"].textOr("");
  out.context = config["context"].textOr("");
  const std::string controller =
      config["controller_name"].textOr(std::string(k8s_client::kDefaultController));
  out.lease_name = k8s_client::leaseName("hyperway-services", controller);
  if (config["lease"].present()) {
    config["lease"].only({"namespace", "name"});
    out.lease_namespace = config["lease"]["namespace"].textOr("");
    out.lease_name = config["lease"]["name"].textOr(out.lease_name);
  }
}

void readDeployed(const sdk::ConfigNode& config, Settings& out) {
  out.common.deployed = true;
  for (const char* other : {"pods_service", "type"})
    if (config[other].present())
      config[other].error("does not belong to shape: deployed; see values");
  out.common.pods_service =
      config["controller_name"].textOr(std::string(k8s_client::kDefaultController));
  (void)readValues(config["values"]);
  if (config["values"].present()) out.common.values = *config["values"].value();
  readRest(config, out);
}

}  // namespace

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"shape", "values", "pods_service", "type", "target_ports", "namespace", "kubeconfig",
               "context", "controller_name", "lease"});
  const std::string shape = config["shape"].textOr("shared");
  if (shape != "shared" && shape != "deployed") config["shape"].error("must be shared or deployed");
  if (shape == "deployed") {
    readDeployed(config, out);
    return out;
  }
  if (config["values"].present()) config["values"].error("belongs to shape: deployed");
  out.common.pods_service = config["pods_service"].text();
  const std::string& pods = out.common.pods_service;
  if (!pods.empty() && (std::count(pods.begin(), pods.end(), '/') != 1 || pods.starts_with('/') ||
                        pods.ends_with('/')))
    config["pods_service"].error("must be \"namespace/name\" of the Service that selects our Pods");
  out.common.type = config["type"].textOr(out.common.type);
  if (out.common.type != "LoadBalancer" && out.common.type != "ClusterIP" &&
      out.common.type != "NodePort")
    config["type"].error("must be LoadBalancer, ClusterIP or NodePort");
  readRest(config, out);
  return out;
}

}  // namespace hyperway::gateway_deployer
