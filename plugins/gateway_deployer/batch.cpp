// SPDX-License-Identifier: Apache-2.0
#include "batch.hpp"

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

namespace json = sdk::json;
using k8s_client::textOf;

std::map<std::string, std::string> pairsOf(const json::Value& object, std::string_view name) {
  std::map<std::string, std::string> out;
  if (const json::Value* found = object.find(name))
    for (const json::Member& member : found->members()) out[member.name] = member.value.text();
  return out;
}

Gateway gatewayOf(const json::Value& value) {
  Gateway out;
  out.name_space = textOf(value, "namespace");
  out.name = textOf(value, "name");
  out.uid = textOf(value, "uid");
  if (const json::Value* created = value.find("created")) out.created = created->integer();
  if (const json::Value* accepted = value.find("accepted")) out.accepted = accepted->boolean();
  if (const json::Value* inside = value.find("clusterOnly")) out.cluster_only = inside->boolean();
  out.labels = pairsOf(value, "labels");
  out.annotations = pairsOf(value, "annotations");
  if (const json::Value* addresses = value.find("addresses"))
    for (const json::Value& address : addresses->items()) out.addresses.push_back(address.text());
  if (const json::Value* ports = value.find("ports"))
    for (const json::Value& port : ports->items()) {
      const json::Value* number = port.find("port");
      const std::int64_t wanted = number != nullptr ? number->integer() : 0;
      if (wanted >= 1 && wanted <= 65535)
        out.ports.push_back({static_cast<std::uint16_t>(wanted), textOf(port, "protocol")});
    }
  if (const json::Value* parameters = value.find("parameters"))
    for (const json::Value& one : parameters->items())
      out.parameters.push_back({textOf(one, "owner"), textOf(one, "group"), textOf(one, "kind"),
                                textOf(one, "namespace"), textOf(one, "name")});
  return out;
}

}  // namespace

std::optional<Batch> readBatch(std::string_view text, std::string& error) {
  auto parsed = json::Parser::parse(text);
  if (const auto* wrong = std::get_if<json::ParseError>(&parsed)) {
    error = "the batch is no JSON: " + wrong->message;
    return std::nullopt;
  }
  const auto& root = std::get<json::Value>(parsed);
  Batch out;
  if (const json::Value* gateways = root.find("gateways"))
    for (const json::Value& gateway : gateways->items()) out.gateways.push_back(gatewayOf(gateway));
  if (const json::Value* removed = root.find("removedGateways"))
    for (const json::Value& key : removed->items()) out.removed.push_back(key.text());
  return out;
}

}  // namespace hyperway::gateway_deployer
