// SPDX-License-Identifier: Apache-2.0
// Statuses of BackendTLSPolicies.
#include <algorithm>
#include <utility>

#include "gateway/backend_tls.hpp"
#include "gateway/backends.hpp"
#include "gateway/conditions.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {
namespace {

bool hasPort(const Service& service, const std::string& name) {
  return std::any_of(service.ports.begin(), service.ports.end(),
                     [&](const Service::Port& port) { return port.name == name; });
}

}  // namespace

void Translator::State::addAncestors(const BackendTlsPolicy& policy,
                                     const BackendTlsPolicy::Target& target,
                                     std::map<std::string, Verdict>& out) const {
  const std::string key = objectKey(policy.meta.name_space, target.service);
  const auto* service = store.find<Service>(key);
  Verdict missing;
  if (service == nullptr)
    missing = {"TargetNotFound", "/spec/targetRefs: Service " + key + " does not exist"};
  else if (!target.section.empty() && !hasPort(*service, target.section))
    missing = {"TargetNotFound",
               "/spec/targetRefs: Service " + key + " has no port named " + target.section};
  // Calls `add` with each verdict for what names the Service among `upstreams`.
  const auto judge = [&](const std::vector<std::string>& upstreams, const auto& add) {
    if (!missing.fine()) return add(missing);
    for (const std::string& upstream : upstreams) {
      if (serviceOfUpstream(upstream) != key) continue;
      const std::string port = portNameOf(*service, upstream);
      if (!target.section.empty() && target.section != port) continue;
      const BackendTlsPolicy* const winner = policyFor(store, key, port);
      const PolicyStanding standing = standingOf(policy, winner, key, port);
      if (standing == PolicyStanding::InForce) add(Verdict());
      if (standing == PolicyStanding::Conflict)
        add(Verdict{"Conflicted", "/spec/targetRefs: BackendTLSPolicy " + winner->meta.key() +
                                      ", which goes before this one, targets Service " + key +
                                      " too"});
    }
  };
  routes_by_service.forEach(key, [&](const RouteState& route) {
    judge(route.rules.dependencies.upstreams, [&](const Verdict& verdict) {
      for (const auto& [gateway, listener] : route.attached)
        if (gateways.contains(gateway)) out[gateway].keep(verdict);
    });
  });
  for (const auto& [name, gateway] : gateways)
    if (std::count(gateway.services.begin(), gateway.services.end(), key) > 0)
      judge(gateway.upstreams, [&](const Verdict& verdict) { out[name].keep(verdict); });
}

std::map<std::string, Verdict> Translator::State::ancestorsOf(
    const BackendTlsPolicy& policy) const {
  std::map<std::string, Verdict> found;
  for (const BackendTlsPolicy::Target& target : policy.targets) addAncestors(policy, target, found);
  return found;
}

void Translator::State::settlePolicies(Outcome& outcome) {
  for (const std::string& key : touched_policies) {
    const auto* policy = store.find<BackendTlsPolicy>(key);
    const auto ancestors =
        policy != nullptr ? ancestorsOf(*policy) : std::map<std::string, Verdict>();
    if (ancestors.empty()) {
      book.remove("BackendTLSPolicy/" + key, outcome.status);
      continue;
    }
    const PolicyState judged = judgePolicy(*policy, store, authorities, options.check_authorities);
    book.put(policyStatus(*policy, judged, ancestors), outcome.status);
  }
  touched_policies.clear();
}

}  // namespace hyperway::gateway
