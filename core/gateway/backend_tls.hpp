// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/authorities.hpp"
#include "gateway/object_store.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// A BackendTLSPolicy, judged by itself.
struct PolicyState {
  route::UpstreamTls tls;                ///< What it asks for; refused if it cannot be had.
  Verdict accepted;                      ///< Invalid, or NoValidCACertificate.
  Verdict resolved;                      ///< InvalidCACertificateRef or InvalidKind.
  std::vector<std::string> config_maps;  ///< Keys of ConfigMaps that it depends on.
};

/// Judges a policy without regard to what it targets and to other policies. Source: Gateway API
/// v1.7, BackendTLSPolicyValidation.
[[nodiscard]] PolicyState judgePolicy(const BackendTlsPolicy& policy, const ObjectStore& store,
                                      AuthorityStore& authorities, const AuthorityCheck& check);

/// The policy in force for a port of a Service (`port_name` is empty where the Service names none),
/// or null. One that names the port goes before one for all ports; of equals the older wins, then
/// the first by name. Whether it is valid plays no part: an invalid one must not let another, or
/// plain text, take its place. Source: Gateway API v1.7, BackendTLSPolicySpec.targetRefs.
[[nodiscard]] const BackendTlsPolicy* policyFor(const ObjectStore& store,
                                                const std::string& service_key,
                                                std::string_view port_name);

/// Whether `policy` counts for a port of a Service.
enum class PolicyStanding : std::uint8_t {
  None,      ///< It has no target there, or one for this very port goes before it.
  InForce,   ///< It is the one.
  Conflict,  ///< Another one with the same target goes before it.
};

/// See PolicyStanding; `winner` is policyFor() of the port.
[[nodiscard]] PolicyStanding standingOf(const BackendTlsPolicy& policy,
                                        const BackendTlsPolicy* winner,
                                        const std::string& service_key, std::string_view port_name);

}  // namespace hyperway::gateway
