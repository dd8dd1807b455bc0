// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "fake_parser.hpp"
#include "gateway/translate.hpp"

namespace hyperway::gateway {

/// Text of JSON with ' for ", so that tests stay readable.
inline std::string json(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\'') c = '"';
  return out;
}

/// A Gateway API world under test: a translator, the model it came to, and shorthand for objects.
class World {
 public:
  explicit World(TranslateOptions options = {}) : translator(std::move(options), parser) {}

  /// Applies one object; `spec` is the text of its members beside metadata, with ' for ".
  void put(std::string_view kind, std::string_view name_space, std::string_view name,
           std::string_view members, std::string_view meta = "") {
    take(translator.apply({change(kind, name_space, name, members, meta)}));
  }
  void remove(std::string_view kind, std::string_view name_space, std::string_view name) {
    ObjectChange gone = change(kind, name_space, name, "", "");
    gone.json.clear();
    take(translator.apply({gone}));
  }

  [[nodiscard]] static ObjectChange change(std::string_view kind, std::string_view name_space,
                                           std::string_view name, std::string_view members,
                                           std::string_view meta) {
    ObjectChange made;
    made.group = groupOf(kind);
    made.kind = kind;
    made.name_space = name_space;
    made.name = name;
    made.json = json("{'metadata':{'name':'" + std::string(name) + "','namespace':'" +
                     std::string(name_space) + "'" + (meta.empty() ? "" : "," + std::string(meta)) +
                     "}" + (members.empty() ? "" : "," + std::string(members)) + "}");
    return made;
  }

  /// A class of ours, a Gateway "default/gw" with one HTTP listener "http" on port 80, a Service
  /// "default/web" with port 80 and one endpoint.
  void addBasics() {
    put("GatewayClass", "", "hyperway",
        "'spec':{'controllerName':'hyperway.arloor.dev/gateway-controller'}");
    addGateway("gw", "{'name':'http','port':80,'protocol':'HTTP'}");
    addService("default", "web");
  }
  void addGateway(std::string_view name, std::string_view list, std::string_view more = "",
                  std::string_view meta = "'generation':7") {
    put("Gateway", "default", name,
        "'spec':{'gatewayClassName':'hyperway','listeners':[" + std::string(list) + "]" +
            (more.empty() ? "" : "," + std::string(more)) + "}",
        meta);
  }
  void addService(std::string_view name_space, std::string_view name,
                  std::string_view address = "10.0.0.1") {
    put("Service", name_space, name,
        "'spec':{'ports':[{'name':'http','port':80,'targetPort':8080}]}");
    put("EndpointSlice", name_space, std::string(name) + "-1",
        "'addressType':'IPv4','ports':[{'name':'http','port':8080}],'endpoints':[{'addresses':['" +
            std::string(address) + "']}]",
        "'labels':{'kubernetes.io/service-name':'" + std::string(name) + "'}");
  }
  /// An HTTPRoute "default/NAME" with parent gw; `list` is the inside of rules.
  void addRoute(std::string_view name, std::string_view list, std::string_view more = "",
                std::string_view parents = "{'name':'gw'}") {
    put("HTTPRoute", "default", name,
        "'spec':{'parentRefs':[" + std::string(parents) + "],'rules':[" + std::string(list) + "]" +
            (more.empty() ? "" : "," + std::string(more)) + "}",
        "'generation':3");
  }

  /// A route "default/NAME" of any kind with parent gw; `list` is the inside of rules.
  void addKind(std::string_view kind, std::string_view name, std::string_view list,
               std::string_view more = "", std::string_view parents = "{'name':'gw'}",
               std::string_view meta = "'generation':3") {
    put(kind, "default", name,
        "'spec':{'parentRefs':[" + std::string(parents) + "],'rules':[" + std::string(list) + "]" +
            (more.empty() ? "" : "," + std::string(more)) + "}",
        meta);
  }

  /// Status of an object, or an empty one.
  [[nodiscard]] ObjectStatus status(std::string_view key) const {
    for (ObjectStatus& status : translator.statuses())
      if (status.key() == key) return status;
    return {};
  }
  /// "True Reason" of a condition in a list; empty if there is none.
  [[nodiscard]] static std::string show(const std::vector<Condition>& conditions,
                                        std::string_view type) {
    for (const Condition& c : conditions)
      if (c.type == type)
        return std::string(c.unknown ? "Unknown " : c.status ? "True " : "False ") + c.reason;
    return {};
  }
  [[nodiscard]] std::string gateway(std::string_view name, std::string_view type) const {
    return show(status("Gateway/default/" + std::string(name)).conditions, type);
  }
  [[nodiscard]] ListenerStatus listener(std::string_view gateway, std::string_view name) const {
    for (const ListenerStatus& listener :
         status("Gateway/default/" + std::string(gateway)).listeners)
      if (listener.name == name) return listener;
    return {};
  }
  [[nodiscard]] std::string listener(std::string_view gateway_name, std::string_view name,
                                     std::string_view type) const {
    return show(listener(gateway_name, name).conditions, type);
  }
  /// A condition of an HTTPRoute "default/NAME" for its parent number `parent`.
  [[nodiscard]] std::string route(std::string_view name, std::string_view type,
                                  std::size_t parent = 0) const {
    const auto parents = status("HTTPRoute/default/" + std::string(name)).parents;
    return parent < parents.size() ? show(parents[parent].conditions, type) : "no parent";
  }
  /// A condition of any route ("Kind/namespace/name") for its parent number `parent`.
  [[nodiscard]] std::string condition(std::string_view key, std::string_view type,
                                      std::size_t parent = 0) const {
    const auto parents = status(key).parents;
    return parent < parents.size() ? show(parents[parent].conditions, type) : "no parent";
  }
  [[nodiscard]] std::string message(std::string_view name, std::string_view type) const {
    const auto parents = status("HTTPRoute/default/" + std::string(name)).parents;
    if (parents.empty()) return "no parent";
    for (const Condition& c : parents[0].conditions)
      if (c.type == type) return c.message;
    return {};
  }
  /// The rules of a route in the model; null if it is not there.
  [[nodiscard]] const std::vector<route::Rule>* rules(std::string_view name) const {
    const auto found = routes.find("HTTPRoute/default/" + std::string(name));
    return found == routes.end() ? nullptr : found->second.rules.get();
  }

  /// Brings the model up to date; checks that batches keep their promise on the way.
  void take(Translator::Outcome outcome) {
    const auto merge = [](auto& map, const auto& removed, const auto& upserts) {
      for (const std::string& key : removed) {
        CHECK_MESSAGE(map.erase(key) == 1, "removed what was not there: " << key);
      }
      for (const auto& item : upserts) map.insert_or_assign(item.key, item);
    };
    merge(listeners, outcome.model.removed_listeners, outcome.model.listeners);
    merge(routes, outcome.model.removed_routes, outcome.model.routes);
    merge(upstreams, outcome.model.removed_upstreams, outcome.model.upstreams);
    merge(certificates, outcome.model.removed_certificates, outcome.model.certificates);
    for (const std::string& key : outcome.model.removed_gateways) {
      CHECK_MESSAGE(gateways.erase(key) == 1, "removed what was not there: " << key);
    }
    for (const route::Gateway& gateway : outcome.model.gateways)
      gateways.insert_or_assign(gateway.key(), gateway);
    last = std::move(outcome);
  }

  [[nodiscard]] static std::string groupOf(std::string_view kind) {
    if (kind == "Service" || kind == "Secret" || kind == "ConfigMap" || kind == "Namespace")
      return "";
    if (kind == "EndpointSlice") return "discovery.k8s.io";
    if (kind == "ClusterTrustBundle") return "certificates.k8s.io";
    return std::string(kind == "Filter" || kind == "RouteSnapshot" ? kHyperway : kGateway);
  }

  FakeParser parser;
  Translator translator;
  Translator::Outcome last;
  std::map<std::string, route::Listener> listeners;
  std::map<std::string, route::Route> routes;
  std::map<std::string, route::Upstream> upstreams;
  std::map<std::string, route::Certificate> certificates;
  std::map<std::string, route::Gateway> gateways;

 private:
  static constexpr std::string_view kHyperway = "hyperway.arloor.dev",
                                    kGateway = "gateway.networking.k8s.io";
};

/// A backendRef to the Service "web".
inline constexpr std::string_view kWeb = "{'backendRefs':[{'name':'web','port':80}]}";

}  // namespace hyperway::gateway
