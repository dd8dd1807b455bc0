// SPDX-License-Identifier: Apache-2.0
#include "plugin/header_names.hpp"

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace hyperway::plugin {
namespace {

constexpr std::uint32_t kChunk = 256;

// Process-wide, because a handle is good on every stream and plugins outlive every configuration.
// Chunks never move, so workers read without a lock while the control thread adds.
struct Names {
  std::mutex mutex;
  std::map<std::string, std::uint32_t, std::less<>> handles;
  std::array<std::atomic<HeaderName*>, kMaxHeaderNames / kChunk> chunks{};
  std::atomic<std::uint32_t> used{1};  // Handle 0 is never given out.
};

Names& names() {
  // Never destroyed: a worker may still read while the process exits.
  static Names* const table = new Names;
  return *table;
}

}  // namespace

std::uint32_t internHeaderName(std::string_view name) {
  if (!http::isValidFieldName(name)) return 0;
  Names& table = names();
  const std::lock_guard lock(table.mutex);
  if (const auto found = table.handles.find(name); found != table.handles.end())
    return found->second;
  const std::uint32_t handle = table.used.load(std::memory_order_relaxed);
  if (handle >= kMaxHeaderNames) return 0;
  auto& chunk = table.chunks[handle / kChunk];
  if (chunk.load(std::memory_order_relaxed) == nullptr)
    chunk.store(new HeaderName[kChunk], std::memory_order_release);
  // The key owns the text; map nodes do not move.
  const auto [entry, added] = table.handles.emplace(std::string(name), handle);
  chunk.load(std::memory_order_relaxed)[handle % kChunk] = {entry->first, http::fieldId(name)};
  table.used.store(handle + 1, std::memory_order_release);
  return handle;
}

const HeaderName* headerName(std::uint32_t handle) noexcept {
  Names& table = names();
  if (handle == 0 || handle >= table.used.load(std::memory_order_acquire)) return nullptr;
  return &table.chunks[handle / kChunk].load(std::memory_order_acquire)[handle % kChunk];
}

}  // namespace hyperway::plugin
