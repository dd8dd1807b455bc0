// SPDX-License-Identifier: Apache-2.0
// Service, EndpointSlice and Secret: what stands behind a backend or a listener.
#include <algorithm>

#include "gateway/base64.hpp"
#include "gateway/ip_literal.hpp"
#include "gateway/objects_impl.hpp"

namespace hyperway::gateway {
namespace {

void readServicePort(JsonNode& node, Service::Port& port) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "name") member.read(port.name);
    if (key == "port") member.read(port.port);
    if (key == "targetPort" && member.isNumber()) member.read(port.target);
    if (key == "protocol") member.read(port.protocol);
    if (key == "appProtocol") member.read(port.app_protocol);
  });
}

void readBalancer(JsonNode& status, std::vector<std::string>& addresses) {
  status.fields([&](std::string_view part, JsonNode& balancer) {
    if (part != "loadBalancer") return;
    balancer.fields([&](std::string_view key, JsonNode& list) {
      if (key != "ingress") return;
      list.items([&](JsonNode& item) {
        std::string address;
        item.fields([&](std::string_view name, JsonNode& member) {
          if (name == "ip" || (name == "hostname" && address.empty())) member.read(address);
        });
        addresses.push_back(std::move(address));
      });
    });
  });
}

// The Gateway that a Service was made for. Only one of its own namespace: an annotation must not
// reach into another.
std::string generatedFor(std::string_view name_space, const Labels& labels,
                         const Labels& annotations) {
  const auto is = [](std::string_view key) {
    return [key](const auto& entry) { return entry.first == key; };
  };
  const auto by = std::find_if(labels.begin(), labels.end(), is(kManagedByLabel));
  const auto whose = std::find_if(annotations.begin(), annotations.end(), is(kGatewayAnnotation));
  if (by == labels.end() || by->second != kManagedBy || whose == annotations.end()) return {};
  return whose->second.starts_with(objectKey(name_space, "")) ? whose->second : std::string();
}

void readSlicePort(JsonNode& node, EndpointSlice::Port& port) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "name") member.read(port.name);
    if (key == "port") member.read(port.port);
    if (key == "protocol") member.read(port.protocol);
  });
}

void readEndpoint(JsonNode& node, EndpointSlice::Endpoint& endpoint) {
  std::optional<bool> serving;
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "addresses") member.read(endpoint.addresses);
    if (key != "conditions") return;
    member.fields([&](std::string_view name, JsonNode& condition) {
      if (name == "ready") condition.read(endpoint.ready);
      if (name == "serving") condition.read(serving.emplace());
      if (name == "terminating") condition.read(endpoint.terminating);
    });
  });
  // EndpointConditions.serving: unknown is to be read as ready is.
  endpoint.serving = serving.value_or(endpoint.ready);
}

// A member of data (base64) or stringData (as it is; manifests only), which wins as it does in the
// API server.
struct SecretValue {
  std::string text;
  bool plain = false;

  void read(JsonNode& node, bool is_plain, std::string_view name, std::string& problem) {
    if (plain && !is_plain) return;
    std::string raw;
    node.read(raw);
    plain = is_plain;
    if (is_plain) {
      text = std::move(raw);
      return;
    }
    if (auto decoded = decodeBase64(raw))
      text = *std::move(decoded);
    else
      problem = "data of " + std::string(name) + " is not base64";
  }
};

}  // namespace

bool ObjectDecoder::decode(std::string_view json, Service& object, Problems& problems) {
  Labels labels, annotations;
  std::string type;
  std::vector<std::string> cluster, balancer;
  const Impl::Extras extras{&labels, &annotations, nullptr};
  const bool fine =
      impl_->read(json, object.meta, extras, problems, [&](std::string_view part, JsonNode& spec) {
        if (part == "status") readBalancer(spec, balancer);
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "type") member.read(type);
          if (key == "clusterIPs") member.read(cluster);
          if (key == "externalName") member.read(object.external_name);
          if (key == "ports")
            member.items(
                [&](JsonNode& item) { readServicePort(item, object.ports.emplace_back()); });
        });
      });
  object.external = type == "ExternalName";
  const auto take = [](const std::vector<std::string>& from, std::vector<std::string>& to) {
    for (const std::string& address : from) {
      // "None" of a headless Service is no place to reach it at.
      if (address.empty() || address == "None") continue;
      std::string canonical = canonicalIp(address);
      to.push_back(canonical.empty() ? address : std::move(canonical));
    }
  };
  take(type == "LoadBalancer" ? balancer : cluster, object.addresses);
  if (!object.external) take(cluster, object.cluster_addresses);
  object.gateway = generatedFor(object.meta.name_space, labels, annotations);
  for (auto& [name, value] : annotations)
    if (name == kProxyAnnotation) object.proxy_protocol = std::move(value);
  return fine;
}

bool ObjectDecoder::decode(std::string_view json, EndpointSlice& object, Problems& problems) {
  Labels labels;
  const bool fine = impl_->read(
      json, object.meta, &labels, problems, [&](std::string_view key, JsonNode& member) {
        if (key == "addressType") member.read(object.address_type);
        if (key == "ports")
          member.items([&](JsonNode& item) { readSlicePort(item, object.ports.emplace_back()); });
        if (key == "endpoints")
          member.items(
              [&](JsonNode& item) { readEndpoint(item, object.endpoints.emplace_back()); });
      });
  for (auto& [name, value] : labels)
    if (name == "kubernetes.io/service-name") object.service = std::move(value);
  return fine;
}

bool ObjectDecoder::decode(std::string_view json, Secret& object, Problems& problems) {
  SecretValue chain, key;
  const bool fine =
      impl_->read(json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& data) {
        const bool plain = part == "stringData";
        if (!plain && part != "data") return;
        data.fields([&](std::string_view name, JsonNode& member) {
          if (name == "tls.crt") chain.read(member, plain, name, object.problem);
          if (name == "tls.key") key.read(member, plain, name, object.problem);
        });
      });
  object.chain_pem = std::move(chain.text);
  object.private_pem = std::move(key.text);
  return fine;
}

}  // namespace hyperway::gateway
