// SPDX-License-Identifier: Apache-2.0
#include "gateway/known_fields.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/nearest.hpp"
#include "gateway/object_reader.hpp"
#include "gateway/objects.hpp"

namespace hyperway::gateway {
namespace {

// Fields of a kind, written "name name{members} name@PART". A list has the members of its elements;
// what has no members written is not looked into. PART is one of kParts.
struct Text {
  std::string_view name, fields;
};

constexpr Text kParts[] = {
    {"meta",
     "name generateName namespace labels annotations uid resourceVersion generation "
     "creationTimestamp deletionTimestamp deletionGracePeriodSeconds finalizers ownerReferences "
     "managedFields selfLink"},
    {"ref", "group kind namespace name"},
    {"local", "group kind name"},
    {"parent", "group kind namespace name sectionName port"},
    {"backend", "group kind namespace name port"},
    {"selector", "matchLabels matchExpressions{key operator values}"},
    {"value", "type name value"},
    {"headers", "set{name value} add{name value} remove"},
    {"path", "type replaceFullPath replacePrefixMatch"},
    {"validation", "caCertificateRefs@ref mode"},
    {"auth",
     "protocol backendRef@backend grpc{allowedHeaders} "
     "http{path allowedHeaders allowedResponseHeaders} forwardBody{maxSize}"},
    {"filter",
     "type requestHeaderModifier@headers responseHeaderModifier@headers "
     "requestMirror{backendRef@backend percent fraction{numerator denominator}} "
     "requestRedirect{scheme hostname path@path port statusCode} urlRewrite{hostname path@path} "
     "cors{allowOrigins allowCredentials allowMethods allowHeaders exposeHeaders maxAge} "
     "externalAuth@auth extensionRef@local"},
    {"call",
     "type requestHeaderModifier@headers responseHeaderModifier@headers "
     "requestMirror{backendRef@backend percent fraction{numerator denominator}} "
     "extensionRef@local"},
    {"flow", "name backendRefs{group kind namespace name port weight}"},
    {"session",
     "absoluteTimeout cookie{name path lifetimeType} header{name} type "
     "sessionName idleTimeout cookieConfig{lifetimeType}"},
    {"listener",
     "name hostname port protocol allowedRoutes{namespaces{from selector@selector} "
     "kinds{group kind}} tls{mode certificateRefs@ref options} "
     "filters{requests{type extensionRef@local externalAuth@auth}}"},
};

// The fields beside apiVersion, kind, metadata and status.
struct KindText {
  std::string_view group, kind, fields;
};

constexpr KindText kKinds[] = {
    {kGatewayGroup, "GatewayClass", "spec{controllerName parametersRef@ref description}"},
    {kGatewayGroup, "Gateway",
     "spec{gatewayClassName listeners@listener addresses{type value routability} "
     "infrastructure{labels annotations parametersRef@local} "
     "allowedListeners{namespaces{from selector@selector}} defaultScope "
     "tls{backend{clientCertificateRef@ref} "
     "frontend{default{validation@validation} perPort{port tls{validation@validation}}}}}"},
    {kGatewayGroup, "HTTPRoute",
     "spec{parentRefs@parent useDefaultGateways hostnames rules{name "
     "matches{path{type value} headers@value queryParams@value method} filters@filter "
     "backendRefs{group kind namespace name port weight filters@filter} "
     "timeouts{request backendRequest} retry{codes attempts backoff} "
     "sessionPersistence@session}}"},
    {kGatewayGroup, "GRPCRoute",
     "spec{parentRefs@parent useDefaultGateways hostnames rules{name "
     "matches{method{type service method} headers@value} filters@call "
     "backendRefs{group kind namespace name port weight filters@call} "
     "sessionPersistence@session}}"},
    {kGatewayGroup, "TLSRoute", "spec{parentRefs@parent useDefaultGateways hostnames rules@flow}"},
    {kGatewayGroup, "TCPRoute", "spec{parentRefs@parent useDefaultGateways rules@flow}"},
    {kGatewayGroup, "UDPRoute", "spec{parentRefs@parent useDefaultGateways rules@flow}"},
    {kGatewayGroup, "ListenerSet", "spec{parentRef@ref listeners@listener}"},
    {kGatewayGroup, "BackendTLSPolicy",
     "spec{targetRefs{group kind name sectionName} options "
     "validation{caCertificateRefs@local wellKnownCACertificates hostname "
     "subjectAltNames{type hostname uri}}}"},
    {kGatewayGroup, "ReferenceGrant", "spec{from{group kind namespace} to{group kind name}}"},
    {"", "Service",
     "spec{ports{name protocol appProtocol port targetPort nodePort} selector clusterIP clusterIPs "
     "type externalIPs sessionAffinity sessionAffinityConfig loadBalancerIP "
     "loadBalancerSourceRanges loadBalancerClass allocateLoadBalancerNodePorts externalName "
     "externalTrafficPolicy internalTrafficPolicy healthCheckNodePort publishNotReadyAddresses "
     "ipFamilies ipFamilyPolicy trafficDistribution}"},
    {"", "Secret", "type data stringData immutable"},
    {"", "ConfigMap", "data binaryData immutable"},
    {kCertificatesGroup, "ClusterTrustBundle", "spec{signerName trustBundle}"},
    {"", "Namespace", "spec{finalizers}"},
    {"discovery.k8s.io", "EndpointSlice",
     "addressType ports{name protocol port appProtocol} endpoints{addresses "
     "conditions{ready serving terminating} hostname targetRef deprecatedTopology nodeName zone "
     "hints}"},
    {kHyperwayGroup, "Filter",
     "spec{plugin config backendRefs{group kind namespace name port protocol}}"},
};

struct Fields;
using FieldsPtr = std::shared_ptr<const Fields>;

struct Fields {
  std::map<std::string, FieldsPtr, std::less<>> members;  // null: not looked into
};

FieldsPtr parse(std::string_view& text) {
  auto out = std::make_shared<Fields>();
  while (!text.empty()) {
    if (text.front() == ' ') {
      text.remove_prefix(1);
      continue;
    }
    if (text.front() == '}') {
      text.remove_prefix(1);
      break;
    }
    const std::size_t end = std::min(text.find_first_of(" {}@"), text.size());
    FieldsPtr& member = out->members[std::string(text.substr(0, end))];
    text.remove_prefix(end);
    if (text.starts_with('{')) {
      text.remove_prefix(1);
      member = parse(text);
    } else if (text.starts_with('@')) {
      const std::size_t stop = std::min(text.find_first_of(" {}"), text.size());
      const std::string_view part = text.substr(1, stop - 1);
      text.remove_prefix(stop);
      for (const Text& one : kParts)
        if (std::string_view fields = one.fields; one.name == part) member = parse(fields);
    }
  }
  return out;
}

FieldsPtr fieldsOf(const KindText& kind) {
  std::string text = "apiVersion kind metadata@meta status " + std::string(kind.fields);
  std::string_view rest = text;
  return parse(rest);
}

void walk(JsonNode& node, const Fields& known, std::vector<Problem>& out);

// A list is looked into element by element; what has another type than expected is told by whoever
// decodes it.
void descend(JsonNode& node, const Fields& known, std::vector<Problem>& out) {
  if (node.isArray())
    node.items([&](JsonNode& item) { walk(item, known, out); });
  else
    walk(node, known, out);
}

void walk(JsonNode& node, const Fields& known, std::vector<Problem>& out) {
  node.fields([&](std::string_view key, JsonNode& member) {
    const auto found = known.members.find(key);
    if (found != known.members.end()) {
      if (found->second) descend(member, *found->second, out);
      return;
    }
    std::vector<std::string> names;
    for (const auto& [name, fields] : known.members) names.push_back(name);
    const std::string near = nearest(key, names);
    out.push_back({member.place().text(),
                   "unknown field \"" + std::string(key) + "\"" +
                       (near.empty() ? "" : "; did you mean \"" + near + "\"?"),
                   Severity::Warning});
  });
}

}  // namespace

std::vector<Problem> unknownFields(std::string_view group, std::string_view kind,
                                   std::string_view json) {
  static const std::map<std::pair<std::string_view, std::string_view>, FieldsPtr> trees = [] {
    std::map<std::pair<std::string_view, std::string_view>, FieldsPtr> made;
    for (const KindText& one : kKinds) made.emplace(std::pair(one.group, one.kind), fieldsOf(one));
    return made;
  }();
  std::vector<Problem> out;
  const auto tree = trees.find({group, kind});
  if (tree == trees.end()) return out;
  const simdjson::padded_string padded(json);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::value root;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_value().get(root) != simdjson::SUCCESS)
    return out;
  // What is wrong beside unknown fields is told by who decodes the object.
  std::vector<std::string> ignored;
  JsonTrouble trouble{&ignored, &ignored};
  JsonNode node(root, {}, trouble);
  walk(node, *tree->second, out);
  return out;
}

}  // namespace hyperway::gateway
