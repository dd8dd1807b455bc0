// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/json_pointer.hpp"

/// Reading JSON with all that is wrong reported by JSON pointer. Private to model_json_read.cpp:
/// simdjson's types go no further.
namespace hyperway::route::json {

namespace dom = simdjson::dom;

/// An object of the document, with its place and a list for what is wrong with it. Absent and null
/// members are the same.
class Node {
 public:
  /// An object at `where`; problems go to `problems`, which must outlive this.
  Node(dom::object object, JsonPointer where, Problems& problems)
      : object_(object), where_(std::move(where)), problems_(&problems) {}

  /// Where it is.
  [[nodiscard]] const JsonPointer& where() const { return where_; }
  /// Where problems go.
  [[nodiscard]] Problems& problems() const { return *problems_; }
  /// The same object with another list.
  [[nodiscard]] Node withProblems(Problems& problems) const { return {object_, where_, problems}; }
  /// Reports a problem of the member `name`.
  void wrong(std::string_view name, std::string message) const {
    problems_->add(where_ / name, std::move(message));
  }

  /// A member, if present.
  [[nodiscard]] std::optional<dom::element> member(std::string_view name) const {
    dom::element found;
    if (object_.at_key(name).get(found) != simdjson::SUCCESS || found.is_null()) return {};
    return found;
  }
  /// Text; empty if absent or wrong.
  [[nodiscard]] std::string text(std::string_view name) const {
    const auto found = member(name);
    std::string_view value;
    if (found && found->get_string().get(value) != simdjson::SUCCESS)
      wrong(name, "has to be a text");
    return std::string(value);
  }
  /// Text that has to be there.
  [[nodiscard]] std::string needText(std::string_view name) const {
    if (!member(name)) wrong(name, "is missing");
    return text(name);
  }
  /// The name of an object or a part of one: what keys and ids are put together from.
  [[nodiscard]] std::string needName(std::string_view name) const {
    std::string value = needText(name);
    if (value.find_first_of("/:") != std::string::npos) {
      wrong(name, fmt::format("\"{}\" has a '/' or ':' in it", value));
    } else if (value.empty() && member(name)) {
      wrong(name, "is empty");
    }
    return value;
  }
  /// True or false; false if absent or wrong.
  [[nodiscard]] bool flag(std::string_view name) const {
    const auto found = member(name);
    bool value = false;
    if (found && found->get_bool().get(value) != simdjson::SUCCESS) {
      wrong(name, "has to be true or false");
    }
    return value;
  }
  /// An integer in a range, if present and right.
  [[nodiscard]] std::optional<std::int64_t> number(std::string_view name, std::int64_t least,
                                                   std::int64_t most) const {
    const auto found = member(name);
    if (!found) return {};
    std::int64_t value = 0;
    if (found->get_int64().get(value) != simdjson::SUCCESS) {
      wrong(name, "has to be a whole number");
      return {};
    }
    if (value < least || value > most) {
      wrong(name, fmt::format("{} is outside {}..{}", value, least, most));
      return {};
    }
    return value;
  }
  /// A port that has to be there; 0 if wrong.
  [[nodiscard]] std::uint16_t needPort(std::string_view name) const {
    if (!member(name)) wrong(name, "is missing");
    return static_cast<std::uint16_t>(number(name, 1, 65535).value_or(0));
  }
  /// An object, if present and right.
  [[nodiscard]] std::optional<Node> object(std::string_view name) const {
    const auto found = member(name);
    if (!found) return {};
    dom::object value;
    if (found->get_object().get(value) != simdjson::SUCCESS) {
      wrong(name, "has to be an object");
      return {};
    }
    return Node(value, where_ / name, *problems_);
  }
  /// Calls `visit(element, pointer)` for each element of an array.
  template <class Visit>
  void each(std::string_view name, Visit&& visit) const {
    const auto found = member(name);
    if (!found) return;
    dom::array list;
    if (found->get_array().get(list) != simdjson::SUCCESS) {
      wrong(name, "has to be a list");
      return;
    }
    std::size_t index = 0;
    const JsonPointer place = where_ / name;
    for (const dom::element element : list) visit(element, place / index++);
  }
  /// Calls `visit(Node)` for each element of an array of objects.
  template <class Visit>
  void eachObject(std::string_view name, Visit&& visit) const {
    each(name, [&](dom::element element, JsonPointer where) {
      dom::object value;
      if (element.get_object().get(value) != simdjson::SUCCESS) {
        problems_->add(where, "has to be an object");
      } else {
        visit(Node(value, std::move(where), *problems_));
      }
    });
  }

 private:
  dom::object object_;
  JsonPointer where_;
  Problems* problems_;
};

/// The value of a text member out of a short list; `fallback` if absent, a problem and `fallback`
/// if unknown.
template <class T, std::size_t N>
T choice(const Node& node, std::string_view name, T fallback,
         const std::array<std::pair<std::string_view, T>, N>& values) {
  const std::string text = node.text(name);
  if (text.empty()) return fallback;
  std::string known;
  for (const auto& [word, value] : values) {
    if (text == word) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", word);
  }
  node.wrong(name, fmt::format("\"{}\" is not known; it can be {}", text, known));
  return fallback;
}

}  // namespace hyperway::route::json
