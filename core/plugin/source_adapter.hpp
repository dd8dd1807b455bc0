// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "base/json_pointer.hpp"
#include "control/source.hpp"
#include "hyperway/abi/draft/source.h"

namespace hyperway::plugin {

class LoadedPlugin;

/// Makes a source out of a plugin's class. `port` is where it publishes, and outlives the source.
/// On refusal null, with at least one error in `problems`. The source keeps the plugin at work.
/// [control]
[[nodiscard]] std::unique_ptr<control::Source> makeSource(std::shared_ptr<LoadedPlugin> plugin,
                                                          const hw_source_class& source_class,
                                                          std::string_view config_json,
                                                          control::SourcePort& port,
                                                          Problems& problems);

}  // namespace hyperway::plugin
