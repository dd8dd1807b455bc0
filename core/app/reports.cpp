// SPDX-License-Identifier: Apache-2.0
#include "app/reports.hpp"

#include <set>

#include "app/json_text.hpp"
#include "route/model_json.hpp"

namespace hyperway::app {
namespace {

std::string conditionText(const std::string& indent, const gateway::Condition& condition) {
  std::string line = indent + condition.type;
  line.resize(std::max<std::size_t>(line.size() + 1, indent.size() + 20), ' ');
  line += condition.unknown ? "Unknown" : condition.status ? "True   " : "False  ";
  line += "  " + condition.reason;
  if (!condition.message.empty()) line += ": " + condition.message;
  return line + '\n';
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

}  // namespace

std::string statusesJson(const std::vector<gateway::ObjectStatus>& statuses,
                         std::string_view controller_name) {
  std::string out = "[";
  for (const gateway::ObjectStatus& status : statuses) {
    if (out.size() > 1) out += ",\n";
    out += "{\"kind\":" + jsonString(status.kind) + ",\"metadata\":{";
    if (!status.name_space.empty()) out += "\"namespace\":" + jsonString(status.name_space) + ',';
    out += "\"name\":" + jsonString(status.name) +
           "},\"status\":" + gateway::toJson(status, controller_name) + '}';
  }
  return out + "]\n";
}

std::string statusesText(const std::vector<gateway::ObjectStatus>& statuses) {
  std::string out;
  for (const gateway::ObjectStatus& status : statuses) {
    out += status.kind + ' ' + status.name_space + (status.name_space.empty() ? "" : "/") +
           status.name;
    if (!status.addresses.empty()) out += "  " + joined(status.addresses);
    out += '\n';
    for (const gateway::Condition& condition : status.conditions)
      out += conditionText("  ", condition);
    for (const gateway::ListenerStatus& listener : status.listeners) {
      out += "  listener " + listener.name + ", " + std::to_string(listener.attached_routes) +
             " routes\n";
      for (const gateway::Condition& condition : listener.conditions)
        out += conditionText("    ", condition);
    }
    for (const gateway::ParentStatus& parent : status.parents) {
      out += "  parent " + (parent.name_space.empty() ? "" : parent.name_space + '/') +
             parent.name + (parent.section_name.empty() ? "" : ", section " + parent.section_name) +
             (parent.port == 0 ? "" : ", port " + std::to_string(parent.port)) + '\n';
      for (const gateway::Condition& condition : parent.conditions)
        out += conditionText("    ", condition);
    }
    for (const gateway::ParentStatus& ancestor : status.ancestors) {
      out += "  Gateway " + ancestor.name_space + '/' + ancestor.name + '\n';
      for (const gateway::Condition& condition : ancestor.conditions)
        out += conditionText("    ", condition);
    }
  }
  return out.empty()
             ? "no object of ours has a status; is there a GatewayClass with our controllerName?\n"
             : out;
}

std::string pluginsText(const std::vector<plugin::PluginInfo>& plugins) {
  std::string out;
  for (const plugin::PluginInfo& info : plugins) {
    out += info.name + "  " + info.id + ' ' + info.version + ", ABI " + info.abi_version + '\n';
    out += "  from " + info.origin + (info.sha256.empty() ? "" : ", sha256 " + info.sha256) + '\n';
    if (!info.filters.empty()) out += "  filters: " + joined(info.filters) + '\n';
    if (!info.sources.empty()) out += "  sources: " + joined(info.sources) + '\n';
    if (!info.sinks.empty()) out += "  sinks: " + joined(info.sinks) + '\n';
  }
  return out.empty() ? "no plugin is loaded\n" : out;
}

std::string tableText(const route::RouteTable& table) {
  std::string out = "generation " + std::to_string(table.generation()) + ", " +
                    std::to_string(table.ruleCount()) + " rules\n";
  for (const auto& group : table.groups()) {
    out += group->bind().address + " port " + std::to_string(group->bind().port) + ' ' +
           route::protocolText(group->protocol()) + '\n';
    for (const auto& listener : group->listeners())
      out += "  " + listener->model().key + ", port " + std::to_string(listener->model().port) +
             ", hostname " +
             (listener->model().hostname.empty() ? "any" : listener->model().hostname) + '\n';
  }
  return out;
}

std::string configText(const route::Compiler& compiler) {
  const auto sortedKeys = [](const route::SlotMap& slots) {
    std::set<std::string> keys;
    for (const auto& slot : slots.list()) keys.insert(slot->key());
    return keys;
  };
  std::string out = tableText(*compiler.current()) + "rules\n";
  for (const std::string& rule : sortedKeys(compiler.statsSlots())) out += "  " + rule + '\n';
  out += "upstreams\n";
  for (const std::string& key : sortedKeys(compiler.upstreamSlots())) {
    const auto upstream = compiler.upstream(key);
    if (!upstream) continue;
    out += "  " + key + ", " +
           (upstream->balance == route::Balance::LeastRequest ? "least_request" : "round_robin") +
           (upstream->endpoints.empty() ? ", no endpoint is ready" : "");
    for (const route::Endpoint& endpoint : upstream->endpoints) {
      const bool v6 = endpoint.address.find(':') != std::string::npos;
      out += (v6 ? " [" + endpoint.address + "]:" : ' ' + endpoint.address + ':') +
             std::to_string(endpoint.port);
    }
    out += '\n';
  }
  return out;
}

}  // namespace hyperway::app
