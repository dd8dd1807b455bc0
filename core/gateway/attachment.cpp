// SPDX-License-Identifier: Apache-2.0
#include "gateway/attachment.hpp"

#include <algorithm>

#include "gateway/hostname.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kNameLabel = "kubernetes.io/metadata.name";

const std::string* valueOf(const Labels& labels, std::string_view key) {
  for (const auto& [name, value] : labels)
    if (name == key) return &value;
  return nullptr;
}

bool holds(const LabelSelector::Expression& expression, const Labels& labels) {
  const std::string* const value = valueOf(labels, expression.key);
  const auto listed = [&] {
    return std::find(expression.values.begin(), expression.values.end(), *value) !=
           expression.values.end();
  };
  if (expression.op == "In") return value != nullptr && listed();
  if (expression.op == "NotIn") return value == nullptr || !listed();
  if (expression.op == "Exists") return value != nullptr;
  return expression.op == "DoesNotExist" && value == nullptr;
}

// Every namespace has its name as a label, also one that no source told us about.
Labels labelsOf(std::string_view name_space, const ObjectStore& store) {
  const auto* object = store.find<Namespace>(objectKey({}, name_space));
  Labels labels = object != nullptr ? object->labels : Labels();
  if (valueOf(labels, kNameLabel) == nullptr) labels.emplace_back(kNameLabel, name_space);
  return labels;
}

bool meetsAny(const std::vector<std::string>& hostnames, std::string_view listener) {
  return hostnames.empty() ||
         std::any_of(hostnames.begin(), hostnames.end(),
                     [&](const std::string& host) { return hostnamesMeet(host, listener); });
}

}  // namespace

bool selects(const LabelSelector& selector, const Labels& labels) {
  for (const auto& [key, wanted] : selector.match_labels) {
    const std::string* const value = valueOf(labels, key);
    if (value == nullptr || *value != wanted) return false;
  }
  return std::all_of(selector.expressions.begin(), selector.expressions.end(),
                     [&](const auto& expression) { return holds(expression, labels); });
}

bool allowsNamespace(RoutesFrom from, const std::optional<LabelSelector>& selector,
                     std::string_view name_space, std::string_view own, const ObjectStore& store) {
  switch (from) {
    case RoutesFrom::All: return true;
    case RoutesFrom::Same: return name_space == own;
    case RoutesFrom::Selector: return selector && selects(*selector, labelsOf(name_space, store));
    case RoutesFrom::None: return false;
  }
  return false;
}

bool isGatewayRef(const ParentRef& ref) {
  return (!ref.group || *ref.group == kGatewayGroup) && (ref.kind.empty() || ref.kind == "Gateway");
}

bool isSetRef(const ParentRef& ref) {
  return (!ref.group || *ref.group == kGatewayGroup) && ref.kind == "ListenerSet";
}

std::string gatewayOf(const ListenerSet& set) {
  return isGatewayRef(set.parent) ? parentKey(set.parent, set.meta.name_space) : std::string();
}

std::string parentKey(const ParentRef& ref, const std::string& name_space) {
  return objectKey(ref.name_space.empty() ? name_space : ref.name_space, ref.name);
}

ParentVerdict attach(const ParentRef& ref, const std::string& pointer, const RouteView& route,
                     const GatewayState& gateway, const std::string& set,
                     const ObjectStore& store) {
  ParentVerdict verdict;
  const std::string gateway_key = gateway.spec->meta.key();
  const std::string parent = set.empty() ? "Gateway " + gateway_key : "ListenerSet " + set;
  const SetState* const of = set.empty() ? nullptr : gateway.findSet(set);
  const std::size_t first = of != nullptr ? of->first : 0;
  const std::size_t count = set.empty() ? gateway.spec->listeners.size() : of ? of->count : 0;
  bool named = false, allowed = false;
  for (std::size_t i = first; i < first + count; ++i) {
    const ListenerState& listener = gateway.listeners[i];
    if (!ref.section_name.empty() && ref.section_name != listener.name) continue;
    if (ref.port != 0 && ref.port != listener.port) continue;
    named = true;
    const auto& kinds = listener.supported_kinds;
    if (std::find(kinds.begin(), kinds.end(), route.kind) == kinds.end()) continue;
    if (!allowsNamespace(listener.allowed.from, listener.allowed.selector, route.name_space,
                         listener.name_space, store))
      continue;
    allowed = true;
    if (meetsAny(route.hostnames, listener.hostname)) verdict.listeners.push_back(i);
  }
  const auto refuse = [&](std::string reason, std::string message) {
    verdict.accepted = {std::move(reason), pointer + ": " + std::move(message)};
  };
  if (!named)
    refuse("NoMatchingParent", count > 0
                                   ? parent + " has no listener with this sectionName and port"
                                   : parent + " is not taken by Gateway " + gateway_key);
  else if (!allowed)
    refuse("NotAllowedByListeners", "no listener of " + parent + " allows " +
                                        std::string(route.kind) + "s of namespace " +
                                        std::string(route.name_space));
  else if (verdict.listeners.empty())
    refuse("NoMatchingListenerHostname",
           "no hostname of the route meets the one of a listener of " + parent);
  return verdict;
}

}  // namespace hyperway::gateway
