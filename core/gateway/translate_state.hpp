// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/addresses.hpp"
#include "gateway/contest.hpp"
#include "gateway/filters.hpp"
#include "gateway/listeners.hpp"
#include "gateway/model_diff.hpp"
#include "gateway/object_store.hpp"
#include "gateway/reverse_index.hpp"
#include "gateway/route_rules.hpp"
#include "gateway/snapshots.hpp"
#include "gateway/status_book.hpp"
#include "gateway/tls.hpp"
#include "gateway/translate.hpp"

/// The inside of the translator, for translate*.cpp and diagnose.cpp.
namespace hyperway::gateway {

/// What of a route is to be worked out again; each includes the ones before.
enum class Redo : std::uint8_t {
  Attachment,  ///< A Gateway or a namespace changed.
  Rules,       ///< Something that its rules refer to changed.
  Everything,  ///< The route itself changed.
};

/// What a batch of changes touches, by key. Sorted, so that the outcome does not depend on hash
/// order.
struct Work {
  std::set<std::string> classes;          ///< GatewayClasses.
  std::set<std::string> filters;          ///< Filters.
  std::set<std::string> gateways;         ///< Gateways.
  std::map<std::string, Redo> routes;     ///< Routes, by "Kind/namespace/name".
  std::set<std::string> upstreams;        ///< Upstreams.
  std::set<std::string> listener_sets;    ///< ListenerSets.
  std::set<std::string> snapshot_routes;  ///< Routes of snapshots, by their key in the model.
  bool snapshots = false;                 ///< Snapshots, or what their listeners rely on.

  /// Adds a route, or widens what is to be done with it.
  void route(const std::string& key, Redo redo) {
    const auto [entry, is_new] = routes.try_emplace(key, redo);
    if (!is_new) entry->second = std::max(entry->second, redo);
  }
};

/// A place that a route is counted at: Gateway and listener key.
using AttachedPlaces = std::set<std::pair<std::string, std::string>>;

/// A route with what became of it.
struct RouteState {
  std::string key;                   ///< "Kind/namespace/name".
  RouteRules rules;                  ///< Without rules while no Gateway of ours is referred to.
  std::vector<std::string> parents;  ///< Its targets in the index by parent.
  AttachedPlaces attached;           ///< Where it is counted.
  std::set<std::string> contested;   ///< Listeners at which it takes part in a contest.
  std::vector<route::Attachment> attachments;  ///< As in the model; none: it is not in there.
  std::vector<std::string> upstreams;          ///< Kept in the model for this route.
};

/// Adds the keys of the upstreams that a listener's filters ask to `out`.
inline void addUpstreams(const route::Listener& listener, std::vector<std::string>& out) {
  for (const route::Filter& filter : listener.filters)
    out.insert(out.end(), filter.upstreams.begin(), filter.upstreams.end());
}

/// Each once, in order.
inline void sortUnique(std::vector<std::string>& keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

/// What is served of a snapshot, or will be.
struct SnapshotServed {
  std::string checksum;         ///< Of the index.
  std::int64_t generation = 0;  ///< Its metadata.generation.
};

/// A snapshot that is served once the sinks have a generation.
struct SnapshotAwaited {
  std::uint64_t pipeline_generation = 0;  ///< Of the pipeline.
  std::string key;                        ///< Of the index.
  SnapshotServed what;                    ///< What is served then.
};

/// The target of a route that refers to a ListenerSet, in the index by parent.
[[nodiscard]] inline std::string listenerSetTarget(const std::string& key) {
  return "ListenerSet " + key;
}

/// The target of a route that uses default Gateways, in the same index.
inline constexpr std::string_view kDefaultGateways = "default Gateways";

/// Everything that the translator knows, and its steps. Changes are taken in, each marks in a Work
/// what it touches, and settle() works that out: filters, classes, Gateways, routes, upstreams,
/// statuses.
struct Translator::State {
  /// Knows nothing yet.
  State(TranslateOptions given, FilterConfigParser& parser)
      : options(std::move(given)), filters_parser(parser) {}

  /// Takes an object in and marks what depends on it.
  void take(const ObjectChange& change, Work& work, Outcome& outcome);
  /// Marks what depends on an object.
  void touched(Kind kind, const ObjectChange& change, const std::string& key, Work& work);
  /// Marks the routes that depend on `target`.
  void touchRoutes(const ReverseIndex<RouteState>& index, const std::string& target, Redo redo,
                   Work& work) const;
  /// Marks the upstreams of a Service.
  void touchUpstreams(const std::string& service_key, Work& work) const;
  /// Marks the ListenerSets of a Gateway.
  void touchSets(const std::string& gateway, Work& work) const;
  /// Marks the routes of default Gateways.
  void touchDefaults(Work& work) const;
  /// Marks routes of a Gateway and its sets whose listeners take others than before.
  void touchAttached(const std::string& gateway, const std::vector<ListenerState>& before,
                     const std::vector<ListenerState>& now, Work& work) const;
  /// Marks the Gateways that have `key` in one of their lists of what they depend on.
  void touchGateways(const std::vector<std::string> GatewayState::*list, const std::string& key,
                     Work& work) const;
  /// Marks a Gateway, if it is ours.
  void touchGateway(const std::string& key, Work& work) const;
  /// Marks what a BackendTLSPolicy secures, and those that it may be in conflict with.
  void touchTargets(const std::string& policy_key, Work& work);
  /// Marks the BackendTLSPolicies of Services.
  void touchPolicies(const std::vector<std::string>& services);
  /// Marks what relies on a ConfigMap.
  void touchRelying(const std::string& config_map, Work& work);
  /// Marks all there is.
  void touchEverything(Work& work);

  /// Works out what is marked; `outcome` may hold rejections already.
  Outcome settle(Work& work, Outcome outcome);
  /// Judges Filters.
  void settleFilters(Work& work, Outcome& outcome);
  /// Says the status of GatewayClasses.
  void settleClasses(const Work& work, Outcome& outcome);
  /// Judges Gateways, all their conflicts, and puts listeners into the model.
  void settleGateways(Work& work, Outcome& outcome);
  /// Translates and attaches routes.
  void settleRoutes(Work& work, Outcome& outcome);
  /// Takes back the status of ListenerSets that are at no Gateway of ours any more.
  void settleSets(const Work& work, Outcome& outcome);
  /// Says the status of a Gateway and its ListenerSets.
  void tell(const std::string& gateway, StatusBatch& batch);
  /// Says the status of BackendTLSPolicies.
  void settlePolicies(Outcome& outcome);
  /// Puts what snapshots say into the model.
  void settleSnapshots(Work& work, Outcome& outcome);
  /// Puts the certificates that listeners name into the model.
  void settleCertificates(Outcome& outcome);
  /// Puts upstreams into the model.
  void settleUpstreams(Work& work, Outcome& outcome);

  /// The class of a Gateway, if it is ours; else null.
  [[nodiscard]] const GatewayClass* ownClass(const Gateway& gateway) const;
  /// Judges one Gateway of ours.
  void judge(const std::string& key, Work& work);
  /// Forgets a Gateway that is gone or no longer ours.
  void dropGateway(const std::string& key, Work& work);
  /// All Gateways, the oldest first.
  [[nodiscard]] std::vector<GatewayState*> gatewaysByAge();

  /// Calls `visit(pointer, ref, Gateway's key, Gateway, ParentVerdict)` for each Gateway of ours
  /// that a route refers to, itself or by a ListenerSet, once for references that are the same.
  template <class Visit>
  void forEachParent(const RouteObject& spec, const RouteState& state, Visit&& visit);
  /// Has a route take part in the contests at the listeners that it would attach to.
  void contest(const RouteObject& spec, RouteState& state);
  /// Has the HTTPRoutes at a listener take part in its new contest.
  void challenge(const std::string& gateway, const ListenerState& listener, HostContest& contest);
  /// Takes a route out of contests, but for those at `listeners`.
  void leaveContests(RouteState& state, const std::set<std::string>& listeners);
  /// Settles the contests that have changed; keys of routes for which the outcome differs.
  [[nodiscard]] std::set<std::string> settleContests();
  /// Key of the route to which one has lost at a listener; null if it has not.
  [[nodiscard]] const std::string* lostTo(const RouteState& state,
                                          const std::string& listener) const;
  /// A route as it goes into the model.
  [[nodiscard]] static route::Route modelOf(const RouteObject& spec, const RouteState& state);
  /// Works a route out again, but for where it attaches; true if its rules differ from before.
  [[nodiscard]] bool redoRoute(const RouteObject& spec, RouteState& state, Redo redo);
  /// Attaches a route and puts it into the model.
  void putRoute(const RouteObject& spec, RouteState& state, bool rules_differ, Work& work,
                Outcome& outcome);
  /// The parents of a route that uses default Gateways: those that it refers to, then the default
  /// Gateways that it does not refer to as well (GEP-3793).
  [[nodiscard]] std::vector<ParentRef> withDefaults(const RouteObject& spec) const;
  /// True if a route refers to a Gateway of ours.
  [[nodiscard]] bool hasOwnParent(const RouteObject& spec) const;
  /// Key of the Gateway that a parentRef leads to, itself or by a ListenerSet; empty if to none.
  [[nodiscard]] std::string gatewayBehind(const ParentRef& ref,
                                          const std::string& name_space) const;
  /// Translates a route's rules; true if they differ from before.
  bool redoRules(const RouteObject& spec, RouteState& state, Redo redo);
  /// Brings the reverse references of a route's rules up to date.
  void reindex(RouteState& state, const RouteDependencies& now);
  /// Attaches a route and says its status; true if its attachments in the model differ from before.
  bool redoAttachment(const RouteObject& spec, RouteState& state, Outcome& outcome);
  /// Forgets a route.
  void dropRoute(const std::string& key, Work& work, Outcome& outcome);
  /// Counts a route where it is attached now, and no longer where it was.
  void count(RouteState& state, AttachedPlaces attached);
  /// Brings the reverse references to a route's parents up to date.
  void indexParents(const RouteObject& spec, RouteState& state);
  /// Keeps the upstreams `keys` in the model for a route, or what else names upstreams, and no
  /// longer those that it `has`.
  void useUpstreams(std::vector<std::string>& has, std::vector<std::string> keys, Work& work);
  /// An upstream with what is known of it now.
  [[nodiscard]] route::Upstream upstreamNow(const std::string& key);
  /// Gateways through which requests come to what a policy targets, each with what is in the way.
  [[nodiscard]] std::map<std::string, Verdict> ancestorsOf(const BackendTlsPolicy& policy) const;
  /// The same of one of its targets.
  void addAncestors(const BackendTlsPolicy& policy, const BackendTlsPolicy::Target& target,
                    std::map<std::string, Verdict>& out) const;

  /// Takes a RouteSnapshot in.
  void takeSnapshot(const ObjectChange& change, Work& work, Outcome& outcome);
  /// Keeps what is wrong with an object that does not decode.
  void reject(const ObjectChange& change, const Problems& problems, Outcome& outcome);
  /// Keeps the upstreams of a snapshot's route in the model, and no longer those that it named
  /// `before`.
  void useSnapshotUpstreams(const std::string& name, std::vector<std::string> before, Work& work);
  /// The same for the listeners of a snapshot's object.
  void useListenerUpstreams(const std::string& key, Work& work);
  /// Binds the filters of a snapshot's route and puts it into the model.
  void redoSnapshotRoute(const std::string& name, Outcome& outcome);
  /// Parses a filter of a snapshot; if it cannot run, says so of `name` in `refused`.
  void bind(route::Filter& filter, const std::string& name,
            std::map<std::string, std::string>& refused);
  /// Puts the listeners of a snapshot that can be served into the model.
  void redoSnapshotListeners(const std::string& key, const Snapshots::Object& object,
                             Outcome& outcome);
  /// Why a listener of a snapshot cannot be served; empty if it can. Takes away certificates that
  /// cannot be used.
  [[nodiscard]] std::string keepUsable(route::Listener& listener);
  /// Says what is served of a snapshot, once something is.
  void tellSnapshot(const std::string& key, StatusBatch& batch);
  /// Everything that cannot be served of a snapshot.
  [[nodiscard]] std::vector<Refusal> refusedOf(const std::string& key) const;
  /// Snapshots that came with a generation up to `in_force` are served.
  void serveSnapshots(std::uint64_t in_force, StatusBatch& batch);

  /// What is wrong with a route that no Gateway of ours is asked to take.
  void diagnoseUnattached(const std::string& key, std::vector<Diagnosis>& list);

  TranslateOptions options;
  FilterConfigParser& filters_parser;
  ObjectStore store;
  std::map<std::string, std::vector<Problem>> rejected;        // by "Kind/namespace/name"
  std::map<std::string, std::vector<Problem>> unknown_fields;  // likewise

  FilterVerdicts filter_verdicts;
  CertificateStore certificates;
  AuthorityStore authorities;
  AddressAssigner addresses;
  std::unordered_map<std::string, GatewayState> gateways;
  std::unordered_map<std::string, RouteState> routes;
  std::map<std::string, HostContest> contests;  // by listener; only where there are GRPCRoutes
  std::set<std::string> touched_contests;       // within settleRoutes()
  std::unordered_map<std::string, std::size_t> upstream_users;
  std::unordered_map<std::string, std::set<std::string>> upstreams_by_service;

  ReverseIndex<RouteState> routes_by_parent, routes_by_service, routes_by_grants, routes_by_filter,
      routes_by_namespace;

  Snapshots snapshots;
  std::map<std::string, std::vector<std::string>> snapshot_upstreams;  // of listeners, by object
  std::map<std::string, std::string> unusable_listeners, unbound_listeners;   // of snapshots
  std::map<std::string, std::string> unusable_rules;                          // likewise
  std::map<std::string, SnapshotServed> changed_snapshots, served_snapshots;  // by index
  std::deque<SnapshotAwaited> awaited_snapshots;

  ModelDiff model;
  StatusBook book;
  std::set<std::string> touched_gateways;  // whose status may differ; within settle()
  bool certificates_touched = false;       // likewise
  std::set<std::string> touched_policies;  // likewise
};

}  // namespace hyperway::gateway
