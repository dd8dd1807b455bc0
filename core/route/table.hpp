// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/prefetch.hpp"
#include "http/head.hpp"
#include "route/model.hpp"
#include "route/slots.hpp"

namespace hyperway::route {

/// One backend of a compiled rule.
struct CompiledBackend {
  /// No upstream: did not resolve, answer 500.
  static constexpr std::uint32_t kUnresolved = std::numeric_limits<std::uint32_t>::max();

  // First what each request reads, see CompiledRule::prefetch().
  std::uint64_t weight_end = 0;  ///< Running sum of weights up to and including this one.
  std::uint32_t upstream_number = kUnresolved;  ///< upstream->number(), or kUnresolved.
  bool refused = false;                         ///< One of its filters cannot run: answer 500.
  std::vector<FilterBindingPtr> filters;        ///< In order.
  SlotMap::SlotPtr upstream;                    ///< Holds the number; null: did not resolve.
  std::string_view name;  ///< "namespace/service:port", resolved or not; lives as long as the rule.
};

/// One mirror of a compiled rule.
struct CompiledMirror {
  SlotMap::SlotPtr upstream;      ///< Never null: unresolved mirrors are left out.
  std::uint32_t numerator = 1;    ///< See Mirror.
  std::uint32_t denominator = 1;  ///< See Mirror.
};

/// The upstreams that a filter of a compiled rule or listener may send requests of its own to.
struct CompiledCallouts {
  /// Stands for the rule, or the listener, where a backend's number could be.
  static constexpr std::uint32_t kRule = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t backend = kRule;            ///< CompiledRule::placeOf(), or kRule.
  std::uint32_t filter = 0;                 ///< Place in the list of filters there.
  std::vector<SlotMap::SlotPtr> upstreams;  ///< In the order of its configuration; none is null.
};

/// The upstreams of one filter among `callouts`.
[[nodiscard]] inline std::span<const SlotMap::SlotPtr> calloutsAt(
    const std::vector<CompiledCallouts>& callouts, std::uint32_t backend,
    std::size_t filter) noexcept {
  for (const CompiledCallouts& each : callouts)
    if (each.backend == backend && each.filter == filter) return each.upstreams;
  return {};
}

/// The filters of a compiled listener. Immutable; shared by tables and long streams.
struct ListenerFilters {
  std::vector<FilterBindingPtr> bindings;  ///< In order.
  std::vector<CompiledCallouts> callouts;  ///< Of filters that have any.
  bool refused = false;                    ///< A filter cannot run: answer 500.

  /// The upstreams that filter `filter` may send requests to.
  [[nodiscard]] std::span<const SlotMap::SlotPtr> calloutsOf(std::size_t filter) const noexcept {
    return calloutsAt(callouts, CompiledCallouts::kRule, filter);
  }
};

/// Session persistence of a compiled rule.
struct CompiledSession {
  Session model;  ///< As in the rule.
  /// Backends of weight 0, which are never drawn: sessions that they have stay with them (GEP-1619
  /// up to v1.6, Traffic Splitting). Those that did not resolve are left out.
  std::vector<CompiledBackend> parked;
};

/// What logs and explain say of a filter; what runs is its binding.
struct FilterInfo {
  std::string type;     ///< Filter::type.
  std::string owner;    ///< Filter::owner.
  std::string refused;  ///< Filter::refused.
};

/// What is kept of a Rule beside its compiled parts.
struct RuleInfo {
  std::string id;                   ///< Rule::id, behind the kind of a route that is no HTTPRoute.
  std::string name;                 ///< Rule::name.
  std::vector<FilterInfo> filters;  ///< In list order, refused ones included.
};

/// Everything that a request needs once its rule is known. Immutable; shared by tables and long
/// streams. What each request reads fills the first cache line: among thousands of rules in use
/// each line is a miss.
struct alignas(64) CompiledRule {
  /// A timeout that the rule does not set.
  static constexpr std::chrono::milliseconds kUnset{-1};

  std::vector<CompiledBackend> backends;  ///< Those with weight above 0; none: answer 500.
  std::chrono::milliseconds request_timeout = kUnset;  ///< Rule::request_timeout, or kUnset.
  std::chrono::milliseconds backend_timeout = kUnset;  ///< Rule::backend_timeout, or kUnset.
  Boxed<Retry> retry;                                  ///< Rule::retry.
  std::uint32_t stats_number = 0;  ///< stats->number(), which is memory of its own.
  bool refused = false;            ///< A filter cannot run: answer 500.
  bool has_filters = false;        ///< `filters` is not empty.
  bool has_mirrors = false;        ///< `mirrors` is not empty.
  bool has_session = false;        ///< `session` is there.

  std::vector<FilterBindingPtr> filters;  ///< In order.
  std::vector<CompiledMirror> mirrors;    ///< In order.
  Boxed<CompiledSession> session;         ///< Absent: each request is drawn anew.
  const RuleInfo* rule = nullptr;         ///< Id, name, filters; never null, lives as long as this.
  std::string_view
      route_key;  ///< Route::key, for logs, metrics and explain; lives as long as this.
  std::int64_t route_created = 0;                 ///< Route::created: the oldest wins.
  std::uint32_t rule_index = 0;                   ///< Place in the route: the first wins.
  SlotMap::SlotPtr stats;                         ///< Number for counters; key is RuleInfo::id.
  Boxed<std::vector<CompiledCallouts>> callouts;  ///< Of filters that have any; mostly absent.

  /// Sum of weights; 0: answer 500.
  [[nodiscard]] std::uint64_t totalWeight() const noexcept {
    return backends.empty() ? 0 : backends.back().weight_end;
  }
  /// The place of one of its backends; those that are parked come behind the others.
  [[nodiscard]] std::uint32_t placeOf(const CompiledBackend& backend) const noexcept {
    if (session)
      for (std::size_t i = 0; i < session->parked.size(); ++i)
        if (&session->parked[i] == &backend) return static_cast<std::uint32_t>(backends.size() + i);
    return static_cast<std::uint32_t>(&backend - backends.data());
  }
  /// The backend of a place that placeOf() gave.
  [[nodiscard]] const CompiledBackend& backendAt(std::uint32_t place) const noexcept {
    return place < backends.size() ? backends[place] : session->parked[place - backends.size()];
  }
  /// True for one of its backends that is parked: it keeps sessions, and gets no new ones.
  [[nodiscard]] bool isParked(const CompiledBackend& backend) const noexcept {
    return session && placeOf(backend) >= backends.size();
  }
  /// The upstreams that filter `filter` of `backend` (CompiledCallouts::kRule: of the rule) may
  /// send requests to.
  [[nodiscard]] std::span<const SlotMap::SlotPtr> calloutsOf(std::uint32_t backend,
                                                             std::size_t filter) const noexcept {
    if (callouts) return calloutsAt(*callouts, backend, filter);
    return {};
  }
  /// Asks for the line that a request will read.
  void prefetch() const noexcept { prefetchLine(this); }
  /// Asks for what that line leads to.
  void prefetchBehind() const noexcept {
    prefetchBytes(backends.data(), offsetof(CompiledBackend, upstream));
    if (has_filters || has_mirrors) prefetchBytes(&filters, sizeof filters + sizeof mirrors);
  }
};

/// Outcome of a match.
struct MatchResult {
  const CompiledRule* rule = nullptr;  ///< Lives as long as the table; null: 404.
  const std::shared_ptr<const CompiledRule>* holder =
      nullptr;  ///< Where the table holds `rule`; null with it.
  /// Bytes of the request path that a Prefix match covered, without trailing slash; the whole path
  /// for others.
  std::uint32_t prefix_size = 0;
  std::uint32_t match_index = 0;  ///< Which entry of the rule's `matches` it was.
};

/// A step of explain(): one candidate and why it lost.
struct NearMiss {
  std::string rule_id;          ///< RuleInfo::id.
  std::size_t match_index = 0;  ///< Which entry of matches.
  std::string reason;           ///< E.g. `header "x-tenant" is "a", needs "b"`.
};

class HostTable;      // host map of one listener: host_table.hpp
class ListenerIndex;  // hostnames of one bind group: listener_index.hpp

/// A listener with its routes: those of requests, and flows, which never meet. Immutable;
/// consecutive tables share what did not change.
class CompiledListener {
 public:
  /// Finds the rule for a request whose host this listener serves: most specific route hostname
  /// first, then less specific ones (ARCHITECTURE decision 4), within a hostname in the Gateway
  /// API's order. `method` stands for head.method, so that a CORS preflight can be matched by the
  /// method it asks for. No allocation, no lock; cost independent of the number of routes. Any
  /// thread.
  [[nodiscard]] MatchResult match(const http::RequestHead& head,
                                  std::string_view method) const noexcept;
  /// Where the table holds the rule that serves a connection or session for `name` (the SNI of a
  /// TLSRoute's listener, lower case; empty for TCP and UDP), or null: most specific route hostname
  /// first, among equals the oldest route, then by its key. No allocation, no lock; cost
  /// independent of the number of routes. Any thread.
  [[nodiscard]] const std::shared_ptr<const CompiledRule>* flow(
      std::string_view name) const noexcept;
  /// The same decision with the candidates that lost and why; slow, for `hyperway explain`.
  [[nodiscard]] MatchResult explain(const http::RequestHead& head, std::string_view method,
                                    std::vector<NearMiss>& misses) const;
  /// The routes by hostname, for what has to walk them: tests, figures.
  [[nodiscard]] const HostTable& hosts() const noexcept { return *hosts_; }
  /// The same of routes that are no HTTPRoutes or GRPCRoutes; null: none.
  [[nodiscard]] const HostTable* flows() const noexcept { return flows_.get(); }
  /// The model's listener.
  [[nodiscard]] const Listener& model() const noexcept { return *model_; }
  /// Number of the listener's TLS context; null for plain listeners. Key is Listener::key.
  [[nodiscard]] const SlotMap::SlotPtr& tlsSlot() const noexcept { return tls_slot_; }
  /// Number of the certificate that backends get to see (Listener::backend_certificate), from 1; 0:
  /// none.
  [[nodiscard]] std::uint32_t identity() const noexcept { return identity_; }
  /// True if requests go through filters of the listener before they are matched.
  [[nodiscard]] bool hasFilters() const noexcept { return filters_ != nullptr; }
  /// These filters, in order; only if hasFilters(). Whoever uses them longer than the table lives
  /// keeps them.
  [[nodiscard]] const std::shared_ptr<const ListenerFilters>& filters() const noexcept {
    return filters_;
  }
  /// One of its filters cannot run: requests are answered 500.
  [[nodiscard]] bool refused() const noexcept { return filters_ != nullptr && filters_->refused; }

 private:
  friend class TableBuilder;
  std::shared_ptr<const Listener> model_;
  std::shared_ptr<const HostTable> hosts_;
  std::shared_ptr<const HostTable> flows_;  // null: none
  SlotMap::SlotPtr tls_slot_;
  SlotMap::SlotPtr identity_slot_;
  std::uint32_t identity_ = 0;
  std::shared_ptr<const ListenerFilters> filters_;  // null: none
};

/// All listeners that share one bound socket address.
class BindGroup {
 public:
  /// Where it is bound.
  [[nodiscard]] const Bind& bind() const noexcept { return bind_; }
  /// How connections begin: Http, Tcp or Udp, or Https for a group of HTTPS and TLS listeners, of
  /// which the ClientHello's name chooses one (translation refuses other mixtures).
  [[nodiscard]] Protocol protocol() const noexcept { return protocol_; }
  /// The listener for a host or SNI: exact, then the longest wildcard, then the one without
  /// hostname; null if none. `host` is lower case. No allocation. "*.a.b" covers any number of
  /// labels in front, at least one.
  [[nodiscard]] const CompiledListener* listenerFor(std::string_view host) const noexcept;
  /// The listener without hostname, else the first by key; for clients without SNI. Null for an
  /// empty group.
  [[nodiscard]] const CompiledListener* fallback() const noexcept;
  /// All listeners, by key.
  [[nodiscard]] std::span<const std::shared_ptr<const CompiledListener>> listeners()
      const noexcept {
    return listeners_;
  }

 private:
  friend class TableBuilder;
  Bind bind_;
  Protocol protocol_ = Protocol::Http;
  std::vector<std::shared_ptr<const CompiledListener>> listeners_;
  std::shared_ptr<const ListenerIndex> index_;
};

/// The compiled, immutable form of a model. Workers read it without locks; it is made and destroyed
/// on the control thread.
class RouteTable {
 public:
  /// All groups, ordered by bind.
  [[nodiscard]] std::span<const std::shared_ptr<const BindGroup>> groups() const noexcept {
    return groups_;
  }
  /// The group of a bound address, or null; Bind::udp counts.
  [[nodiscard]] const BindGroup* group(const Bind& bind) const noexcept;
  /// Rises by one with each table.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  /// Number of rules times attachments.
  [[nodiscard]] std::size_t ruleCount() const noexcept { return rule_count_; }

 private:
  friend class TableBuilder;
  std::vector<std::shared_ptr<const BindGroup>> groups_;
  std::uint64_t generation_ = 0;
  std::size_t rule_count_ = 0;
};

}  // namespace hyperway::route
