// SPDX-License-Identifier: Apache-2.0
#include "status_file.hpp"

#include "hyperway/sdk/json.hpp"
#include "paths.hpp"
#include "scalar.hpp"

namespace hyperway::file_source {
namespace {

void append(std::string& out, const sdk::json::Value& value) {
  using Type = sdk::json::Value::Type;
  switch (value.type()) {
    case Type::Null: out += "null"; return;
    case Type::Boolean: out += value.boolean() ? "true" : "false"; return;
    case Type::Integer: out += std::to_string(value.integer()); return;
    case Type::Real: out += std::to_string(value.real()); return;
    case Type::String: appendString(out, value.text()); return;
    case Type::Array: {
      out += '[';
      bool first = true;
      for (const auto& item : value.items()) {
        if (!first) out += ',';
        first = false;
        append(out, item);
      }
      out += ']';
      return;
    }
    case Type::Object: {
      out += '{';
      bool first = true;
      for (const auto& member : value.members()) {
        if (!first) out += ',';
        first = false;
        appendString(out, member.name);
        out += ':';
        append(out, member.value);
      }
      out += '}';
      return;
    }
  }
}

std::string textOf(const sdk::json::Value& object, std::string_view name) {
  const sdk::json::Value* found = object.find(name);
  return found != nullptr ? found->text() : std::string();
}

}  // namespace

bool StatusFile::take(std::string_view batch) {
  if (path_.empty()) return false;
  const auto parsed = sdk::json::Parser::parse(batch);
  const auto* list = std::get_if<sdk::json::Value>(&parsed);
  if (list == nullptr) return false;
  const std::lock_guard lock(mutex_);
  for (const sdk::json::Value& item : list->items()) {
    const std::string key =
        textOf(item, "kind") + '/' + textOf(item, "namespace") + '/' + textOf(item, "name");
    if (item.find("status") == nullptr) {
      objects_.erase(key);
    } else {
      std::string text;
      append(text, item);
      objects_[key] = std::move(text);
    }
    changed_ = true;
  }
  return changed_;
}

bool StatusFile::write(std::string& error) {
  std::string text = "{\"statuses\":[";
  {
    const std::lock_guard lock(mutex_);
    if (!changed_) return true;
    for (const auto& [key, object] : objects_) {
      if (text.back() != '[') text += ',';
      text += '\n';
      text += object;
    }
    changed_ = false;
  }
  text += "\n]}\n";
  if (replaceFile(path_, text, 0644, error)) return true;
  const std::lock_guard lock(mutex_);
  changed_ = true;
  return false;
}

}  // namespace hyperway::file_source
