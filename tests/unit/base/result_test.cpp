// SPDX-License-Identifier: Apache-2.0
#include "base/result.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using namespace hyperway;

namespace {

enum class Why { Empty, Long };

Result<std::string, Why> shorten(const std::string& text) {
  if (text.empty()) return fail(Why::Empty);
  return text.substr(0, 1);
}

Result<void, Why> check(const std::string& text) {
  if (text.size() > 3) return fail(Why::Long);
  return {};
}

}  // namespace

TEST_CASE("A Result holds a value or an error, and says which") {
  const auto good = shorten("abc");
  REQUIRE(good.has_value());
  CHECK(static_cast<bool>(good));
  CHECK(good.value() == "a");
  const auto bad = shorten("");
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error() == Why::Empty);
}

TEST_CASE("A Result without value still carries an error") {
  CHECK(check("ab").has_value());
  const auto bad = check("abcd");
  REQUIRE_FALSE(static_cast<bool>(bad));
  CHECK(bad.error() == Why::Long);
}

TEST_CASE("A value can be changed in place and moved out") {
  Result<std::unique_ptr<int>, Why> result = std::make_unique<int>(4);
  **result += 1;
  const std::unique_ptr<int> taken = *std::move(result);
  CHECK(*taken == 5);
  Result<std::string, Why> text = shorten("xyz");
  text->append("!");
  CHECK(*text == "x!");
}

TEST_CASE("An error type may be the same as the value type") {
  const Result<int, int> error = fail(7);
  REQUIRE_FALSE(error.has_value());
  CHECK(error.error() == 7);
}
