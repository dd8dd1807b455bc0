// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "base/assert.hpp"

namespace hyperway {

/// Carries an error into a Result; made by fail(). Has the shape of std::unexpected.
template <class E>
struct Unexpected {
  E error;
};

/// Marks `error` as a failure, so that it converts to any Result with that error type.
template <class E>
[[nodiscard]] constexpr Unexpected<std::decay_t<E>> fail(E&& error) {
  return {std::forward<E>(error)};
}

/// A value or the reason why there is none. Member names are those of std::expected, so a later
/// move to C++23 is one alias. Reading the absent side is a broken invariant (HW_ASSERT).
template <class T, class E>
class [[nodiscard]] Result {
 public:
  /// The type of the value.
  using value_type = T;
  /// The type of the error.
  using error_type = E;

  /// A result that holds a value.
  constexpr Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  /// A result that holds an error; `F` converts to `E`.
  template <class F>
  constexpr Result(Unexpected<F> failure)
      : state_(std::in_place_index<1>, std::move(failure.error)) {}

  /// True if there is a value.
  [[nodiscard]] constexpr bool has_value() const noexcept { return state_.index() == 0; }
  /// True if there is a value.
  constexpr explicit operator bool() const noexcept { return has_value(); }

  /// The value; asserts that there is one.
  [[nodiscard]] constexpr T& value() & { return HW_ASSERT(has_value()), *std::get_if<0>(&state_); }
  /// The value; asserts that there is one.
  [[nodiscard]] constexpr const T& value() const& {
    return HW_ASSERT(has_value()), *std::get_if<0>(&state_);
  }
  /// The value, moved out; asserts that there is one.
  [[nodiscard]] constexpr T&& value() && {
    return HW_ASSERT(has_value()), std::move(*std::get_if<0>(&state_));
  }
  /// The error; asserts that there is one.
  [[nodiscard]] constexpr E& error() & { return HW_ASSERT(!has_value()), *std::get_if<1>(&state_); }
  /// The error; asserts that there is one.
  [[nodiscard]] constexpr const E& error() const& {
    return HW_ASSERT(!has_value()), *std::get_if<1>(&state_);
  }
  /// The value; asserts that there is one.
  constexpr T& operator*() & { return value(); }
  /// The value; asserts that there is one.
  constexpr const T& operator*() const& { return value(); }
  /// The value, moved out; asserts that there is one.
  constexpr T&& operator*() && { return std::move(*this).value(); }
  /// A member of the value; asserts that there is one.
  constexpr T* operator->() { return &value(); }
  /// A member of the value; asserts that there is one.
  constexpr const T* operator->() const { return &value(); }

 private:
  std::variant<T, E> state_;
};

/// Result of an operation that yields nothing but may fail.
template <class E>
class [[nodiscard]] Result<void, E> {
 public:
  /// The type of the value.
  using value_type = void;
  /// The type of the error.
  using error_type = E;

  /// Success.
  constexpr Result() = default;
  /// A result that holds an error; `F` converts to `E`.
  template <class F>
  constexpr Result(Unexpected<F> failure)
      : state_(std::in_place_index<1>, std::move(failure.error)) {}

  /// True if the operation succeeded.
  [[nodiscard]] constexpr bool has_value() const noexcept { return state_.index() == 0; }
  /// True if the operation succeeded.
  constexpr explicit operator bool() const noexcept { return has_value(); }
  /// The error; asserts that there is one.
  [[nodiscard]] constexpr const E& error() const& {
    return HW_ASSERT(!has_value()), *std::get_if<1>(&state_);
  }

 private:
  std::variant<std::monostate, E> state_;
};

}  // namespace hyperway
