// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/addresses.hpp"
#include "gateway/authorities.hpp"
#include "gateway/filters.hpp"
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
  std::string name;        ///< SectionName.
  std::string set;         ///< Key of the ListenerSet that it stands in; empty: the Gateway.
  std::string name_space;  ///< Of the object that it stands in: routes of `Same` come from there.
  std::string pointer;     ///< Where it stands in its object.
  std::string hostname;    ///< Lower case; empty: any.
  std::int64_t port = 0;   ///< As in the spec.
  AllowedRoutes allowed;   ///< allowedRoutes.
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
  /// False if it needs a certificate and has none that can be used.
  [[nodiscard]] bool hasCertificate() const noexcept {
    const bool secure =
        model.protocol == route::Protocol::Https || model.protocol == route::Protocol::Tls;
    return !secure || model.passthrough || !model.certificates.empty();
  }
};

/// A ListenerSet that refers to a Gateway of ours.
struct SetState {
  std::string key;        ///< "namespace/name".
  Meta meta;              ///< Identity.
  Verdict accepted;       ///< NotAllowed; if it is fine, the Gateway has its listeners.
  std::size_t first = 0;  ///< Where they begin in the Gateway's list …
  std::size_t count = 0;  ///< … and how many they are.
};

/// A Gateway of ours, judged.
struct GatewayState {
  const Gateway* spec = nullptr;  ///< The object; owned by the store.
  bool is_default = false;        ///< spec->default_scope; outlives a change of the object.
  /// Its own in the order of the spec, then those of each set.
  std::vector<ListenerState> listeners;
  std::vector<SetState> sets;  ///< All that refer to it, the oldest first.
  GatewayAddresses addresses;  ///< Where it is bound.
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
  std::vector<std::string> filters;      ///< Keys of Filters that it depends on.
  std::vector<std::string> services;     ///< Keys of Services that filters of listeners ask.
  std::vector<std::string> upstreams;    ///< Kept in the model for these; by the translator.

  /// The listeners of one of `sets`.
  [[nodiscard]] std::span<const ListenerState> listenersOf(const SetState& set) const {
    return std::span(listeners).subspan(set.first, set.count);
  }
  /// One of `sets` by its key; null if it is not there.
  [[nodiscard]] const SetState* findSet(std::string_view key) const {
    const auto found =
        std::find_if(sets.begin(), sets.end(), [&](const SetState& one) { return one.key == key; });
    return found == sets.end() ? nullptr : &*found;
  }
};

/// What judgeGateway() works with; all borrowed.
struct GatewayContext {
  const ObjectStore& store;         ///< Secrets, Services and grants.
  const TranslateOptions& options;  ///< Of the translator.
  CertificateStore& certificates;   ///< Judged Secrets.
  AuthorityStore& authorities;      ///< Judged ConfigMaps.
  AddressAssigner& addresses;       ///< Addresses given so far.
  FilterConfigParser& parser;       ///< Asked about filters of listeners.
  const FilterVerdicts& filters;    ///< Judged Filter objects.
  bool class_accepted = true;       ///< Whether its GatewayClass was.
};

/// Judges a Gateway by itself, with its ListenerSets, without regard to others. Source: Gateway API
/// v1.7, Gateway, Listener and ListenerSet.
[[nodiscard]] GatewayState judgeGateway(const Gateway& gateway, const GatewayContext& context);

/// Finds listeners that cannot be told apart and decides which are served (`conflicted`,
/// `accepted`, `served`); all of `gateways` are looked at anew. Within a Gateway's own listeners,
/// and within a ListenerSet, all that conflict are refused (of a set, what older ones have left).
/// Otherwise the first keeps its listener: Gateways go before ListenerSets, also those of other
/// Gateways at the same address, and older ones before younger ones (age, then namespace and name);
/// or else any namespace could take another's listener down. `gateways` must be in that order.
/// Source: Gateway API, Gateway.spec.listeners and ListenerSet.spec.listeners.
void findConflicts(const std::vector<GatewayState*>& gateways);

/// True if routes would attach to both in the same way.
[[nodiscard]] bool attachesAlike(const ListenerState& a, const ListenerState& b);

}  // namespace hyperway::gateway
