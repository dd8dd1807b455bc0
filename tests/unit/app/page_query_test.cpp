// SPDX-License-Identifier: Apache-2.0
#include "app/page_query.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace hyperway::app;

TEST_CASE("A list's query is read within its bounds") {
  const auto query = readPageQuery("filter=Shop%2Fa&failing=1&sort=requests&offset=200&limit=25");
  REQUIRE(query.has_value());
  CHECK(query->filter == "shop/a");
  CHECK(query->failing);
  CHECK(query->sort == PageQuery::Sort::Requests);
  CHECK(query->offset == 200);
  CHECK(query->limit == 25);
  const auto plain = readPageQuery("filter=&failing=&sort=&offset=0&unknown=1");
  REQUIRE(plain.has_value());
  CHECK_FALSE(plain->failing);
  CHECK(plain->limit == 50);
  for (const std::string& bad :
       {std::string("limit=0"), std::string("limit=101"), std::string("limit=1x"),
        std::string("offset=-1"), std::string("offset=99999999999999999999"),
        std::string("sort=size"), "filter=" + std::string(257, 'x')}) {
    CAPTURE(bad);
    CHECK_FALSE(readPageQuery(bad).has_value());
  }
}

TEST_CASE("A filter is found anywhere in a name, whatever its case") {
  PageQuery query;
  CHECK(query.fits(""));
  CHECK(query.fits("any"));
  query.filter = "shop";
  CHECK(query.fits("default/My-Shop-1"));
  CHECK_FALSE(query.fits("default/sho"));
  CHECK_FALSE(query.fits(""));
}

TEST_CASE("A page is cut out of the sorted rows") {
  std::vector<int> rows;
  for (int i = 0; i < 100; ++i) rows.push_back((i * 37) % 100);
  PageQuery query;
  query.limit = 3;
  CHECK(pageOf(rows, query, std::less<>()) == std::vector<int>{0, 1, 2});
  query.offset = 50;
  CHECK(pageOf(rows, query, std::less<>()) == std::vector<int>{50, 51, 52});
  query.offset = 98;
  CHECK(pageOf(rows, query, std::less<>()) == std::vector<int>{98, 99});
  query.offset = 100;
  CHECK(pageOf(rows, query, std::less<>()).empty());
  CHECK(pageOf(std::vector<int>(), query, std::less<>()).empty());
}
