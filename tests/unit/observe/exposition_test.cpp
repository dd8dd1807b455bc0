// SPDX-License-Identifier: Apache-2.0
#include "observe/exposition.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hyperway::observe;

TEST_CASE("Families come out in Prometheus's text format") {
  const std::string text = exposition({
      {"a_total", "Things.", Family::Kind::Counter, {{{{"route", "x\"y\n"}}, 3, {}, {}}}},
      {"empty", "Nothing.", Family::Kind::Gauge, {}},
      {"h_seconds", "Times.", Family::Kind::Histogram, {{{}, 1.5, {0.1, 1}, {2, 3, 4}}}},
  });
  CHECK(text.find("# TYPE a_total counter\na_total{route=\"x\\\"y\\n\"} 3\n") != std::string::npos);
  CHECK(text.find("empty") == std::string::npos);
  CHECK(text.find("h_seconds_bucket{le=\"0.1\"} 2\n") != std::string::npos);
  CHECK(text.find("h_seconds_bucket{le=\"1\"} 5\n") != std::string::npos);
  CHECK(text.find("h_seconds_bucket{le=\"+Inf\"} 9\n") != std::string::npos);
  CHECK(text.find("h_seconds_count 9\n") != std::string::npos);
  CHECK(text.find("h_seconds_sum 1.5\n") != std::string::npos);
}
