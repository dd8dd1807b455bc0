// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/json_pointer.hpp"
#include "route/filter_binding.hpp"

namespace hyperway::gateway {

/// What the translator asks about filters, so that it need not know plugins. [control]
class FilterConfigParser {
 public:
  virtual ~FilterConfigParser() = default;

  /// True if some loaded plugin offers the filter class `type` ("RequestHeaderModifier", "api_key",
  /// …).
  [[nodiscard]] virtual bool knows(std::string_view type) const = 0;
  /// Parses and validates a configuration now. The result for the same (plugin file, type, owner,
  /// config) is the same object as before, so that an edit elsewhere resets no filter's state. On
  /// refusal null, with at least one error in `problems` whose pointers are relative to
  /// `config_json`.
  [[nodiscard]] virtual route::FilterBindingPtr parse(std::string_view type, std::string_view owner,
                                                      std::string_view config_json,
                                                      Problems& problems) = 0;
};

}  // namespace hyperway::gateway
