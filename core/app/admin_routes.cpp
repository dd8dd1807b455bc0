// SPDX-License-Identifier: Apache-2.0
// The list of routes on the admin page.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "app/admin_api.hpp"
#include "app/admin_json.hpp"
#include "app/rule_totals.hpp"
#include "route/route_record.hpp"

namespace hyperway::app {
namespace {

using gateway::Health;
using gateway::ObjectStatus;
using route::JsonWriter;

constexpr std::size_t kRules = 16;  // of a route
constexpr std::size_t kParts = 8;   // hosts, parents, matches, backends, filters, problems

// Why the data plane does not run a rule of its snapshot, by "namespace/route/ruleIndex".
using Refusals = std::map<std::string_view, std::string_view>;

struct RouteRow {
  std::string name;  // "namespace/name", behind the kind if it is another than HTTPRoute
  const ObjectStatus* status = nullptr;        // none where another process has translated
  const route::RouteRecord* record = nullptr;  // none if nothing of it is in force
  Health health = Health::Good;
  std::uint64_t requests = 0;  // only where it is sorted by
};

bool isRefused(const route::CompiledRule& rule, const Refusals& refusals) {
  return rule.refused || refusals.contains(rule.rule->id);
}

Health healthOf(const route::RouteRecord& record, const Refusals& refusals) {
  const auto rules = record.rules();
  return std::any_of(rules.begin(), rules.end(),
                     [&](const auto* rule) { return isRefused(*rule, refusals); })
             ? Health::Failing
             : Health::Good;
}

std::uint64_t requestsOf(const proxy::ProxySink& proxy, const route::RouteRecord& record) {
  RuleTotals totals;
  for (const route::CompiledRule* rule : record.rules()) totals.addSlot(proxy, rule->stats_number);
  return totals.requests();
}

// As rules are named: two kinds may share a name.
std::string_view shownName(std::string_view key) {
  constexpr std::string_view kHttp = "HTTPRoute/";
  return key.starts_with(kHttp) ? key.substr(kHttp.size()) : key;
}

// Routes with a status, and those in force.
std::vector<RouteRow> fittingRoutes(const gateway::Translator& translator,
                                    const proxy::ProxySink& proxy, const PageQuery& query,
                                    Refusals& refusals, std::size_t& all) {
  const route::Compiler& compiler = proxy.compiler();
  std::vector<RouteRow> rows;
  std::size_t known = 0, with_status = 0;
  translator.forEachStatus([&](const ObjectStatus& status) {
    for (const gateway::Refusal& refusal : status.refused)
      refusals.emplace(refusal.name, refusal.reason);
    if (!status.kind.ends_with("Route")) return;
    ++known;
    RouteRow row;
    const std::string key = status.key();
    row.name = shownName(key);
    row.status = &status;
    // The compiler and its records stay as they are for as long as this task runs.
    row.record = compiler.route(key).get();
    if (row.record != nullptr) ++with_status;
    if (query.fits(row.name)) rows.push_back(std::move(row));
  });
  all = known + compiler.routeCount() - with_status;
  if (with_status != compiler.routeCount())
    compiler.forEachRoute([&](const route::RouteRecord& record) {
      const std::string_view name = shownName(record.key());
      if (!query.fits(name)) return;
      RouteRow row;
      row.name = name;
      row.record = &record;
      rows.push_back(std::move(row));
    });
  if (known != 0 && with_status != compiler.routeCount()) {  // some are there twice
    std::stable_sort(rows.begin(), rows.end(),
                     [](const RouteRow& a, const RouteRow& b) { return a.name < b.name; });
    rows.erase(std::unique(rows.begin(), rows.end(),
                           [](const RouteRow& a, const RouteRow& b) { return a.name == b.name; }),
               rows.end());
  }
  for (RouteRow& row : rows) {
    if (row.status != nullptr) row.health = gateway::healthOf(*row.status);
    if (row.record != nullptr) row.health = std::max(row.health, healthOf(*row.record, refusals));
    if (row.record != nullptr && query.sort == PageQuery::Sort::Requests)
      row.requests = requestsOf(proxy, *row.record);
  }
  if (query.failing)
    std::erase_if(rows, [](const RouteRow& row) { return row.health == Health::Good; });
  return rows;
}

void showMatches(JsonWriter& out, const route::RouteRecord& record, std::uint32_t index) {
  std::size_t count = 0;
  out.beginArray("matches");
  const bool flow = route::isFlow(record.kind());  // matched by its hosts alone
  record.forEachMatch([&](std::uint32_t rule, std::uint32_t, const route::PathPlace& place,
                          const route::RouteRecord::MatchExtras* extras) {
    if (flow || rule != index || count++ >= kParts) return;
    out.beginObject();
    out.text("kind", place.kind == route::MatchKind::Exact    ? "exact"
                     : place.kind == route::MatchKind::Prefix ? "prefix"
                                                              : "regex");
    showText(out, "path", place.value);
    if (extras != nullptr && extras->conditions) {
      const route::Conditions& conditions = *extras->conditions;
      showText(out, "method", conditions.method());
      out.beginArray("conditions");
      std::size_t left = kParts;
      for (const auto* list : {&conditions.headers(), &conditions.query()})
        for (const route::ValueCondition& one : *list) {
          if (left == 0) break;
          --left;
          showElement(out, (list == &conditions.query() ? "?" : "") + one.name +
                               (one.regex ? " ~ " : ": ") + one.value);
        }
      out.endArray();
    }
    out.endObject();
  });
  out.endArray();
  out.number("match_count", static_cast<std::int64_t>(count));
}

void showBackends(JsonWriter& out, const route::CompiledRule& rule) {
  out.beginArray("backends");
  std::uint64_t before = 0;
  std::size_t left = kParts;
  for (const route::CompiledBackend& backend : rule.backends) {
    if (left-- == 0) break;
    out.beginObject();
    showText(out, "name", backend.name);
    out.number("weight", static_cast<std::int64_t>(backend.weight_end - before));
    out.boolean("resolved", backend.upstream != nullptr && !backend.refused);
    out.endObject();
    before = backend.weight_end;
  }
  out.endArray();
  out.number("backend_count", static_cast<std::int64_t>(rule.backends.size()));
}

void showRule(JsonWriter& out, const proxy::ProxySink& proxy, const route::RouteRecord& record,
              const route::CompiledRule& rule, std::uint32_t position, const Refusals& refusals) {
  out.beginObject();
  out.number("index", rule.rule_index);
  showText(out, "name", rule.rule->name);
  showMatches(out, record, position);
  showBackends(out, rule);
  out.beginArray("filters");
  std::string refused;
  for (std::size_t i = 0; i < rule.rule->filters.size(); ++i) {
    const route::FilterInfo& filter = rule.rule->filters[i];
    if (i < kParts) showElement(out, filter.type);
    if (refused.empty()) refused = filter.refused;
  }
  out.endArray();
  if (const auto why = refusals.find(rule.rule->id); why != refusals.end()) refused = why->second;
  if (refused.empty() && rule.refused) refused = "a filter of this rule cannot run";
  if (!refused.empty()) showText(out, "refused", refused);
  // Beyond this number all rules share one set of counters.
  const bool counted = rule.stats_number < observe::WorkerCounters::kMaxRules;
  out.boolean("counted", counted);
  RuleTotals totals;
  if (counted) totals.addSlot(proxy, rule.stats_number);
  showTotals(out, totals);
  out.endObject();
}

void showParents(JsonWriter& out, const ObjectStatus& status) {
  out.beginArray("parents");
  for (std::size_t i = 0; i < status.parents.size() && i < kParts; ++i) {
    const gateway::ParentStatus& parent = status.parents[i];
    showElement(out, (parent.name_space.empty() ? status.name_space : parent.name_space) + '/' +
                         parent.name +
                         (parent.section_name.empty() ? "" : '/' + parent.section_name));
  }
  out.endArray();
}

void showHosts(JsonWriter& out, const route::RouteRecord& record) {
  std::vector<std::string_view> hosts;
  record.forEachAttachment([&](std::uint32_t, std::string_view list) {
    route::RouteRecord::forEachHost(list, [&](std::string_view host) {
      if (hosts.size() < kParts && std::find(hosts.begin(), hosts.end(), host) == hosts.end())
        hosts.push_back(host);
    });
  });
  out.beginArray("hosts");
  for (const std::string_view host : hosts) showElement(out, host);
  out.endArray();
}

void showRoute(JsonWriter& out, const proxy::ProxySink& proxy, const RouteRow& row,
               const Refusals& refusals) {
  out.beginObject();
  showText(out, "route", row.name);
  out.text("health", wordOf(row.health));
  out.boolean("in_force", row.record != nullptr);
  if (row.status != nullptr) {
    showParents(out, *row.status);
    showProblems(out, "problems", *row.status, kParts);
  }
  if (row.record != nullptr) {
    showHosts(out, *row.record);
    const auto rules = row.record->rules();
    out.number("rule_count", static_cast<std::int64_t>(rules.size()));
    out.beginArray("rules");
    for (std::uint32_t i = 0; i < rules.size() && i < kRules; ++i)
      showRule(out, proxy, *row.record, *rules[i], i, refusals);
    out.endArray();
  }
  out.endObject();
}

}  // namespace

std::string AdminApi::routes(const PageQuery& query) const {
  std::size_t all = 0;
  Refusals refusals;
  std::vector<RouteRow> rows =
      fittingRoutes(parts_.pipeline->translator(), *parts_.proxy, query, refusals, all);
  const std::size_t fitting = rows.size();
  rows = pageOf(std::move(rows), query, [&](const RouteRow& a, const RouteRow& b) {
    if (query.sort == PageQuery::Sort::Requests && a.requests != b.requests)
      return a.requests > b.requests;
    const bool by_health = query.sort == PageQuery::Sort::Default && a.health != b.health;
    return by_health ? a.health > b.health : a.name < b.name;
  });
  JsonWriter out;
  openList(out, query, fitting, all);
  for (const RouteRow& row : rows) showRoute(out, *parts_.proxy, row, refusals);
  return closeList(out);
}

}  // namespace hyperway::app
