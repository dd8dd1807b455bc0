// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace hyperway::net {

/// Owns one file descriptor and closes it. Move-only.
class Fd {
 public:
  /// Owns nothing.
  Fd() = default;
  /// Takes ownership of `fd`; -1 means nothing.
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  /// The descriptor, or -1.
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// True if a descriptor is owned.
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives up ownership and returns the descriptor.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes what is owned.
  void reset() noexcept;

 private:
  int fd_ = -1;
};

}  // namespace hyperway::net
