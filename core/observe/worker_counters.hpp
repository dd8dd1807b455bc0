// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/prefetch.hpp"

namespace hyperway::observe {

/// A counter with one writer, the worker that owns it, and readers on any thread. A plain load and
/// store, no locked instruction.
class Counter {
 public:
  /// Adds `by`. Owner's thread only.
  void add(std::uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  /// Back to 0. Only while the owner cannot add.
  void reset() noexcept { value_.store(0, std::memory_order_relaxed); }
  /// Subtracts `by`, for gauges. Owner's thread only.
  void subtract(std::uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - by, std::memory_order_relaxed);
  }
  /// The value. [any]
  [[nodiscard]] std::uint64_t get() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Upper bounds of the latency histogram's buckets, in microseconds; the last bucket is open.
inline constexpr std::array<std::uint32_t, 13> kLatencyBoundsUs = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

/// Counters of one rule on one worker.
struct RuleCounters {
  // First what most requests count in, see prefetch().
  Counter latency_sum_us;           ///< Sum of latencies, microseconds.
  Counter bytes_sent;               ///< Response body bytes.
  std::array<Counter, 6> by_class;  ///< Responses by status / 100; [0]: no response went out.
  std::array<Counter, kLatencyBoundsUs.size() + 1> latency;  ///< Requests by latency bucket.
  Counter retries;                                           ///< Attempts beyond the first.

  /// Asks for what recording a request that is not slow will write.
  void prefetch() const noexcept { prefetchBytes(this, 10 * sizeof(Counter)); }

  /// Counts one finished request.
  void record(std::uint16_t status, std::uint64_t latency_us, std::uint64_t sent) noexcept {
    by_class[status / 100 < 6 ? status / 100 : 0].add();
    std::size_t bucket = 0;
    while (bucket < kLatencyBoundsUs.size() && latency_us > kLatencyBoundsUs[bucket]) ++bucket;
    latency[bucket].add();
    latency_sum_us.add(latency_us);
    bytes_sent.add(sent);
  }
  /// All back to 0. Only while no request of the rule is under way.
  void reset() noexcept {
    for (Counter& counter : by_class) counter.reset();
    for (Counter& counter : latency) counter.reset();
    latency_sum_us.reset();
    bytes_sent.reset();
    retries.reset();
  }
};

/// All counters of one worker. Written by the worker without locks, read by the admin thread.
class WorkerCounters {
 public:
  /// Rules with counters of their own; later ones share other().
  static constexpr std::uint32_t kMaxRules = 2000;

  Counter accepted;               ///< Client connections accepted.
  Counter connections;            ///< Gauge: open client connections.
  Counter flows;                  ///< Gauge: TCP and TLS flows among them.
  Counter proxy_headers_refused;  ///< Connections without the PROXY header that they owe.
  Counter shed;                   ///< Connections refused because of a limit.
  Counter requests;               ///< Requests begun.
  Counter active;                 ///< Gauge: streams under way.
  Counter bad_requests;           ///< Requests refused by the parser.
  Counter no_route;               ///< 404 because nothing matched.
  Counter upstream_connects;      ///< Connections to endpoints begun.
  Counter upstream_failures;      ///< Of these, failed.
  Counter upstream_connections;   ///< Gauge: open connections to endpoints.
  Counter upstream_broken;        ///< Exchanges that broke off.
  Counter upstream_tls_failures;  ///< TLS with an endpoint that failed, in the handshake or behind.
  Counter ejections;              ///< Endpoints ejected.
  Counter tls_handshakes;         ///< Finished.
  Counter tls_failures;           ///< Failed or timed out.
  Counter mirrors;                ///< Mirrored requests begun.
  Counter mirrors_cut;            ///< Mirrors cut because they lagged.
  Counter callouts;               ///< Requests of filters begun.
  Counter callouts_failed;        ///< Of these, ended without a complete answer.
  Counter udp_sessions;           ///< Gauge: UDP sessions.
  Counter udp_begun;              ///< UDP sessions begun.
  Counter udp_evicted;            ///< Of these, ended because there were too many.
  Counter udp_received;           ///< Datagrams from clients.
  Counter udp_sent;               ///< Datagrams to clients.
  Counter udp_dropped;            ///< Datagrams that went nowhere.
  Counter filter_faults;          ///< Filter calls that came back as a fault.
  Counter slow_filters;           ///< Filter calls that took over 10 ms.
  std::array<Counter, 3> floods;  ///< HTTP/2 connections ended for resets, frames, headers.

  /// Counters of the rule with this statistics slot. Owner's thread only (allocates on first use).
  [[nodiscard]] RuleCounters& rule(std::uint32_t slot) {
    if (slot >= kMaxRules) return other_;
    std::atomic<Block*>& place = blocks_[slot / kBlock];
    Block* block = place.load(std::memory_order_relaxed);
    if (block == nullptr) {
      owned_[slot / kBlock] = std::make_unique<Block>();
      block = owned_[slot / kBlock].get();
      place.store(block, std::memory_order_release);
    }
    return (*block)[slot % kBlock];
  }
  /// Asks for what recording a request of the rule will write, so that its end need not wait for
  /// it. [any]
  void prefetchRule(std::uint32_t slot) const noexcept {
    if (const RuleCounters* const found = peek(slot)) found->prefetch();
  }
  /// Counters of a rule if it was ever used, else null. [any]
  [[nodiscard]] const RuleCounters* peek(std::uint32_t slot) const noexcept {
    if (slot >= kMaxRules) return nullptr;
    const Block* block = blocks_[slot / kBlock].load(std::memory_order_acquire);
    return block == nullptr ? nullptr : &(*block)[slot % kBlock];
  }
  /// The slot is another rule's from now on: its counters begin at 0. Only while nobody has the
  /// slot, and before the worker learns of its new holder. [any]
  void forget(std::uint32_t slot) noexcept {
    if (slot >= kMaxRules) return;
    Block* const block = blocks_[slot / kBlock].load(std::memory_order_acquire);
    if (block != nullptr) (*block)[slot % kBlock].reset();
  }
  /// Counters that all rules beyond kMaxRules share, and requests without rule. [any]
  [[nodiscard]] RuleCounters& other() noexcept { return other_; }
  /// The same. [any]
  [[nodiscard]] const RuleCounters& other() const noexcept { return other_; }

 private:
  static constexpr std::uint32_t kBlock = 16;
  using Block = std::array<RuleCounters, kBlock>;
  std::array<std::atomic<Block*>, kMaxRules / kBlock> blocks_{};
  std::array<std::unique_ptr<Block>, kMaxRules / kBlock> owned_;
  RuleCounters other_;
};

}  // namespace hyperway::observe
