// SPDX-License-Identifier: Apache-2.0
#include "gateway/addresses.hpp"

#include <algorithm>
#include <optional>

#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

// spec.addresses, taken apart.
struct Wanted {
  std::vector<std::string> values;          // canonical
  bool any = false;                         // an IP address without a value
  std::vector<std::string> cluster_values;  // the same with routability Cluster
  bool any_cluster = false;
  Verdict accepted;
  Verdict programmed;
};

// GatewayAddressRoutabilityType: Cluster is the address of a Service within its cluster.
std::string routabilityProblem(const std::string& routability, const TranslateOptions& options) {
  if (routability.empty()) return {};
  if (routability != "Cluster") return "must be empty or Cluster, not " + routability;
  return options.gateway_addresses == AddressSource::Bound
             ? "is not to be had where addresses do not come from Services"
             : std::string();
}

Wanted read(const Gateway& gateway, const TranslateOptions& options) {
  Wanted wanted;
  for (std::size_t i = 0; i < gateway.addresses.size(); ++i) {
    const AddressSpec& address = gateway.addresses[i];
    const std::string here = "/spec/addresses/" + std::to_string(i);
    const bool cluster = !address.routability.empty();
    if (address.type != "IPAddress")
      wanted.accepted.keep(
          {"UnsupportedAddress", here + "/type: only IPAddress is supported, not " + address.type});
    else if (std::string problem = routabilityProblem(address.routability, options);
             !problem.empty())
      wanted.accepted.keep({"UnsupportedAddress", here + "/routability: " + problem});
    else if (!address.value)
      (cluster ? wanted.any_cluster : wanted.any) = true;
    else if (std::string value = canonicalIp(*address.value); !value.empty())
      (cluster ? wanted.cluster_values : wanted.values).push_back(std::move(value));
    else
      wanted.programmed.keep(
          {"AddressNotUsable", here + "/value: '" + *address.value + "' is not an IP address"});
  }
  return wanted;
}

// The addresses of a Service, as far as the Gateway asks for them.
void publish(const Wanted& wanted, const Service* service, const TranslateOptions& options,
             GatewayAddresses& result) {
  auto& published = result.published.emplace();
  if (service == nullptr) {
    if (options.gateway_addresses == AddressSource::Merged)
      result.programmed = {"AddressNotAssigned", "there is no Service " + options.gateway_service +
                                                     ", which the configuration names"};
    else
      result.programmed = {wanted.any ? "AddressNotAssigned" : "Pending",
                           "the Service of this Gateway has not been made yet"};
    return;
  }
  const std::string name = "Service " + service->meta.key();
  const auto take = [&](const std::vector<std::string>& has, const std::vector<std::string>& values,
                        bool any, std::string_view kind, std::vector<std::string>& out) {
    const auto in = [](const std::vector<std::string>& list, const std::string& value) {
      return std::find(list.begin(), list.end(), value) != list.end();
    };
    for (const std::string& value : values)
      if (!in(has, value))
        result.programmed.keep(
            {"AddressNotUsable", name + " has not got " + std::string(kind) + ' ' + value});
    if (has.empty())
      result.programmed.keep(
          {"AddressNotAssigned", name + " has no " + std::string(kind) + " yet"});
    for (const std::string& address : has)
      if (any || in(values, address)) out.push_back(address);
  };
  const bool cluster = wanted.any_cluster || !wanted.cluster_values.empty();
  if (cluster)
    take(service->cluster_addresses, wanted.cluster_values, wanted.any_cluster, "cluster address",
         result.cluster);
  if (!cluster || wanted.any || !wanted.values.empty())
    take(service->addresses, wanted.values, wanted.any || wanted.values.empty(), "address",
         published);
}

TargetPorts targetsOf(const Service& service) {
  TargetPorts targets;
  const auto valid = [](std::int64_t port) { return port >= 1 && port <= 65535; };
  for (const Service::Port& port : service.ports)
    if ((port.protocol == "TCP" || port.protocol == "UDP") && valid(port.port) &&
        valid(port.target))
      targets.emplace(std::pair(static_cast<std::uint16_t>(port.port), port.protocol == "UDP"),
                      static_cast<std::uint16_t>(port.target));
  return targets;
}

std::vector<route::Bind> configuredBinds(std::uint16_t port, const TranslateOptions& options) {
  if (const auto found = options.listen_map.find(port); found != options.listen_map.end())
    return found->second;
  std::vector<route::Bind> binds;
  for (const std::string& address : options.default_addresses) binds.push_back({address, port});
  return binds;
}

bool covers(const std::string& configured, const std::string& address) {
  if (isWildcardIp(configured)) return isIpv6(configured) == isIpv6(address);
  return canonicalIp(configured) == address;
}

bool isInPool(const TranslateOptions& options, const std::string& address) {
  return std::any_of(options.address_pool.begin(), options.address_pool.end(),
                     [&](const std::string& entry) { return canonicalIp(entry) == address; });
}

}  // namespace

GatewayAddresses AddressAssigner::assign(const Gateway& gateway, const TranslateOptions& options,
                                         const Service* service) {
  Wanted wanted = read(gateway, options);
  GatewayAddresses result;
  if (options.gateway_addresses != AddressSource::Bound) {
    if (wanted.accepted.fine()) publish(wanted, service, options, result);
    if (service != nullptr && hasServices(options.gateway_addresses))
      result.targets = targetsOf(*service);
    result.assigned = wanted.accepted.fine();
    result.accepted = std::move(wanted.accepted);
    if (!wanted.programmed.fine()) result.programmed = std::move(wanted.programmed);
    return result;
  }
  if (wanted.accepted.fine() && !options.address_pool.empty())
    result =
        assignFromPool(gateway, wanted.values, wanted.any || gateway.addresses.empty(), options);
  if (options.address_pool.empty())
    for (const std::string& address : wanted.values) {
      const bool usable = std::all_of(
          gateway.listeners.begin(), gateway.listeners.end(), [&](const ListenerSpec& l) {
            const auto port =
                static_cast<std::uint16_t>(std::clamp<std::int64_t>(l.port, 0, 65535));
            return !bindsOf(port, {address}, options).empty();
          });
      if (usable)
        result.bound.push_back(address);
      else
        result.programmed.keep(
            {"AddressNotUsable", "the configuration does not let Gateways use address " + address});
    }
  result.accepted = std::move(wanted.accepted);
  if (!wanted.programmed.fine()) result.programmed = std::move(wanted.programmed);
  const bool none_usable =
      !gateway.addresses.empty() && result.bound.empty() && !result.programmed.fine();
  if (none_usable || !result.accepted.fine()) result.assigned = false;
  return result;
}

GatewayAddresses AddressAssigner::assignFromPool(const Gateway& gateway,
                                                 const std::vector<std::string>& wanted, bool any,
                                                 const TranslateOptions& options) {
  GatewayAddresses result;
  const std::string key = gateway.meta.key();
  std::optional<std::string> kept;
  for (const auto& [address, owner] : taken_)
    if (owner == key && std::find(wanted.begin(), wanted.end(), address) == wanted.end())
      kept = address;
  release(key);
  for (const std::string& address : wanted) {
    if (!isInPool(options, address))
      result.programmed.keep(
          {"AddressNotUsable", "address " + address + " is not in the configured address pool"});
    else if (const auto [entry, free] = taken_.try_emplace(address, key);
             !free && entry->second != key)
      result.programmed.keep(
          {"AddressNotUsable", "address " + address + " is in use by another Gateway"});
    else
      result.bound.push_back(address);
  }
  if (!any) {
    result.assigned = !result.bound.empty();
    return result;
  }
  const auto take = [&](const std::string& address) {
    if (address.empty() || !taken_.try_emplace(address, key).second) return false;
    result.bound.push_back(address);
    return true;
  };
  bool found = kept && isInPool(options, *kept) && take(*kept);
  for (const std::string& entry : options.address_pool) found = found || take(canonicalIp(entry));
  if (!found)
    result.programmed.keep(
        {"AddressNotAssigned",
         "the address pool is exhausted: add addresses to it, or remove Gateways"});
  result.assigned = !result.bound.empty();
  return result;
}

void AddressAssigner::release(const std::string& key) {
  std::erase_if(taken_, [&](const auto& entry) { return entry.second == key; });
}

std::vector<route::Bind> bindsOf(std::uint16_t port, const std::vector<std::string>& bound,
                                 const TranslateOptions& options) {
  std::vector<route::Bind> binds;
  const std::vector<route::Bind> configured = configuredBinds(port, options);
  if (bound.empty()) {
    binds = configured;
  } else if (!options.address_pool.empty()) {
    // The map says which port stands for the one in the spec; the address is the Gateway's own.
    const std::uint16_t mapped = configured.empty() ? port : configured.front().port;
    for (const std::string& address : bound) binds.push_back({address, mapped});
  } else {
    for (const std::string& address : bound)
      for (const route::Bind& bind : configured)
        if (covers(bind.address, address)) binds.push_back({address, bind.port});
  }
  std::sort(binds.begin(), binds.end());
  binds.erase(std::unique(binds.begin(), binds.end()), binds.end());
  return binds;
}

}  // namespace hyperway::gateway
