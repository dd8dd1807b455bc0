// SPDX-License-Identifier: Apache-2.0
#include "layout.h"

#include <doctest/doctest.h>

#include <span>
#include <string_view>

namespace {

void compare(std::span<const layout_row> rows) {
  CHECK(rows.size() > 150);
  for (const layout_row& row : rows) {
    const std::string_view name = row.name;
    CAPTURE(name);
    if (row.text != nullptr) {
      CHECK(std::string_view(row.text) == row.wanted_text);
    } else if (name.find('.') == std::string_view::npos && name.starts_with("hw_")) {
      CHECK(row.offset_or_value >= row.wanted);  // Fields are appended only.
    } else {
      CHECK(row.offset_or_value == row.wanted);
      CHECK(row.size == row.wanted_size);
    }
  }
}

TEST_CASE("ABI: layout, numbers and ids are those of the committed table") {
  compare({layout_today, layout_today_count});
}

TEST_CASE("ABI: the frozen headers of version 1 have the same layout") {
  compare({layout_frozen_v1, layout_frozen_v1_count});
}

}  // namespace
