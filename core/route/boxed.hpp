// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace hyperway::route {

/// An optional for what is rarely there and large: absent, it costs one pointer. Copies are deep;
/// the members are those of std::optional, so that callers need not know the difference.
template <class T>
class Boxed {
 public:
  /// Absent.
  Boxed() noexcept = default;
  /// Absent.
  Boxed(std::nullopt_t) noexcept {}
  /// Present.
  Boxed(T value) : box_(std::make_unique<T>(std::move(value))) {}
  /// As `value`.
  Boxed(std::optional<T> value) {
    if (value) box_ = std::make_unique<T>(std::move(*value));
  }
  Boxed(const Boxed& other) : box_(other.box_ ? std::make_unique<T>(*other.box_) : nullptr) {}
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(Boxed other) noexcept {
    box_.swap(other.box_);
    return *this;
  }
  ~Boxed() = default;

  /// Makes a value in place, replacing what was there.
  template <class... Args>
  T& emplace(Args&&... args) {
    box_ = std::make_unique<T>(T{std::forward<Args>(args)...});
    return *box_;
  }
  /// Makes it absent.
  void reset() noexcept { box_.reset(); }
  /// True if there is a value.
  [[nodiscard]] bool has_value() const noexcept { return box_ != nullptr; }
  /// True if there is a value.
  explicit operator bool() const noexcept { return has_value(); }
  /// The value; must be present.
  [[nodiscard]] T& value() noexcept { return *box_; }
  /// The value; must be present.
  [[nodiscard]] const T& value() const noexcept { return *box_; }
  /// The value; must be present.
  T& operator*() noexcept { return *box_; }
  /// The value; must be present.
  const T& operator*() const noexcept { return *box_; }
  /// A member of the value; must be present.
  T* operator->() noexcept { return box_.get(); }
  /// A member of the value; must be present.
  const T* operator->() const noexcept { return box_.get(); }

 private:
  std::unique_ptr<T> box_;
};

}  // namespace hyperway::route
