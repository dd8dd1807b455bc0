// SPDX-License-Identifier: Apache-2.0
#include "gateway/conditions.hpp"

#include <algorithm>

#include "gateway/features.hpp"
#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

// Conditions hold 32768 bytes of message (metav1.Condition); a reader wants the first few findings.
constexpr std::size_t kMostFindings = 5;

// PolicyStatus.ancestors, maxItems.
constexpr std::size_t kMostAncestors = 16;

Condition condition(std::string type, const Verdict& verdict, const std::string& good_reason,
                    const std::string& good_message, std::int64_t generation) {
  Condition made;
  made.type = std::move(type);
  made.status = verdict.fine();
  made.reason = verdict.fine() ? good_reason : verdict.reason;
  made.message = verdict.fine() ? good_message : verdict.message;
  made.observed_generation = generation;
  return made;
}

// The reason of the first, the messages of all.
Verdict joined(const std::vector<Verdict>& findings, std::string_view prefix) {
  Verdict all;
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (i == 0) all.reason = findings[0].reason;
    if (i == kMostFindings) {
      all.message += "; and " + std::to_string(findings.size() - i) + " more";
      break;
    }
    all.message +=
        (i == 0 ? std::string() : std::string("; ")) + std::string(prefix) + findings[i].message;
  }
  return all;
}

ObjectStatus statusOf(std::string kind, const Meta& meta) {
  ObjectStatus status;
  status.kind = std::move(kind);
  status.name_space = meta.name_space;
  status.name = meta.name;
  status.generation = meta.generation;
  return status;
}

Verdict acceptedVerdict(const ListenerState& listener) {
  if (!listener.accepted.fine() || listener.conflicted.fine()) return listener.accepted;
  // CONTRACT: operators of older gateways know PortConflict for two protocols on one port. They
  // knew no ListenerSets.
  const bool protocol = listener.conflicted.reason == "ProtocolConflict" && listener.set.empty();
  return {protocol ? "PortConflict" : listener.conflicted.reason, listener.conflicted.message};
}

// Pending is neither True nor False: nobody knows yet.
Condition pending(std::string type, std::int64_t generation) {
  Condition made;
  made.type = std::move(type);
  made.unknown = true;
  made.reason = "Pending";
  made.message = "the data plane has not reported yet";
  made.observed_generation = generation;
  return made;
}

Condition listenerProgrammed(const ListenerState& listener, std::int64_t generation) {
  if (listener.served && listener.programming == Programming::Pending)
    return pending("Programmed", generation);
  Verdict verdict;
  if (listener.waiting && listener.accepted.fine() && listener.conflicted.fine())
    verdict = {"Pending", "the Gateway's Service has no target port for port " +
                              std::to_string(listener.port) + " yet"};
  else if (!listener.conflicted.fine() && !listener.set.empty())
    verdict = listener.conflicted;
  else if (!listener.served)
    verdict = {"Invalid",
               "the listener is not served; see its other conditions, and those of the Gateway"};
  else if (listener.programming == Programming::Failed)
    verdict = {"Invalid", listener.programming_reason};
  return condition("Programmed", verdict, "Programmed", "served", generation);
}

ListenerStatus listenerStatus(const ListenerState& listener, std::int64_t generation) {
  ListenerStatus status;
  status.name = listener.name;
  status.supported_kinds = listener.supported_kinds;
  status.attached_routes = listener.attached;
  auto& list = status.conditions;
  list.push_back(condition("Accepted", acceptedVerdict(listener), "Accepted", "", generation));
  list.push_back(listenerProgrammed(listener, generation));
  list.push_back(condition("ResolvedRefs", listener.resolved, "ResolvedRefs", "", generation));
  Condition conflicted =
      condition("Conflicted", listener.conflicted, "NoConflicts", "", generation);
  conflicted.status = !conflicted.status;
  list.push_back(std::move(conflicted));
  if (listener.overlaps)
    list.push_back(condition(
        "OverlappingTLSConfig", {}, "OverlappingHostnames",
        "the hostname overlaps with that of another HTTPS listener on this port", generation));
  return status;
}

// What is wrong with a Gateway itself, whatever its listeners are.
Verdict ownVerdict(const GatewayState& gateway) {
  Verdict verdict = gateway.accepted;
  if (!gateway.parameters.empty()) verdict.keep({"InvalidParameters", gateway.parameters});
  return verdict;
}

// A Gateway whose own listeners are no good still has those of its sets.
Condition gatewayAccepted(const GatewayState& gateway) {
  std::vector<Verdict> findings;
  bool any_valid = false;
  for (const ListenerState& listener : gateway.listeners) {
    const Verdict accepted = acceptedVerdict(listener);
    any_valid = any_valid || accepted.fine();
    if (!accepted.fine() && listener.set.empty()) findings.push_back(accepted);
  }
  Verdict verdict = ownVerdict(gateway);
  if (!any_valid)
    verdict.keep({"ListenersNotValid", "no listener is valid: " + joined(findings, "").message});
  Condition made = condition("Accepted", verdict, "Accepted", "", gateway.spec->meta.generation);
  if (verdict.fine() && !findings.empty()) {
    made.reason = "ListenersNotValid";
    made.message = "not all listeners are valid: " + joined(findings, "").message;
  }
  return made;
}

// Where a group of listeners stands with the data plane.
struct Progress {
  std::size_t served = 0, waiting = 0;
  std::vector<Verdict> failed, unplaced;

  void add(const ListenerState& listener) {
    if (!listener.served) {
      if (listener.waiting && listener.accepted.fine() && listener.conflicted.fine())
        unplaced.push_back({"Pending", "listener " + listener.name + " has no target port yet"});
      return;
    }
    ++served;
    if (listener.programming == Programming::Pending) ++waiting;
    if (listener.programming == Programming::Failed)
      failed.push_back(
          {"Invalid", "listener " + listener.name + ": " + listener.programming_reason});
  }
};

// Its own listeners, or, where none of them is served, those of its sets.
Progress progressOf(const GatewayState& gateway) {
  Progress own, sets;
  for (const ListenerState& listener : gateway.listeners)
    (listener.set.empty() ? own : sets).add(listener);
  return own.served > 0 || sets.served == 0 ? own : sets;
}

Condition gatewayProgrammed(const GatewayState& gateway, bool accepted) {
  const std::int64_t generation = gateway.spec->meta.generation;
  auto [served, waiting, failed, unplaced] = progressOf(gateway);
  Verdict verdict;
  if (!accepted) verdict = {"Invalid", "the Gateway is not accepted"};
  verdict.keep(gateway.addresses.programmed);
  if (served == 0) verdict.keep(joined(unplaced, ""));
  // Who could not make the Service knows better than who waits for it.
  if (accepted && !verdict.fine() && !gateway.deployment.empty())
    verdict.message = gateway.deployment;
  if (served == 0) verdict.keep({"Invalid", "no listener can be served; see their conditions"});
  if (verdict.fine() && waiting > 0) {
    Condition made = pending("Programmed", generation);
    if (!gateway.deployment.empty()) made.message = gateway.deployment;
    return made;
  }
  if (served > 0 && failed.size() == served) verdict.keep(joined(failed, ""));
  failed.insert(failed.end(), unplaced.begin(), unplaced.end());
  std::string note = failed.empty() ? "served" : "served, but for " + joined(failed, "").message;
  if (!gateway.deployment.empty()) note += "; " + gateway.deployment;
  return condition("Programmed", verdict, "Programmed", note, generation);
}

Verdict gatewayResolved(const GatewayState& gateway) {
  Verdict verdict = gateway.resolved;
  for (const ListenerState& listener : gateway.listeners)
    if (!listener.resolved.fine() && listener.set.empty())
      verdict.keep(
          {"ListenersNotResolved", "listener " + listener.name + ": " + listener.resolved.message});
  return verdict;
}

bool letsAnyClientPass(const Gateway& gateway) {
  const auto insecure = [](const std::optional<FrontendValidation>& validation) {
    return validation && validation->mode == "AllowInsecureFallback";
  };
  const auto& ports = gateway.client_validation_ports;
  return insecure(gateway.client_validation) ||
         std::any_of(ports.begin(), ports.end(),
                     [&](const PortValidation& port) { return insecure(port.validation); });
}

// A listener of a set as its set sees it: one that can never be served without somebody's doing.
Verdict entryVerdict(const ListenerState& listener) {
  Verdict verdict = acceptedVerdict(listener);
  if (!listener.hasCertificate()) verdict.keep(listener.resolved);
  return verdict;
}

Condition setAccepted(const GatewayState& gateway, const SetState& set) {
  const std::int64_t generation = set.meta.generation;
  Verdict verdict = set.accepted;
  if (const Verdict parent = ownVerdict(gateway); !parent.fine())
    verdict.keep({"ParentNotAccepted",
                  "Gateway " + gateway.spec->meta.key() + " is not accepted: " + parent.message});
  std::vector<Verdict> findings;
  bool any_valid = false;
  for (const ListenerState& listener : gateway.listenersOf(set)) {
    const Verdict found = entryVerdict(listener);
    any_valid = any_valid || found.fine();
    if (!found.fine()) findings.push_back(found);
  }
  if (!any_valid)
    verdict.keep({"ListenersNotValid", "no listener is valid: " + joined(findings, "").message});
  Condition made = condition("Accepted", verdict, "Accepted", "", generation);
  if (verdict.fine() && !findings.empty()) {
    made.reason = "ListenersNotValid";
    made.message = "not all listeners are valid: " + joined(findings, "").message;
  }
  return made;
}

Condition setProgrammed(const GatewayState& gateway, const SetState& set,
                        const Condition& accepted) {
  const std::int64_t generation = set.meta.generation;
  Progress progress;
  for (const ListenerState& listener : gateway.listenersOf(set)) progress.add(listener);
  auto& [served, waiting, failed, unplaced] = progress;
  Verdict verdict;
  if (!accepted.status) verdict = {accepted.reason, accepted.message};
  if (verdict.reason == "ParentNotAccepted") verdict.reason = "ParentNotProgrammed";
  const Verdict& addresses = gateway.addresses.programmed;
  if (!addresses.fine())
    verdict.keep(
        {"ParentNotProgrammed", "Gateway " + gateway.spec->meta.key() + ": " + addresses.message});
  if (served == 0) verdict.keep(joined(unplaced, ""));
  if (served == 0) verdict.keep({"Invalid", "no listener can be served; see their conditions"});
  if (verdict.fine() && waiting > 0) return pending("Programmed", generation);
  if (served > 0 && failed.size() == served) verdict.keep(joined(failed, ""));
  failed.insert(failed.end(), unplaced.begin(), unplaced.end());
  return condition("Programmed", verdict, "Programmed",
                   failed.empty() ? "served" : "served, but for " + joined(failed, "").message,
                   generation);
}

std::vector<std::string> addressesOf(const GatewayState& gateway) {
  if (gateway.addresses.published) return *gateway.addresses.published;
  std::vector<std::string> addresses;
  for (const ListenerState& listener : gateway.listeners)
    for (const route::Bind& bind : listener.model.binds)
      if (listener.served && !isWildcardIp(bind.address)) addresses.push_back(bind.address);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace

ObjectStatus classStatus(const GatewayClass& object, AddressSource addresses) {
  ObjectStatus status = statusOf("GatewayClass", object.meta);
  Verdict verdict;
  if (object.parameters && addresses != AddressSource::Deployed)
    verdict = {"InvalidParameters", "/spec/parametersRef: hyperway takes no parameters"};
  status.conditions.push_back(
      condition("Accepted", verdict, "Accepted", "", object.meta.generation));
  const auto features = supportedFeatures();
  status.supported_features.assign(features.begin(), features.end());
  if (hasServices(addresses)) {
    status.supported_features.emplace_back("GatewayInfrastructure");
    std::sort(status.supported_features.begin(), status.supported_features.end());
  }
  return status;
}

ObjectStatus gatewayStatus(const GatewayState& gateway) {
  ObjectStatus status = statusOf("Gateway", gateway.spec->meta);
  status.conditions.push_back(gatewayAccepted(gateway));
  const bool accepted = status.conditions.back().status;
  status.conditions.push_back(gatewayProgrammed(gateway, accepted));
  status.conditions.push_back(condition("ResolvedRefs", gatewayResolved(gateway), "ResolvedRefs",
                                        "", gateway.spec->meta.generation));
  if (letsAnyClientPass(*gateway.spec))
    status.conditions.push_back(
        condition("InsecureFrontendValidationMode", {}, "ConfigurationChanged",
                  "clients without a valid certificate pass: /spec/tls/frontend asks for "
                  "AllowInsecureFallback",
                  gateway.spec->meta.generation));
  if (gateway.is_default)  // GEP-3793: said by these alone
    status.conditions.push_back(condition("DefaultGateway", {}, "DefaultGateway",
                                          "Gateway has default scope All",
                                          gateway.spec->meta.generation));
  status.addresses = addressesOf(gateway);
  status.cluster_addresses = gateway.addresses.cluster;
  for (const ListenerState& listener : gateway.listeners)
    if (listener.set.empty())
      status.listeners.push_back(listenerStatus(listener, gateway.spec->meta.generation));
  for (const SetState& set : gateway.sets)
    if (setAccepted(gateway, set).status) ++status.attached_sets;
  return status;
}

ParentStatus parentStatus(const ParentRef& ref, const Verdict& attached, const RouteRules* rules,
                          std::int64_t generation) {
  ParentStatus status;
  status.group = ref.group.value_or("");
  status.kind = ref.kind;
  status.name_space = ref.name_space;
  status.name = ref.name;
  status.section_name = ref.section_name;
  status.port = ref.port;
  Verdict accepted = attached;
  if (rules != nullptr) accepted.keep(rules->accepted);
  const bool partial = rules != nullptr && accepted.fine() && !rules->dropped.empty();
  status.conditions.push_back(condition("Accepted", accepted, "Accepted", "", generation));
  if (rules == nullptr) return status;
  status.conditions.push_back(
      condition("ResolvedRefs", joined(rules->unresolved, ""), "ResolvedRefs", "", generation));
  if (partial)
    status.conditions.push_back(condition("PartiallyInvalid", {}, rules->dropped.front().reason,
                                          joined(rules->dropped, "Dropped Rule ").message,
                                          generation));
  return status;
}

ObjectStatus listenerSetStatus(const GatewayState& gateway, const SetState& set) {
  ObjectStatus status = statusOf("ListenerSet", set.meta);
  status.gateway = gateway.spec->meta.key();
  status.conditions.push_back(setAccepted(gateway, set));
  status.conditions.push_back(setProgrammed(gateway, set, status.conditions.back()));
  for (const ListenerState& listener : gateway.listenersOf(set))
    status.listeners.push_back(listenerStatus(listener, set.meta.generation));
  return status;
}

ObjectStatus policyStatus(const BackendTlsPolicy& policy, const PolicyState& judged,
                          const std::map<std::string, Verdict>& ancestors) {
  ObjectStatus status = statusOf("BackendTLSPolicy", policy.meta);
  for (const auto& [gateway, in_the_way] : ancestors) {
    if (status.ancestors.size() == kMostAncestors) break;
    const std::size_t slash = gateway.find('/');
    ParentStatus& ancestor = status.ancestors.emplace_back();
    ancestor.group = kGatewayGroup;
    ancestor.kind = "Gateway";
    ancestor.name_space = gateway.substr(0, slash);
    ancestor.name = gateway.substr(slash + 1);
    Verdict accepted = in_the_way;
    accepted.keep(judged.accepted);
    ancestor.conditions.push_back(
        condition("Accepted", accepted, "Accepted", "", policy.meta.generation));
    ancestor.conditions.push_back(
        condition("ResolvedRefs", judged.resolved, "ResolvedRefs", "", policy.meta.generation));
  }
  return status;
}

ObjectStatus filterStatus(const FilterObject& object, const FilterVerdict& judged) {
  ObjectStatus status = statusOf("Filter", object.meta);
  status.conditions.push_back(
      condition("Accepted", judged.verdict, "Accepted", "", object.meta.generation));
  return status;
}

}  // namespace hyperway::gateway
