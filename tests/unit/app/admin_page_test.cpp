// SPDX-License-Identifier: Apache-2.0
#include "app/admin_page.hpp"

#include <doctest/doctest.h>

#include <string>

#include "app/page_text.hpp"

using namespace hyperway::app;

TEST_CASE("A page may run its own script and style, by their hashes, and nothing else") {
  // printf abc | openssl dgst -sha256 -binary | base64; likewise for "def".
  CHECK(pagePolicy("<style>abc</style><script>def</script>") ==
        "default-src 'none'; script-src 'sha256-y4N5rCCYqhZQKeOTilHaC87PwAj9Z5X0AReGR/lsWzQ='; "
        "style-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
}

TEST_CASE("The page is whole in itself and never makes markup out of what it shows") {
  const std::string page(pageHtml());
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(page.ends_with("</html>\n"));
  for (const char* bad : {"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(",
                          "src=", "@import", "url(", "href=\"http", "onclick=", " style=\""}) {
    CAPTURE(bad);
    CHECK(page.find(bad) == std::string::npos);
  }
  for (const char* once : {"<script>", "</script>", "<style>", "</style>"}) {
    CAPTURE(once);
    CHECK(page.find(once) != std::string::npos);
    CHECK(page.find(once) == page.rfind(once));
  }
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
  const auto parts = questionOfForm(
      "method=GET&scheme=https&host=a.example&path=b%3Fc&header=X-A%3A+1%0D%0A%0D%0AX-B%3A2");
  REQUIRE(parts.has_value());
  CHECK(parts->protocol == hyperway::route::Protocol::Https);
  CHECK(parts->port == 443);
  CHECK(parts->target == "/b?c");
  REQUIRE(parts->headers.size() == 2);
  CHECK(parts->headers[1].first == "X-B");
  CHECK(parts->headers[1].second == "2");
  const auto flow = questionOfForm("method=&scheme=tls&host=a.example%3A443&path=&header=");
  REQUIRE(flow.has_value());
  CHECK(flow->protocol == hyperway::route::Protocol::Tls);
  CHECK(flow->authority == "a.example:443");
  for (const char* bad : {"", "url=", "url=ftp%3A%2F%2Fa", "url=http%3A%2F%2Fa&header=novalue"}) {
    CAPTURE(bad);
    CHECK_FALSE(questionOfForm(bad).has_value());
  }
}
