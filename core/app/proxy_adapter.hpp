// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/sink.hpp"
#include "proxy/proxy_sink.hpp"

namespace hyperway::app {

/// The proxy as a sink of the pipeline: the proxy layer knows nothing of `control`, so the two meet
/// here.
class ProxyAdapter final : public control::Sink {
 public:
  ProxyAdapter() = default;

  /// The proxy to drive; set once, before the pipeline starts. It outlives the adapter's use.
  void attach(proxy::ProxySink& proxy) { proxy_ = &proxy; }
  /// What the proxy's Environment::acknowledge calls. [control]
  void acknowledge(proxy::ProxyReport report);
  /// Where rules that could not be compiled are reported.
  void onRuleProblem(std::function<void(const std::string& rule, const std::string& reason)> tell) {
    rule_problem_ = std::move(tell);
  }

  [[nodiscard]] std::string_view id() const noexcept override { return "proxy"; }
  void onAcknowledge(Acknowledge acknowledge) override { acknowledge_ = std::move(acknowledge); }
  [[nodiscard]] bool apply(std::uint64_t generation, const route::ModelBatch& batch) override;
  void stop() override;

 private:
  proxy::ProxySink* proxy_ = nullptr;
  Acknowledge acknowledge_;
  std::function<void(const std::string&, const std::string&)> rule_problem_;
};

}  // namespace hyperway::app
