// SPDX-License-Identifier: Apache-2.0
#include "json_text.hpp"

#include <algorithm>

#include "k8s_client/json_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

using sdk::json::Member;
using sdk::json::Value;

}  // namespace

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
  if (wanted.type() != Value::Type::Array)
    return k8s_client::toText(actual) == k8s_client::toText(wanted);
  const auto& has = actual.items();
  if (lists == Lists::Equal && has.size() != wanted.items().size()) return false;
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const Value& item) {
    return std::any_of(has.begin(), has.end(),
                       [&](const Value& one) { return covers(one, item, lists); });
  });
}

}  // namespace hyperway::gateway_deployer
