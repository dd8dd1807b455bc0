// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "base/json_pointer.hpp"

namespace hyperway::gateway {

/// Warnings for the fields of an object that its kind does not have: an API server drops such
/// fields, and so do we. `group` and `kind` name the kind (group empty for the core API); kinds
/// that we do not read, and what a plugin judges (`config` of a Filter), have no unknown fields. A
/// field with the value null is passed over. Source: the CRDs of the Gateway API v1.7, experimental
/// channel, and the Kubernetes API.
[[nodiscard]] std::vector<Problem> unknownFields(std::string_view group, std::string_view kind,
                                                 std::string_view json);

}  // namespace hyperway::gateway
