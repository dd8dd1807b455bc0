// SPDX-License-Identifier: Apache-2.0
#include "app/metrics_text.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <utility>

#include "app/rule_totals.hpp"
#include "observe/exposition.hpp"
#include "observe/worker_counters.hpp"

namespace hyperway::app {
namespace {

using observe::Counter;
using observe::Family;
using observe::RuleCounters;
using observe::Sample;
using observe::WorkerCounters;
using Labels = std::vector<std::pair<std::string, std::string>>;

// A counter of every worker, by member.
struct Total {
  const char* name;
  Family::Kind kind;
  const char* help;
  Counter WorkerCounters::*member;
};

constexpr Total kTotals[] = {
    {"hyperway_connections_accepted_total", Family::Kind::Counter, "Client connections accepted.",
     &WorkerCounters::accepted},
    {"hyperway_connections", Family::Kind::Gauge, "Open client connections.",
     &WorkerCounters::connections},
    {"hyperway_flows", Family::Kind::Gauge,
     "Open client connections that go to a backend as they are.", &WorkerCounters::flows},
    {"hyperway_proxy_headers_refused_total", Family::Kind::Counter,
     "Client connections refused for a PROXY header that is missing, malformed or not trusted.",
     &WorkerCounters::proxy_headers_refused},
    {"hyperway_connections_refused_total", Family::Kind::Counter,
     "Client connections refused because of a limit.", &WorkerCounters::shed},
    {"hyperway_requests_begun_total", Family::Kind::Counter, "Requests begun.",
     &WorkerCounters::requests},
    {"hyperway_requests_active", Family::Kind::Gauge, "Requests under way.",
     &WorkerCounters::active},
    {"hyperway_requests_malformed_total", Family::Kind::Counter, "Requests refused by the parser.",
     &WorkerCounters::bad_requests},
    {"hyperway_requests_unrouted_total", Family::Kind::Counter, "Requests that no route matched.",
     &WorkerCounters::no_route},
    {"hyperway_upstream_connects_total", Family::Kind::Counter, "Connections to endpoints begun.",
     &WorkerCounters::upstream_connects},
    {"hyperway_upstream_connect_failures_total", Family::Kind::Counter,
     "Connections to endpoints that failed.", &WorkerCounters::upstream_failures},
    {"hyperway_upstream_connections", Family::Kind::Gauge, "Open connections to endpoints.",
     &WorkerCounters::upstream_connections},
    {"hyperway_upstream_broken_total", Family::Kind::Counter,
     "Exchanges with endpoints that broke off.", &WorkerCounters::upstream_broken},
    {"hyperway_upstream_tls_failures_total", Family::Kind::Counter,
     "TLS with endpoints that failed.", &WorkerCounters::upstream_tls_failures},
    {"hyperway_upstream_ejections_total", Family::Kind::Counter,
     "Endpoints taken out after failures.", &WorkerCounters::ejections},
    {"hyperway_tls_handshakes_total", Family::Kind::Counter, "TLS handshakes finished.",
     &WorkerCounters::tls_handshakes},
    {"hyperway_tls_handshake_failures_total", Family::Kind::Counter,
     "TLS handshakes failed or timed out.", &WorkerCounters::tls_failures},
    {"hyperway_mirrors_total", Family::Kind::Counter, "Mirrored requests begun.",
     &WorkerCounters::mirrors},
    {"hyperway_mirrors_cut_total", Family::Kind::Counter,
     "Mirrored requests cut because they lagged.", &WorkerCounters::mirrors_cut},
    {"hyperway_callouts_total", Family::Kind::Counter,
     "Requests of filters to their own backends begun.", &WorkerCounters::callouts},
    {"hyperway_callouts_failed_total", Family::Kind::Counter,
     "Requests of filters that ended without a complete answer.", &WorkerCounters::callouts_failed},
    {"hyperway_udp_sessions", Family::Kind::Gauge, "UDP sessions.", &WorkerCounters::udp_sessions},
    {"hyperway_udp_sessions_begun_total", Family::Kind::Counter, "UDP sessions begun.",
     &WorkerCounters::udp_begun},
    {"hyperway_udp_sessions_evicted_total", Family::Kind::Counter,
     "UDP sessions ended because there were too many.", &WorkerCounters::udp_evicted},
    {"hyperway_udp_datagrams_received_total", Family::Kind::Counter, "Datagrams from clients.",
     &WorkerCounters::udp_received},
    {"hyperway_udp_datagrams_sent_total", Family::Kind::Counter, "Datagrams to clients.",
     &WorkerCounters::udp_sent},
    {"hyperway_udp_datagrams_dropped_total", Family::Kind::Counter, "Datagrams that went nowhere.",
     &WorkerCounters::udp_dropped},
    {"hyperway_filter_faults_total", Family::Kind::Counter,
     "Filter calls that came back as a fault.", &WorkerCounters::filter_faults},
    {"hyperway_filter_slow_total", Family::Kind::Counter, "Filter calls that took over 10 ms.",
     &WorkerCounters::slow_filters},
};

class RuleFamilies {
 public:
  void add(const Labels& labels, const RuleTotals& totals) {
    constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (std::size_t i = 0; i < totals.by_class.size(); ++i) {
      if (totals.by_class[i] == 0) continue;
      Labels with = labels;
      with.emplace_back("code", kClasses[i]);
      requests_.samples.push_back(
          {std::move(with), static_cast<double>(totals.by_class[i]), {}, {}});
    }
    Sample histogram{labels, static_cast<double>(totals.latency_sum_us) / 1e6, {}, {}};
    for (const std::uint32_t bound : observe::kLatencyBoundsUs)
      histogram.bounds.push_back(bound / 1e6);
    histogram.buckets.assign(totals.latency.begin(), totals.latency.end());
    duration_.samples.push_back(std::move(histogram));
    sent_.samples.push_back({labels, static_cast<double>(totals.bytes_sent), {}, {}});
    retries_.samples.push_back({labels, static_cast<double>(totals.retries), {}, {}});
  }
  void moveTo(std::vector<Family>& out) {
    for (Family* family : {&requests_, &duration_, &sent_, &retries_})
      out.push_back(std::move(*family));
  }

 private:
  Family requests_{"hyperway_requests_total",
                   "Requests finished, by class of status.",
                   Family::Kind::Counter,
                   {}};
  Family duration_{"hyperway_request_duration_seconds",
                   "From a request's first byte to the end of its response.",
                   Family::Kind::Histogram,
                   {}};
  Family sent_{
      "hyperway_response_body_bytes_total", "Response body bytes sent.", Family::Kind::Counter, {}};
  Family retries_{
      "hyperway_retries_total", "Attempts beyond the first.", Family::Kind::Counter, {}};
};

// "namespace/route/ruleIndex" -> route and rule.
Labels ruleLabels(const std::string& rule_id) {
  const std::size_t slash = rule_id.rfind('/');
  return {{"route", rule_id.substr(0, slash)}, {"rule", rule_id.substr(slash + 1)}};
}

void addRules(const proxy::ProxySink& proxy, std::vector<Family>& out) {
  RuleFamilies families;
  std::map<std::string, RuleTotals> by_rule;  // sorted, so that two scrapes can be compared
  RuleTotals other;
  const auto slots = proxy.compiler().statsSlots().list();
  for (std::size_t worker = 0; worker < proxy.workers(); ++worker) {
    const WorkerCounters& counters = proxy.counters(worker);
    for (const auto& slot : slots)
      if (const RuleCounters* rule = counters.peek(slot->number())) by_rule[slot->key()].add(*rule);
    other.add(counters.other());
  }
  for (const auto& [id, totals] : by_rule) families.add(ruleLabels(id), totals);
  families.add({{"route", "other"}, {"rule", ""}}, other);
  families.moveTo(out);
}

void addOne(std::vector<Family>& out, const char* name, Family::Kind kind, const char* help,
            double value, Labels labels = {}) {
  out.push_back({name, help, kind, {{std::move(labels), value, {}, {}}}});
}

void addPlugins(const std::vector<plugin::SeriesValue>& series, std::vector<Family>& out) {
  std::map<std::string, Family> families;
  for (const plugin::SeriesValue& one : series) {
    Family& family = families[one.name];
    family.name = one.name;
    family.help = one.help;
    family.kind = one.kind == HW_METRIC_HISTOGRAM ? Family::Kind::Histogram
                  : one.kind == HW_METRIC_GAUGE   ? Family::Kind::Gauge
                                                  : Family::Kind::Counter;
    family.samples.push_back({one.labels, one.value, one.bounds, one.buckets});
  }
  for (auto& [name, family] : families) out.push_back(std::move(family));
}

// Objects that have a status of ours, by what it says.
void addObjects(const gateway::Translator& translator, std::vector<Family>& out) {
  constexpr std::array<const char*, 3> kStates = {"ok", "pending", "failing"};
  std::map<std::string, std::array<std::uint64_t, 3>> by_kind;
  translator.forEachStatus([&](const gateway::ObjectStatus& status) {
    ++by_kind[status.kind][static_cast<std::size_t>(gateway::healthOf(status))];
  });
  Family family{"hyperway_objects",
                "Objects that have a status of ours, by what it says.",
                Family::Kind::Gauge,
                {}};
  for (const auto& [kind, counts] : by_kind)
    for (std::size_t i = 0; i < counts.size(); ++i)
      family.samples.push_back(
          {{{"kind", kind}, {"state", kStates[i]}}, static_cast<double>(counts[i]), {}, {}});
  out.push_back(std::move(family));
}

// Names and meaning are those that Prometheus' client libraries have agreed on.
void addProcess(std::int64_t started, std::vector<Family>& out) {
  rusage used{};
  (void)::getrusage(RUSAGE_SELF, &used);  // Cannot fail with these arguments.
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  addOne(out, "process_cpu_seconds_total", Family::Kind::Counter, "Processor time used.",
         seconds(used.ru_utime) + seconds(used.ru_stime));
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  addOne(out, "process_resident_memory_bytes", Family::Kind::Gauge, "Resident memory.",
         static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  addOne(out, "process_start_time_seconds", Family::Kind::Gauge,
         "When the process began, seconds since the epoch.", static_cast<double>(started));
}

}  // namespace

std::string metricsText(const MetricsInput& input) {
  std::vector<Family> out;
  addOne(out, "hyperway_build_info", Family::Kind::Gauge, "Version of this process.", 1,
         {{"version", input.version}});
  addRules(*input.proxy, out);
  for (const Total& total : kTotals) {
    double sum = 0;
    for (std::size_t worker = 0; worker < input.proxy->workers(); ++worker)
      sum += static_cast<double>((input.proxy->counters(worker).*total.member).get());
    addOne(out, total.name, total.kind, total.help, sum);
  }
  Family floods{"hyperway_http2_floods_total",
                "HTTP/2 connections ended because their client only made work, by what it sent.",
                Family::Kind::Counter,
                {}};
  constexpr std::array<const char*, 3> kFloods = {"resets", "frames", "headers"};
  for (std::size_t kind = 0; kind < kFloods.size(); ++kind) {
    double sum = 0;
    for (std::size_t worker = 0; worker < input.proxy->workers(); ++worker)
      sum += static_cast<double>(input.proxy->counters(worker).floods[kind].get());
    floods.samples.push_back({{{"kind", kFloods[kind]}}, sum, {}, {}});
  }
  out.push_back(std::move(floods));
  Family expiry{"hyperway_certificate_expiry_timestamp_seconds",
                "When a certificate ends that a listener shows, or, without one, backends see.",
                Family::Kind::Gauge,
                {}};
  for (const proxy::CertificateExpiry& one : input.proxy->certificates()) {
    auto& sample = expiry.samples.emplace_back();
    if (!one.listener.empty()) sample.labels.push_back({"listener", one.listener});
    sample.labels.push_back({"secret", one.key});
    sample.labels.push_back({"subject", one.name});
    sample.value = static_cast<double>(one.not_after);
  }
  out.push_back(std::move(expiry));
  const route::Compiler& compiler = input.proxy->compiler();
  std::uint64_t unreachable = 0;
  for (const auto& slot : compiler.upstreamSlots().list()) {
    const auto upstream = compiler.upstream(slot->key());
    if (!upstream || upstream->endpoints.empty()) ++unreachable;
  }
  addOne(out, "hyperway_backends_without_endpoints", Family::Kind::Gauge,
         "Services that routes name and that have no ready endpoint.",
         static_cast<double>(unreachable));
  if (input.translator != nullptr) addObjects(*input.translator, out);
  addOne(out, "hyperway_ready", Family::Kind::Gauge, "1 while /readyz says so.",
         input.ready ? 1 : 0);
  addOne(out, "hyperway_config_last_change_timestamp_seconds", Family::Kind::Gauge,
         "When the configuration changed last, endpoints apart; 0: never.",
         static_cast<double>(input.last_change));
  addOne(out, "hyperway_config_generation", Family::Kind::Gauge,
         "Generation handed to the proxy last.", static_cast<double>(input.health.generation));
  addOne(out, "hyperway_config_degraded", Family::Kind::Gauge,
         "Sources and sinks that are not well; the last good state is served.",
         static_cast<double>(input.health.degraded.size()));
  addOne(out, "hyperway_config_rejected_objects", Family::Kind::Gauge,
         "Objects that could not be read.", static_cast<double>(input.health.rejected.size()));
  if (input.access_log != nullptr)
    addOne(out, "hyperway_access_log_dropped_total", Family::Kind::Counter,
           "Access log lines lost.", static_cast<double>(input.access_log->dropped()));
  if (input.process_log != nullptr)
    addOne(out, "hyperway_process_log_dropped_total", Family::Kind::Counter,
           "Process log lines lost.", static_cast<double>(input.process_log->dropped()));
  addProcess(input.started, out);
  addPlugins(input.plugin_series, out);
  return observe::exposition(out);
}

}  // namespace hyperway::app
