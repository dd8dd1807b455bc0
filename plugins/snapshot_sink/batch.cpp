// SPDX-License-Identifier: Apache-2.0
#include "batch.hpp"

#include <simdjson.h>

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

Batch::Route routeOf(ondemand::value value) {
  ondemand::object object = value.get_object().value();
  Batch::Route out;
  out.key = textOf(object["key"].value());
  ondemand::array rules = object["rules"].get_array().value();
  out.count = rules.count_elements().value();
  std::string_view raw = rules.raw_json().value();
  raw = raw.substr(raw.find('[') + 1);
  out.text = std::string(raw.substr(0, raw.rfind(']')));
  return out;
}

}  // namespace

std::optional<Batch> readBatch(std::string_view json, std::string& error) {
  try {
    const simdjson::padded_string padded(json);
    ondemand::parser parser;
    ondemand::document document = parser.iterate(padded).value();
    Batch out;
    each(document, "listeners", [&](auto value) { out.listeners.push_back(listenerOf(value)); });
    each(document, "routes", [&](auto value) { out.routes.push_back(routeOf(value)); });
    each(document, "removedListeners",
         [&](auto value) { out.removed_listeners.push_back(textOf(value)); });
    each(document, "removedRoutes",
         [&](auto value) { out.removed_routes.push_back(textOf(value)); });
    return out;
  } catch (const simdjson::simdjson_error& problem) {
    error = std::string("the batch cannot be read: ") + problem.what();
    return std::nullopt;
  }
}

}  // namespace hyperway::snapshot_sink
