// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/addresses.hpp"
#include "gateway/authorities.hpp"
#include "gateway/object_store.hpp"
#include "gateway/tls.hpp"
#include "gateway/translate.hpp"
#include "gateway/verdict.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// What a sink did with a listener.
enum class Programming : std::uint8_t { Pending, Done, Failed };

/// A listener, judged.
struct ListenerState {
  std::string name;       ///< SectionName.
  std::string pointer;    ///< Where it stands in the Gateway.
  std::string hostname;   ///< Lower case; empty: any.
  std::int64_t port = 0;  ///< As in the spec.
  AllowedRoutes allowed;  ///< allowedRoutes.
  std::vector<std::string>
      supported_kinds;    ///< Kinds that may attach; empty if the protocol is not supported.
  Verdict accepted;       ///< Accepted.
  Verdict resolved;       ///< ResolvedRefs.
  Verdict conflicted;     ///< Conflicted: not fine means True.
  bool overlaps = false;  ///< OverlappingTLSConfig.
  bool waiting = false;   ///< The Gateway's Service does not say yet where its port is bound.
  bool served = false;    ///< It is in the model: accepted, without conflict, certificate at hand.
  route::Listener model;  ///< Complete if `served`.
  std::int32_t attached = 0;                       ///< Routes attached; kept by the translator.
  Programming programming = Programming::Pending;  ///< Kept by the translator.
  std::string programming_reason;                  ///< Why it failed.

  /// True if it counts for conflicts with others: protocol and values are such that it could be
  /// bound.
  [[nodiscard]] bool competes() const noexcept {
    return accepted.fine() && (waiting || !model.binds.empty());
  }
};

/// A Gateway of ours, judged.
struct GatewayState {
  const Gateway* spec = nullptr;         ///< The object; owned by the store.
  std::vector<ListenerState> listeners;  ///< In the order of the spec.
  GatewayAddresses addresses;            ///< Where it is bound.
  Verdict
      accepted;  ///< Accepted: InvalidParameters, UnsupportedAddress; listeners are not in here.
  Verdict resolved;        ///< ResolvedRefs of what belongs to no listener.
  std::string deployment;  ///< What a sink could not do; kept by the translator.
  std::string parameters;  ///< What a sink says is wrong with its parametersRef; likewise.
  std::optional<ParametersRef> class_parameters;  ///< Those of its class.
  std::string backend_certificate;       ///< Key of the client certificate for backends; may be "".
  std::vector<std::string> secrets;      ///< Keys of Secrets that it depends on.
  std::vector<std::string> config_maps;  ///< Keys of ConfigMaps that it depends on.
  std::vector<std::string> namespaces;   ///< Namespaces whose grants it depends on.
};

/// What judgeGateway() works with; all borrowed.
struct GatewayContext {
  const ObjectStore& store;         ///< Secrets and grants.
  const TranslateOptions& options;  ///< Of the translator.
  CertificateStore& certificates;   ///< Judged Secrets.
  AuthorityStore& authorities;      ///< Judged ConfigMaps.
  AddressAssigner& addresses;       ///< Addresses given so far.
  bool class_accepted = true;       ///< Whether its GatewayClass was.
};

/// Judges a Gateway by itself, without regard to others. Source: Gateway API v1.7, Gateway and
/// Listener.
[[nodiscard]] GatewayState judgeGateway(const Gateway& gateway, const GatewayContext& context);

/// Finds listeners that cannot be told apart and decides which are served (`conflicted`,
/// `accepted`, `served`); all of `gateways` are looked at anew. Within a Gateway, all that conflict
/// are refused. Across Gateways that share an address the older one keeps its listener (age, then
/// namespace and name): otherwise any namespace could take another's listener down. `gateways` must
/// be in that order. Source: Gateway API, Gateway.spec.listeners.
void findConflicts(const std::vector<GatewayState*>& gateways);

/// True if routes would attach to both in the same way.
[[nodiscard]] bool attachesAlike(const ListenerState& a, const ListenerState& b);

}  // namespace hyperway::gateway
