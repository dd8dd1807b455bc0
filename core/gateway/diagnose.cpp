// SPDX-License-Identifier: Apache-2.0
// Everything that is wrong, for check.
#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "gateway/attachment.hpp"
#include "gateway/backend_tls.hpp"
#include "gateway/translate_state.hpp"

namespace hyperway::gateway {
namespace {

Problem toProblem(const std::string& message) {
  const std::size_t at = message.starts_with('/') ? message.find(": ") : std::string::npos;
  if (at == std::string::npos) return {{}, message, Severity::Error};
  return {message.substr(0, at), message.substr(at + 2), Severity::Error};
}

}  // namespace

// A route that no Gateway of ours is asked to take is not translated; whoever checks it wants to
// know all the same.
void Translator::State::diagnoseUnattached(const std::string& key, std::vector<Diagnosis>& list) {
  const auto* spec = store.find<RouteObject>(key);
  if (spec == nullptr) return;
  const std::string& object = key;
  const RouteRules rules = translateRules(*spec, {store, options, filters_parser, filter_verdicts});
  for (const Verdict& verdict : rules.dropped) list.push_back({object, toProblem(verdict.message)});
  for (const Verdict& verdict : rules.unresolved)
    list.push_back({object, toProblem(verdict.message)});
  if (rules.dropped.empty() && !rules.accepted.fine())
    list.push_back({object, toProblem(rules.accepted.message)});
  if (spec->parents.empty())
    list.push_back(
        {object, {"/spec", "parentRefs is missing: the route has no effect", Severity::Error}});
  for (std::size_t i = 0; i < spec->parents.size(); ++i) {
    const ParentRef& ref = spec->parents[i];
    if (isSetRef(ref) && store.find<ListenerSet>(parentKey(ref, spec->meta.name_space)) == nullptr)
      list.push_back(
          {object,
           {"/spec/parentRefs/" + std::to_string(i),
            "there is no ListenerSet " + parentKey(ref, spec->meta.name_space), Severity::Error}});
    const std::string parent = gatewayBehind(ref, spec->meta.name_space);
    if (parent.empty()) continue;
    const bool exists = store.find<Gateway>(parent) != nullptr;
    list.push_back({object,
                    {"/spec/parentRefs/" + std::to_string(i),
                     exists ? "the Gateway " + parent +
                                  " is not of a class of ours: the route has no effect here"
                            : "there is no Gateway " + parent,
                     exists ? Severity::Warning : Severity::Error}});
  }
}

std::vector<Translator::Diagnosis> Translator::diagnose() const {
  std::vector<Diagnosis> list;
  const auto add = [&](const std::string& object, const Verdict& verdict) {
    if (!verdict.fine()) list.push_back({object, toProblem(verdict.message)});
  };
  for (const auto& [object, problems] : state_->rejected)
    for (const Problem& problem : problems) list.push_back({object, problem});
  for (const auto& [key, judged] : state_->filter_verdicts) add("Filter/" + key, judged.verdict);
  for (const auto& [key, gateway] : state_->gateways) {
    const std::string object = "Gateway/" + key;
    add(object, gateway.accepted);
    add(object, gateway.resolved);
    add(object, gateway.addresses.programmed);
    for (const SetState& set : gateway.sets) add("ListenerSet/" + set.meta.key(), set.accepted);
    for (const ListenerState& listener : gateway.listeners) {
      const std::string owner = listener.set.empty() ? object : "ListenerSet/" + listener.set;
      add(owner, listener.accepted);
      add(owner, listener.resolved);
      add(owner, listener.conflicted);
    }
  }
  for (const auto& [object, route] : state_->routes) {
    for (const Verdict& verdict : route.rules.dropped) add(object, verdict);
    for (const Verdict& verdict : route.rules.unresolved) add(object, verdict);
    if (route.rules.dropped.empty()) add(object, route.rules.accepted);
    if (!route.rules.rules) state_->diagnoseUnattached(object, list);
  }
  for (const auto& [key, policy] : state_->store.all<BackendTlsPolicy>()) {
    const std::string object = "BackendTLSPolicy/" + key;
    const PolicyState judged =
        judgePolicy(policy, state_->store, state_->authorities, state_->options.check_authorities);
    add(object, judged.accepted);
    if (judged.accepted.message != judged.resolved.message) add(object, judged.resolved);
    for (const auto& [gateway, in_the_way] : state_->ancestorsOf(policy)) {
      add(object, in_the_way);
      if (!in_the_way.fine()) break;
    }
  }
  for (const auto& [key, gateway] : state_->store.all<Gateway>())
    if (!state_->gateways.contains(key) &&
        state_->store.find<GatewayClass>(objectKey({}, gateway.class_name)) == nullptr)
      list.push_back({"Gateway/" + key,
                      {"/spec/gatewayClassName", "there is no GatewayClass " + gateway.class_name,
                       Severity::Error}});
  for (const auto& [key, set] : state_->store.all<ListenerSet>())
    if (const std::string parent = gatewayOf(set);
        parent.empty() || state_->store.find<Gateway>(parent) == nullptr)
      list.push_back(
          {"ListenerSet/" + key,
           {"/spec/parentRef", parent.empty() ? "is no Gateway" : "there is no Gateway " + parent,
            Severity::Error}});
  // What attach() refused is in no state but the status.
  for (const auto& [object, status] : state_->book.all())
    for (const ParentStatus& parent : status.parents)
      for (const Condition& condition : parent.conditions)
        if (condition.type == "Accepted" && !condition.status &&
            (condition.message.starts_with("/spec/parentRefs") ||
             condition.message.starts_with("/spec/useDefaultGateways")))
          list.push_back({object, toProblem(condition.message)});
  // What a plugin refuses as unknown is told once.
  std::set<std::pair<std::string, std::string>> told;
  for (const Diagnosis& one : list) told.emplace(one.object, one.problem.pointer);
  for (const auto& [object, problems] : state_->unknown_fields)
    for (const Problem& problem : problems)
      if (!told.contains({object, problem.pointer})) list.push_back({object, problem});
  std::stable_sort(list.begin(), list.end(), [](const Diagnosis& a, const Diagnosis& b) {
    return std::tie(a.object, a.problem.pointer) < std::tie(b.object, b.problem.pointer);
  });
  return list;
}

}  // namespace hyperway::gateway
