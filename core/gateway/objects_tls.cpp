// SPDX-License-Identifier: Apache-2.0
// BackendTLSPolicy, ConfigMap and ClusterTrustBundle: how peers are verified.
#include "gateway/base64.hpp"
#include "gateway/objects_impl.hpp"

namespace hyperway::gateway {
namespace {

void readTarget(JsonNode& node, BackendTlsPolicy& policy) {
  BackendTlsPolicy::Target target;
  std::string group, kind;
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "group") member.read(group);
    if (key == "kind") member.read(kind);
    if (key == "name") member.read(target.service);
    if (key == "sectionName") member.read(target.section);
  });
  if (group.empty() && kind == "Service") policy.targets.push_back(std::move(target));
}

void readAltName(JsonNode& node, BackendTlsPolicy::AltName& name) {
  std::string hostname, uri;
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "type") member.read(name.type);
    if (key == "hostname") member.read(hostname);
    if (key == "uri") member.read(uri);
  });
  name.value = name.type == "URI" ? std::move(uri) : std::move(hostname);
}

void readValidation(JsonNode& node, BackendTlsPolicy& policy) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "caCertificateRefs")
      member.items([&](JsonNode& item) { readObjectRef(item, policy.authorities.emplace_back()); });
    if (key == "wellKnownCACertificates") member.read(policy.well_known);
    if (key == "hostname") member.read(policy.hostname);
    if (key == "subjectAltNames")
      member.items([&](JsonNode& item) { readAltName(item, policy.alt_names.emplace_back()); });
  });
}

}  // namespace

bool ObjectDecoder::decode(std::string_view json, BackendTlsPolicy& object, Problems& problems) {
  return impl_->read(
      json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "targetRefs")
            return member.items([&](JsonNode& item) { readTarget(item, object); });
          std::vector<std::string>* const outer = member.redirect(&object.problems);
          if (key == "validation") readValidation(member, object);
          if (key == "options")
            member.fields(
                [&](std::string_view name, JsonNode&) { object.options.emplace_back(name); });
          member.redirect(outer);
        });
      });
}

bool ObjectDecoder::decode(std::string_view json, ConfigMap& object, Problems& problems) {
  return impl_->read(json, object.meta, nullptr, problems,
                     [&](std::string_view part, JsonNode& data) {
                       const bool plain = part == "data";
                       if (!plain && part != "binaryData") return;
                       data.fields([&](std::string_view name, JsonNode& member) {
                         if (name != "ca.crt") return;
                         std::string text;
                         member.read(text);
                         if (plain) {
                           object.ca_pem = std::move(text);
                           return;
                         }
                         if (auto decoded = decodeBase64(text))
                           object.ca_pem = *std::move(decoded);
                         else
                           object.problem = "has a ca.crt that is not base64";
                       });
                     });
}

bool ObjectDecoder::decode(std::string_view json, ClusterTrustBundle& object, Problems& problems) {
  return impl_->read(json, object.meta, nullptr, problems,
                     [&](std::string_view part, JsonNode& spec) {
                       if (part != "spec") return;
                       spec.fields([&](std::string_view name, JsonNode& member) {
                         if (name == "trustBundle") member.read(object.ca_pem);
                       });
                     });
}

}  // namespace hyperway::gateway
