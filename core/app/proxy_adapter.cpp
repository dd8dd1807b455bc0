// SPDX-License-Identifier: Apache-2.0
#include "app/proxy_adapter.hpp"

#include <utility>

namespace hyperway::app {

void ProxyAdapter::acknowledge(proxy::ProxyReport report) {
  control::SinkReport out;
  out.generation = report.generation;
  for (proxy::ListenerOutcome& listener : report.listeners)
    out.listeners.push_back(
        {std::move(listener.listener), listener.programmed, std::move(listener.reason)});
  for (const auto& [rule, reason] : report.rules)
    if (rule_problem_) rule_problem_(rule, reason);
  if (acknowledge_) acknowledge_(std::move(out));
}

bool ProxyAdapter::apply(std::uint64_t generation, const route::ModelBatch& batch) {
  proxy_->apply(generation, batch);
  return true;
}

void ProxyAdapter::stop() { proxy_->stop(); }

}  // namespace hyperway::app
