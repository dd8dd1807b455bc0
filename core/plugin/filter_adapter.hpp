// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json_pointer.hpp"
#include "hyperway/abi/filter.h"
#include "proxy/filter.hpp"

namespace hyperway::plugin {

class LoadedPlugin;

/// Makes a binding: lets `filter_class` of `plugin` parse `config_json`. On refusal null, with at
/// least one error in `problems`; so too if the plugin throws, answers something unknown, or
/// accepts a configuration in which it reported errors. The binding keeps the plugin at work, and
/// destroys its configuration with itself. [control]
[[nodiscard]] std::shared_ptr<const proxy::FilterBinding> bindFilter(
    std::shared_ptr<LoadedPlugin> plugin, const hw_filter_class& filter_class,
    std::string_view config_json, Problems& problems);

}  // namespace hyperway::plugin
