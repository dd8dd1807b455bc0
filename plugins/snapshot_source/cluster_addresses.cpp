// SPDX-License-Identifier: Apache-2.0
#include "cluster_addresses.hpp"

#include <algorithm>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_source {

using k8s_client::appendText;

std::string clusterAddressName(const std::string& service) {
  // No name of an object has a space in it, so no slice of the cluster is hidden by this one.
  return service + " cluster address";
}

// Lines: the address, then number, name and protocol of each port. None has a new line in it.
std::string clusterAddress(const k8s_client::ObjectText& service) {
  const auto parsed = sdk::json::Parser::parse(service.member("spec"));
  const auto* spec = std::get_if<sdk::json::Value>(&parsed);
  const auto* address = spec != nullptr ? spec->find("clusterIP") : nullptr;
  const auto* ports = spec != nullptr ? spec->find("ports") : nullptr;
  if (address == nullptr || ports == nullptr) return {};
  if (address->text().empty() || address->text() == "None") return {};
  std::string out = address->text();
  for (const auto& port : ports->items()) {
    const auto* number = port.find("port");
    if (number == nullptr) continue;
    out += '\n' + std::to_string(number->integer());
    for (const char* name : {"name", "protocol"}) {
      const auto* text = port.find(name);
      out += '\n' + (text != nullptr ? text->text() : std::string());
    }
  }
  return out;
}

std::string clusterAddressSlice(std::string_view service, std::string_view address) {
  const auto next = [&address] {
    const std::string_view line = address.substr(0, address.find('\n'));
    address.remove_prefix(std::min(line.size() + 1, address.size()));
    return line;
  };
  const std::size_t slash = service.find('/');
  const std::string name(service.substr(slash + 1));
  const std::string_view ip = next();
  std::string out =
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":)";
  appendText(out, service.substr(0, slash));
  out += R"(,"name":)";
  appendText(out, clusterAddressName(name));
  out += R"(,"labels":{"kubernetes.io/service-name":)";
  appendText(out, name);
  out += ip.find(':') == std::string_view::npos ? R"(}},"addressType":"IPv4","ports":[)"
                                                : R"(}},"addressType":"IPv6","ports":[)";
  while (!address.empty()) {
    if (out.back() != '[') out += ',';
    out += R"({"port":)";
    out += next();
    for (const char* member : {"name", "protocol"}) {
      const std::string_view text = next();
      if (text.empty()) continue;
      out += std::string(",\"") + member + "\":";
      appendText(out, text);
    }
    out += '}';
  }
  out += R"(],"endpoints":[{"addresses":[)";
  appendText(out, ip);
  return out + "]}]}";
}

}  // namespace hyperway::snapshot_source
