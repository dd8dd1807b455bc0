// SPDX-License-Identifier: Apache-2.0
#include "base/json_pointer.hpp"

#include <doctest/doctest.h>

using namespace hyperway;

TEST_CASE("A JSON pointer is built from members and indices, escaped as in RFC 6901") {
  CHECK(JsonPointer().text().empty());
  CHECK((JsonPointer() / "spec" / "rules" / std::size_t{0} / "matches").text() ==
        "/spec/rules/0/matches");
  CHECK((JsonPointer("/a") / "b/c" / "d~e" / "").text() == "/a/b~1c/d~0e/");
}

TEST_CASE("Warnings are collected but do not fail a configuration") {
  Problems problems;
  CHECK_FALSE(problems.failed());
  problems.warn(JsonPointer() / "a", "old name");
  CHECK_FALSE(problems.failed());
  problems.add(JsonPointer() / "b", "missing");
  problems.push({"/c", "also missing", Severity::Error});
  CHECK(problems.failed());
  REQUIRE(problems.list().size() == 3);
  CHECK(problems.list()[0].severity == Severity::Warning);
  CHECK(problems.list()[1].pointer == "/b");
  CHECK(problems.list()[2].message == "also missing");
}
