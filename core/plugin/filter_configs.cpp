// SPDX-License-Identifier: Apache-2.0
#include "plugin/filter_configs.hpp"

#include <algorithm>

#include "plugin/filter_adapter.hpp"

namespace hyperway::plugin {

bool FilterConfigs::knows(std::string_view type) const {
  return static_cast<bool>(registry_.findFilter(type));
}

route::FilterBindingPtr FilterConfigs::parse(std::string_view type, std::string_view owner,
                                             std::string_view config_json, Problems& problems) {
  const auto found = registry_.findFilter(type);
  if (!found) {
    problems.add(JsonPointer(), "no loaded plugin offers the filter \"" + std::string(type) + "\"");
    return nullptr;
  }
  Key key{found.plugin->serial(), type, owner, config_json};
  if (const auto cached = cache_.find(key); cached != cache_.end())
    if (auto binding = cached->second.lock()) return binding;
  route::FilterBindingPtr binding = bindFilter(found.plugin, *found.type, config_json, problems);
  if (binding == nullptr) return nullptr;
  forgetUnused();
  cache_.insert_or_assign(std::move(key), binding);
  return binding;
}

std::size_t FilterConfigs::live() const {
  return static_cast<std::size_t>(std::count_if(
      cache_.begin(), cache_.end(), [](const auto& entry) { return !entry.second.expired(); }));
}

// At every doubling, so that the cost per configuration stays constant.
void FilterConfigs::forgetUnused() {
  if (cache_.size() < sweep_at_) return;
  std::erase_if(cache_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<std::size_t>(64, cache_.size() * 2);
}

}  // namespace hyperway::plugin
