// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "base/json_pointer.hpp"
#include "control/sink.hpp"
#include "hyperway/abi/draft/sink.h"

namespace hyperway::plugin {

class LoadedPlugin;

/// Makes a sink out of a plugin's class. On refusal null, with at least one error in `problems`.
/// The sink keeps the plugin at work. [control]
[[nodiscard]] std::unique_ptr<control::Sink> makeSink(std::shared_ptr<LoadedPlugin> plugin,
                                                      const hw_sink_class& sink_class,
                                                      std::string_view config_json,
                                                      Problems& problems);

}  // namespace hyperway::plugin
