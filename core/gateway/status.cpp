// SPDX-License-Identifier: Apache-2.0
#include "gateway/status.hpp"

#include <algorithm>
#include <array>

#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

// Builds JSON text; a comma goes before every member or element but the first of its container.
class JsonWriter {
 public:
  void open(char bracket) {
    comma();
    text_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    text_ += bracket;
    first_ = false;
  }
  void key(std::string_view name) {
    comma();
    quote(name);
    text_ += ':';
    first_ = true;
  }
  void value(std::string_view value) {
    comma();
    quote(value);
  }
  void value(std::int64_t number) {
    comma();
    text_ += std::to_string(number);
  }
  void flag(std::string_view name, bool value) {
    key(name);
    comma();
    text_ += value ? "true" : "false";
  }
  void member(std::string_view name, std::string_view text) {
    key(name);
    value(text);
  }
  void memberIf(std::string_view name, std::string_view text) {
    if (!text.empty()) member(name, text);
  }
  std::string take() { return std::move(text_); }

 private:
  void comma() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  void quote(std::string_view value) {
    constexpr std::string_view kHex = "0123456789abcdef";
    text_ += '"';
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') text_ += '\\';
      if (byte >= 0x20) {
        text_ += c;
        continue;
      }
      text_ += "\\u00";
      text_ += kHex[byte >> 4];
      text_ += kHex[byte & 15];
    }
    text_ += '"';
  }

  std::string text_;
  bool first_ = true;
};

void write(JsonWriter& out, const std::vector<Condition>& conditions) {
  out.key("conditions");
  out.open('[');
  for (const Condition& condition : conditions) {
    out.open('{');
    out.member("type", condition.type);
    out.member("status", condition.unknown ? "Unknown" : condition.status ? "True" : "False");
    out.member("reason", condition.reason);
    out.member("message", condition.message);
    out.key("observedGeneration");
    out.value(condition.observed_generation);
    out.close('}');
  }
  out.close(']');
}

void writeKinds(JsonWriter& out, const ListenerStatus& listener) {
  out.key("supportedKinds");
  out.open('[');
  for (const std::string& kind : listener.supported_kinds) {
    out.open('{');
    out.member("group", "gateway.networking.k8s.io");
    out.member("kind", kind);
    out.close('}');
  }
  out.close(']');
}

void write(JsonWriter& out, const ListenerStatus& listener) {
  out.open('{');
  out.member("name", listener.name);
  writeKinds(out, listener);
  out.key("attachedRoutes");
  out.value(listener.attached_routes);
  write(out, listener.conditions);
  out.close('}');
}

void write(JsonWriter& out, std::string_view ref_name, const ParentStatus& parent,
           std::string_view controller_name) {
  out.open('{');
  out.key(ref_name);
  out.open('{');
  out.memberIf("group", parent.group);
  out.memberIf("kind", parent.kind);
  out.memberIf("namespace", parent.name_space);
  out.member("name", parent.name);
  out.memberIf("sectionName", parent.section_name);
  if (parent.port != 0) {
    out.key("port");
    out.value(parent.port);
  }
  out.close('}');
  out.memberIf("controllerName", controller_name);
  write(out, parent.conditions);
  out.close('}');
}

void writeListeners(JsonWriter& out, const ObjectStatus& status) {
  out.key("listeners");
  out.open('[');
  for (const ListenerStatus& listener : status.listeners) write(out, listener);
  out.close(']');
}

void writeGateway(JsonWriter& out, const ObjectStatus& status) {
  out.key("addresses");
  out.open('[');
  const auto write = [&](const std::string& address, std::string_view routability) {
    out.open('{');
    out.member("type", isIpLiteral(address) ? "IPAddress" : "Hostname");
    out.member("value", address);
    out.memberIf("routability", routability);
    out.close('}');
  };
  for (const std::string& address : status.addresses) write(address, "");
  // Said only to who has asked for it: older definitions lack the field.
  for (const std::string& address : status.cluster_addresses) write(address, "Cluster");
  out.close(']');
  writeListeners(out, status);
  if (status.attached_sets == 0) return;
  out.key("attachedListenerSets");
  out.value(status.attached_sets);
}

// "accepted", "acceptedReason", "acceptedMessage" out of the condition `type`.
void writeVerdict(JsonWriter& out, const std::vector<Condition>& conditions, std::string_view type,
                  const std::string& name) {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [&](const Condition& one) { return one.type == type; });
  if (found == conditions.end()) return;
  out.flag(name, found->status && !found->unknown);
  out.member(name + "Reason", found->reason);
  out.member(name + "Message", found->message);
}

void writeGeneration(JsonWriter& out, const std::vector<Condition>& conditions) {
  if (conditions.empty()) return;
  out.key("observedGeneration");
  out.value(conditions.front().observed_generation);
}

void writeDiagnostic(JsonWriter& out, const ObjectStatus& route, const ParentStatus& parent) {
  if (route.kind != "HTTPRoute") out.member("routeKind", route.kind);
  out.member("routeNamespace", route.name_space);
  out.member("routeName", route.name);
  out.member("parentGroup",
             parent.group.empty() ? std::string_view("gateway.networking.k8s.io") : parent.group);
  out.member("parentKind", parent.kind.empty() ? std::string_view("Gateway") : parent.kind);
  out.member("parentName", parent.name);
  out.memberIf("parentNamespace", parent.name_space);
  const std::size_t slash = parent.gateway.find('/');
  if (!parent.gateway.empty()) {
    out.member("gatewayNamespace", parent.gateway.substr(0, slash));
    out.member("gatewayName", parent.gateway.substr(slash + 1));
  }
  out.memberIf("parentSectionName", parent.section_name);
  if (parent.port != 0) {
    out.key("parentPort");
    out.value(parent.port);
  }
  writeVerdict(out, parent.conditions, "Accepted", "accepted");
  writeVerdict(out, parent.conditions, "ResolvedRefs", "resolvedRefs");
  writeGeneration(out, parent.conditions);
}

// Of a Gateway or ListenerSet; the listener's name is what follows its Gateway in its key.
void writeListener(JsonWriter& out, const ObjectStatus& owner, const ListenerStatus& listener) {
  const bool set = owner.kind == "ListenerSet";
  const std::size_t slash = owner.gateway.find('/');
  out.member("gatewayNamespace", set ? owner.gateway.substr(0, slash) : owner.name_space);
  out.member("gatewayName", set ? owner.gateway.substr(slash + 1) : owner.name);
  out.member("listenerName",
             (set ? owner.name_space + '/' + owner.name + '/' : "") + listener.name);
  out.key("attachedRoutes");
  out.value(listener.attached_routes);
  writeKinds(out, listener);
  writeVerdict(out, listener.conditions, "Accepted", "accepted");
  writeGeneration(out, listener.conditions);
}

}  // namespace

std::string toSnapshot(const ObjectStatus& status) {
  std::string all;
  const auto add = [&](auto&& write) {
    JsonWriter out;
    out.open('{');
    write(out);
    out.close('}');
    all += (all.empty() ? "" : ",") + out.take();
  };
  if (status.kind.ends_with("Route"))
    for (const ParentStatus& parent : status.parents)
      add([&](JsonWriter& out) { writeDiagnostic(out, status, parent); });
  if (status.kind == "Gateway" || status.kind == "ListenerSet")
    for (const ListenerStatus& listener : status.listeners)
      add([&](JsonWriter& out) { writeListener(out, status, listener); });
  if (status.kind == "GatewayClass")
    add([&](JsonWriter& out) {
      out.member("name", status.name);
      writeVerdict(out, status.conditions, "Accepted", "accepted");
      out.key("supportedFeatures");
      out.open('[');
      for (const std::string& feature : status.supported_features) out.value(feature);
      out.close(']');
      writeGeneration(out, status.conditions);
    });
  return all;
}

std::string toJson(const ObjectStatus& status, std::string_view controller_name) {
  JsonWriter out;
  out.open('{');
  if (!status.conditions.empty()) write(out, status.conditions);
  if (status.kind == "Gateway") writeGateway(out, status);
  if (status.kind == "ListenerSet") writeListeners(out, status);
  if (status.kind == "GatewayClass") {
    out.key("supportedFeatures");
    out.open('[');
    for (const std::string& feature : status.supported_features) {
      out.open('{');
      out.member("name", feature);
      out.close('}');
    }
    out.close(']');
  }
  if (status.kind.ends_with("Route")) {
    out.key("parents");
    out.open('[');
    for (const ParentStatus& parent : status.parents)
      write(out, "parentRef", parent, controller_name);
    out.close(']');
  }
  if (status.kind == "BackendTLSPolicy") {
    out.key("ancestors");
    out.open('[');
    for (const ParentStatus& ancestor : status.ancestors)
      write(out, "ancestorRef", ancestor, controller_name);
    out.close(']');
  }
  if (status.kind == "RouteSnapshot") {
    out.member("checksum", status.checksum);
    out.key("refused");
    out.open('[');
    for (const Refusal& refusal : status.refused) {
      out.open('{');
      out.member("name", refusal.name);
      out.member("reason", refusal.reason);
      out.close('}');
    }
    out.close(']');
  }
  out.close('}');
  return out.take();
}

Health healthOf(const Condition& condition) {
  constexpr std::array<std::string_view, 4> kFaults = {
      "Conflicted", "PartiallyInvalid", "OverlappingTLSConfig", "hyperway.arloor.dev/KindsMissing"};
  const bool names_fault =
      std::find(kFaults.begin(), kFaults.end(), condition.type) != kFaults.end();
  if (condition.unknown) return Health::Pending;
  if (condition.status != names_fault) return Health::Good;
  // What is served in part, or about to be, is no outage.
  if (condition.type == "PartiallyInvalid" || condition.type == "OverlappingTLSConfig" ||
      condition.reason == "Pending")
    return Health::Pending;
  return Health::Failing;
}

void forEachProblem(
    const ObjectStatus& status,
    const std::function<void(const std::string& place, const Condition& condition)>& visit) {
  const auto visitAll = [&](const std::string& place, const std::vector<Condition>& conditions) {
    for (const Condition& condition : conditions)
      if (healthOf(condition) != Health::Good) visit(place, condition);
  };
  visitAll({}, status.conditions);
  for (const ListenerStatus& listener : status.listeners)
    visitAll(listener.name, listener.conditions);
  for (const auto* parents : {&status.parents, &status.ancestors})
    for (const ParentStatus& parent : *parents) {
      const std::string& name_space =
          parent.name_space.empty() ? status.name_space : parent.name_space;
      visitAll(name_space + '/' + parent.name +
                   (parent.section_name.empty() ? "" : '/' + parent.section_name),
               parent.conditions);
    }
}

Health healthOf(const ObjectStatus& status) {
  Health worst = status.refused.empty() ? Health::Good : Health::Failing;
  const auto take = [&](const std::vector<Condition>& conditions) {
    for (const Condition& condition : conditions) worst = std::max(worst, healthOf(condition));
  };
  take(status.conditions);
  for (const ListenerStatus& listener : status.listeners) take(listener.conditions);
  for (const ParentStatus& parent : status.parents) take(parent.conditions);
  for (const ParentStatus& ancestor : status.ancestors) take(ancestor.conditions);
  return worst;
}

}  // namespace hyperway::gateway
