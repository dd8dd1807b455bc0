// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "app/explain.hpp"
#include "base/result.hpp"

namespace hyperway::app {

/// The page of the admin face that shows configuration: what `GET /` answers there. `readiness` and
/// `table` are shown as they are, escaped. No script, nothing from elsewhere.
[[nodiscard]] std::string pageText(std::string_view version, std::string_view readiness,
                                   std::string_view table);

/// The question in the query of `GET /explain`, as the page's form sends it: `method`, `url` and
/// any number of `header`, percent-encoded. Error: one sentence.
[[nodiscard]] Result<Question, std::string> questionOfForm(std::string_view query);

}  // namespace hyperway::app
