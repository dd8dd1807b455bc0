// SPDX-License-Identifier: Apache-2.0
#include "plugin/model_batch.hpp"

#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "plugin/json_string.hpp"
#include "route/model_json.hpp"

namespace hyperway::plugin {
namespace {

namespace ondemand = simdjson::ondemand;

void appendKeys(std::string& out, std::string_view name, const std::vector<std::string>& keys) {
  out += ",\"";
  out += name;
  out += "\":[";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i != 0) out += ',';
    appendJsonString(out, keys[i]);
  }
  out += ']';
}

void appendText(std::string& out, std::string_view name, std::string_view value) {
  out += '"';
  out += name;
  out += "\":";
  appendJsonString(out, value);
}

void appendPairs(std::string& out, std::string_view name,
                 const std::vector<std::pair<std::string, std::string>>& pairs) {
  out += ",\"";
  out += name;
  out += "\":{";
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i != 0) out += ',';
    appendJsonString(out, pairs[i].first);
    out += ':';
    appendJsonString(out, pairs[i].second);
  }
  out += '}';
}

void appendGateway(std::string& out, const route::Gateway& gateway) {
  out += '{';
  appendText(out, "namespace", gateway.name_space);
  out += ',';
  appendText(out, "name", gateway.name);
  out += ',';
  appendText(out, "uid", gateway.uid);
  out += ",\"generation\":" + std::to_string(gateway.generation);
  out += ",\"created\":" + std::to_string(gateway.created);
  out += gateway.accepted ? ",\"accepted\":true" : ",\"accepted\":false";
  appendPairs(out, "labels", gateway.labels);
  appendPairs(out, "annotations", gateway.annotations);
  appendKeys(out, "addresses", gateway.addresses);
  if (gateway.cluster_only) out += R"(,"clusterOnly":true)";
  out += ",\"ports\":[";
  for (std::size_t i = 0; i < gateway.ports.size(); ++i) {
    out += i != 0 ? ",{\"port\":" : "{\"port\":";
    out += std::to_string(gateway.ports[i].port) + ',';
    appendText(out, "protocol", gateway.ports[i].protocol);
    out += '}';
  }
  out += "],\"parameters\":[";
  for (const route::Gateway::Parameters& one : gateway.parameters) {
    out += out.back() == '[' ? "{" : ",{";
    appendText(out, "owner", one.owner);
    out += ',';
    appendText(out, "group", one.group);
    out += ',';
    appendText(out, "kind", one.kind);
    out += ',';
    appendText(out, "namespace", one.name_space);
    out += ',';
    appendText(out, "name", one.name);
    out += '}';
  }
  out += "]}";
}

void appendGateways(std::string& out, const route::ModelBatch& batch) {
  out += "\"gateways\":[";
  for (std::size_t i = 0; i < batch.gateways.size(); ++i) {
    if (i != 0) out += ',';
    appendGateway(out, batch.gateways[i]);
  }
  out += ']';
  appendKeys(out, "removedGateways", batch.removed_gateways);
}

std::string optionalText(ondemand::object& object, std::string_view name) {
  auto field = object.find_field_unordered(name);
  if (field.error() == simdjson::NO_SUCH_FIELD) return {};
  return std::string(std::string_view(field.get_string().value()));
}

bool optionalBoolean(ondemand::object& object, std::string_view name, bool fallback) {
  auto field = object.find_field_unordered(name);
  return field.error() == simdjson::NO_SUCH_FIELD ? fallback : bool(field.get_bool().value());
}

}  // namespace

void ModelBatchWriter::remember(const route::ModelBatch& batch) {
  if (batch.full) {
    ports_.clear();
    upstreams_.clear();
    routes_.clear();
    users_.clear();
    asking_.clear();
  }
  again_.clear();
  asking_again_.clear();
  const auto touch = [&](const std::string& key) {
    if (const auto found = users_.find(key); found != users_.end())
      again_.insert(found->second.begin(), found->second.end());
  };
  const auto touch_asking = [&](const std::string& upstream) {
    for (const auto& [key, listener] : asking_)
      for (const route::Filter& filter : listener.filters)
        if (std::find(filter.upstreams.begin(), filter.upstreams.end(), upstream) !=
            filter.upstreams.end())
          asking_again_.insert(key);
  };
  for (const std::string& key : batch.removed_listeners) {
    ports_.erase(key);
    asking_.erase(key);
  }
  for (const std::string& key : batch.removed_upstreams) upstreams_.erase(key);
  for (const route::Listener& listener : batch.listeners) {
    std::uint16_t& port = ports_[listener.key];
    if (port != listener.port) touch(listener.key);
    port = listener.port;
    asking_.erase(listener.key);
  }
  for (const route::Upstream& upstream : batch.upstreams) {
    route::Upstream now{upstream.key, upstream.protocol, upstream.balance,
                        {},           upstream.tls,      upstream.proxy_header};
    const auto [known, is_new] = upstreams_.try_emplace(upstream.key);
    if (is_new || !route::sameUpstream(known->second, now)) {
      touch(upstream.key);
      touch_asking(upstream.key);
    }
    known->second = std::move(now);
  }
  for (const route::Listener& listener : batch.listeners)
    if (std::any_of(listener.filters.begin(), listener.filters.end(),
                    [](const route::Filter& filter) { return !filter.upstreams.empty(); }))
      asking_.emplace(listener.key, listener);
  for (const std::string& key : batch.removed_routes) forget(key);
  for (const route::Route& route : batch.routes) keep(route);
}

void ModelBatchWriter::keep(const route::Route& route) {
  forget(route.key);
  for (const route::Attachment& attachment : route.attachments)
    users_[attachment.listener].insert(route.key);
  for (const route::Rule& rule : *route.rules)
    route::forEachUpstream(rule, [&](const std::string& key) { users_[key].insert(route.key); });
  routes_.emplace(route.key, route);
}

void ModelBatchWriter::forget(const std::string& key) {
  again_.erase(key);
  const auto found = routes_.find(key);
  if (found == routes_.end()) return;
  const auto drop = [&](const std::string& target) {
    const auto users = users_.find(target);
    if (users == users_.end()) return;
    users->second.erase(key);
    if (users->second.empty()) users_.erase(users);
  };
  for (const route::Attachment& attachment : found->second.attachments) drop(attachment.listener);
  for (const route::Rule& rule : *found->second.rules) route::forEachUpstream(rule, drop);
  routes_.erase(found);
}

std::string ModelBatchWriter::write(const route::ModelBatch& batch) {
  remember(batch);
  const route::UpstreamLookup upstreams = [this](const std::string& key) -> const route::Upstream* {
    const auto found = upstreams_.find(key);
    return found != upstreams_.end() ? &found->second : nullptr;
  };
  const route::PortLookup ports = [this](const std::string& key) -> std::uint16_t {
    const auto found = ports_.find(key);
    return found != ports_.end() ? found->second : std::uint16_t{0};
  };
  std::string out = "{\"listeners\":[";
  const auto append_listener = [&](const route::Listener& listener) {
    if (out.back() != '[') out += ',';
    out += route::snapshotListener(listener, upstreams);
  };
  for (const route::Listener& listener : batch.listeners) append_listener(listener);
  for (const std::string& key : asking_again_) append_listener(asking_.at(key));
  out += "],\"routes\":[";
  const auto append = [&](const route::Route& route) {
    out += out.back() != '[' ? ",{\"key\":" : "{\"key\":";
    appendJsonString(out, route.key);
    out += ",\"rules\":[" + route::snapshotRoute(route, upstreams, ports) + "]}";
  };
  for (const route::Route& route : batch.routes) append(route);
  for (const std::string& key : again_) append(routes_.at(key));
  out += ']';
  appendKeys(out, "removedListeners", batch.removed_listeners);
  appendKeys(out, "removedRoutes", batch.removed_routes);
  out += ',';
  appendGateways(out, batch);
  return out += '}';
}

std::string writeGateways(const route::ModelBatch& batch) {
  std::string out = "{";
  appendGateways(out, batch);
  return out += '}';
}

std::string writeStatuses(const gateway::StatusBatch& batch) {
  std::string out = "{\"statuses\":[";
  bool any = false;
  for (const gateway::ObjectStatus& status : batch.updated) {
    const bool wanted =
        status.kind.ends_with("Route") || status.kind == "Gateway" || status.kind == "GatewayClass";
    if (!wanted) continue;
    out += any ? ",{\"key\":" : "{\"key\":";
    any = true;
    appendJsonString(out, status.key());
    out += ",\"entries\":[" + gateway::toSnapshot(status) + "]}";
  }
  out += ']';
  appendKeys(out, "removedStatuses", batch.removed);
  return any || !batch.removed.empty() ? out + '}' : std::string();
}

Result<control::SinkReport, std::string> readSinkReport(std::uint64_t generation,
                                                        std::string_view json) {
  control::SinkReport out;
  out.generation = generation;
  if (json.empty()) return out;
  try {
    const simdjson::padded_string padded(json);
    ondemand::parser parser;
    ondemand::document document = parser.iterate(padded).value();
    ondemand::object root = document.get_object().value();
    out.refused = optionalBoolean(root, "refused", false);
    out.reason = optionalText(root, "reason");
    if (auto trouble = root.find_field_unordered("trouble");
        trouble.error() != simdjson::NO_SUCH_FIELD)
      out.trouble = std::string(std::string_view(trouble.get_string().value()));
    auto gateways = root.find_field_unordered("gateways");
    if (gateways.error() != simdjson::NO_SUCH_FIELD) {
      ondemand::array elements = gateways.get_array().value();
      for (auto element : elements) {
        ondemand::object item = element.get_object().value();
        gateway::GatewayReport report;
        report.gateway = optionalText(item, "name");
        report.reason = optionalText(item, "reason");
        report.parameters = optionalText(item, "parameters");
        out.gateways.push_back(std::move(report));
      }
    }
    auto listeners = root.find_field_unordered("listeners");
    if (listeners.error() == simdjson::NO_SUCH_FIELD) return out;
    // Named, because a range-for does not keep the temporaries behind .value() alive.
    ondemand::array elements = listeners.get_array().value();
    for (auto element : elements) {
      ondemand::object item = element.get_object().value();
      gateway::ListenerReport report;
      report.listener = optionalText(item, "name");
      report.programmed = optionalBoolean(item, "programmed", true);
      report.reason = optionalText(item, "reason");
      out.listeners.push_back(std::move(report));
    }
    return out;
  } catch (const simdjson::simdjson_error& error) {
    return fail(std::string("not a report: ") + error.what());
  }
}

}  // namespace hyperway::plugin
