// SPDX-License-Identifier: Apache-2.0
#include "index.hpp"

#include <simdjson.h>

#include <sstream>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_source {
namespace {

namespace ondemand = simdjson::ondemand;
using k8s_client::textOf;
using k8s_client::valueOf;
using sdk::json::Value;

// Some members of a spec as text; routes, which are most of it, are passed over.
std::map<std::string_view, std::string> membersOf(std::string_view spec) {
  std::map<std::string_view, std::string> out;
  const simdjson::padded_string padded(spec);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object root;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_object().get(root) != simdjson::SUCCESS)
    return out;
  for (auto field : root) {
    std::string_view key, value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) break;
    for (const std::string_view wanted :
         {"checksum", "listeners", "parts", "partNames", "partOf", "backendNamespaces"}) {
      if (key != wanted) continue;
      if (simdjson::to_json_string(field.value()).get(value) != simdjson::SUCCESS) return out;
      out[wanted] = value;
    }
  }
  return out;
}

void addSecret(const Value& reference, std::set<std::string>& out) {
  const std::string name = textOf(reference, "name");
  const std::string name_space = textOf(reference, "namespace");
  if (!name.empty() && !name_space.empty()) out.insert(name_space + '/' + name);
}

}  // namespace

std::int64_t generationOf(const k8s_client::ObjectText& object) {
  const Value metadata = valueOf(object.member("metadata"));
  const Value* generation = metadata.find("generation");
  return generation != nullptr ? generation->integer() : 0;
}

std::optional<Index> readIndex(const k8s_client::ObjectText& object) {
  const auto members = membersOf(object.member("spec"));
  if (members.empty()) return std::nullopt;
  const auto member = [&](std::string_view name) {
    const auto found = members.find(name);
    return found != members.end() ? valueOf(found->second) : Value();
  };
  Index out;
  object.appendSlim(out.text, kGroupVersion, "RouteSnapshot", false);
  out.checksum = member("checksum").text();
  out.generation = generationOf(object);
  out.version = object.resourceVersion();
  const Value parts = member("parts"), listeners = member("listeners");
  const Value namespaces = member("backendNamespaces");
  for (const Value& one : namespaces.items()) out.namespaces.insert(one.text());
  for (const Value& part : parts.items())
    out.parts[textOf(part, "name")] = textOf(part, "checksum");
  // NAME-BUCKET-CHECKSUM, each.
  std::istringstream names(member("partNames").text());
  for (std::string name; names >> name;) out.parts[name] = name.substr(name.rfind('-') + 1);
  for (const Value& listener : listeners.items()) {
    if (const Value* tls = listener.find("tls"))
      if (const Value* references = tls->find("certificateRefs"))
        for (const Value& reference : references->items()) addSecret(reference, out.secrets);
    if (const Value* reference = listener.find("backendCertificateRef"))
      addSecret(*reference, out.secrets);
  }
  return out;
}

std::optional<std::string> readPart(const k8s_client::ObjectText& object, std::string_view snapshot,
                                    std::string_view checksum, std::string& error) {
  if (generationOf(object) > 1) {
    error = "it was edited by hand, and counts once its writer made it anew";
    return std::nullopt;
  }
  const auto members = membersOf(object.member("spec"));
  const auto says = [&](std::string_view name, std::string_view text) {
    const auto found = members.find(name);
    return found != members.end() && valueOf(found->second).text() == text;
  };
  if (!says("checksum", checksum) || !says("partOf", snapshot)) {
    error = "it is not the part that was named";
    return std::nullopt;
  }
  std::string text;
  object.appendSlim(text, kGroupVersion, "RouteSnapshot", false);
  return text;
}

}  // namespace hyperway::snapshot_source
