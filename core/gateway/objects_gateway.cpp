// SPDX-License-Identifier: Apache-2.0
// Gateway and ListenerSet.
#include "gateway/objects_impl.hpp"

namespace hyperway::gateway {
namespace {

void readSelector(JsonNode& node, LabelSelector& selector) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "matchLabels") readLabels(member, selector.match_labels);
    if (key != "matchExpressions") return;
    member.items([&](JsonNode& item) {
      auto& expression = selector.expressions.emplace_back();
      item.fields([&](std::string_view name, JsonNode& value) {
        if (name == "key") value.read(expression.key);
        if (name == "operator") value.read(expression.op);
        if (name == "values") value.read(expression.values);
      });
      if (expression.op != "In" && expression.op != "NotIn" && expression.op != "Exists" &&
          expression.op != "DoesNotExist")
        item.problem("needs an operator In, NotIn, Exists or DoesNotExist");
    });
  });
}

// RouteNamespaces or ListenerNamespaces.
template <class Allowed>
void readAllowedNamespaces(JsonNode& node, Allowed& allowed) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "selector") readSelector(member, allowed.selector.emplace());
    if (key != "from") return;
    std::string from;
    member.read(from);
    if (from == "Same")
      allowed.from = RoutesFrom::Same;
    else if (from == "All")
      allowed.from = RoutesFrom::All;
    else if (from == "Selector")
      allowed.from = RoutesFrom::Selector;
    else if (from == "None")
      allowed.from = RoutesFrom::None;
    else
      member.problem("must be Same, All, Selector or None");
  });
}

void readAllowedRoutes(JsonNode& node, AllowedRoutes& allowed) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "namespaces") readAllowedNamespaces(member, allowed);
    if (key != "kinds") return;
    member.items([&](JsonNode& item) {
      auto& kind = allowed.kinds.emplace_back();
      item.fields([&](std::string_view name, JsonNode& value) {
        if (name == "group") value.read(kind.group);
        if (name == "kind") value.read(kind.kind);
      });
    });
  });
}

void readListenerTls(JsonNode& node, ListenerTls& tls) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "mode") member.read(tls.mode);
    if (key == "certificateRefs")
      member.items([&](JsonNode& item) { readObjectRef(item, tls.certificates.emplace_back()); });
    if (key == "options")
      member.fields([&](std::string_view name, JsonNode&) { tls.options.emplace_back(name); });
  });
}

void readListener(JsonNode& node, ListenerSpec& listener) {
  // The name is read as part of the Gateway: a listener without one cannot have a status of its
  // own.
  std::vector<std::string>* const outer = node.redirect(&listener.problems);
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "name") {
      member.redirect(outer);
      member.read(listener.name);
      member.redirect(&listener.problems);
    }
    if (key == "hostname") member.read(listener.hostname);
    if (key == "port") member.read(listener.port);
    if (key == "protocol") member.read(listener.protocol);
    if (key == "tls") readListenerTls(member, listener.tls.emplace());
    if (key == "allowedRoutes") readAllowedRoutes(member, listener.allowed);
    if (key == "filters")
      member.fields([&](std::string_view name, JsonNode& value) {
        if (name == "requests") readFilters(value, listener.filters);
      });
  });
  node.redirect(outer);
  if (listener.name.empty()) node.problem("needs a name");
  // Keys of listeners are cut at slashes.
  if (listener.name.find('/') != std::string::npos) node.problem("has a name with a slash in it");
}

void readAddress(JsonNode& node, AddressSpec& address) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "type") member.read(address.type);
    if (key == "value") member.read(address.value.emplace());
    if (key == "routability") member.read(address.routability);
  });
  if (address.value && address.value->empty()) address.value.reset();
}

// A TLSConfig: its validation, if there is one.
void readFrontendTls(JsonNode& node, std::optional<FrontendValidation>& validation) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key != "validation") return;
    FrontendValidation& made = validation.emplace();
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "caCertificateRefs")
        value.items([&](JsonNode& item) { readObjectRef(item, made.authorities.emplace_back()); });
      if (name == "mode") value.read(made.mode);
    });
  });
}

void readFrontend(JsonNode& node, Gateway& gateway) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "default") readFrontendTls(member, gateway.client_validation);
    if (key != "perPort") return;
    member.items([&](JsonNode& item) {
      PortValidation& made = gateway.client_validation_ports.emplace_back();
      item.fields([&](std::string_view name, JsonNode& value) {
        if (name == "port") value.read(made.port);
        if (name == "tls") readFrontendTls(value, made.validation);
      });
    });
  });
}

void readGatewayTls(JsonNode& node, Gateway& gateway) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "frontend") readFrontend(member, gateway);
    if (key != "backend") return;
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "clientCertificateRef")
        readObjectRef(value, gateway.client_certificate.emplace());
    });
  });
}

void readGatewaySpec(std::string_view key, JsonNode& member, Gateway& gateway) {
  if (key == "gatewayClassName") member.read(gateway.class_name);
  if (key == "listeners")
    member.items([&](JsonNode& item) { readListener(item, gateway.listeners.emplace_back()); });
  if (key == "addresses")
    member.items([&](JsonNode& item) { readAddress(item, gateway.addresses.emplace_back()); });
  if (key == "tls") readGatewayTls(member, gateway);
  if (key == "infrastructure")
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "parametersRef") readParameters(value, gateway.parameters.emplace());
      if (name == "labels") readLabels(value, gateway.infra_labels);
      if (name == "annotations") readLabels(value, gateway.infra_annotations);
    });
  if (key == "allowedListeners")
    member.fields([&](std::string_view name, JsonNode& value) {
      if (name == "namespaces") readAllowedNamespaces(value, gateway.allowed_listeners);
    });
  if (key == "defaultScope") {
    std::string scope;
    member.read(scope);
    gateway.default_scope = scope == "All";
  }
}

void checkListeners(const std::vector<ListenerSpec>& listeners, Problems& problems) {
  if (listeners.empty()) problems.add(JsonPointer("/spec"), "needs at least one listener");
  for (std::size_t i = 0; i < listeners.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (listeners[i].name == listeners[j].name)
        problems.add(JsonPointer("/spec/listeners") / i / "name",
                     "'" + listeners[i].name + "' is the name of another listener already");
}

}  // namespace

bool ObjectDecoder::decode(std::string_view json, Gateway& object, Problems& problems) {
  const Impl::Extras extras{nullptr, nullptr, &object.uid};
  const bool fine =
      impl_->read(json, object.meta, extras, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields(
            [&](std::string_view key, JsonNode& member) { readGatewaySpec(key, member, object); });
      });
  if (!fine) return false;
  if (object.class_name.empty()) problems.add(JsonPointer("/spec"), "needs a gatewayClassName");
  checkListeners(object.listeners, problems);
  return !problems.failed();
}

bool ObjectDecoder::decode(std::string_view json, ListenerSet& object, Problems& problems) {
  const bool fine =
      impl_->read(json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "parentRef") readParent(member, object.parent);
          if (key == "listeners")
            member.items(
                [&](JsonNode& item) { readListener(item, object.listeners.emplace_back()); });
        });
      });
  if (!fine) return false;
  if (object.parent.name.empty()) problems.add(JsonPointer("/spec"), "needs a parentRef");
  checkListeners(object.listeners, problems);
  return !problems.failed();
}

}  // namespace hyperway::gateway
