// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_text.hpp"
#include "gateway/filter_config_parser.hpp"
#include "gateway/status.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// Where Gateways get their addresses and ports from (ARCHITECTURE decision 8).
enum class AddressSource : std::uint8_t {
  Bound,     ///< The configuration's addresses, or the pool.
  Services,  ///< A Service for each Gateway, which also records where its ports are bound.
  Merged,    ///< Bound as in Bound; the address is that of one Service, which the user made.
  Deployed,  ///< As Services, but each Gateway has data planes of its own: parametersRef counts.
};

/// True if each Gateway has a Service of its own.
[[nodiscard]] constexpr bool hasServices(AddressSource source) noexcept {
  return source == AddressSource::Services || source == AddressSource::Deployed;
}

/// What the configuration file says about translation.
struct TranslateOptions {
  std::string controller_name =
      "hyperway.arloor.dev/gateway-controller";  ///< Which classes are ours.
  /// Port in a Gateway's spec -> where it is bound. A port without entry is bound on
  /// `default_addresses`.
  std::map<std::uint16_t, std::vector<route::Bind>> listen_map;
  std::vector<std::string> default_addresses = {"0.0.0.0",
                                                "::"};  ///< For ports outside of the map.
  /// Address pool (ARCHITECTURE decision 8): if not empty, each Gateway is bound to an address of
  /// its own, out of its spec.addresses or this pool.
  std::vector<std::string> address_pool;
  AddressSource gateway_addresses = AddressSource::Bound;  ///< For all Gateways of ours.
  std::string gateway_service;  ///< Merged: the Service, "namespace/name".
  /// Endpoints of a Service that has no EndpointSlice: "namespace/name:port" or "*" -> addresses
  /// (file mode, demos).
  std::map<std::string, std::vector<route::Endpoint>> default_endpoints;
  /// Endpoint choice of a Service's port: "namespace/name:port", or "*" for all that are not named.
  std::map<std::string, route::Balance> balance;
  std::vector<std::string>
      external_name_namespaces;  ///< Namespaces whose ExternalName Services are allowed.
  std::vector<route::Bind>
      own_ports;  ///< Admin and probe ports, which ExternalName must never reach.
  /// plugin class -> namespaces that may use it by a Filter ("*": all). Absent: all namespaces.
  std::map<std::string, std::vector<std::string>> filter_namespaces;
  /// Checks a certificate chain with its key (both PEM) beyond their frame and returns what is
  /// wrong; may be null.
  std::function<std::string(const std::string& chain_pem, const std::string& key_pem)>
      check_certificate;
  /// Checks trust anchors (PEM) beyond their frame and returns what is wrong; may be null.
  std::function<std::string(const std::string& pem)> check_authorities;
  /// Stands for the uid of routes that have none (files): keys of session tokens are made of it.
  /// Nobody outside may guess it.
  std::string session_secret = {};
  bool find_unknown_fields = false;  ///< diagnose() also warns of fields that no kind of ours has.
  bool report_programmed = true;     ///< False where sinks acknowledge first: Programmed is then
                                     ///< Pending until programmed().
};

/// One change of an object, as a source publishes it.
struct ObjectChange {
  std::string group, kind, name_space, name;  ///< Identity; group empty for the core API.
  SharedText json;                            ///< The object; empty: it is gone.
  bool replaced = false;  ///< Another of this name was removed before it, since the last change.
};

/// What a sink says about a listener.
struct ListenerReport {
  std::string listener;    ///< route::Listener::key.
  bool programmed = true;  ///< False: `reason` says why (e.g. the port is busy).
  std::string reason;      ///< In the user's words.
};

/// What a sink says about a Gateway as a whole.
struct GatewayReport {
  std::string gateway;          ///< "namespace/name".
  std::string reason;           ///< Why it has no place in the network; empty: it has one, or will.
  std::string parameters = {};  ///< What is wrong with its parametersRef; empty: nothing.
};

/// Gateway API objects in, route model and status out. Pure: no I/O, no clock, no thread of its
/// own; values in, values out, and only what a change touches is worked out again. [control]
class Translator {
 public:
  /// `filters` must outlive the translator.
  Translator(TranslateOptions options, FilterConfigParser& filters);
  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;
  ~Translator();

  /// What changed.
  struct Outcome {
    route::ModelBatch model;  ///< For the compiler and the sinks.
    StatusBatch status;       ///< For the sources.
    std::vector<std::string>
        rejected;  ///< Objects that could not be decoded: "Kind ns/name: /pointer: message". What
                   ///< was good before stays in force.
  };
  /// Takes changes in order (the latest of an object wins) and works out what they touch. An object
  /// that does not decode keeps its last good form.
  [[nodiscard]] Outcome apply(const std::vector<ObjectChange>& changes);
  /// A re-list ended: objects of `kind` (of all kinds we know, if empty) in `name_space` (in all,
  /// if empty) that are not in `seen` are gone. `seen` holds "ns/name", and "Kind/ns/name" where
  /// `kind` is empty.
  [[nodiscard]] Outcome retain(std::string_view group, std::string_view kind,
                               std::string_view name_space, const std::vector<std::string>& seen);
  /// Binds filters anew after a plugin was replaced: every rule that uses one of `types`.
  [[nodiscard]] Outcome rebindFilters(const std::vector<std::string>& types);
  /// What the sinks did; changes Programmed conditions, and what is said of snapshots. All sinks
  /// have the generation `in_force`.
  [[nodiscard]] StatusBatch programmed(const std::vector<ListenerReport>& reports,
                                       const std::vector<GatewayReport>& gateways = {},
                                       std::uint64_t in_force = 0);
  /// What changed last is part of `generation`, of which the sinks have `in_force`: snapshots count
  /// as served once they have it.
  [[nodiscard]] StatusBatch handedOver(std::uint64_t generation, std::uint64_t in_force);
  /// The whole model as it is now, for a sink that lost its place.
  [[nodiscard]] route::ModelBatch wholeModel() const;
  /// Replaces the options (live configuration change) and works out everything again.
  [[nodiscard]] Outcome reconfigure(TranslateOptions options);
  /// All statuses as they are now, sorted by key, for `hyperway status`.
  [[nodiscard]] std::vector<ObjectStatus> statuses() const;
  /// Shows each status as it is now, in no order, without a copy. `visit` keeps a reference no
  /// longer than until the next change.
  void forEachStatus(const std::function<void(const ObjectStatus&)>& visit) const;

  /// Something wrong with an object, for `hyperway check`.
  struct Diagnosis {
    std::string object;  ///< "Kind/namespace/name".
    Problem problem;     ///< Pointer into the object (empty: the whole of it) and a sentence.
  };
  /// Everything that is wrong now: objects that do not decode, and what conditions complain about.
  /// Sorted by object.
  [[nodiscard]] std::vector<Diagnosis> diagnose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::gateway
