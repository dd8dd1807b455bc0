// SPDX-License-Identifier: Apache-2.0
#include "objects.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "digest.hpp"
#include "k8s_client/gateway_names.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_sink {
namespace {

using k8s_client::appendText;
using k8s_client::textOf;
using k8s_client::valueOf;
using sdk::json::Value;

constexpr std::size_t kMostLabel = 63;

void member(std::string& out, std::string_view name, std::string_view text) {
  if (out.back() != '{') out += ',';
  appendText(out, name);
  out += ':';
  appendText(out, text);
}

std::string begin(const Settings& settings, std::string_view name) {
  std::string out = "{";
  member(out, "apiVersion", kGroupVersion);
  member(out, "kind", "RouteSnapshot");
  out += R"(,"metadata":{)";
  member(out, "namespace", settings.name_space);
  member(out, "name", name);
  out += R"(,"labels":{)";
  member(out, "app.kubernetes.io/managed-by", "hyperway");
  return out;
}

void members(std::string& out, std::string_view name,
             const std::map<std::string, std::string>& pairs) {
  out += ',';
  appendText(out, name);
  out += ":{";
  for (const auto& [key, value] : pairs) member(out, key, value);
  out += '}';
}

// The index of a Gateway, up to the first member of its spec.
std::string beginOwned(const Settings& settings) {
  std::string out = "{";
  member(out, "apiVersion", kGroupVersion);
  member(out, "kind", "RouteSnapshot");
  out += R"(,"metadata":{)";
  member(out, "namespace", settings.name_space);
  member(out, "name", settings.name);
  out += ownedMetadata(*settings.owner, settings.name_space, {}, true);
  return out + R"(},"spec":{)";
}

void appendList(std::string& out, const RouteList& list, const std::string& elements) {
  out += ",\"";
  out += list.name;
  out += "\":[" + elements + ']';
}

// Objects by their members in any order, lists item by item.
bool same(const Value& a, const Value& b) {
  // 1.0 comes back as 1.
  const auto number = [](const Value& value) {
    return value.type() == Value::Type::Integer || value.type() == Value::Type::Real;
  };
  if (number(a) && number(b)) return a.real() == b.real();
  if (a.type() != b.type()) return false;
  if (a.type() == Value::Type::Object)
    return a.members().size() == b.members().size() &&
           std::all_of(a.members().begin(), a.members().end(), [&](const auto& one) {
             const Value* other = b.find(one.name);
             return other != nullptr && same(one.value, *other);
           });
  if (a.type() == Value::Type::Array)
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), same);
  return k8s_client::toText(a) == k8s_client::toText(b);
}

}  // namespace

std::string ownedMetadata(const Owner& owner, std::string_view name_space,
                          const std::map<std::string, std::string>& labels, bool whole) {
  std::map<std::string, std::string> all = owner.labels, annotations = owner.annotations;
  for (const auto& [name, value] : labels) all[name] = value;
  all[std::string(k8s_client::kManagedByLabel)] = k8s_client::kManagedBy;
  all[std::string(k8s_client::kGatewayNameLabel)] = k8s_client::labelValue(owner.name);
  annotations[std::string(k8s_client::kGatewayAnnotation)] = owner.key();
  annotations[std::string(k8s_client::kControllerAnnotation)] = owner.controller;
  annotations.erase(std::string(k8s_client::kAppliedAnnotation));
  std::string out;
  members(out, "labels", all);
  if (whole) {
    std::string text = out;
    members(text, "annotations", annotations);
    annotations[std::string(k8s_client::kAppliedAnnotation)] = k8s_client::hashOf(text + owner.uid);
  }
  members(out, "annotations", annotations);
  if (owner.uid.empty() || name_space != owner.name_space) return out;
  out += R"(,"ownerReferences":[{)";
  member(out, "apiVersion", "gateway.networking.k8s.io/v1");
  member(out, "kind", "Gateway");
  member(out, "name", owner.name);
  member(out, "uid", owner.uid);
  return out + R"(,"controller":true}])";
}

std::string appliedOf(const Settings& settings) {
  if (!settings.owner) return {};
  const Value metadata =
      valueOf('{' + ownedMetadata(*settings.owner, settings.name_space, {}, true).substr(1) + '}');
  const Value* annotations = metadata.find("annotations");
  return annotations != nullptr ? textOf(*annotations, k8s_client::kAppliedAnnotation)
                                : std::string();
}

std::string labelOf(const std::string& name) {
  if (name.size() <= kMostLabel) return name;
  std::string out = name.substr(0, kMostLabel - 17);
  while (out.ends_with('.') || out.ends_with('-')) out.pop_back();
  return out + '-' + Digest(name).hex().substr(0, 16);
}

// Every field is named, empty ones too, so that nobody else's entries stay in one.
std::string indexSpec(const Settings& settings, const Content& content) {
  std::string out = "{";
  member(out, "controllerName", settings.controller_name);
  member(out, "partOf", "");
  member(out, "checksum", content.checksum());
  out += R"(,"listeners":[)" + content.listeners() + ']';
  for (const RouteList& list : kRouteLists)
    appendList(out, list, content.isInline() ? content.routes(list.kind) : "");
  // As one text, a line each: a list of a hundred costs a server as much as all else of an edit.
  std::string names;
  for (const Content::Part& part : content.parts())
    names += (names.empty() ? "" : "\n") + part.name;
  member(out, "partNames", names);
  out += R"(,"parts":[],"routeDiagnostics":[)" + content.routeDiagnostics();
  out += R"(],"gatewayListenerStatuses":[)" + content.listenerStatuses();
  out += R"(],"gatewayClassStatuses":[)" + content.classStatuses() + ']';
  if (settings.owner) {
    out += ",\"backendNamespaces\":[";
    for (const std::string& name : content.namespaces()) {
      if (out.back() != '[') out += ',';
      appendText(out, name);
    }
    out += ']';
  }
  return out + '}';
}

std::string indexBody(const Settings& settings, const std::string& spec,
                      const std::string& updated_at) {
  std::string out =
      settings.owner ? beginOwned(settings) : begin(settings, settings.name) + R"(}},"spec":{)";
  member(out, "updatedAt", updated_at);
  return out + ',' + spec.substr(1) + '}';
}

std::string indexPatch(const Settings& settings, const std::string& spec,
                       const std::string& updated_at) {
  std::string out = R"({"metadata":{)";
  member(out, "namespace", settings.name_space);
  member(out, "name", settings.name);
  out += R"(},"spec":{)";
  member(out, "updatedAt", updated_at);
  return out + ',' + spec.substr(1) + '}';
}

std::string partBody(const Settings& settings, const Content& content, const Content::Part& part,
                     const std::string& uid) {
  std::string out = begin(settings, part.name);
  member(out, kSnapshotLabel, labelOf(settings.name));
  out += R"(},"ownerReferences":[{)";
  member(out, "apiVersion", kGroupVersion);
  member(out, "kind", "RouteSnapshot");
  member(out, "name", settings.name);
  member(out, "uid", uid);
  out += R"(}]},"spec":{)";
  member(out, "controllerName", settings.controller_name);
  member(out, "partOf", settings.name);
  member(out, "checksum", part.checksum);
  // As text: an API server goes through each field of a list several times.
  std::string lists;
  for (const RouteList& list : kRouteLists)
    if (const std::string routes = content.routesOf(part, list.kind);
        !routes.empty() || &list == &kRouteLists.front())
      appendList(lists, list, routes);
  lists.front() = '{';  // in place of a comma
  member(out, "content", lists + '}');
  return out + "}}";
}

std::string statusBody(const Settings& settings, const Content& content, const Observed& index,
                       const std::string& now) {
  std::string out = "{";
  member(out, "apiVersion", kGroupVersion);
  member(out, "kind", "RouteSnapshot");
  out += R"(,"metadata":{)";
  member(out, "namespace", settings.name_space);
  member(out, "name", settings.name);
  const std::string generation = R"(,"observedGeneration":)" + std::to_string(index.generation);
  out += R"(},"status":{)";
  member(out, "lastSyncedAt", now);
  member(out, "lastAppliedChecksum", content.checksum());
  out += generation + R"(,"routeRuleCount":)" + std::to_string(content.ruleCount()) +
         R"(,"listenerCount":)" + std::to_string(content.listenerCount()) + R"(,"conditions":[{)";
  member(out, "type", "Ready");
  member(out, "status", "True");
  member(out, "reason", "Synced");
  member(out, "message",
         content.leftOut().empty()
             ? "the snapshot is what the cluster wants"
             : std::to_string(content.leftOut().size()) +
                   " routes or listeners are left out or older: the API server refuses them");
  member(out, "lastTransitionTime", index.ready_since.empty() ? now : index.ready_since);
  return out + generation + "}]}}";
}

std::string withoutPlanes(const Observed& index, const std::set<std::string>& gone) {
  std::string out = R"({"metadata":{)";
  member(out, "resourceVersion", index.resource_version);
  out += R"(},"status":{"dataPlanes":[)";
  for (const DataPlane& plane : index.data_planes) {
    if (gone.contains(plane.key())) continue;
    if (out.back() != '[') out += ',';
    out += plane.text;
  }
  return out + "]}}";
}

Observed readObserved(const k8s_client::ObjectText& object, bool whole) {
  Observed out;
  out.name = object.name();
  out.uid = object.uid();
  out.resource_version = object.resourceVersion();
  const Value metadata = valueOf(object.member("metadata"));
  if (const Value* generation = metadata.find("generation")) out.generation = generation->integer();
  out.deleting = metadata.find("deletionTimestamp") != nullptr;
  if (const Value* annotations = metadata.find("annotations")) {
    out.gateway = textOf(*annotations, k8s_client::kGatewayAnnotation);
    out.applied = textOf(*annotations, k8s_client::kAppliedAnnotation);
  }
  if (!whole) return out;
  out.spec = object.member("spec");
  const Value status = valueOf(object.member("status"));
  out.status_checksum = textOf(status, "lastAppliedChecksum");
  if (const Value* generation = status.find("observedGeneration"))
    out.status_generation = generation->integer();
  if (const Value* conditions = status.find("conditions"))
    for (const Value& condition : conditions->items())
      if (textOf(condition, "type") == "Ready" && textOf(condition, "status") == "True")
        out.ready_since = textOf(condition, "lastTransitionTime");
  const Value* planes = status.find("dataPlanes");
  if (planes == nullptr) return out;
  for (const Value& entry : planes->items()) {
    DataPlane plane;
    plane.name = textOf(entry, "name");
    plane.name_space = textOf(entry, "namespace");
    plane.checksum = textOf(entry, "checksum");
    plane.text = k8s_client::toText(entry);
    if (const Value* refused = entry.find("refused"))
      for (const Value& one : refused->items())
        plane.refused.push_back({textOf(one, "name"), textOf(one, "reason")});
    out.data_planes.push_back(std::move(plane));
  }
  return out;
}

std::string differenceOf(std::string_view has, std::string_view wanted) {
  const Value a = valueOf(has), b = valueOf(wanted);
  if (b.type() != Value::Type::Object) return "spec";
  for (const auto& one : b.members()) {
    const Value* other = a.find(one.name);
    // A server drops nothing of an empty list's or text's meaning by leaving it out.
    const bool empty = (one.value.type() == Value::Type::Array && one.value.items().empty()) ||
                       (one.value.type() == Value::Type::String && one.value.text().empty());
    if (other == nullptr && empty) continue;
    if (other == nullptr || !same(*other, one.value)) return "spec." + one.name;
  }
  return {};
}

std::string listenersOf(std::string_view spec) {
  std::string out;
  const Value value = valueOf(spec);
  if (const Value* listeners = value.find("listeners"))
    for (const Value& listener : listeners->items())
      out += (out.empty() ? "" : ",") + k8s_client::toText(listener);
  return out;
}

std::vector<std::string> backendNamespacesOf(std::string_view spec) {
  std::vector<std::string> out;
  const Value value = valueOf(spec);
  if (const Value* namespaces = value.find("backendNamespaces"))
    for (const Value& one : namespaces->items()) out.push_back(one.text());
  return out;
}

std::map<std::string, Entry> entriesOf(std::string_view spec) {
  std::map<std::string, Entry> out;
  const Value value = valueOf(spec), content = valueOf(textOf(value, "content"));
  const auto add = [&](const std::string& key, const Value& element) {
    Entry& entry = out[key];
    entry.text += (entry.text.empty() ? "" : ",") + k8s_client::toText(element);
    ++entry.count;
  };
  if (const Value* listeners = value.find("listeners"))
    for (const Value& listener : listeners->items()) add(textOf(listener, "name"), listener);
  for (const Value* from : {&value, &content})
    for (const RouteList& list : kRouteLists)
      if (const Value* rules = from->find(list.name))
        for (const Value& rule : rules->items())
          add(std::string(list.kind) + '/' + textOf(rule, "routeNamespace") + '/' +
                  textOf(rule, "routeName"),
              rule);
  return out;
}

bool sameEntries(std::string_view a, std::string_view b) {
  return same(valueOf('[' + std::string(a) + ']'), valueOf('[' + std::string(b) + ']'));
}

std::vector<std::string> partsBefore(const Observed& index, const Content::Part& part) {
  std::vector<std::string> out;
  std::string below;  // the one that begins before
  std::size_t below_first = 0;
  for (const std::string& name : partNamesOf(index.spec)) {
    // NAME-FIRST-HASH
    const std::size_t end = name.rfind('-');
    if (end == std::string::npos || end == 0) continue;
    const std::size_t begin = name.rfind('-', end - 1);
    if (begin == std::string::npos) continue;
    std::size_t first = 0;
    const auto read = std::from_chars(name.data() + begin + 1, name.data() + end, first, 16);
    if (read.ec != std::errc{} || read.ptr != name.data() + end) continue;
    if (first >= part.first && first < part.last) out.push_back(name);
    if (first < part.first && (below.empty() || first > below_first)) {
      below = name;
      below_first = first;
    }
  }
  if (!below.empty()) out.push_back(below);
  return out;
}

std::vector<std::string> partNamesOf(std::string_view spec) {
  std::vector<std::string> out;
  const Value value = valueOf(spec);
  if (const Value* parts = value.find("parts"))
    for (const Value& part : parts->items()) out.push_back(textOf(part, "name"));
  std::istringstream names(textOf(value, "partNames"));
  for (std::string name; names >> name;) out.push_back(name);
  return out;
}

}  // namespace hyperway::snapshot_sink
