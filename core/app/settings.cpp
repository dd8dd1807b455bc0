// SPDX-License-Identifier: Apache-2.0
#include "app/settings.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "app/config_keys.hpp"
#include "app/config_values.hpp"

namespace hyperway::app {
namespace {

// Readers of a checked document: what is there has its type.
template <class Take>
void with(const ConfigNode& map, std::string_view name, Take&& take) {
  const ConfigNode* found = map.find(name);
  if (found != nullptr && !(found->type == ConfigNode::Type::Null && found->text.empty()))
    take(*found);
}

template <class T>
void number(const ConfigNode& map, std::string_view name, T& out) {
  with(map, name, [&](const ConfigNode& node) {
    const char* begin = node.text.data() + (node.text.front() == '+' ? 1 : 0);
    (void)std::from_chars(begin, node.text.data() + node.text.size(), out);  // Checked.
  });
}

void text(const ConfigNode& map, std::string_view name, std::string& out) {
  with(map, name, [&](const ConfigNode& node) { out = node.text; });
}

void flag(const ConfigNode& map, std::string_view name, bool& out) {
  with(map, name, [&](const ConfigNode& node) { out = node.json() == "true"; });
}

void duration(const ConfigNode& map, std::string_view name, std::chrono::milliseconds& out) {
  with(map, name, [&](const ConfigNode& node) { out = parseDuration(node.text).value_or(out); });
}

std::vector<std::string> texts(const ConfigNode& node) {
  std::vector<std::string> out;
  if (node.isScalar()) return {node.text};
  for (const ConfigNode& item : node.items) out.push_back(item.text);
  return out;
}

void list(const ConfigNode& map, std::string_view name, std::vector<std::string>& out) {
  with(map, name, [&](const ConfigNode& node) { out = texts(node); });
}

std::string jsonOf(const ConfigNode& map, std::string_view name) {
  std::string out = "{}";
  with(map, name, [&](const ConfigNode& node) { out = node.json(); });
  return out;
}

void readTranslation(const ConfigNode& document, gateway::TranslateOptions& out) {
  text(document, "controller_name", out.controller_name);
  list(document, "addresses", out.default_addresses);
  list(document, "address_pool", out.address_pool);
  list(document, "external_name_namespaces", out.external_name_namespaces);
  with(document, "gateways", [&](const ConfigNode& node) {
    std::string source;
    text(node, "addresses", source);
    out.gateway_addresses = source == "services"   ? gateway::AddressSource::Services
                            : source == "deployed" ? gateway::AddressSource::Deployed
                            : source == "merged"   ? gateway::AddressSource::Merged
                                                   : gateway::AddressSource::Bound;
    text(node, "service", out.gateway_service);
  });
  with(document, "listen", [&](const ConfigNode& node) {
    out.listen_map.clear();
    for (const auto& member : node.members)
      for (const std::string& one : texts(member.value))
        out.listen_map[parsePort(member.name).value_or(0)].push_back(
            parseEndpoint(one).value_or(route::Bind{}));
  });
  with(document, "default_endpoints", [&](const ConfigNode& node) {
    out.default_endpoints.clear();
    for (const auto& member : node.members)
      for (const std::string& one : texts(member.value)) {
        const route::Bind bind = parseEndpoint(one).value_or(route::Bind{});
        out.default_endpoints[member.name].push_back({bind.address, bind.port});
      }
  });
  with(document, "balance", [&](const ConfigNode& node) {
    out.balance.clear();
    for (const auto& member : node.members)
      out.balance[member.name] = member.value.text == "least_request" ? route::Balance::LeastRequest
                                                                      : route::Balance::RoundRobin;
  });
  with(document, "filter_namespaces", [&](const ConfigNode& node) {
    out.filter_namespaces.clear();
    for (const auto& member : node.members)
      out.filter_namespaces[member.name] = texts(member.value);
  });
}

void readProxy(const ConfigNode& document, proxy::ProxySettings& out) {
  number(document, "workers", out.workers);
  flag(document, "trace_context", out.trace_context);
  flag(document, "health_on_data_ports", out.health_on_data_ports);
  with(document, "limits", [&](const ConfigNode& limits) {
    number(limits, "connections", out.connections);
    number(limits, "head_bytes", out.limits.head_bytes);
    number(limits, "fields", out.limits.fields);
    number(limits, "uri_bytes", out.limits.target_bytes);
    number(limits, "body_bytes", out.body_bytes);
    number(limits, "hold_bytes", out.hold_bytes);
    number(limits, "replay_bytes", out.replay_bytes);
    number(limits, "udp_sessions", out.udp_sessions);
  });
  with(document, "timeouts", [&](const ConfigNode& timeouts) {
    duration(timeouts, "header", out.client.head);
    duration(timeouts, "idle", out.client.idle);
    duration(timeouts, "body", out.client.body);
    duration(timeouts, "write", out.client.write);
    duration(timeouts, "handshake", out.tls_handshake);
    duration(timeouts, "request", out.request);
    duration(timeouts, "connect", out.upstream.connect);
    duration(timeouts, "response", out.upstream.response);
    duration(timeouts, "write", out.upstream.write);
    duration(timeouts, "upstream_idle", out.upstream.idle);
    duration(timeouts, "tunnel", out.client.tunnel);
    duration(timeouts, "tunnel", out.upstream.tunnel);
    duration(timeouts, "udp_idle", out.udp_idle);
    duration(timeouts, "flow", out.flow_idle);
  });
  with(document, "proxy_protocol", [&](const ConfigNode& node) {
    out.header_ports.clear();
    out.header_trusted = {};
    with(node, "ports", [&](const ConfigNode& ports) {
      for (const std::string& one : texts(ports))
        out.header_ports.push_back(parsePort(one).value_or(0));
    });
    with(node, "trusted", [&](const ConfigNode& trusted) {
      for (const std::string& one : texts(trusted)) (void)out.header_trusted.add(one);  // Checked.
    });
    std::sort(out.header_ports.begin(), out.header_ports.end());
  });
  with(document, "trusted_proxies", [&](const ConfigNode& node) {
    out.trusted = {};
    for (const std::string& one : texts(node)) (void)out.trusted.add(one);  // Checked.
  });
}

std::vector<InstanceSpec> instances(const ConfigNode& node) {
  std::vector<InstanceSpec> out;
  for (const ConfigNode& item : node.items) {
    InstanceSpec spec;
    text(item, "plugin", spec.plugin);
    spec.config_json = jsonOf(item, "config");
    spec.line = item.line;
    out.push_back(std::move(spec));
  }
  return out;
}

void readPlugins(const ConfigNode& document, Settings& out) {
  with(document, "sources", [&](const ConfigNode& node) { out.sources = instances(node); });
  with(document, "sinks", [&](const ConfigNode& node) {
    out.sinks = instances(node);
    const auto proxies =
        std::erase_if(out.sinks, [](const InstanceSpec& spec) { return spec.plugin == "proxy"; });
    out.serves = out.sinks.empty() || proxies > 0;
  });
  with(document, "plugins", [&](const ConfigNode& node) {
    out.plugins.clear();
    for (const ConfigNode& item : node.items) {
      plugin::PluginSpec spec;
      text(item, "name", spec.name);
      text(item, "path", spec.path);
      text(item, "sha256", spec.sha256);
      with(item, "config", [&](const ConfigNode& config) { spec.config_json = config.json(); });
      if (spec.name.empty()) spec.name = std::filesystem::path(spec.path).stem().string();
      out.plugins.push_back(std::move(spec));
    }
  });
}

void addChanged(const std::vector<Key>& keys, const ConfigNode& before, const ConfigNode& after,
                const std::string& prefix, std::vector<ChangedKey>& out) {
  const ConfigNode empty;
  for (const Key& key : keys) {
    const ConfigNode* old = before.find(key.name);
    const ConfigNode* now = after.find(key.name);
    if (old == nullptr) old = &empty;
    if (now == nullptr) now = &empty;
    if (old->json() == now->json()) continue;
    if (key.type == KeyType::Object)
      addChanged(key.members, *old, *now, prefix + key.name + '.', out);
    else
      out.push_back({prefix + key.name, key.live});
  }
}

}  // namespace

void readSettings(const ConfigNode& document, Settings& settings) {
  readProxy(document, settings.proxy);
  readTranslation(document, settings.translate);
  readPlugins(document, settings);
  with(document, "access_log", [&](const ConfigNode& node) {
    std::string format = "off";
    text(node, "format", format);
    settings.access_log = format == "json"   ? observe::AccessLogFormat::Json
                          : format == "text" ? observe::AccessLogFormat::Text
                                             : observe::AccessLogFormat::Off;
    text(node, "path", settings.access_log_path);
  });
  with(document, "admin", [&](const ConfigNode& node) {
    with(node, "address",
         [&](const ConfigNode& address) { settings.admin = parseEndpoint(address.text); });
    text(node, "socket", settings.admin_socket);
    with(node, "loopback",
         [&](const ConfigNode& address) { settings.admin_loopback = parseEndpoint(address.text); });
  });
  with(document, "drain", [&](const ConfigNode& node) {
    duration(node, "delay", settings.drain_delay);
    duration(node, "deadline", settings.drain_deadline);
  });
  with(document, "upgrade",
       [&](const ConfigNode& node) { duration(node, "deadline", settings.upgrade_deadline); });
  with(document, "log", [&](const ConfigNode& node) {
    text(node, "level", settings.log_level);
    text(node, "path", settings.log_path);
  });
}

std::optional<ConfigNode> readConfigFile(const std::string& path,
                                         std::vector<ConfigProblem>& problems) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  if (in) content << in.rdbuf();
  if (!in || content.fail()) {
    problems.push_back(
        {path, 0, "", std::string("cannot be read: ") + std::strerror(errno), false});
    return std::nullopt;
  }
  std::error_code ignored;  // A path that cannot be made absolute is used as it is.
  auto folder = std::filesystem::absolute(path, ignored).parent_path();
  std::vector<ConfigProblem> found;
  ConfigNode document = parseConfigText(content.str(), path, folder.string(), found);
  if (found.empty()) checkConfig(document, path, found);
  const bool good = found.empty();
  problems.insert(problems.end(), found.begin(), found.end());
  if (!good) return std::nullopt;
  return document;
}

std::vector<ChangedKey> changedKeys(const ConfigNode& before, const ConfigNode& after) {
  std::vector<ChangedKey> out;
  addChanged(configKeys(), before, after, "", out);
  return out;
}

// The cores this process may use: a container's CPU set counts, the machine's size does not.
unsigned coreCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<unsigned>(CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace hyperway::app
