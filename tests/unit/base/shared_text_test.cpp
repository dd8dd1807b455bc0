// SPDX-License-Identifier: Apache-2.0
#include "base/shared_text.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>

using namespace hyperway;

TEST_CASE("A part of a text keeps all of it alive, and the last part lets it go") {
  auto whole = std::make_shared<const std::string>("one two");
  const std::weak_ptr<const std::string> watched = whole;
  const std::string_view view = *whole;
  SharedText one(whole, view.substr(0, 3));
  SharedText two(whole, view.substr(4));
  whole.reset();
  CHECK(std::string_view(one) == "one");
  one.clear();
  CHECK(one.empty());
  CHECK(std::string_view(two) == "two");
  CHECK_FALSE(watched.expired());
  const SharedText copy = two;
  two = SharedText("another");
  CHECK(two.size() == 7);
  CHECK_FALSE(watched.expired());
  CHECK(std::string_view(copy) == "two");
}

TEST_CASE("A text of its own is empty or as it was given, also when it moves") {
  CHECK(SharedText().empty());
  CHECK(SharedText(std::string()).empty());
  SharedText from(std::string("short"));
  const SharedText to = std::move(from);
  CHECK(std::string_view(to) == "short");
}
