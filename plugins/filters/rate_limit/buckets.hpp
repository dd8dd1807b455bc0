// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hyperway::rate_limit {

/// Token buckets by key, shared by all workers. Each bucket is one number, the time at which it
/// will be full again (the generic cell rate algorithm): nothing has to be refilled by a timer.
/// Keys are spread over shards with a lock each, held for one look-up. Memory is bounded: beyond
/// `max_keys` full buckets are forgotten, and where none is, unknown keys share one bucket.
class Buckets {
 public:
  using Time = std::chrono::nanoseconds;

  /// `interval` per token, at most `burst` tokens at once.
  Buckets(Time interval, std::int64_t burst, std::size_t max_keys)
      : interval_(interval), capacity_(interval * burst), max_per_shard_(max_keys / kShards + 1) {}

  /// Takes a token of `key` at `now`. Zero if there was one, else how long until there is. Any
  /// thread.
  [[nodiscard]] Time take(std::string_view key, Time now) {
    Shard& shard = shards_[std::hash<std::string_view>{}(key) % kShards];
    const std::lock_guard lock(shard.mutex);
    Time& full_at = find(shard, key, now);
    // An empty bucket is full again in `capacity_`; a full one counts from now.
    const Time after = std::max(full_at, now) + interval_;
    const Time wait = after - now - capacity_;
    if (wait > Time::zero()) return wait;
    full_at = after;
    return Time::zero();
  }

  /// Number of keys that are remembered. Any thread.
  [[nodiscard]] std::size_t size() {
    std::size_t out = 0;
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      out += shard.full_at.size();
    }
    return out;
  }

 private:
  static constexpr std::size_t kShards = 64;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Time, Hash, std::equal_to<>> full_at;
    Time overflow{};
    Time swept_at{};
  };

  Time& find(Shard& shard, std::string_view key, Time now) {
    if (const auto found = shard.full_at.find(key); found != shard.full_at.end())
      return found->second;
    // At most once per interval, since a sweep looks at every key of the shard.
    if (shard.full_at.size() >= max_per_shard_ && now - shard.swept_at >= interval_) {
      shard.swept_at = now;
      std::erase_if(shard.full_at, [now](const auto& entry) { return entry.second <= now; });
    }
    if (shard.full_at.size() >= max_per_shard_) return shard.overflow;
    return shard.full_at.emplace(std::string(key), Time::zero()).first->second;
  }

  const Time interval_;
  const Time capacity_;
  const std::size_t max_per_shard_;
  std::array<Shard, kShards> shards_;
};

}  // namespace hyperway::rate_limit
