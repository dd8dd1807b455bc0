// SPDX-License-Identifier: Apache-2.0
#include "app/health_log.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

using hyperway::app::HealthLog;
using std::chrono::seconds;

TEST_CASE("Each change of health is logged, and its end") {
  HealthLog log;
  const HealthLog::Time now{std::chrono::hours(100)};
  CHECK_FALSE(log.isDue("", now));
  CHECK(log.isDue("one", now));
  CHECK_FALSE(log.isDue("one", now + seconds(1)));
  CHECK(log.isDue("two", now + seconds(2)));
  CHECK(log.isDue("", now + seconds(3)));
  CHECK_FALSE(log.isDue("", now + seconds(4)));
}

TEST_CASE("Health that changes all the time is logged once a minute, with what is then true") {
  HealthLog log;
  const HealthLog::Time begin{std::chrono::hours(100)};
  int lines = 0;
  int last = -1;
  for (int i = 0; i < 600; ++i)
    if (log.isDue("number " + std::to_string(i), begin + seconds(i))) {
      ++lines;
      last = i;
    }
  CHECK(lines >= HealthLog::kAtOnce + 9);
  CHECK(lines <= HealthLog::kAtOnce + 11);
  CHECK(last >= 540);
  CHECK_MESSAGE(log.isDue("", begin + seconds(601)), "its end is told at once");
  CHECK(log.isDue("again", begin + seconds(602)));
  CHECK(log.isDue("", begin + seconds(603)));
  CHECK_FALSE(log.isDue("again", begin + seconds(604)));
  CHECK(log.isDue("again", begin + seconds(670)));
}
