// SPDX-License-Identifier: Apache-2.0
#include "http/cookie.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace hyperway::http {

TEST_CASE(
    "RFC 6265 §4.2.1: of a Cookie field all values of a name are found, one after the other") {
  struct Row {
    std::string_view field;
    std::vector<std::string_view> values;
  };
  for (const Row& row :
       {Row{"a=1", {"1"}}, Row{"b=0; a=1; a=2", {"1", "2"}}, Row{"a=1;a=2", {"1", "2"}},
        Row{"a=\"quoted\"; a=\"", {"quoted", "\""}}, Row{"a=; x", {""}}, Row{"a=b=c", {"b=c"}},
        Row{" a = 1 ;; ; =; a", {"1"}}, Row{"A=1; aa=2; xa=3", {}}, Row{"", {}}, Row{";", {}},
        Row{"a", {}}, Row{"a=1; b=\"x; a=2\"", {"1", "2\""}}}) {
    CAPTURE(row.field);
    std::string_view pairs = row.field;
    std::vector<std::string_view> found;
    for (;;) {
      const std::string_view value = nextCookie(pairs, "a");
      if (value.data() == nullptr) break;
      found.push_back(value);
    }
    CHECK(found == row.values);
  }
}

TEST_CASE("RFC 6265 §4.1.1: a cookie's path neither ends its attribute nor its line") {
  for (const std::string_view good : {"/", "/a/b", "/a b", "/a,b", "/%3B"})
    CHECK(isCookiePath(good));
  for (const std::string_view bad : {"", "a", "/a;b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9"})
    CHECK_FALSE(isCookiePath(bad));
  CHECK(isCookiePath("/" + std::string(1023, 'a')));
  CHECK_FALSE(isCookiePath("/" + std::string(1024, 'a')));
}

}  // namespace hyperway::http
