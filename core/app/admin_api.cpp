// SPDX-License-Identifier: Apache-2.0
#include "app/admin_api.hpp"

#include <algorithm>
#include <array>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "app/admin_json.hpp"
#include "app/rule_totals.hpp"
#include "route/model_json.hpp"

namespace hyperway::app {
namespace {

using gateway::Health;
using gateway::ObjectStatus;
using route::JsonWriter;

constexpr std::size_t kLines = 20;      // of troubles, changes' problems, objects that fail
constexpr std::size_t kListeners = 64;  // of a Gateway
constexpr std::size_t kEndpoints = 20;  // of a backend
constexpr std::size_t kParts = 8;       // problems, binds, certificates of a row
constexpr std::chrono::seconds kWorkersAnswer{1};
constexpr std::int64_t kSoonSeconds = 14 * 86400;  // a certificate's end that is told ahead

std::int64_t millis(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

std::string bindText(std::string_view address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string_view::npos;
  return (v6 ? '[' + std::string(address) + ']' : std::string(address)) + ':' +
         std::to_string(port);
}

std::string nameOf(const ObjectStatus& status) {
  return status.name_space.empty() ? status.name : status.name_space + '/' + status.name;
}

struct HealthCounts {
  std::array<std::size_t, 3> by_health{};
  void add(Health health) { ++by_health[static_cast<std::size_t>(health)]; }
  void show(JsonWriter& out, std::string_view name) const {
    out.beginObject(name);
    for (const Health health : {Health::Good, Health::Pending, Health::Failing})
      out.number(wordOf(health),
                 static_cast<std::int64_t>(by_health[static_cast<std::size_t>(health)]));
    out.endObject();
  }
};

void showLines(JsonWriter& out, std::string_view name, const std::vector<std::string>& lines) {
  out.beginArray(name);
  for (std::size_t i = 0; i < lines.size() && i < kLines; ++i) showElement(out, lines[i]);
  out.endArray();
}

void showChanges(JsonWriter& out, const std::vector<control::ChangeNote>& changes) {
  out.beginArray("changes");
  for (const control::ChangeNote& change : changes) {
    out.beginObject();
    out.number("at_ms", millis(change.at));
    out.number("took_us", change.took.count());
    out.number("generation", static_cast<std::int64_t>(change.generation));
    out.number("objects", static_cast<std::int64_t>(change.objects));
    showLines(out, "names", change.names);
    showLines(out, "problems", change.problems);
    out.number("problem_count", static_cast<std::int64_t>(change.problem_count));
    out.endObject();
  }
  out.endArray();
}

// What sources and sinks make of the process, in the words of the documentation.
std::string modeOf(const Settings& settings) {
  const auto has = [&](std::string_view id) {
    return std::any_of(settings.sources.begin(), settings.sources.end(),
                       [&](const InstanceSpec& source) { return source.plugin == id; });
  };
  if (!settings.serves) return "controller";
  return has("k8s_source")        ? "Kubernetes, single process"
         : has("snapshot_source") ? "data plane"
         : has("file_source")     ? "files"
                                  : "custom";
}

void showWorkers(JsonWriter& out, const proxy::ProxySink& proxy) {
  const auto sum = [&](std::string_view name, observe::Counter observe::WorkerCounters::*member) {
    std::uint64_t total = 0;
    for (std::size_t worker = 0; worker < proxy.workers(); ++worker)
      total += (proxy.counters(worker).*member).get();
    out.number(name, static_cast<std::int64_t>(total));
  };
  using observe::WorkerCounters;
  sum("connections", &WorkerCounters::connections);
  sum("active", &WorkerCounters::active);
  sum("refused", &WorkerCounters::shed);
  sum("malformed", &WorkerCounters::bad_requests);
  sum("unrouted", &WorkerCounters::no_route);
  sum("connects", &WorkerCounters::upstream_connects);
  sum("connect_failures", &WorkerCounters::upstream_failures);
}

struct GatewayRow {
  std::string name;
  const ObjectStatus* status = nullptr;   // none where another process has translated
  std::vector<const ObjectStatus*> sets;  // of its ListenerSets
  std::map<std::string, const route::Listener*> listeners;  // those in force, by their own name
  Health health = Health::Good;
};

// Gateways with a status, and those that listeners in force belong to.
std::map<std::string, GatewayRow> allGateways(const gateway::Translator& translator,
                                              const route::RouteTable& table) {
  std::map<std::string, GatewayRow> rows;
  translator.forEachStatus([&](const ObjectStatus& status) {
    if (status.kind == "ListenerSet") rows[status.gateway].sets.push_back(&status);
    if (status.kind != "Gateway") return;
    GatewayRow& row = rows[nameOf(status)];
    row.status = &status;
    row.health = healthOf(status);
  });
  for (const auto& group : table.groups())
    for (const auto& listener : group->listeners()) {
      const std::string& key = listener->model().key;
      rows[std::string(route::gatewayOfListener(key))].listeners.emplace(route::nameOfListener(key),
                                                                         &listener->model());
    }
  for (auto& [name, row] : rows) row.name = name;
  return rows;
}

void showListener(JsonWriter& out, const std::string& name, const gateway::ListenerStatus* status,
                  const route::Listener* model) {
  out.beginObject();
  showText(out, "name", name);
  if (model != nullptr) {
    out.text("protocol", route::protocolText(model->protocol));
    out.number("port", model->port);
    showText(out, "hostname", model->hostname);
    out.beginArray("binds");
    for (std::size_t i = 0; i < model->binds.size() && i < kParts; ++i)
      showElement(out, bindText(model->binds[i].address, model->binds[i].port));
    out.endArray();
    out.beginArray("certificates");
    for (std::size_t i = 0; i < model->certificates.size() && i < kParts; ++i)
      showElement(out, model->certificates[i]);
    out.endArray();
  }
  Health health = Health::Good;
  if (status != nullptr) {
    out.number("attached", status->attached_routes);
    for (const gateway::Condition& condition : status->conditions)
      health = std::max(health, healthOf(condition));
  }
  out.text("health", wordOf(health));
  out.endObject();
}

void showGateway(JsonWriter& out, const GatewayRow& row) {
  out.beginObject();
  showText(out, "gateway", row.name);
  out.text("health", wordOf(row.health));
  out.beginArray("addresses");
  if (row.status != nullptr)
    for (std::size_t i = 0; i < row.status->addresses.size() && i < kParts; ++i)
      showElement(out, row.status->addresses[i]);
  out.endArray();
  if (row.status != nullptr) showProblems(out, "problems", *row.status, kParts);
  std::map<std::string, const gateway::ListenerStatus*> names;
  for (const auto& [name, model] : row.listeners) names[name] = nullptr;
  if (row.status != nullptr)
    for (const gateway::ListenerStatus& listener : row.status->listeners)
      names[listener.name] = &listener;
  for (const ObjectStatus* set : row.sets)
    for (const gateway::ListenerStatus& listener : set->listeners)
      names[set->name_space + '/' + set->name + '/' + listener.name] = &listener;
  out.number("listener_count", static_cast<std::int64_t>(names.size()));
  out.beginArray("listeners");
  std::size_t left = kListeners;
  for (const auto& [name, status] : names) {
    if (left-- == 0) break;
    const auto model = row.listeners.find(name);
    showListener(out, name, status, model == row.listeners.end() ? nullptr : model->second);
  }
  out.endArray();
  out.endObject();
}

// A backend of the page; holds nothing that must die on the control thread.
struct BackendRow {
  std::string key;
  std::uint32_t slot = 0;
  Health health = Health::Good;
  std::shared_ptr<const route::Upstream> upstream;  // null: it is gone
};

struct BackendPage {
  std::size_t fitting = 0, all = 0;
  std::vector<BackendRow> rows;
};

Health healthOf(const route::Upstream* upstream) {
  const bool good = upstream != nullptr && !upstream->endpoints.empty() &&
                    (!upstream->tls || upstream->tls->refused.empty());
  return good ? Health::Good : Health::Failing;
}

BackendPage pickBackends(const route::Compiler& compiler, const PageQuery& query) {
  BackendPage page;
  std::vector<BackendRow> rows;
  const auto slots = compiler.upstreamSlots().list();
  page.all = slots.size();
  for (const auto& slot : slots) {
    if (!query.fits(slot->key())) continue;
    auto upstream = compiler.upstream(slot->key());
    const Health health = healthOf(upstream.get());
    if (!query.failing || health != Health::Good)
      rows.push_back({slot->key(), slot->number(), health, std::move(upstream)});
  }
  page.fitting = rows.size();
  page.rows = pageOf(std::move(rows), query, [&](const BackendRow& a, const BackendRow& b) {
    const bool by_health = query.sort == PageQuery::Sort::Default && a.health != b.health;
    return by_health ? a.health > b.health : a.key < b.key;
  });
  return page;
}

// What all workers say of one endpoint.
struct EndpointState {
  std::uint32_t active = 0, idle = 0, failures = 0, ejected_by = 0;
  std::string_view tls_failure;
};

using EndpointStates = std::map<std::pair<std::uint32_t, route::Endpoint>, EndpointState>;

EndpointStates gathered(const std::vector<proxy::EndpointReport>& reports) {
  EndpointStates states;
  for (const proxy::EndpointReport& report : reports) {
    EndpointState& state = states[{report.slot, report.endpoint}];
    state.active += report.active;
    state.idle += report.idle;
    state.failures = std::max(state.failures, report.failures);
    if (report.ejected.count() > 0) ++state.ejected_by;
    if (!report.tls_failure.empty()) state.tls_failure = report.tls_failure;
  }
  return states;
}

void showEndpoint(JsonWriter& out, const route::Endpoint& endpoint, const EndpointState* state) {
  out.beginObject();
  showText(out, "address", bindText(endpoint.address, endpoint.port));
  if (state != nullptr) {
    out.number("active", state->active);
    out.number("idle", state->idle);
    out.number("failures", state->failures);
    out.number("ejected_by", state->ejected_by);
    if (!state->tls_failure.empty()) showText(out, "tls_failure", state->tls_failure);
  }
  out.endObject();
}

void showBackend(JsonWriter& out, const BackendRow& row, const EndpointStates& states) {
  out.beginObject();
  showText(out, "backend", row.key);
  Health health = row.health;
  if (row.upstream) {
    const route::Upstream& upstream = *row.upstream;
    out.text("balance",
             upstream.balance == route::Balance::LeastRequest ? "least_request" : "round_robin");
    if (upstream.tls) {
      showText(out, "tls", upstream.tls->hostname);
      if (!upstream.tls->refused.empty()) showText(out, "tls_refused", upstream.tls->refused);
    }
    out.number("endpoint_count", static_cast<std::int64_t>(upstream.endpoints.size()));
    out.beginArray("endpoints");
    for (std::size_t i = 0; i < upstream.endpoints.size() && i < kEndpoints; ++i) {
      const auto known = states.find({row.slot, upstream.endpoints[i]});
      const EndpointState* const state = known == states.end() ? nullptr : &known->second;
      if (state != nullptr && (state->ejected_by > 0 || !state->tls_failure.empty()))
        health = std::max(health, Health::Pending);
      showEndpoint(out, upstream.endpoints[i], state);
    }
    out.endArray();
  }
  out.text("health", wordOf(health));
  out.endObject();
}

double valueOf(const std::vector<plugin::SeriesValue>& series, const std::string& plugin,
               std::string_view name) {
  double sum = 0;
  for (const plugin::SeriesValue& one : series)
    if (one.name == name && !one.labels.empty() && one.labels.front().second == plugin)
      sum += one.value;
  return sum;
}

}  // namespace

std::optional<admin::AdminAnswer> AdminApi::answer(const admin::AdminRequest& request) const {
  using List = std::string (AdminApi::*)(const PageQuery&) const;
  constexpr std::pair<std::string_view, List> kLists[] = {
      {"/api/gateways", &AdminApi::gateways},         {"/api/routes", &AdminApi::routes},
      {"/api/backends", &AdminApi::backends},         {"/api/plugins", &AdminApi::plugins},
      {"/api/certificates", &AdminApi::certificates},
  };
  const auto found = std::find_if(std::begin(kLists), std::end(kLists),
                                  [&](const auto& list) { return list.first == request.path; });
  const bool is_summary = request.path == "/api/summary";
  if (!is_summary && found == std::end(kLists)) return std::nullopt;
  if (request.method != "GET") return admin::AdminAnswer{405, "text/plain", "GET only\n"};
  if (is_summary)
    return admin::AdminAnswer{200, "application/json",
                              parts_.on_control([this] { return summary(); })};
  const auto query = readPageQuery(request.query);
  if (!query) return admin::AdminAnswer{400, "text/plain", query.error() + '\n'};
  // Backends ask the workers, and wait for them here and not on the control thread.
  if (found->second == &AdminApi::backends)
    return admin::AdminAnswer{200, "application/json", backends(*query)};
  return admin::AdminAnswer{200, "application/json",
                            parts_.on_control([this, list = found->second, page = *query] {
                              return (this->*list)(page);
                            })};
}

std::string AdminApi::summary() const {
  const control::PipelineHealth health = parts_.pipeline->health();
  const route::Compiler& compiler = parts_.proxy->compiler();
  const auto now = std::chrono::system_clock::now();
  JsonWriter out;
  out.beginObject();
  out.text("version", parts_.version);
  out.text("mode", modeOf(*parts_.settings));
  out.boolean("serves", parts_.settings->serves);
  out.number("workers", static_cast<std::int64_t>(parts_.proxy->workers()));
  out.number("now_ms", millis(now));
  out.number("started_ms", millis(parts_.started));
  showText(out, "readiness", parts_.readiness());
  out.number("generation", static_cast<std::int64_t>(health.generation));
  showLines(out, "degraded", health.degraded);
  out.number("degraded_count", static_cast<std::int64_t>(health.degraded.size()));
  showLines(out, "rejected", health.rejected);
  out.number("rejected_count", static_cast<std::int64_t>(health.rejected.size()));

  std::map<std::string_view, HealthCounts> counts;
  std::vector<const ObjectStatus*> failing;
  parts_.pipeline->translator().forEachStatus([&](const ObjectStatus& status) {
    const Health worst = gateway::healthOf(status);
    counts[status.kind].add(worst);
    if (worst != Health::Good) failing.push_back(&status);
  });
  out.beginObject("objects");
  for (const auto& [kind, count] : counts) count.show(out, kind);
  out.endObject();
  out.number("routes", static_cast<std::int64_t>(std::max(compiler.routeCount(), [&] {
               std::size_t sum = 0;
               for (const auto& [kind, count] : counts)
                 for (const std::size_t n : count.by_health) sum += kind.ends_with("Route") ? n : 0;
               return sum;
             }())));
  out.number("rules", static_cast<std::int64_t>(compiler.current()->ruleCount()));

  const std::size_t failing_count = failing.size();
  PageQuery first;
  first.limit = kLines;
  failing = pageOf(std::move(failing), first, [](const ObjectStatus* a, const ObjectStatus* b) {
    const Health of_a = gateway::healthOf(*a), of_b = gateway::healthOf(*b);
    return std::tie(of_b, a->kind, a->name_space, a->name) <
           std::tie(of_a, b->kind, b->name_space, b->name);
  });
  out.number("attention_count", static_cast<std::int64_t>(failing_count));
  out.beginArray("attention");
  for (const ObjectStatus* status : failing) {
    out.beginObject();
    out.text("kind", status->kind);
    showText(out, "name", nameOf(*status));
    out.text("health", wordOf(gateway::healthOf(*status)));
    showProblems(out, "problems", *status, 3);
    out.endObject();
  }
  out.endArray();

  HealthCounts backends;
  for (const auto& slot : compiler.upstreamSlots().list())
    backends.add(healthOf(compiler.upstream(slot->key()).get()));
  backends.show(out, "backends");
  const std::int64_t soon = millis(now) / 1000 + kSoonSeconds;
  HealthCounts certificates;
  for (const proxy::CertificateExpiry& one : parts_.proxy->certificates())
    certificates.add(one.not_after < millis(now) / 1000 ? Health::Failing
                     : one.not_after < soon             ? Health::Pending
                                                        : Health::Good);
  certificates.show(out, "certificates");
  out.number("plugins", static_cast<std::int64_t>(parts_.registry->list().size()));

  out.beginObject("traffic");
  RuleTotals totals;
  for (const auto& slot : compiler.statsSlots().list())
    totals.addSlot(*parts_.proxy, slot->number());
  for (std::size_t worker = 0; worker < parts_.proxy->workers(); ++worker)
    totals.add(std::as_const(*parts_.proxy).counters(worker).other());
  showTotals(out, totals);
  showWorkers(out, *parts_.proxy);
  out.endObject();
  out.beginArray("latency_bounds_us");
  for (const std::uint32_t bound : observe::kLatencyBoundsUs) out.element(std::int64_t{bound});
  out.endArray();
  showChanges(out, parts_.pipeline->changes());
  out.endObject();
  return out.take() + '\n';
}

std::string AdminApi::gateways(const PageQuery& query) const {
  const auto table = parts_.proxy->compiler().current();
  auto all = allGateways(parts_.pipeline->translator(), *table);
  const std::size_t count = all.size();
  std::vector<GatewayRow> rows;
  for (auto& [name, row] : all)
    if (query.fits(name) && (!query.failing || row.health != Health::Good))
      rows.push_back(std::move(row));
  const std::size_t fitting = rows.size();
  rows = pageOf(std::move(rows), query, [&](const GatewayRow& a, const GatewayRow& b) {
    const bool by_health = query.sort == PageQuery::Sort::Default && a.health != b.health;
    return by_health ? a.health > b.health : a.name < b.name;
  });
  JsonWriter out;
  openList(out, query, fitting, count);
  for (const GatewayRow& row : rows) showGateway(out, row);
  return closeList(out);
}

std::string AdminApi::backends(const PageQuery& query) const {
  const auto page = std::make_shared<BackendPage>();
  const auto promise = std::make_shared<std::promise<std::vector<proxy::EndpointReport>>>();
  auto future = promise->get_future();
  (void)parts_.on_control([proxy = parts_.proxy, page, promise, query] {
    *page = pickBackends(proxy->compiler(), query);
    std::vector<std::uint32_t> slots;
    for (const BackendRow& row : page->rows) slots.push_back(row.slot);
    proxy->reportEndpoints(std::move(slots), [promise](std::vector<proxy::EndpointReport> all) {
      promise->set_value(std::move(all));
    });
    return std::string();
  });
  EndpointStates states;
  if (future.wait_for(kWorkersAnswer) == std::future_status::ready) states = gathered(future.get());
  JsonWriter out;
  openList(out, query, page->fitting, page->all);
  for (const BackendRow& row : page->rows) showBackend(out, row, states);
  return closeList(out);
}

std::string AdminApi::certificates(const PageQuery& query) const {
  std::vector<proxy::CertificateExpiry> rows = parts_.proxy->certificates();
  const std::size_t count = rows.size();
  const std::int64_t soon = millis(std::chrono::system_clock::now()) / 1000 + kSoonSeconds;
  std::erase_if(rows, [&](const proxy::CertificateExpiry& one) {
    return (query.failing && one.not_after >= soon) ||
           !(query.fits(one.key) || query.fits(one.listener) || query.fits(one.name));
  });
  const std::size_t fitting = rows.size();
  using Row = proxy::CertificateExpiry;
  rows = pageOf(std::move(rows), query, [&](const Row& a, const Row& b) {
    if (query.sort == PageQuery::Sort::Name)
      return std::tie(a.key, a.listener) < std::tie(b.key, b.listener);
    return std::tie(a.not_after, a.key, a.listener) < std::tie(b.not_after, b.key, b.listener);
  });
  JsonWriter out;
  openList(out, query, fitting, count);
  for (const Row& row : rows) {
    out.beginObject();
    showText(out, "secret", row.key);
    showText(out, "subject", row.name);
    showText(out, "listener", row.listener);
    out.number("not_after", row.not_after);
    out.endObject();
  }
  return closeList(out);
}

std::string AdminApi::plugins(const PageQuery& query) const {
  const std::vector<plugin::SeriesValue> series = parts_.metrics->collect();
  std::vector<plugin::PluginInfo> rows = parts_.registry->list();
  const std::size_t count = rows.size();
  std::erase_if(rows,
                [&](const auto& row) { return !query.fits(row.name) && !query.fits(row.id); });
  const std::size_t fitting = rows.size();
  rows =
      pageOf(std::move(rows), query, [](const auto& a, const auto& b) { return a.name < b.name; });
  JsonWriter out;
  openList(out, query, fitting, count);
  for (const plugin::PluginInfo& row : rows) {
    out.beginObject();
    showText(out, "name", row.name);
    showText(out, "id", row.id);
    showText(out, "version", row.version);
    showText(out, "abi", row.abi_version);
    showText(out, "origin", row.origin);
    showText(out, "sha256", row.sha256);
    showLines(out, "filters", row.filters);
    showLines(out, "sources", row.sources);
    showLines(out, "sinks", row.sinks);
    const auto number = [&](std::string_view member, std::string_view metric, double factor) {
      out.number(member,
                 static_cast<std::int64_t>(
                     valueOf(series, row.id, "hyperway_plugin_" + std::string(metric)) * factor));
    };
    number("calls", "calls_total", 1);
    number("call_ns", "call_seconds_total", 1e9);
    number("faults", "faults_total", 1);
    number("slow_calls", "slow_calls_total", 1);
    out.endObject();
  }
  return closeList(out);
}

}  // namespace hyperway::app
