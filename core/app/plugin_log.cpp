// SPDX-License-Identifier: Apache-2.0
#include "app/plugin_log.hpp"

#include <string>

namespace hyperway::app {
namespace {

// An unknown level reads as an error (hyperway/abi/service/log.h).
observe::LogLevel levelOf(std::int32_t level) noexcept {
  switch (level) {
    case HW_LOG_DEBUG: return observe::LogLevel::Debug;
    case HW_LOG_INFO: return observe::LogLevel::Info;
    case HW_LOG_WARNING: return observe::LogLevel::Warning;
    default: return observe::LogLevel::Error;
  }
}

}  // namespace

bool PluginLines::enabled(std::int32_t level) const noexcept {
  return log_.enabled(levelOf(level));
}

void PluginLines::write(const plugin::PluginLine& line) noexcept {
  try {
    std::string text(line.plugin);
    text += ": ";
    text += line.message;
    for (const auto& [key, value] : line.pairs) {
      text += ' ';
      text += key;
      text += "=\"";
      text += value;
      text += '"';
    }
    if (line.stream_id != 0) text += " stream=" + std::to_string(line.stream_id);
    if (line.suppressed != 0) text += " (" + std::to_string(line.suppressed) + " lines left out)";
    log_.write(levelOf(line.level), text);
  } catch (...) {
    // Out of memory for a log line: the line is lost, nothing else.
  }
}

}  // namespace hyperway::app
