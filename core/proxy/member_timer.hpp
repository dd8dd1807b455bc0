// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "net/timer.hpp"

namespace hyperway::proxy {

/// A timer that calls a member function of its owner.
template <class Owner, void (Owner::*Call)() noexcept>
class MemberTimer final : public net::Timer {
 public:
  /// The owner outlives the timer.
  explicit MemberTimer(Owner& owner) noexcept : owner_(owner) {}

 private:
  void onTimer() noexcept override { (owner_.*Call)(); }
  Owner& owner_;
};

}  // namespace hyperway::proxy
