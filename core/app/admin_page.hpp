// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "app/explain.hpp"
#include "base/result.hpp"

namespace hyperway::app {

/// The Content-Security-Policy of a page: its own inline style and script by their hashes, requests
/// to where it came from, and nothing else.
[[nodiscard]] std::string pagePolicy(std::string_view page);

/// The question in the query of `GET /explain`, as the page's form sends it: `method`, `url` or
/// `scheme`, `host` and `path`, and any number of `header` with a header in each line;
/// percent-encoded. Error: one sentence.
[[nodiscard]] Result<Question, std::string> questionOfForm(std::string_view query);

}  // namespace hyperway::app
