// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hyperway/sdk/json.hpp"

/// What of a status is ours, and how it comes into an object without touching what is not. Pure.
///
/// Ours are: conditions of the types that the translator makes; all listeners (but conditions of
/// other types in them); entries of `parents` and `ancestors` with our controllerName; addresses
/// and supportedFeatures.
namespace hyperway::k8s_source {

/// The status that we want, made ready to be compared and written: `status` is the translator's
/// JSON; entries get `controller_name`, and references the defaults that the API server would add.
/// Null if it is no JSON object.
[[nodiscard]] sdk::json::Value desiredStatus(std::string_view status,
                                             std::string_view controller_name);

/// A number that is equal for two statuses that say the same in our part of them, whatever their
/// order, times and foreign parts.
[[nodiscard]] std::uint64_t fingerprint(const sdk::json::Value& status,
                                        std::string_view controller_name);

/// The members of `status` to be written so that `current` says what `desired` says.
/// lastTransitionTime stays where a condition's status stays, and is `now` otherwise.
[[nodiscard]] sdk::json::Value mergedStatus(const sdk::json::Value& current,
                                            const sdk::json::Value& desired,
                                            std::string_view controller_name, std::string_view now);

/// Reads JSON; null if it is none.
[[nodiscard]] sdk::json::Value parseJson(std::string_view text);

}  // namespace hyperway::k8s_source
