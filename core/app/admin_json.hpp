// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "app/json_text.hpp"
#include "app/page_query.hpp"
#include "app/rule_totals.hpp"
#include "gateway/status.hpp"
#include "route/json_writer.hpp"

namespace hyperway::app {

/// Bytes of a text that is shown on the admin page at most.
inline constexpr std::size_t kShownBytes = 1000;

/// The beginning of a text, for the admin page.
[[nodiscard]] inline std::string_view shown(std::string_view text) {
  return text.substr(0, kShownBytes);
}

/// Appends a text member, cut to kShownBytes; bytes that are no UTF-8 become U+FFFD.
inline void showText(route::JsonWriter& out, std::string_view name, std::string_view text) {
  out.raw(name, jsonString(shown(text)));
}

/// Appends such a text to an array.
inline void showElement(route::JsonWriter& out, std::string_view text) {
  out.rawElements(jsonString(shown(text)));
}

/// "ok", "pending" or "failing".
[[nodiscard]] constexpr std::string_view wordOf(gateway::Health health) {
  return health == gateway::Health::Good      ? "ok"
         : health == gateway::Health::Pending ? "pending"
                                              : "failing";
}

/// Appends the problems of a status, `most` of them, as `name`.
void showProblems(route::JsonWriter& out, std::string_view name,
                  const gateway::ObjectStatus& status, std::size_t most);

/// Appends what was counted as the members codes, latency, sum_us, bytes and retries.
void showTotals(route::JsonWriter& out, const RuleTotals& totals);

/// Opens the answer of a list: how many rows fit the query, of how many, and where the page begins.
void openList(route::JsonWriter& out, const PageQuery& query, std::size_t fitting, std::size_t all);
/// Closes it.
[[nodiscard]] std::string closeList(route::JsonWriter& out);

}  // namespace hyperway::app
