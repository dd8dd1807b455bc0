// SPDX-License-Identifier: Apache-2.0
#include "app/admin_page.hpp"

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace hyperway::app {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

constexpr std::string_view kHead =
    R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hyperway</title>
<style>
body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }
pre { background: #f4f4f4; overflow: auto; padding: 1em; }
input { font: inherit; }
</style>
</head>
<body>
)";

constexpr std::string_view kLinks =
    R"(<p><a href="/status">status</a> (<a href="/status?json">JSON</a>),
<a href="/config">rules and endpoints</a>, <a href="/plugins">plugins</a>,
<a href="/loglevel">log level</a></p>
<h2>Where does a request go?</h2>
<form action="/explain">
<p><label>Method <input name="method" value="GET" size="8"></label>
<label>URL <input name="url" value="http://" size="40"></label>
<label>Header <input name="header" placeholder="Name: value" size="20"></label>
<input type="submit" value="Explain"></p>
</form>
)";

}  // namespace

std::string pageText(std::string_view version, std::string_view readiness, std::string_view table) {
  std::string out(kHead);
  out += "<h1>hyperway " + escaped(version) + "</h1>\n<pre>" + escaped(readiness) + "</pre>\n";
  out += kLinks;
  out += "<h2>Listeners</h2>\n<pre>" + escaped(table) + "</pre>\n</body>\n</html>\n";
  return out;
}

Result<Question, std::string> questionOfForm(std::string_view query) {
  std::string method = "GET", url;
  std::vector<std::pair<std::string, std::string>> headers;
  try {
    Poco::URI uri;
    uri.setRawQuery(std::string(query));
    for (const auto& [name, value] : uri.getQueryParameters()) {
      if (name == "method") method = value;
      if (name == "url") url = value;
      if (name != "header" || value.empty()) continue;
      const std::size_t colon = value.find(':');
      if (colon == std::string::npos || colon == 0)
        return fail('"' + value + "\" is no header, as in \"X-Tenant: a\"");
      headers.emplace_back(value.substr(0, colon),
                           std::string(trimOws(std::string_view(value).substr(colon + 1))));
    }
  } catch (const Poco::Exception&) {
    return fail(std::string("the query is not well-formed"));
  }
  return makeQuestion(method, url, std::move(headers));
}

}  // namespace hyperway::app
