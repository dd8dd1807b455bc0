// SPDX-License-Identifier: Apache-2.0
#include "batch.hpp"

#include <simdjson.h>

#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_sink {
namespace {

namespace ondemand = simdjson::ondemand;

// Calls `visit` for each element of a list that may be absent.
template <class Visit>
void each(ondemand::document& document, const char* name, Visit&& visit) {
  auto list = document.find_field_unordered(name);
  if (list.error() == simdjson::NO_SUCH_FIELD) return;
  // Named, because a range-for does not keep the temporaries behind .value() alive.
  ondemand::array elements = list.get_array().value();
  for (auto element : elements) visit(element.value());
}

std::string textOf(ondemand::value value) {
  return std::string(std::string_view(value.get_string().value()));
}

Batch::Listener listenerOf(ondemand::value value) {
  ondemand::object object = value.get_object().value();
  Batch::Listener out;
  out.key = textOf(object["name"].value());
  object.reset().value();
  out.text = std::string(object.raw_json().value());
  return out;
}

std::string elementsOf(ondemand::array list) {
  std::string_view raw = list.raw_json().value();
  raw = raw.substr(raw.find('[') + 1);
  return std::string(raw.substr(0, raw.rfind(']')));
}

Batch::Status statusOf(ondemand::value value) {
  ondemand::object object = value.get_object().value();
  Batch::Status out;
  out.key = textOf(object["key"].value());
  out.text = elementsOf(object["entries"].get_array().value());
  return out;
}

Batch::Route routeOf(ondemand::value value) {
  ondemand::object object = value.get_object().value();
  Batch::Route out;
  out.key = textOf(object["key"].value());
  ondemand::array rules = object["rules"].get_array().value();
  out.count = rules.count_elements().value();
  out.text = elementsOf(rules);
  return out;
}

Owner ownerOf(ondemand::value value) {
  ondemand::object object = value.get_object().value();
  Owner out;
  const auto pairs = [&](const char* name, std::map<std::string, std::string>& into) {
    auto found = object.find_field_unordered(name);
    if (found.error() == simdjson::NO_SUCH_FIELD) return;
    ondemand::object members = found.get_object().value();
    for (auto member : members) {
      std::string key(std::string_view(member.unescaped_key().value()));
      into[std::move(key)] = textOf(member.value().value());
    }
  };
  out.name_space = textOf(object.find_field_unordered("namespace").value());
  out.name = textOf(object.find_field_unordered("name").value());
  out.uid = textOf(object.find_field_unordered("uid").value());
  pairs("labels", out.labels);
  pairs("annotations", out.annotations);
  return out;
}

void addNamespace(const sdk::json::Value& backend, std::set<std::string>& out) {
  if (std::string name = k8s_client::textOf(backend, "namespace"); !name.empty())
    out.insert(std::move(name));
}

// Those of backends, in a rule or in one of its filters, and of their filters.
void addBackends(const sdk::json::Value& of, std::set<std::string>& out) {
  if (const sdk::json::Value* filters = of.find("filters"))
    for (const sdk::json::Value& filter : filters->items()) addBackends(filter, out);
  if (const sdk::json::Value* backends = of.find("backends"))
    for (const sdk::json::Value& backend : backends->items()) {
      addNamespace(backend, out);
      addBackends(backend, out);
    }
}

void addNamespaces(const sdk::json::Value& rule, std::set<std::string>& out) {
  addBackends(rule, out);
  if (const sdk::json::Value* mirrors = rule.find("requestMirrors"))
    for (const sdk::json::Value& mirror : mirrors->items())
      if (const sdk::json::Value* backend = mirror.find("backend")) addNamespace(*backend, out);
}

// The Gateway that an entry is about: one of a route may be about a ListenerSet, and then names its
// Gateway too.
std::string gatewayOf(const sdk::json::Value& entry, const std::string& name_space) {
  if (std::string name = k8s_client::textOf(entry, "gatewayName"); !name.empty())
    return k8s_client::textOf(entry, "gatewayNamespace") + '/' + name;
  std::string of = k8s_client::textOf(entry, "parentNamespace");
  if (of.empty()) of = name_space;
  return of + '/' + k8s_client::textOf(entry, "parentName");
}

}  // namespace

std::map<std::string, Batch::Route> routesByGateway(const Batch::Route& route) {
  std::map<std::string, Batch::Route> out;
  const sdk::json::Value list = k8s_client::valueOf('[' + route.text + ']');
  for (const sdk::json::Value& rule : list.items()) {
    Batch::Route& part = out[k8s_client::textOf(rule, "gatewayNamespace") + '/' +
                             k8s_client::textOf(rule, "gatewayName")];
    part.key = route.key;
    if (!part.text.empty()) part.text += ',';
    k8s_client::appendValue(part.text, rule);
    ++part.count;
    addNamespaces(rule, part.namespaces);
  }
  return out;
}

std::set<std::string> namespacesOf(std::string_view rules) {
  std::set<std::string> out;
  const sdk::json::Value list = k8s_client::valueOf('[' + std::string(rules) + ']');
  for (const sdk::json::Value& rule : list.items()) addNamespaces(rule, out);
  return out;
}

std::map<std::string, Batch::Status> statusesByGateway(const Batch::Status& status) {
  std::map<std::string, Batch::Status> out;
  const std::size_t slash = status.key.find('/');
  const std::string kind = status.key.substr(0, slash), key = status.key.substr(slash + 1);
  if (kind == "GatewayClass") out[""] = status;
  if (kind == "Gateway") out[key] = status;
  if (kind != "ListenerSet" && !kind.ends_with("Route")) return out;
  const std::string name_space = key.substr(0, key.find('/'));
  const sdk::json::Value list = k8s_client::valueOf('[' + status.text + ']');
  for (const sdk::json::Value& entry : list.items()) {
    Batch::Status& part = out[gatewayOf(entry, name_space)];
    part.key = status.key;
    if (!part.text.empty()) part.text += ',';
    k8s_client::appendValue(part.text, entry);
  }
  return out;
}

std::optional<Batch> readBatch(std::string_view json, std::string& error) {
  try {
    const simdjson::padded_string padded(json);
    ondemand::parser parser;
    ondemand::document document = parser.iterate(padded).value();
    Batch out;
    out.statuses_only =
        document.find_field_unordered("statuses").error() != simdjson::NO_SUCH_FIELD;
    each(document, "statuses", [&](auto value) { out.statuses.push_back(statusOf(value)); });
    each(document, "removedStatuses",
         [&](auto value) { out.removed_statuses.push_back(textOf(value)); });
    each(document, "listeners", [&](auto value) { out.listeners.push_back(listenerOf(value)); });
    each(document, "routes", [&](auto value) { out.routes.push_back(routeOf(value)); });
    each(document, "removedListeners",
         [&](auto value) { out.removed_listeners.push_back(textOf(value)); });
    each(document, "removedRoutes",
         [&](auto value) { out.removed_routes.push_back(textOf(value)); });
    each(document, "gateways", [&](auto value) { out.gateways.push_back(ownerOf(value)); });
    each(document, "removedGateways",
         [&](auto value) { out.removed_gateways.push_back(textOf(value)); });
    return out;
  } catch (const simdjson::simdjson_error& problem) {
    error = std::string("the batch cannot be read: ") + problem.what();
    return std::nullopt;
  }
}

}  // namespace hyperway::snapshot_sink
