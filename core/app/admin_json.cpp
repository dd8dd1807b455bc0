// SPDX-License-Identifier: Apache-2.0
#include "app/admin_json.hpp"

namespace hyperway::app {

void showProblems(route::JsonWriter& out, std::string_view name,
                  const gateway::ObjectStatus& status, std::size_t most) {
  out.beginArray(name);
  std::size_t left = most;
  gateway::forEachProblem(status,
                          [&](const std::string& place, const gateway::Condition& condition) {
                            if (left == 0) return;
                            --left;
                            out.beginObject();
                            showText(out, "place", place);
                            out.text("health", wordOf(healthOf(condition)));
                            showText(out, "type", condition.type);
                            out.boolean("status", condition.status);
                            showText(out, "reason", condition.reason);
                            showText(out, "message", condition.message);
                            out.endObject();
                          });
  for (const gateway::Refusal& refusal : status.refused) {
    if (left == 0) break;
    --left;
    out.beginObject();
    showText(out, "place", refusal.name);
    out.text("health", wordOf(gateway::Health::Failing));
    out.text("type", "Refused");
    out.boolean("status", true);
    out.text("reason", "RefusedHere");
    showText(out, "message", refusal.reason);
    out.endObject();
  }
  out.endArray();
}

void showTotals(route::JsonWriter& out, const RuleTotals& totals) {
  out.beginArray("codes");
  for (const std::uint64_t count : totals.by_class) out.element(static_cast<std::int64_t>(count));
  out.endArray();
  out.beginArray("latency");
  for (const std::uint64_t count : totals.latency) out.element(static_cast<std::int64_t>(count));
  out.endArray();
  out.number("sum_us", static_cast<std::int64_t>(totals.latency_sum_us));
  out.number("bytes", static_cast<std::int64_t>(totals.bytes_sent));
  out.number("retries", static_cast<std::int64_t>(totals.retries));
}

void openList(route::JsonWriter& out, const PageQuery& query, std::size_t fitting,
              std::size_t all) {
  out.beginObject();
  out.number("fitting", static_cast<std::int64_t>(fitting));
  out.number("all", static_cast<std::int64_t>(all));
  out.number("offset", static_cast<std::int64_t>(query.offset));
  out.number("limit", static_cast<std::int64_t>(query.limit));
  out.beginArray("rows");
}

std::string closeList(route::JsonWriter& out) {
  out.endArray();
  out.endObject();
  return out.take() + '\n';
}

}  // namespace hyperway::app
