// SPDX-License-Identifier: Apache-2.0
#include "gateway/backend_tls.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/bytes.hpp"
#include "gateway/hostname.hpp"

namespace hyperway::gateway {
namespace {

using Target = BackendTlsPolicy::Target;

bool isOlder(const BackendTlsPolicy& a, const BackendTlsPolicy& b) {
  return std::tie(a.meta.created, a.meta.name_space, a.meta.name) <
         std::tie(b.meta.created, b.meta.name_space, b.meta.name);
}

// RFC 3986 §3: a scheme, a colon and something behind it, in visible ASCII.
bool isUri(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) return false;
  const auto is_letter = [](char c) { return toLower(c) >= 'a' && toLower(c) <= 'z'; };
  if (!is_letter(text.front())) return false;
  for (const char c : text.substr(0, colon))
    if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

class PolicyJudge {
 public:
  PolicyJudge(const BackendTlsPolicy& policy, PolicyState& out) : policy_(policy), out_(out) {}

  void judgeValues() {
    if (!policy_.problems.empty()) out_.accepted.keep({"Invalid", policy_.problems.front()});
    if (!policy_.options.empty())
      refuse("/spec/options", "option " + policy_.options.front() + " is unknown");
    if (!isHostname(policy_.hostname) || policy_.hostname.starts_with("*."))
      refuse("/spec/validation/hostname",
             "'" + policy_.hostname + "' is not the full name of a host");
    out_.tls.hostname = lowered(policy_.hostname);
    for (std::size_t i = 0; i < policy_.alt_names.size(); ++i)
      judgeName(policy_.alt_names[i], "/spec/validation/subjectAltNames/" + std::to_string(i));
  }

  void judgeAuthorities(const ObjectStore& store, AuthorityStore& authorities,
                        const AuthorityCheck& check) {
    const std::string place = "/spec/validation/wellKnownCACertificates";
    if (policy_.authorities.empty() == policy_.well_known.empty())
      return refuse("/spec/validation",
                    "needs either caCertificateRefs or wellKnownCACertificates");
    if (!policy_.well_known.empty()) {
      if (policy_.well_known != "System")
        return refuse(place, "must be System, not " + policy_.well_known);
      out_.tls.system_authorities = true;
      return;
    }
    AuthorityRefs refs = resolveAuthorities(
        policy_.authorities, {"BackendTLSPolicy", policy_.meta.name_space, "InvalidKind"},
        "/spec/validation/caCertificateRefs", store, authorities, check);
    out_.config_maps = std::move(refs.config_maps);
    out_.resolved = std::move(refs.resolved);
    out_.tls.authorities = std::move(refs.usable);
    if (out_.tls.authorities.empty())
      out_.accepted.keep({"NoValidCACertificate", out_.resolved.message});
  }

 private:
  void refuse(std::string_view where, std::string message) {
    out_.accepted.keep({"Invalid", std::string(where) + ": " + std::move(message)});
  }

  void judgeName(const BackendTlsPolicy::AltName& name, const std::string& where) {
    if (name.type == "Hostname" && isHostname(name.value))
      out_.tls.dns_names.push_back(lowered(name.value));
    else if (name.type == "URI" && isUri(name.value))
      out_.tls.uris.push_back(name.value);
    else
      refuse(where, name.type == "Hostname" || name.type == "URI"
                        ? "'" + name.value + "' is no " +
                              (name.type == "URI" ? "absolute URI" : "host name")
                        : "type must be Hostname or URI");
  }

  const BackendTlsPolicy& policy_;
  PolicyState& out_;
};

enum class Claim : std::uint8_t { None, AllPorts, ThisPort };

Claim claimOf(const BackendTlsPolicy& policy, std::string_view service, std::string_view port) {
  Claim best = Claim::None;
  for (const Target& target : policy.targets) {
    if (target.service != service) continue;
    if (target.section.empty())
      best = std::max(best, Claim::AllPorts);
    else if (target.section == port)
      best = Claim::ThisPort;
  }
  return best;
}

std::string_view nameOf(std::string_view key) { return key.substr(key.find('/') + 1); }

}  // namespace

PolicyState judgePolicy(const BackendTlsPolicy& policy, const ObjectStore& store,
                        AuthorityStore& authorities, const AuthorityCheck& check) {
  PolicyState state;
  PolicyJudge judge(policy, state);
  judge.judgeValues();
  judge.judgeAuthorities(store, authorities, check);
  if (!state.accepted.fine())
    state.tls.refused = "BackendTLSPolicy " + policy.meta.key() + ' ' + state.accepted.message;
  return state;
}

const BackendTlsPolicy* policyFor(const ObjectStore& store, const std::string& service_key,
                                  std::string_view port_name) {
  const auto* keys = store.tlsPoliciesOf(service_key);
  if (keys == nullptr) return nullptr;
  const BackendTlsPolicy* best = nullptr;
  Claim best_claim = Claim::None;
  for (const std::string& key : *keys) {
    const auto* policy = store.find<BackendTlsPolicy>(key);
    const Claim claim = claimOf(*policy, nameOf(service_key), port_name);
    if (claim == Claim::None || claim < best_claim) continue;
    if (claim == best_claim && !isOlder(*policy, *best)) continue;
    best = policy;
    best_claim = claim;
  }
  return best;
}

PolicyStanding standingOf(const BackendTlsPolicy& policy, const BackendTlsPolicy* winner,
                          const std::string& service_key, std::string_view port_name) {
  if (winner == &policy) return PolicyStanding::InForce;
  const Claim claim = claimOf(policy, nameOf(service_key), port_name);
  if (claim == Claim::None || winner == nullptr) return PolicyStanding::None;
  return claim == claimOf(*winner, nameOf(service_key), port_name) ? PolicyStanding::Conflict
                                                                   : PolicyStanding::None;
}

}  // namespace hyperway::gateway
