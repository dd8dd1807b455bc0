// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "hyperway/sdk/json.hpp"

namespace hyperway::k8s_client {

/// Reads one YAML document as a value, as people write configurations: plain scalars are null,
/// booleans, whole numbers or text, quoted ones text. Nothing, with a sentence in `error`, if it is
/// none, is nested too deep, or has too many values (aliases included).
[[nodiscard]] std::optional<sdk::json::Value> readYaml(const std::string& text, std::string& error);

}  // namespace hyperway::k8s_client
