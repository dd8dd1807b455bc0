// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "status_writer.hpp"

namespace hyperway::k8s_source {

/// Reads a batch of report_status, one element at a time. Elements that cannot be read are left
/// out; false if the batch as a whole is no list.
bool readStatusBatch(std::string_view json,
                     const std::function<void(const StatusWriter::ObjectId& id,
                                              std::optional<std::string> status)>& each);

}  // namespace hyperway::k8s_source
