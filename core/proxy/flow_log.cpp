// SPDX-License-Identifier: Apache-2.0
#include "proxy/flow_log.hpp"

#include <chrono>

#include "observe/access_log.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

std::uint16_t statusOf(FlowOutcome outcome) noexcept {
  switch (outcome) {
    case FlowOutcome::Served: return 200;
    case FlowOutcome::Unserved: return 503;
    case FlowOutcome::Cut: break;
  }
  return 0;
}

}  // namespace

void recordFlow(Worker& worker, const FlowEnd& flow) noexcept {
  const auto lasted = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(worker.loop.now() - flow.begun)
          .count());
  observe::WorkerCounters& counters = worker.counters();
  observe::RuleCounters& rule =
      flow.rule != nullptr ? counters.rule(flow.rule->stats_number) : counters.other();
  rule.record(statusOf(flow.outcome), lasted, flow.sent);
  if (flow.attempts > 1) rule.retries.add(flow.attempts - 1U);
  observe::AccessLogWriter* const log = worker.environment().access_log;
  if (log == nullptr || log->format() == observe::AccessLogFormat::Off) return;
  observe::AccessLogEntry entry;
  entry.flow = true;
  entry.wall_us = worker.wallUs();
  entry.latency_us = lasted;
  entry.bytes_received = flow.received;
  entry.bytes_sent = flow.sent;
  entry.attempts = flow.attempts;
  entry.client = flow.client;
  entry.host = flow.name;
  entry.protocol = flow.protocol;
  entry.listener = flow.listener;
  if (flow.rule != nullptr) {
    entry.route = flow.rule->route_key;
    entry.route.remove_prefix(entry.route.find('/') + 1);  // as metrics and status name it
    entry.rule = flow.rule->rule->id;
  }
  entry.upstream = flow.upstream;
  entry.why = flow.why;
  observe::formatAccessLog(log->format(), entry, worker.logLine());
  log->ring(worker.index()).push(worker.logLine());
}

}  // namespace hyperway::proxy
