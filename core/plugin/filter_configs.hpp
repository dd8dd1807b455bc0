// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "gateway/filter_config_parser.hpp"
#include "plugin/registry.hpp"

namespace hyperway::plugin {

/// The translator's way to filters. Keeps one parsed configuration for each (plugin as loaded,
/// class, owner object, bytes) for as long as anybody uses it, so that an edit elsewhere resets no
/// filter's state (ARCHITECTURE 3.4). [control]
class FilterConfigs final : public gateway::FilterConfigParser {
 public:
  /// Asks `registry`, which outlives this.
  explicit FilterConfigs(const PluginRegistry& registry) : registry_(registry) {}

  [[nodiscard]] bool knows(std::string_view type) const override;
  [[nodiscard]] route::FilterBindingPtr parse(std::string_view type, std::string_view owner,
                                              std::string_view config_json,
                                              Problems& problems) override;
  /// Number of configurations in use.
  [[nodiscard]] std::size_t live() const;

 private:
  using Key = std::tuple<std::uint64_t, std::string, std::string, std::string>;

  void forgetUnused();

  const PluginRegistry& registry_;
  std::map<Key, std::weak_ptr<const route::FilterBinding>> cache_;
  std::size_t sweep_at_ = 64;
};

}  // namespace hyperway::plugin
