// SPDX-License-Identifier: Apache-2.0
#include "gateway_deployer.hpp"

#include <unistd.h>

#include <chrono>
#include <future>
#include <utility>

#include "json_text.hpp"
#include "k8s_client/config.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

// How long the end waits for the Lease to be given up.
constexpr std::chrono::seconds kRelease{1};

// The Pod's name, and something that tells processes of one machine apart.
std::string identity() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return std::string(host) + '_' + std::to_string(::getpid());
}

}  // namespace

GatewayDeployer::GatewayDeployer(sdk::Setup& setup, sdk::SinkAck ack)
    : settings_(readSettings(setup)),
      ack_(ack),
      log_(setup.log()),
      written_(setup.counter("gateway_deployer_writes_total",
                             "Writes to what is made for Gateways.", {{"result", "done"}})),
      refused_(setup.counter("gateway_deployer_writes_total",
                             "Writes to what is made for Gateways.", {{"result", "refused"}})),
      waiting_(setup.gauge("gateway_deployer_gateways_without_place",
                           "Gateways whose Service cannot be made as it should be.")),
      leads_(setup.gauge("gateway_deployer_leader", "1 while this replica writes.")) {}

GatewayDeployer::~GatewayDeployer() { stop(); }

bool GatewayDeployer::begin(std::string& error) {
  auto config = k8s_client::loadConfig(settings_.kubeconfig, settings_.context,
                                       k8s_client::processEnvironment(), error);
  if (!config) return false;
  std::string lease_namespace = settings_.lease_namespace;
  if (lease_namespace.empty()) lease_namespace = config->name_space;
  if (lease_namespace.empty()) lease_namespace = "default";
  client_ = std::make_unique<k8s_client::Client>(std::move(*config), "hyperway/gateway_deployer");
  Deployer::Listener listener;
  listener.gateways = [this](const auto& reasons) { tellGateways(reasons); };
  listener.parameters = [this](const auto& reasons) { tellParameters(reasons); };
  listener.trouble = [this](const std::string& reason) { tellTrouble(reason); };
  listener.written = [this](const Write& write, const k8s_client::Error& problem) {
    tellWritten(write, problem);
  };
  deployer_ = std::make_unique<Deployer>(*client_, settings_, std::move(listener));
  k8s_client::Lease::Options options;
  options.name_space = std::move(lease_namespace);
  options.name = settings_.lease_name;
  options.identity = identity();
  lease_ = std::make_unique<k8s_client::Lease>(
      *client_, std::move(options), [this](bool held) { tellLead(held); },
      [this](const k8s_client::Error& problem) {
        log_.write(sdk::Level::Warning, "the Lease cannot be had",
                   {{"lease", settings_.lease_name}, {"why", problem.text()}});
      });
  client_->start();
  client_->post([this] {
    deployer_->start();
    lease_->start();
  });
  return true;
}

hw_status GatewayDeployer::apply(std::uint64_t generation, std::uint32_t flags,
                                 std::string_view batch) {
  std::string error;
  auto read = readBatch(batch, error);
  if (!read) {
    log_.write(sdk::Level::Error, error);
    return HW_INVALID;
  }
  if (!client_ && !begin(error)) {
    log_.write(sdk::Level::Error, "no cluster to write to", {{"why", error}});
    ack_(generation, k8s_client::toText(
                         object({{"refused", sdk::json::Value(true)}, {"reason", text(error)}})));
    return HW_OK;
  }
  generation_.store(generation, std::memory_order_release);
  client_->post([this, taken = std::move(*read), full = (flags & HW_APPLY_FULL) != 0]() mutable {
    deployer_->take(std::move(taken), full);
  });
  ack_(generation, "");
  return HW_OK;
}

void GatewayDeployer::stop() {
  if (!client_) return;
  auto released = std::make_shared<std::promise<void>>();
  auto done = released->get_future();
  client_->post([this, released] {
    deployer_->lead(false);
    lease_->release([released] { released->set_value(); });
  });
  (void)done.wait_for(kRelease);  // Whoever comes next waits for it to run out, then.
  client_->stop();
  lease_.reset();
  deployer_.reset();
  client_.reset();
}

void GatewayDeployer::tellGateways(const std::map<std::string, std::string>& reasons) {
  for (const auto& [gateway, reason] : reasons) {
    if (reason.empty()) {
      waiting_gateways_.erase(gateway);
      continue;
    }
    waiting_gateways_[gateway] = reason;
    log_.write(sdk::Level::Warning, "a Gateway has no place",
               {{"gateway", gateway}, {"why", reason}});
  }
  waiting_.set(static_cast<double>(waiting_gateways_.size()));
  tell(reasons);
}

void GatewayDeployer::tellParameters(const std::map<std::string, std::string>& reasons) {
  for (const auto& [gateway, reason] : reasons) {
    if (reason.empty()) {
      wrong_parameters_.erase(gateway);
      continue;
    }
    wrong_parameters_[gateway] = reason;
    log_.write(sdk::Level::Warning, "a Gateway's parameters are wrong",
               {{"gateway", gateway}, {"why", reason}});
  }
  tell(reasons);
}

// Both are told together: what a report leaves out counts as fine.
void GatewayDeployer::tell(const std::map<std::string, std::string>& changed) {
  const auto of = [](const std::map<std::string, std::string>& reasons,
                     const std::string& gateway) {
    const auto found = reasons.find(gateway);
    return text(found != reasons.end() ? found->second : std::string());
  };
  std::vector<sdk::json::Value> list;
  for (const auto& [gateway, reason] : changed)
    list.push_back(object({{"name", text(gateway)},
                           {"reason", of(waiting_gateways_, gateway)},
                           {"parameters", of(wrong_parameters_, gateway)}}));
  ack_(generation_.load(std::memory_order_acquire),
       k8s_client::toText(object({{"gateways", array(std::move(list))}})));
}

void GatewayDeployer::tellTrouble(const std::string& reason) {
  if (!reason.empty()) log_.write(sdk::Level::Warning, reason);
  ack_(generation_.load(std::memory_order_acquire),
       k8s_client::toText(
           object({{"refused", sdk::json::Value(!reason.empty())}, {"reason", text(reason)}})));
}

void GatewayDeployer::tellWritten(const Write& write, const k8s_client::Error& error) {
  (error ? refused_ : written_).add();
  if (error) return;  // The Gateway's reason tells.
  const std::string_view what = write.action == Write::Action::Create   ? "created"
                                : write.action == Write::Action::Remove ? "removed"
                                                                        : "changed";
  const bool matters = write.kind == ObjectKind::Service || write.kind == ObjectKind::Deployment;
  const auto level = matters ? sdk::Level::Info : sdk::Level::Debug;
  log_.write(level, write.subject() + ' ' + std::string(what), {{"gateway", write.gateway}});
}

void GatewayDeployer::tellLead(bool leads) {
  log_.write(sdk::Level::Info, leads ? "writes Services now" : "writes Services no more");
  leads_.set(leads ? 1 : 0);
  deployer_->lead(leads);
}

}  // namespace hyperway::gateway_deployer
