// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "hyperway/sdk/json.hpp"

namespace hyperway::k8s_client {

/// Appends `text` as a JSON string. `text` is UTF-8.
inline void appendText(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (byte >= 0x20) {
      out += c;
      continue;
    }
    out += "\\u00";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  out += '"';
}

/// What `text` says; null if it is no JSON.
[[nodiscard]] inline sdk::json::Value valueOf(std::string_view text) {
  auto parsed = sdk::json::Parser::parse(text);
  auto* const value = std::get_if<sdk::json::Value>(&parsed);
  return value != nullptr ? std::move(*value) : sdk::json::Value();
}

/// The text of a member; empty if there is none, or it is no text.
[[nodiscard]] inline std::string textOf(const sdk::json::Value& object, std::string_view name) {
  const sdk::json::Value* const found = object.find(name);
  return found != nullptr ? found->text() : std::string();
}

/// Appends `value` as JSON, without white space, members in their order.
inline void appendValue(std::string& out, const sdk::json::Value& value) {
  using Type = sdk::json::Value::Type;
  switch (value.type()) {
    case Type::Null: out += "null"; return;
    case Type::Boolean: out += value.boolean() ? "true" : "false"; return;
    case Type::Integer: out += std::to_string(value.integer()); return;
    case Type::Real: {
      char text[32];
      const auto end = std::to_chars(text, text + sizeof text, value.real());
      out.append(text, end.ptr);
      return;
    }
    case Type::String: appendText(out, value.text()); return;
    case Type::Array:
      out += '[';
      for (const auto& item : value.items()) {
        if (out.back() != '[') out += ',';
        appendValue(out, item);
      }
      out += ']';
      return;
    case Type::Object:
      out += '{';
      for (const auto& member : value.members()) {
        if (out.back() != '{') out += ',';
        appendText(out, member.name);
        out += ':';
        appendValue(out, member.value);
      }
      out += '}';
      return;
  }
}

/// `value` as JSON.
[[nodiscard]] inline std::string toText(const sdk::json::Value& value) {
  std::string out;
  appendValue(out, value);
  return out;
}

}  // namespace hyperway::k8s_client
