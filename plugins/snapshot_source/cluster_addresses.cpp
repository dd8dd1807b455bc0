// SPDX-License-Identifier: Apache-2.0
#include "cluster_addresses.hpp"

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_source {

using k8s_client::appendText;

std::string clusterAddressName(const std::string& service) {
  // No name of an object has a space in it, so no slice of the cluster is hidden by this one.
  return service + " cluster address";
}

std::string clusterAddressSlice(const k8s_client::ObjectText& service) {
  const auto parsed = sdk::json::Parser::parse(service.member("spec"));
  const auto* spec = std::get_if<sdk::json::Value>(&parsed);
  const auto* address = spec != nullptr ? spec->find("clusterIP") : nullptr;
  const auto* ports = spec != nullptr ? spec->find("ports") : nullptr;
  if (address == nullptr || ports == nullptr) return {};
  if (address->text().empty() || address->text() == "None") return {};
  std::string out =
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":)";
  appendText(out, service.nameSpace());
  out += R"(,"name":)";
  appendText(out, clusterAddressName(service.name()));
  out += R"(,"labels":{"kubernetes.io/service-name":)";
  appendText(out, service.name());
  out += address->text().find(':') == std::string::npos ? R"(}},"addressType":"IPv4","ports":[)"
                                                        : R"(}},"addressType":"IPv6","ports":[)";
  for (const auto& port : ports->items()) {
    const auto* number = port.find("port");
    if (number == nullptr) continue;
    if (out.back() != '[') out += ',';
    out += R"({"port":)" + std::to_string(number->integer());
    for (const char* name : {"name", "protocol"})
      if (const auto* text = port.find(name)) {
        out += std::string(",\"") + name + "\":";
        appendText(out, text->text());
      }
    out += '}';
  }
  out += R"(],"endpoints":[{"addresses":[)";
  appendText(out, address->text());
  return out + "]}]}";
}

}  // namespace hyperway::snapshot_source
