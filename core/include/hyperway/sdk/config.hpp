// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hyperway/abi/base.h"
#include "hyperway/sdk/json.hpp"

namespace hyperway::sdk {

/// Borrowed bytes for a call into the host.
[[nodiscard]] inline hw_bytes bytesOf(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// A view of bytes that came from the host; as long-lived as they are.
[[nodiscard]] inline std::string_view viewOf(hw_bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

/// Reports what is wrong with a configuration. Counts errors, so that one is enough to refuse.
/// Valid for the call that made it.
class Problems {
 public:
  /// Reports to `diag`, which may be null: then problems are only counted.
  explicit Problems(const hw_diag* diag) : diag_(diag) {}

  /// Reports an error: the configuration will be refused.
  void error(std::string_view pointer, std::string_view message) {
    ++errors_;
    report(HW_SEVERITY_ERROR, pointer, message);
  }
  /// Reports something the user should know, which does not refuse.
  void warning(std::string_view pointer, std::string_view message) {
    report(HW_SEVERITY_WARNING, pointer, message);
  }
  /// Says something that is no problem, e.g. where a value comes from.
  void note(std::string_view pointer, std::string_view message) {
    report(HW_SEVERITY_NOTE, pointer, message);
  }
  /// True if at least one error was reported.
  [[nodiscard]] bool failed() const noexcept { return errors_ != 0; }

 private:
  void report(std::int32_t severity, std::string_view pointer, std::string_view message) {
    if (diag_ != nullptr && HW_HAS(hw_diag, diag_, report) && diag_->report != nullptr)
      diag_->report(diag_->ctx, severity, bytesOf(pointer), bytesOf(message));
  }

  const hw_diag* diag_;
  int errors_ = 0;
};

/// One place in a configuration: a value, where it is, and where to report what is wrong with it.
/// Readers of an absent or wrong value report and return a default, so that a configuration is
/// read in straight lines and every problem is found, not only the first.
class ConfigNode {
 public:
  /// The value at `pointer`; null if absent. Both outlive the node.
  ConfigNode(const json::Value* value, std::string pointer, Problems& problems)
      : value_(value), pointer_(std::move(pointer)), problems_(&problems) {}

  /// True if the value is there and not null.
  [[nodiscard]] bool present() const noexcept {
    return value_ != nullptr && value_->type() != json::Value::Type::Null;
  }
  /// The raw value, or null.
  [[nodiscard]] const json::Value* value() const noexcept { return value_; }
  /// JSON pointer of this place.
  [[nodiscard]] const std::string& pointer() const noexcept { return pointer_; }

  /// The member `name`; absent if there is none.
  [[nodiscard]] ConfigNode operator[](std::string_view name) const {
    return {value_ != nullptr ? value_->find(name) : nullptr, json::pointerTo(pointer_, name),
            *problems_};
  }

  /// Reports an error at this place.
  void error(std::string_view message) const { problems_->error(pointer_, message); }
  /// Reports a warning at this place.
  void warning(std::string_view message) const { problems_->warning(pointer_, message); }

  /// Reports unless this is an object with no members but these.
  void only(std::initializer_list<std::string_view> names) const {
    if (!isObject()) return;
    for (const json::Member& member : value_->members()) {
      bool known = false;
      for (const std::string_view name : names) known = known || name == member.name;
      if (!known)
        problems_->error(json::pointerTo(pointer_, member.name),
                         "unknown field; known are: " + joined(names));
    }
  }
  /// Reports and returns false unless this is an object.
  [[nodiscard]] bool isObject() const {
    return require(json::Value::Type::Object, "must be an object");
  }

  /// The string; reports and returns "" if absent or of another type.
  [[nodiscard]] std::string text() const {
    return require(json::Value::Type::String, "must be a string") ? value_->text() : std::string();
  }
  /// The string, or `fallback` if absent.
  [[nodiscard]] std::string textOr(std::string fallback) const {
    return present() ? text() : std::move(fallback);
  }
  /// The boolean, or `fallback` if absent.
  [[nodiscard]] bool booleanOr(bool fallback) const {
    if (!present()) return fallback;
    return require(json::Value::Type::Boolean, "must be true or false") && value_->boolean();
  }
  /// The integer within `least`..`most`; reports and returns `least` otherwise.
  [[nodiscard]] std::int64_t integer(std::int64_t least, std::int64_t most) const {
    if (!require(json::Value::Type::Integer, "must be a whole number")) return least;
    const std::int64_t number = value_->integer();
    if (number >= least && number <= most) return number;
    error(std::to_string(number) + " is outside " + std::to_string(least) + ".." +
          std::to_string(most));
    return least;
  }
  /// The integer within bounds, or `fallback` if absent.
  [[nodiscard]] std::int64_t integerOr(std::int64_t fallback, std::int64_t least,
                                       std::int64_t most) const {
    return present() ? integer(least, most) : fallback;
  }
  /// The number within `least`..`most`; reports and returns `least` otherwise.
  [[nodiscard]] double real(double least, double most) const {
    if (present() && value_->type() == json::Value::Type::Integer) {
      // A whole number is a number too.
    } else if (!require(json::Value::Type::Real, "must be a number")) {
      return least;
    }
    const double number = value_->real();
    if (number >= least && number <= most) return number;
    error("is outside " + std::to_string(least) + ".." + std::to_string(most));
    return least;
  }

  /// The elements; none if absent, reported if not an array.
  [[nodiscard]] std::vector<ConfigNode> items() const {
    std::vector<ConfigNode> out;
    if (!present() || !require(json::Value::Type::Array, "must be a list")) return out;
    const auto& items = value_->items();
    for (std::size_t i = 0; i < items.size(); ++i)
      out.emplace_back(&items[i], pointer_ + '/' + std::to_string(i), *problems_);
    return out;
  }
  /// The elements as strings; none if absent, reported if not a list of strings.
  [[nodiscard]] std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const ConfigNode& item : items()) out.push_back(item.text());
    return out;
  }

 private:
  [[nodiscard]] bool require(json::Value::Type type, std::string_view message) const {
    if (present() && value_->type() == type) return true;
    error(present() ? std::string(message) : "is required and " + std::string(message));
    return false;
  }
  static std::string joined(std::initializer_list<std::string_view> names) {
    std::string out;
    for (const std::string_view name : names) {
      if (!out.empty()) out += ", ";
      out += name;
    }
    return out.empty() ? "none" : out;
  }

  const json::Value* value_;
  std::string pointer_;
  Problems* problems_;
};

/// Parses a configuration document; empty text counts as an empty object. Reports and returns null
/// on a syntax error.
[[nodiscard]] inline json::Value parseConfig(std::string_view text, Problems& problems) {
  if (text.empty()) return json::Value(std::vector<json::Member>{});
  auto parsed = json::Parser::parse(text);
  if (auto* value = std::get_if<json::Value>(&parsed)) return std::move(*value);
  const auto& error = std::get<json::ParseError>(parsed);
  problems.error(error.pointer,
                 "not valid JSON at byte " + std::to_string(error.offset) + ": " + error.message);
  return {};
}

}  // namespace hyperway::sdk
