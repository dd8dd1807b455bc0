// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reading of JSON for objects*.cpp and known_fields.cpp, in one pass and without a tree. A null
/// counts as absent, as in Kubernetes. Included by these files only: simdjson's types go no
/// further.
namespace hyperway::gateway {

/// Where a value stands in its document; lives on the stack of whoever reads, and becomes text only
/// when a problem is reported.
struct JsonPlace {
  const JsonPlace* parent = nullptr;  ///< The place around it; null for the document.
  std::string_view key;               ///< Member name; empty for an array element.
  std::size_t index = 0;              ///< Element number.

  /// The place as a JSON pointer (RFC 6901).
  [[nodiscard]] std::string text() const;
};

/// Where problems of what is being read go, and whether the text is JSON at all.
struct JsonTrouble {
  std::vector<std::string>* problems;  ///< "/pointer: message", for the part being read.
  std::vector<std::string>*
      whole;               ///< The same, for the document: that it is not JSON concerns all of it.
  bool malformed = false;  ///< Not JSON: nothing after this point was read.
};

/// A value that has not been read yet. Valid inside the callback that gets it.
class JsonNode {
 public:
  /// A value at `place`.
  JsonNode(simdjson::ondemand::value value, JsonPlace place, JsonTrouble& trouble)
      : value_(value), place_(place), trouble_(&trouble) {}

  /// Calls `on_field(std::string_view key, JsonNode&)` for each member that is not null. Reports
  /// what is no object.
  template <class OnField>
  void fields(OnField&& on_field) {
    simdjson::ondemand::object object;
    if (!expect(value_.get_object().get(object), "must be an object")) return;
    fieldsOf(object, on_field);
  }
  /// As fields(), and puts the text of the object into `text` first.
  template <class OnField>
  void fieldsAndText(std::string& text, OnField&& on_field) {
    simdjson::ondemand::object object;
    if (!expect(value_.get_object().get(object), "must be an object")) return;
    std::string_view raw;
    if (!expect(object.raw_json().get(raw), "must be an object")) return;
    while (!raw.empty() &&
           (raw.back() == ' ' || raw.back() == '\n' || raw.back() == '\r' || raw.back() == '\t'))
      raw.remove_suffix(1);
    text = raw;
    bool some = false;
    if (!expect(object.reset().get(some), "must be an object")) return;
    fieldsOf(object, on_field);
  }
  /// True for an array; reads nothing.
  [[nodiscard]] bool isArray() {
    simdjson::ondemand::json_type type;
    return value_.type().get(type) == simdjson::SUCCESS &&
           type == simdjson::ondemand::json_type::array;
  }
  /// True for a number; reads nothing.
  [[nodiscard]] bool isNumber() {
    simdjson::ondemand::json_type type;
    return value_.type().get(type) == simdjson::SUCCESS &&
           type == simdjson::ondemand::json_type::number;
  }
  /// Calls `on_item(JsonNode&)` for each element. Reports what is no array.
  template <class OnItem>
  void items(OnItem&& on_item) {
    simdjson::ondemand::array array;
    if (!expect(value_.get_array().get(array), "must be an array")) return;
    std::size_t index = 0;
    for (auto item : array) {
      simdjson::ondemand::value value;
      if (!expect(std::move(item).get(value), "must be a value")) return;
      JsonNode node(value, {&place_, {}, index++}, *trouble_);
      on_item(node);
      if (trouble_->malformed) return;
    }
  }
  /// Reads text; reports anything else.
  void read(std::string& out) {
    std::string_view text;
    if (expect(value_.get_string().get(text), "must be text")) out = text;
  }
  /// Reads a whole number; reports anything else.
  void read(std::int64_t& out) {
    (void)expect(value_.get_int64().get(out), "must be a whole number");
  }
  /// Reads true or false; reports anything else.
  void read(bool& out) { (void)expect(value_.get_bool().get(out), "must be true or false"); }
  /// Reads an array of text.
  void read(std::vector<std::string>& out) {
    items([&](JsonNode& item) { item.read(out.emplace_back()); });
  }
  /// Reports a problem of this value.
  void problem(std::string_view message) {
    trouble_->problems->push_back(place_.text() + ": " + std::string(message));
  }
  /// Where this value stands.
  [[nodiscard]] const JsonPlace& place() const noexcept { return place_; }
  /// Sends problems that are found from now on elsewhere; returns where they went before.
  std::vector<std::string>* redirect(std::vector<std::string>* problems) noexcept {
    return std::exchange(trouble_->problems, problems);
  }

 private:
  template <class OnField>
  void fieldsOf(simdjson::ondemand::object& object, OnField& on_field) {
    for (auto entry : object) {
      simdjson::ondemand::field field;
      std::string_view key;
      if (!expect(std::move(entry).get(field), "must be a member") ||
          !expect(field.unescaped_key().get(key), "must be a member"))
        return;
      simdjson::ondemand::value value = field.value();
      bool null = false;
      if (!expect(value.is_null().get(null), "must be a value")) return;
      if (null) continue;
      JsonNode node(value, {&place_, key, 0}, *trouble_);
      on_field(key, node);
      if (trouble_->malformed) return;
    }
  }
  bool expect(simdjson::error_code error, std::string_view message);

  simdjson::ondemand::value value_;
  JsonPlace place_;
  JsonTrouble* trouble_;
};

}  // namespace hyperway::gateway
