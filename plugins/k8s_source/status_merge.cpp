// SPDX-License-Identifier: Apache-2.0
#include "status_merge.hpp"

#include <algorithm>
#include <functional>
#include <variant>
#include <vector>

#include "k8s_client/json_text.hpp"

namespace hyperway::k8s_source {
namespace {

using sdk::json::Member;
using sdk::json::Value;
using Items = std::vector<Value>;
using Members = std::vector<Member>;

constexpr std::string_view kOurConditions[] = {
    "Accepted",
    "Programmed",
    "ResolvedRefs",
    "Conflicted",
    "PartiallyInvalid",
    "OverlappingTLSConfig",
    "InsecureFrontendValidationMode",
    "DefaultGateway",
    "AttachedListenerSets",
    "hyperway.arloor.dev/KindsMissing",
};
constexpr std::string_view kTime = "lastTransitionTime";
constexpr std::string_view kAttachedSets = "attachedListenerSets";

std::string_view textOf(const Value& object, std::string_view name) {
  const Value* found = object.find(name);
  return found != nullptr ? std::string_view(found->text()) : std::string_view();
}

bool isOurs(std::string_view condition_type) {
  return std::find(std::begin(kOurConditions), std::end(kOurConditions), condition_type) !=
         std::end(kOurConditions);
}

const Items& itemsOf(const Value& object, std::string_view name) {
  static const Items none;
  const Value* found = object.find(name);
  return found != nullptr ? found->items() : none;
}

bool isEntries(std::string_view name) { return name == "parents" || name == "ancestors"; }

// With members sorted, without times and without empty lists, which the server may leave out.
Value canonical(const Value& value) {
  if (value.type() == Value::Type::Array) {
    Items out;
    for (const Value& item : value.items()) out.push_back(canonical(item));
    return Value(std::move(out));
  }
  if (value.type() != Value::Type::Object) return value;
  Members out;
  for (const Member& member : value.members()) {
    if (member.name == kTime) continue;
    if (member.value.type() == Value::Type::Array && member.value.items().empty()) continue;
    out.push_back({member.name, canonical(member.value)});
  }
  std::sort(out.begin(), out.end(),
            [](const Member& a, const Member& b) { return a.name < b.name; });
  return Value(std::move(out));
}

Value sorted(Items items) {
  std::vector<std::pair<std::string, Value>> texts;
  texts.reserve(items.size());
  for (Value& item : items) {
    Value plain = canonical(item);
    texts.emplace_back(k8s_client::toText(plain), std::move(plain));
  }
  std::sort(texts.begin(), texts.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Items out;
  out.reserve(texts.size());
  for (auto& [text, item] : texts) out.push_back(std::move(item));
  return Value(std::move(out));
}

Value ourConditions(const Value& conditions) {
  Items out;
  for (const Value& condition : conditions.items())
    if (isOurs(textOf(condition, "type"))) out.push_back(condition);
  return sorted(std::move(out));
}

// A listener or an entry with our conditions only.
Value withOurConditions(const Value& object) {
  Members out;
  for (const Member& member : object.members())
    out.push_back(
        {member.name, member.name == "conditions" ? ourConditions(member.value) : member.value});
  return Value(std::move(out));
}

Value ourPart(const Value& status, std::string_view controller_name) {
  Members out;
  for (const Member& member : status.members()) {
    Items items;
    if (member.name == "conditions") {
      out.push_back({member.name, ourConditions(member.value)});
    } else if (member.name == "listeners" || isEntries(member.name)) {
      for (const Value& item : member.value.items())
        if (!isEntries(member.name) || textOf(item, "controllerName") == controller_name)
          items.push_back(withOurConditions(item));
      out.push_back({member.name, sorted(std::move(items))});
    } else if (member.name == "addresses" || member.name == "supportedFeatures" ||
               member.name == kAttachedSets) {
      out.push_back({member.name, member.value});
    }
  }
  return canonical(Value(std::move(out)));
}

Value mergedConditions(const Items& current, const Items& desired, std::string_view now) {
  const auto find = [](const Items& list, std::string_view type) -> const Value* {
    for (const Value& item : list)
      if (textOf(item, "type") == type) return &item;
    return nullptr;
  };
  const auto made = [&](const Value& wanted) {
    const Value* before = find(current, textOf(wanted, "type"));
    const bool same = before != nullptr && !textOf(*before, kTime).empty() &&
                      textOf(*before, "status") == textOf(wanted, "status");
    Members out = wanted.members();
    std::erase_if(out, [](const Member& member) { return member.name == kTime; });
    out.push_back({std::string(kTime), Value(std::string(same ? textOf(*before, kTime) : now))});
    return Value(std::move(out));
  };
  Items out;
  for (const Value& item : current) {
    const std::string_view type = textOf(item, "type");
    if (const Value* wanted = find(desired, type))
      out.push_back(made(*wanted));
    else if (!isOurs(type))
      out.push_back(item);
  }
  for (const Value& wanted : desired)
    if (find(current, textOf(wanted, "type")) == nullptr) out.push_back(made(wanted));
  return Value(std::move(out));
}

// `wanted` with its conditions merged into those of `before`, which may be null.
Value mergedPart(const Value* before, const Value& wanted, std::string_view now) {
  static const Items none;
  Members out;
  for (const Member& member : wanted.members()) {
    if (member.name != "conditions") {
      out.push_back(member);
      continue;
    }
    const Items& current = before != nullptr ? itemsOf(*before, "conditions") : none;
    out.push_back({member.name, mergedConditions(current, member.value.items(), now)});
  }
  return Value(std::move(out));
}

Value mergedListeners(const Items& current, const Items& desired, std::string_view now) {
  Items out;
  for (const Value& wanted : desired) {
    const auto before = std::find_if(current.begin(), current.end(), [&](const Value& listener) {
      return textOf(listener, "name") == textOf(wanted, "name");
    });
    out.push_back(mergedPart(before == current.end() ? nullptr : &*before, wanted, now));
  }
  return Value(std::move(out));
}

std::string referenceText(const Value& entry) {
  for (const char* name : {"parentRef", "ancestorRef"})
    if (const Value* reference = entry.find(name)) return k8s_client::toText(canonical(*reference));
  return {};
}

Value mergedEntries(const Items& current, const Items& desired, std::string_view controller_name,
                    std::string_view now) {
  Items out;
  std::vector<bool> used(desired.size());
  for (const Value& entry : current) {
    if (textOf(entry, "controllerName") != controller_name) {
      out.push_back(entry);
      continue;
    }
    const std::string reference = referenceText(entry);
    for (std::size_t i = 0; i < desired.size(); ++i)
      if (!used[i] && referenceText(desired[i]) == reference) {
        out.push_back(mergedPart(&entry, desired[i], now));
        used[i] = true;
        break;
      }
  }
  for (std::size_t i = 0; i < desired.size(); ++i)
    if (!used[i]) out.push_back(mergedPart(nullptr, desired[i], now));
  return Value(std::move(out));
}

// parentRef.group and kind have defaults in the schema of statuses too.
Value withDefaults(const Value& reference) {
  Members out = reference.members();
  if (reference.find("group") == nullptr)
    out.push_back({"group", Value(std::string("gateway.networking.k8s.io"))});
  if (reference.find("kind") == nullptr) out.push_back({"kind", Value(std::string("Gateway"))});
  return Value(std::move(out));
}

Value ourEntry(const Value& entry, std::string_view controller_name) {
  Members out;
  for (const Member& member : entry.members()) {
    if (member.name == "controllerName") continue;
    const bool reference = member.name == "parentRef" || member.name == "ancestorRef";
    out.push_back({member.name, reference ? withDefaults(member.value) : member.value});
  }
  out.push_back({"controllerName", Value(std::string(controller_name))});
  return Value(std::move(out));
}

}  // namespace

Value parseJson(std::string_view text) {
  auto parsed = sdk::json::Parser::parse(text);
  if (auto* value = std::get_if<Value>(&parsed)) return std::move(*value);
  return {};
}

Value desiredStatus(std::string_view status, std::string_view controller_name) {
  const Value parsed = parseJson(status);
  if (parsed.type() != Value::Type::Object) return {};
  Members out;
  for (const Member& member : parsed.members()) {
    if (!isEntries(member.name)) {
      out.push_back(member);
      continue;
    }
    Items entries;
    for (const Value& entry : member.value.items())
      entries.push_back(ourEntry(entry, controller_name));
    out.push_back({member.name, Value(std::move(entries))});
  }
  return Value(std::move(out));
}

std::uint64_t fingerprint(const Value& status, std::string_view controller_name) {
  return std::hash<std::string>{}(k8s_client::toText(ourPart(status, controller_name)));
}

Value mergedStatus(const Value& current, const Value& desired, std::string_view controller_name,
                   std::string_view now) {
  Members out;
  for (const Member& member : desired.members()) {
    const Items& before = itemsOf(current, member.name);
    Value merged = member.value;
    if (member.name == "conditions")
      merged = mergedConditions(before, member.value.items(), now);
    else if (member.name == "listeners")
      merged = mergedListeners(before, member.value.items(), now);
    else if (isEntries(member.name))
      merged = mergedEntries(before, member.value.items(), controller_name, now);
    out.push_back({member.name, std::move(merged)});
  }
  // None is said by not being there, and a patch takes a member away by null.
  if (current.find(kAttachedSets) != nullptr && desired.find(kAttachedSets) == nullptr)
    out.push_back({std::string(kAttachedSets), Value()});
  return Value(std::move(out));
}

}  // namespace hyperway::k8s_source
