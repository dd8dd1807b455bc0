// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "observe/process_log.hpp"
#include "plugin/host_services.hpp"

namespace hyperway::app {

/// Plugins' lines, into the process log.
class PluginLines final : public plugin::PluginLog {
 public:
  /// `log` outlives this.
  explicit PluginLines(observe::ProcessLog& log) : log_(log) {}

  [[nodiscard]] bool enabled(std::int32_t level) const noexcept override;
  void write(const plugin::PluginLine& line) noexcept override;

 private:
  observe::ProcessLog& log_;
};

}  // namespace hyperway::app
