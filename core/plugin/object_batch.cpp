// SPDX-License-Identifier: Apache-2.0
#include "plugin/object_batch.hpp"

#include <simdjson.h>

#include <memory>
#include <utility>

#include "plugin/json_string.hpp"

namespace hyperway::plugin {
namespace {

namespace ondemand = simdjson::ondemand;
using Changes = std::vector<gateway::ObjectChange>;

// Bytes of JSON: a guess at how many a batch has.
constexpr std::size_t kTypicalObject = 512;

// A member that may be absent. After any other error the object is not to be used again: the parser
// has let go of it.
simdjson::simdjson_result<ondemand::value> find(ondemand::object& object, std::string_view name) {
  auto found = object.find_field_unordered(name);
  if (found.error() != simdjson::SUCCESS && found.error() != simdjson::NO_SUCH_FIELD)
    throw simdjson::simdjson_error(found.error());
  return found;
}

std::string textOf(ondemand::object& object, std::string_view name) {
  std::string_view text;
  if (find(object, name).get_string().get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

// "gateway.networking.k8s.io/v1" -> "gateway.networking.k8s.io"; the core API has no group.
std::string groupOf(std::string_view api_version) {
  const auto slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string()
                                         : std::string(api_version.substr(0, slash));
}

// The object is a part of what `whole` keeps alive.
gateway::ObjectChange readUpsert(ondemand::object object,
                                 const std::shared_ptr<const void>& whole) {
  gateway::ObjectChange out;
  out.group = groupOf(textOf(object, "apiVersion"));
  out.kind = textOf(object, "kind");
  ondemand::object metadata;
  if (find(object, "metadata").get_object().get(metadata) == simdjson::SUCCESS) {
    out.name = textOf(metadata, "name");
    out.name_space = textOf(metadata, "namespace");
  }
  object.reset().value();
  out.json = SharedText(whole, object.raw_json().value());
  return out;
}

gateway::ObjectChange readRemoval(ondemand::object key) {
  gateway::ObjectChange out;
  out.group = textOf(key, "group");
  out.kind = textOf(key, "kind");
  out.name_space = textOf(key, "namespace");
  out.name = textOf(key, "name");
  return out;
}

template <class Read>
void readList(ondemand::document& document, const char* name, Read read, Changes& out) {
  auto list = document.find_field_unordered(name);
  if (list.error() == simdjson::NO_SUCH_FIELD) return;
  // Named, because a range-for does not keep the temporaries behind .value() alive.
  ondemand::array elements = list.get_array().value();
  for (auto element : elements) {
    out.push_back(read(element.get_object().value()));
    if (out.back().kind.empty() || out.back().name.empty())
      throw simdjson::simdjson_error(simdjson::NO_SUCH_FIELD);
  }
}

void appendKey(std::string& out, std::string_view kind, std::string_view name_space,
               std::string_view name) {
  out += "{\"kind\":";
  appendJsonString(out, kind);
  out += ",\"namespace\":";
  appendJsonString(out, name_space);
  out += ",\"name\":";
  appendJsonString(out, name);
}

}  // namespace

Result<Changes, std::string> readObjectBatch(std::string_view document) {
  try {
    const auto padded = std::make_shared<const simdjson::padded_string>(document);
    ondemand::parser parser;
    ondemand::document root = parser.iterate(*padded).value();
    Changes out;
    out.reserve(document.size() / kTypicalObject);
    readList(root, "removals", readRemoval, out);
    readList(
        root, "upserts", [&](ondemand::object object) { return readUpsert(object, padded); }, out);
    return out;
  } catch (const simdjson::simdjson_error& error) {
    return fail("not a batch of objects (each needs kind and metadata.name): " +
                std::string(error.what()));
  }
}

std::string writeStatusBatch(const gateway::StatusBatch& batch) {
  std::string out = "[";
  for (const gateway::ObjectStatus& status : batch.updated) {
    if (out.size() > 1) out += ',';
    appendKey(out, status.kind, status.name_space, status.name);
    out += ",\"generation\":" + std::to_string(status.generation);
    out += ",\"status\":" + gateway::toJson(status) + '}';
  }
  for (const std::string_view key : batch.removed) {
    // "Kind/namespace/name"; neither kinds nor namespaces hold a slash.
    const auto first = key.find('/');
    const auto second = first == std::string_view::npos ? first : key.find('/', first + 1);
    if (second == std::string_view::npos) continue;
    if (out.size() > 1) out += ',';
    appendKey(out, key.substr(0, first), key.substr(first + 1, second - first - 1),
              key.substr(second + 1));
    out += '}';
  }
  return out += ']';
}

}  // namespace hyperway::plugin
