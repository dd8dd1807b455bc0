// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "gateway/translate.hpp"

namespace hyperway::plugin {

/// Reads a batch as sources publish it (HW_DOC_OBJECTS): {"upserts": [OBJECT...], "removals":
/// [KEY...]}. Objects are cut out as text, not decoded. Error: one sentence, if the batch cannot be
/// read; nothing of it must then take effect. Any thread.
[[nodiscard]] Result<std::vector<gateway::ObjectChange>, std::string> readObjectBatch(
    std::string_view document);

/// Writes statuses as sources take them: a JSON list, see hw_source_class.report_status.
[[nodiscard]] std::string writeStatusBatch(const gateway::StatusBatch& batch);

}  // namespace hyperway::plugin
