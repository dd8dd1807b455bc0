// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hyperway::external_auth {

/// A query without the parameters `removed`, and with those in `set` instead of others of their
/// names, at its end. What stays, stays as it was written.
[[nodiscard]] std::string editQuery(std::string_view query, const std::vector<std::string>& removed,
                                    const std::vector<std::pair<std::string, std::string>>& set);

}  // namespace hyperway::external_auth
