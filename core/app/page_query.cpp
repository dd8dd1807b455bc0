// SPDX-License-Identifier: Apache-2.0
#include "app/page_query.hpp"

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <charconv>
#include <optional>

#include "base/bytes.hpp"

namespace hyperway::app {
namespace {

std::optional<std::size_t> countOf(std::string_view text, std::size_t most) {
  std::size_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value > most) return std::nullopt;
  return value;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool PageQuery::fits(std::string_view name) const {
  return std::search(name.begin(), name.end(), filter.begin(), filter.end(),
                     [](char c, char wanted) { return lower(c) == wanted; }) != name.end() ||
         filter.empty();
}

Result<PageQuery, std::string> readPageQuery(std::string_view raw_query) {
  constexpr std::size_t kMaxOffset = 10'000'000;
  PageQuery out;
  try {
    Poco::URI uri;
    uri.setRawQuery(std::string(raw_query));
    for (const auto& [name, value] : uri.getQueryParameters()) {
      if (name == "filter") {
        if (value.size() > PageQuery::kMaxFilter)
          return fail(std::string("filter: 256 bytes at most"));
        out.filter.resize(value.size());
        std::transform(value.begin(), value.end(), out.filter.begin(), lower);
      } else if (name == "failing") {
        out.failing = value == "1" || value == "true";
      } else if (name == "sort") {
        if (value != "" && value != "name" && value != "requests")
          return fail(std::string("sort: name or requests"));
        out.sort = value == "name"       ? PageQuery::Sort::Name
                   : value == "requests" ? PageQuery::Sort::Requests
                                         : PageQuery::Sort::Default;
      } else if (name == "offset" || name == "limit") {
        const bool is_limit = name == "limit";
        const auto count = countOf(value, is_limit ? PageQuery::kMaxLimit : kMaxOffset);
        if (!count || (is_limit && *count == 0))
          return fail(name + (is_limit ? ": a number from 1 to 100" : ": a number"));
        (is_limit ? out.limit : out.offset) = *count;
      }
    }
  } catch (const Poco::Exception&) {
    return fail(std::string("the query is not well-formed"));
  }
  return out;
}

}  // namespace hyperway::app
