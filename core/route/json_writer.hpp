// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hyperway::route {

/// Appends JSON to a string, member by member; puts the commas. Text is UTF-8.
class JsonWriter {
 public:
  /// Opens an object: the document, an array element, or the value of `name`.
  void beginObject(std::string_view name = {}) { open(name, '{'); }
  /// Closes it.
  void endObject() { close('}'); }
  /// Opens an array, likewise.
  void beginArray(std::string_view name = {}) { open(name, '['); }
  /// Closes it.
  void endArray() { close(']'); }
  /// Appends a text member.
  void text(std::string_view name, std::string_view value) {
    begin(name);
    quote(value);
  }
  /// Appends a text member unless it is empty.
  void textIfAny(std::string_view name, std::string_view value) {
    if (!value.empty()) text(name, value);
  }
  /// Appends a text to an array.
  void element(std::string_view value) {
    separate();
    quote(value);
  }
  /// Appends a number member.
  void number(std::string_view name, std::int64_t value) {
    begin(name);
    out_ += std::to_string(value);
  }
  /// Appends a number to an array.
  void element(std::int64_t value) {
    separate();
    out_ += std::to_string(value);
  }
  /// Appends a true-or-false member.
  void boolean(std::string_view name, bool value) {
    begin(name);
    out_ += value ? "true" : "false";
  }
  /// Appends a member whose value is JSON already.
  void raw(std::string_view name, std::string_view json) {
    begin(name);
    out_ += json;
  }
  /// Appends JSON as array elements; one or several with commas between them, or nothing.
  void rawElements(std::string_view json) {
    if (json.empty()) return;
    separate();
    out_ += json;
  }
  /// The JSON.
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  void begin(std::string_view name) {
    separate();
    quote(name);
    out_ += ':';
  }
  void open(std::string_view name, char bracket) {
    if (name.empty())
      separate();
    else
      begin(name);
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  void quote(std::string_view value) {
    static constexpr char kHex[] = "0123456789abcdef";
    out_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out_ += "\\u00";
        out_ += kHex[c >> 4];
        out_ += kHex[c & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string out_;
  bool first_ = true;
};

}  // namespace hyperway::route
