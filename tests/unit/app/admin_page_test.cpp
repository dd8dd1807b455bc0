// SPDX-License-Identifier: Apache-2.0
#include "app/admin_page.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hyperway::app;

TEST_CASE("The page escapes what it shows and has no script") {
  const std::string page = pageText("1.2.3", "ready <b>&", "default/gw/\"x\" <script>");
  CHECK(page.find("hyperway 1.2.3") != std::string::npos);
  CHECK(page.find("ready &lt;b&gt;&amp;") != std::string::npos);
  CHECK(page.find("default/gw/&quot;x&quot; &lt;script&gt;") != std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
}

TEST_CASE("A question comes out of the page's form as from the command line") {
  const auto question = questionOfForm(
      "method=POST&url=http%3A%2F%2Fa.example%3A81%2Fb%3Fc%3Dd&header=X-A%3A+1&header=&header=B%"
      "3A2");
  REQUIRE(question.has_value());
  CHECK(question->method == "POST");
  CHECK(question->authority == "a.example:81");
  CHECK(question->target == "/b?c=d");
  REQUIRE(question->headers.size() == 2);
  CHECK(question->headers[0].first == "X-A");
  CHECK(question->headers[0].second == "1");
  for (const char* bad : {"", "url=", "url=ftp%3A%2F%2Fa", "url=http%3A%2F%2Fa&header=novalue"}) {
    CAPTURE(bad);
    CHECK_FALSE(questionOfForm(bad).has_value());
  }
}
