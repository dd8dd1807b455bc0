// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "deployer.hpp"
#include "hyperway/sdk/sink.hpp"
#include "k8s_client/client.hpp"
#include "k8s_client/lease.hpp"
#include "settings.hpp"

namespace hyperway::gateway_deployer {

/// The sink: gives each Gateway a Service with target ports of its own, which leads to our Pods
/// (ARCHITECTURE decision 8, shared shape), or to Pods of its own (deployed shape). Of several
/// replicas the holder of the Lease writes.
class GatewayDeployer {
 public:
  /// What the configuration file names.
  static constexpr const char* kId = "gateway_deployer";
  /// Routes are none of its business.
  static constexpr std::uint32_t kWants = HW_SINK_GATEWAYS_ONLY;

  /// Reads the settings; contacts nothing.
  GatewayDeployer(sdk::Setup& setup, sdk::SinkAck ack);
  GatewayDeployer(const GatewayDeployer&) = delete;
  GatewayDeployer& operator=(const GatewayDeployer&) = delete;
  /// stop()s.
  ~GatewayDeployer();

  /// Takes a batch; the first one starts the work. [control]
  hw_status apply(std::uint64_t generation, std::uint32_t flags, std::string_view batch);
  /// Gives the Lease up and ends. [control]
  void stop();

 private:
  [[nodiscard]] bool begin(std::string& error);
  void tellGateways(const std::map<std::string, std::string>& reasons);
  void tellParameters(const std::map<std::string, std::string>& reasons);
  void tell(const std::map<std::string, std::string>& changed);
  void tellTrouble(const std::string& reason);
  void tellWritten(const Write& write, const k8s_client::Error& error);
  void tellLead(bool leads);

  Settings settings_;
  sdk::SinkAck ack_;
  sdk::Log log_;
  sdk::Metric written_, refused_, waiting_, leads_;
  std::atomic<std::uint64_t> generation_{0};
  // Behind begin(): loop thread, but for the client itself.
  std::unique_ptr<k8s_client::Client> client_;
  std::unique_ptr<Deployer> deployer_;
  std::unique_ptr<k8s_client::Lease> lease_;
  std::map<std::string, std::string> waiting_gateways_, wrong_parameters_;
};

}  // namespace hyperway::gateway_deployer
