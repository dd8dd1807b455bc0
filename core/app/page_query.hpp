// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace hyperway::app {

/// Which rows of a list the admin page wants: `filter`, `failing`, `sort`, `offset`, `limit`.
struct PageQuery {
  static constexpr std::size_t kMaxFilter = 256;  ///< Bytes of `filter`.
  static constexpr std::size_t kMaxLimit = 100;   ///< Rows of a page.

  /// How rows are sorted.
  enum class Sort { Default, Name, Requests };

  std::string filter;         ///< Part of a name, lower case; empty: all.
  bool failing = false;       ///< Only what is not well.
  Sort sort = Sort::Default;  ///< Default: what is not well first.
  std::size_t offset = 0;     ///< Rows that are left out.
  std::size_t limit = 50;     ///< Rows at most, 1 to kMaxLimit.

  /// True if `name` has the filter in it; ASCII case does not matter.
  [[nodiscard]] bool fits(std::string_view name) const;
};

/// Reads the query of a list. Error: one sentence.
[[nodiscard]] Result<PageQuery, std::string> readPageQuery(std::string_view raw_query);

/// The rows of the page, in order. What is behind the page is not sorted: the cost of a page grows
/// with the number of rows only by one comparison each.
template <class Row, class Less>
[[nodiscard]] std::vector<Row> pageOf(std::vector<Row> rows, const PageQuery& query, Less less) {
  const std::size_t first = std::min(query.offset, rows.size());
  const std::size_t last = std::min(first + query.limit, rows.size());
  const auto at = [&](std::size_t index) {
    return rows.begin() + static_cast<std::ptrdiff_t>(index);
  };
  if (first < last) {
    std::nth_element(rows.begin(), at(first), rows.end(), less);
    std::partial_sort(at(first), at(last), rows.end(), less);
  }
  return std::vector<Row>(std::make_move_iterator(at(first)), std::make_move_iterator(at(last)));
}

}  // namespace hyperway::app
