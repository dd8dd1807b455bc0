// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hyperway/sdk/json.hpp"

namespace hyperway::gateway_deployer {

/// Shorthand for values.
[[nodiscard]] inline sdk::json::Value text(std::string_view value) {
  return sdk::json::Value(std::string(value));
}
/// An object of members.
[[nodiscard]] inline sdk::json::Value object(std::vector<sdk::json::Member> members) {
  return sdk::json::Value(std::move(members));
}
/// An array of elements.
[[nodiscard]] inline sdk::json::Value array(std::vector<sdk::json::Value> items) {
  return sdk::json::Value(std::move(items));
}
/// The value at a path of member names; null if there is none.
[[nodiscard]] const sdk::json::Value* at(const sdk::json::Value& value,
                                         std::initializer_list<std::string_view> path);
/// The text at a path of member names; empty if there is none.
[[nodiscard]] std::string textAt(const sdk::json::Value& value,
                                 std::initializer_list<std::string_view> path);

/// How lists compare.
enum class Lists {
  Contained,  ///< Each wanted element is in the actual list; others may have added more.
  Equal,      ///< The lists have the same number of elements, too.
};

/// True if `actual` has all that is in `wanted`: members of objects, at any depth, and elements of
/// lists, in any order. What others have added does not matter.
[[nodiscard]] bool covers(const sdk::json::Value& actual, const sdk::json::Value& wanted,
                          Lists lists);

}  // namespace hyperway::gateway_deployer
