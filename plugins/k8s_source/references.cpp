// SPDX-License-Identifier: Apache-2.0
#include "references.hpp"

#include "hyperway/sdk/json.hpp"
#include "kinds.hpp"

namespace hyperway::k8s_source {
namespace {

using sdk::json::Parser;
using sdk::json::Value;

const Value& at(const Value& object, std::string_view name) {
  static const Value none;
  const Value* found = object.find(name);
  return found != nullptr ? *found : none;
}

class Collector {
 public:
  Collector(std::string_view name_space, std::vector<References::Target>& out)
      : name_space_(name_space), out_(out) {}

  // `kind`: the one that can be referred to there. What names another is refused, and is not read:
  // whoever may write a policy must not make us fetch a Secret.
  void add(const Value& reference, const char* kind) {
    const std::string& group = at(reference, "group").text();
    const std::string& said = at(reference, "kind").text();
    const std::string& name = at(reference, "name").text();
    const std::string& where = at(reference, "namespace").text();
    if (!group.empty() || name.empty() || (!said.empty() && said != kind)) return;
    out_.push_back({kind, (where.empty() ? name_space_ : where) + '/' + name});
  }
  void addAll(const Value& references, const char* kind) {
    for (const Value& reference : references.items()) add(reference, kind);
  }
  // Trust anchors: of a ConfigMap, or of the whole cluster.
  void addAuthorities(const Value& references) {
    addAll(references, "ConfigMap");
    for (const Value& reference : references.items()) {
      const std::string& name = at(reference, "name").text();
      if (at(reference, "group").text() == kCertificatesGroup && !name.empty() &&
          at(reference, "kind").text() == "ClusterTrustBundle")
        out_.push_back({"ClusterTrustBundle", '/' + name});
    }
  }

 private:
  std::string name_space_;
  std::vector<References::Target>& out_;
};

std::vector<References::Target> ofListeners(const Value& spec, std::string_view name_space) {
  std::vector<References::Target> out;
  Collector collect(name_space, out);
  for (const Value& listener : at(spec, "listeners").items())
    collect.addAll(at(at(listener, "tls"), "certificateRefs"), "Secret");
  return out;
}

std::vector<References::Target> ofGateway(const Value& spec, std::string_view name_space) {
  std::vector<References::Target> out = ofListeners(spec, name_space);
  Collector collect(name_space, out);
  const Value& tls = at(spec, "tls");
  collect.add(at(at(tls, "backend"), "clientCertificateRef"), "Secret");
  const Value& frontend = at(tls, "frontend");
  const auto validation = [&](const Value& settings) {
    collect.addAuthorities(at(at(settings, "validation"), "caCertificateRefs"));
  };
  validation(at(frontend, "default"));
  for (const Value& port : at(frontend, "perPort").items()) validation(at(port, "tls"));
  return out;
}

}  // namespace

void References::put(std::string_view kind, const std::string& key, std::string_view name_space,
                     std::string_view spec) {
  if (kind != "GatewayClass" && kind != "Gateway" && kind != "ListenerSet" &&
      kind != "BackendTLSPolicy")
    return;
  const auto parsed = Parser::parse(spec);
  const auto* value = std::get_if<Value>(&parsed);
  if (value == nullptr) return remove(kind, key);
  if (kind == "GatewayClass") {
    const std::string name = key.substr(key.find('/') + 1);
    const bool ours = at(*value, "controllerName").text() == controller_name_;
    changed_ |= ours ? classes_.insert(name).second : classes_.erase(name) > 0;
  } else if (kind == "Gateway") {
    putGateway(key, {at(*value, "gatewayClassName").text(),
                     at(at(at(*value, "allowedListeners"), "namespaces"), "from").text(),
                     ofGateway(*value, name_space)});
  } else if (kind == "ListenerSet") {
    const Value& parent = at(*value, "parentRef");
    const std::string& where = at(parent, "namespace").text();
    putSet(key,
           {(where.empty() ? std::string(name_space) : where) + '/' + at(parent, "name").text(),
            ofListeners(*value, name_space)});
  } else {
    std::vector<Target> targets;
    Collector(name_space, targets)
        .addAuthorities(at(at(*value, "validation"), "caCertificateRefs"));
    std::vector<Target>& known = policies_[key];
    changed_ |= known != targets;
    known = std::move(targets);
  }
}

void References::putGateway(const std::string& key, GatewayRefs refs) {
  GatewayRefs& known = gateways_[key];
  changed_ |= known != refs;
  known = std::move(refs);
}

void References::putSet(const std::string& key, SetRefs refs) {
  SetRefs& known = sets_[key];
  changed_ |= known != refs;
  known = std::move(refs);
}

// Whoever may write a ListenerSet must not make us fetch a Secret where no Gateway takes it. What a
// selector says is left to the translator.
bool References::mayTake(const std::string& set_key, const SetRefs& set) const {
  const auto gateway = gateways_.find(set.gateway);
  if (gateway == gateways_.end() || !classes_.contains(gateway->second.class_name)) return false;
  const std::string& from = gateway->second.sets_from;
  const auto space = [](const std::string& key) { return key.substr(0, key.find('/')); };
  return from == "All" || from == "Selector" ||
         (from == "Same" && space(set_key) == space(set.gateway));
}

void References::remove(std::string_view kind, const std::string& key) {
  if (kind == "GatewayClass") changed_ |= classes_.erase(key.substr(key.find('/') + 1)) > 0;
  if (kind == "Gateway") changed_ |= gateways_.erase(key) > 0;
  if (kind == "ListenerSet") changed_ |= sets_.erase(key) > 0;
  if (kind == "BackendTLSPolicy") changed_ |= policies_.erase(key) > 0;
}

std::set<References::Target> References::wanted() const {
  std::set<Target> out;
  for (const auto& [key, gateway] : gateways_)
    if (classes_.contains(gateway.class_name))
      out.insert(gateway.targets.begin(), gateway.targets.end());
  for (const auto& [key, set] : sets_)
    if (mayTake(key, set)) out.insert(set.targets.begin(), set.targets.end());
  for (const auto& [key, targets] : policies_) out.insert(targets.begin(), targets.end());
  return out;
}

}  // namespace hyperway::k8s_source
