// SPDX-License-Identifier: Apache-2.0
#include "scalar.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace hyperway::file_source;

TEST_CASE("Plain scalars resolve by the YAML 1.2 core schema") {
  struct Row {
    std::string_view yaml, json;
  };
  for (const Row& row : {Row{"", "null"},
                         {"~", "null"},
                         {"Null", "null"},
                         {"nUll", "\"nUll\""},
                         {"true", "true"},
                         {"FALSE", "false"},
                         {"yes", "\"yes\""},
                         {"on", "\"on\""},
                         {"0", "0"},
                         {"-0", "-0"},
                         {"+12", "12"},
                         {"007", "7"},
                         {"0o17", "15"},
                         {"0x1F", "31"},
                         {"0xZZ", "\"0xZZ\""},
                         {"1_000", "\"1_000\""},
                         {"12345678901234567890123", "12345678901234567890123"},
                         {"1.5", "1.5"},
                         {"-.5", "-0.5"},
                         {"5.", "5"},
                         {"1e3", "1e3"},
                         {"01.50e+3", "1.50e+3"},
                         {"1.", "1"},
                         {".", "\".\""},
                         {"-", "\"-\""},
                         {"1.2.3", "\"1.2.3\""},
                         {"10.0.0.1", "\"10.0.0.1\""},
                         {"1e", "\"1e\""},
                         {"12:30", "\"12:30\""},
                         {"2026-01-01", "\"2026-01-01\""}}) {
    CAPTURE(row.yaml);
    std::string out;
    appendScalar(out, resolveScalar(row.yaml), row.yaml);
    CHECK(out == row.json);
  }
  CHECK(resolveScalar(".inf") == ScalarType::NotFinite);
  CHECK(resolveScalar("-.Inf") == ScalarType::NotFinite);
  CHECK(resolveScalar(".nan") == ScalarType::NotFinite);
}

TEST_CASE("Strings are escaped as JSON demands, and nothing more") {
  std::string out;
  appendString(out, std::string_view("a\"b\\c\n\t\r\x01\x1f\0é", 13));
  CHECK(out == "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u001f\\u0000é\"");
}
