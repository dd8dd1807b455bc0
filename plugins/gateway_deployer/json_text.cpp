// SPDX-License-Identifier: Apache-2.0
#include "json_text.hpp"

#include <algorithm>
#include <charconv>

namespace hyperway::gateway_deployer {
namespace {

using sdk::json::Member;
using sdk::json::Value;

void quote(std::string& out, std::string_view text) {
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

void write(std::string& out, const Value& value) {
  switch (value.type()) {
    case Value::Type::Null: out += "null"; break;
    case Value::Type::Boolean: out += value.boolean() ? "true" : "false"; break;
    case Value::Type::Integer: out += std::to_string(value.integer()); break;
    case Value::Type::Real: {
      char buffer[32];
      const auto end = std::to_chars(buffer, buffer + sizeof buffer, value.real()).ptr;
      out.append(buffer, end);
      break;
    }
    case Value::Type::String: quote(out, value.text()); break;
    case Value::Type::Array: {
      char before = '[';
      for (const Value& item : value.items()) {
        out += before;
        before = ',';
        write(out, item);
      }
      out += value.items().empty() ? "[]" : "]";
      break;
    }
    case Value::Type::Object: {
      char before = '{';
      for (const Member& member : value.members()) {
        out += before;
        before = ',';
        quote(out, member.name);
        out += ':';
        write(out, member.value);
      }
      out += value.members().empty() ? "{}" : "}";
      break;
    }
  }
}

}  // namespace

std::string writeJson(const Value& value) {
  std::string out;
  write(out, value);
  return out;
}

const Value* at(const Value& value, std::initializer_list<std::string_view> path) {
  const Value* here = &value;
  for (const std::string_view name : path) {
    here = here->find(name);
    if (here == nullptr) return nullptr;
  }
  return here;
}

std::string textAt(const Value& value, std::initializer_list<std::string_view> path) {
  const Value* found = at(value, path);
  return found != nullptr ? found->text() : std::string();
}

bool covers(const Value& actual, const Value& wanted, Lists lists) {
  if (wanted.type() == Value::Type::Object)
    return std::all_of(wanted.members().begin(), wanted.members().end(), [&](const Member& member) {
      const Value* found = actual.find(member.name);
      return found != nullptr && covers(*found, member.value, lists);
    });
  if (actual.type() != wanted.type()) return false;
  if (wanted.type() != Value::Type::Array) return writeJson(actual) == writeJson(wanted);
  const auto& has = actual.items();
  if (lists == Lists::Equal && has.size() != wanted.items().size()) return false;
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const Value& item) {
    return std::any_of(has.begin(), has.end(),
                       [&](const Value& one) { return covers(one, item, lists); });
  });
}

}  // namespace hyperway::gateway_deployer
