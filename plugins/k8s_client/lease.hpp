// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"

namespace hyperway::k8s_client {

/// The controller name of an installation that was not given another one.
inline constexpr std::string_view kDefaultController = "hyperway.arloor.dev/gateway-controller";

/// Name of the Lease that the replicas of an installation share: `base`, or, for a controller name
/// of its own, `base`-HASH, so that two installations in one namespace do not wait for each other.
/// HASH is the beginning of what `printf %s NAME | sha256sum` prints, 8 digits.
[[nodiscard]] std::string leaseName(std::string_view base, std::string_view controller_name);

/// A coordination.k8s.io/v1 Lease: at most one of many replicas holds it. All on the loop's thread,
/// except for held().
///
/// A foreign lease counts as over when it was not renewed for its own duration by our clock since
/// we saw it change, so clocks of machines need not agree. What we hold counts as lost when it was
/// not renewed for renew_limit, which is less than the duration: the next holder begins later.
class Lease {
 public:
  /// How it behaves.
  struct Options {
    std::string name_space;                        ///< Where the Lease is.
    std::string name;                              ///< Its name.
    std::string identity;                          ///< Who we are; unique among replicas.
    std::chrono::milliseconds duration{15000};     ///< How long it is held without renewal.
    std::chrono::milliseconds renew_limit{10000};  ///< When it counts as lost.
    std::chrono::milliseconds retry{2000};         ///< Between renewals, and between attempts.
    /// Wall clock, for the time stamps that people read.
    std::function<std::chrono::system_clock::time_point()> wall = [] {
      return std::chrono::system_clock::now();
    };
    std::function<double()> random;  ///< 0..1 for jitter; may be null.
  };
  /// Told of each change: true when it is ours, false when it is not any more.
  using Changed = std::function<void(bool held)>;
  /// Told why an attempt failed; once for each new reason, and at most once in a minute.
  using Trouble = std::function<void(const Error& error)>;

  /// `api` outlives this.
  Lease(Api& api, Options options, Changed changed, Trouble trouble = nullptr);
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease();

  /// Begins to try.
  void start();
  /// Gives it up, so that the next holder need not wait, and tries no more. `done` is called when
  /// the server has answered, or at once if it was not held.
  void release(std::function<void()> done = nullptr);
  /// True while it is ours. Any thread.
  [[nodiscard]] bool held() const noexcept { return held_->load(std::memory_order_acquire); }

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::shared_ptr<std::atomic<bool>> held_;
};

}  // namespace hyperway::k8s_client
