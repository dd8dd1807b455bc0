// SPDX-License-Identifier: Apache-2.0
#include "locate.hpp"

#include <doctest/doctest.h>

#include <string_view>

using namespace hyperway::file_source;

TEST_CASE("A JSON pointer leads to the line of the deepest part that exists") {
  constexpr std::string_view kText =
      "# c\n"              // 1
      "kind: X\n"          // 2
      "spec:\n"            // 3
      "  rules:\n"         // 4
      "  - matches: []\n"  // 5
      "  - filters:\n"     // 6
      "    - a/b: 1\n"     // 7
      "      c: {d: 1,\n"  // 8
      "          e: 2}\n"  // 9
      "    other:\n"       // 10
      "    - 1\n"          // 11
      "    - 2\n";         // 12
  struct Row {
    std::string_view pointer;
    std::size_t line;
  };
  for (const Row& row : {Row{"", 2},
                         {"/kind", 2},
                         {"/spec", 3},
                         {"/spec/rules/0/matches/3", 5},
                         {"/spec/rules/1", 6},
                         {"/spec/rules/1/filters/0/a~1b", 7},
                         {"/spec/rules/1/filters/0/c/e", 9},
                         {"/spec/rules/1/filters/0/missing/e", 7},
                         {"/spec/rules/1/other/1", 12},
                         {"/nothing", 2}}) {
    CAPTURE(row.pointer);
    CHECK(locateLine(kText, row.pointer) == row.line);
  }
}
