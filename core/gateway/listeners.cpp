// SPDX-License-Identifier: Apache-2.0
#include "gateway/listeners.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "base/bytes.hpp"
#include "gateway/attachment.hpp"
#include "gateway/hostname.hpp"
#include "gateway/ip_literal.hpp"

namespace hyperway::gateway {
namespace {

constexpr std::string_view kUnsupportedValue = "UnsupportedValue";
constexpr std::string_view kRefNotPermitted = "RefNotPermitted";

struct PlacedValidation {
  const FrontendValidation* validation = nullptr;
  std::string pointer;
};

// What is in force on a port: its own setting, also if that is none, else the default.
PlacedValidation validationFor(const Gateway& gateway, std::int64_t port) {
  const auto place = [](const std::optional<FrontendValidation>& validation, std::string pointer) {
    return PlacedValidation{validation ? &*validation : nullptr, std::move(pointer)};
  };
  const auto& ports = gateway.client_validation_ports;
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (ports[i].port == port)
      return place(ports[i].validation,
                   "/spec/tls/frontend/perPort/" + std::to_string(i) + "/tls/validation");
  return place(gateway.client_validation, "/spec/tls/frontend/default/validation");
}

struct ProtocolRow {
  std::string_view name;
  route::Protocol protocol;
  std::vector<std::string> kinds;  // that may attach
};

// Gateway API, ProtocolType and the routes' specs; null for what is unknown.
const ProtocolRow* protocolRow(std::string_view name) {
  static const std::array<ProtocolRow, 5> kRows = {{
      {"HTTP", route::Protocol::Http, {"HTTPRoute", "GRPCRoute"}},
      {"HTTPS", route::Protocol::Https, {"HTTPRoute", "GRPCRoute"}},
      {"TLS", route::Protocol::Tls, {"TLSRoute"}},
      {"TCP", route::Protocol::Tcp, {"TCPRoute"}},
      {"UDP", route::Protocol::Udp, {"UDPRoute"}},
  }};
  const auto* found = std::find_if(kRows.begin(), kRows.end(),
                                   [&](const ProtocolRow& row) { return row.name == name; });
  return found == kRows.end() ? nullptr : found;
}

bool hasHostname(route::Protocol protocol) {
  return protocol != route::Protocol::Tcp && protocol != route::Protocol::Udp;
}

// What a connection to a port begins with: listeners of one port must agree in that.
route::Protocol familyOf(route::Protocol protocol) {
  return protocol == route::Protocol::Tls ? route::Protocol::Https : protocol;
}

class ListenerJudge {
 public:
  // A listener of the Gateway itself, or of `set`.
  ListenerJudge(const Gateway& gateway, const ListenerSet* set, std::size_t index,
                const GatewayContext& context, GatewayState& out)
      : gateway_(gateway),
        set_(set),
        spec_((set != nullptr ? set->listeners : gateway.listeners)[index]),
        pointer_("/spec/listeners/" + std::to_string(index)),
        context_(context),
        out_(out) {}

  ListenerState judge() {
    state_.name = spec_.name;
    if (set_ != nullptr) state_.set = set_->meta.key();
    state_.name_space = owner().name_space;
    state_.pointer = pointer_;
    state_.port = spec_.port;
    state_.hostname = lowered(spec_.hostname);
    state_.allowed = spec_.allowed;
    judgeProtocol();
    judgeValues();
    judgeFilters();
    if (!state_.supported_kinds.empty()) {
      judgeKinds();
      if (familyOf(state_.model.protocol) == route::Protocol::Https) judgeTls();
    }
    fillModel();
    return std::move(state_);
  }

 private:
  [[nodiscard]] const Meta& owner() const { return set_ != nullptr ? set_->meta : gateway_.meta; }

  void refuse(std::string_view reason, std::string_view where, std::string message) {
    state_.accepted.keep(
        {std::string(reason), pointer_ + std::string(where) + ": " + std::move(message)});
  }

  void judgeProtocol() {
    const ProtocolRow* const row = protocolRow(spec_.protocol);
    if (row == nullptr)
      return refuse("UnsupportedProtocol", "/protocol",
                    "protocol " + spec_.protocol +
                        " is unknown; HTTP, HTTPS, TLS, TCP and UDP are supported");
    state_.supported_kinds = row->kinds;
    state_.model.protocol = row->protocol;
  }

  void judgeValues() {
    if (!spec_.problems.empty())
      state_.accepted.keep({std::string(kUnsupportedValue), spec_.problems.front()});
    if (spec_.port < 1 || spec_.port > 65535)
      refuse(kUnsupportedValue, "/port", "must be 1 to 65535");
    if (!spec_.hostname.empty() && !isHostname(spec_.hostname))
      refuse(kUnsupportedValue, "/hostname",
             "'" + spec_.hostname + "' is not a host name, with *. before it or without");
    const route::Protocol protocol = state_.model.protocol;
    if (familyOf(protocol) != route::Protocol::Https && spec_.tls)
      refuse(kUnsupportedValue, "/tls", "does not belong to protocol " + spec_.protocol);
    if (!hasHostname(protocol) && !spec_.hostname.empty())
      refuse(kUnsupportedValue, "/hostname", "does not belong to protocol " + spec_.protocol);
  }

  // Gateway API v1.7, ListenerFilters; GEP-5224 for the reasons. What cannot run keeps the
  // listener, whose requests are answered 500: without it another one might take them, unasked.
  void judgeFilters() {
    if (spec_.filters.empty()) return;
    const route::Protocol protocol = state_.model.protocol;
    if (protocol != route::Protocol::Http && protocol != route::Protocol::Https)
      return refuse(kUnsupportedValue, "/filters",
                    "belong to protocols HTTP and HTTPS, not to " + spec_.protocol);
    bool unsupported = false;
    for (std::size_t i = 0; i < spec_.filters.size(); ++i)
      unsupported = !supports(spec_.filters[i].type, i) || unsupported;
    if (unsupported) return;
    RouteDependencies dependencies;
    const std::string_view kind = set_ != nullptr ? "ListenerSet" : "Gateway";
    const FilterContext context{
        context_.store,   context_.options,       context_.parser,
        context_.filters, owner().name_space,     std::string(kind) + ' ' + owner().key(),
        dependencies,     route::RouteKind::Http, kind};
    FilterList list = translateFilters(spec_.filters, pointer_ + "/filters/requests", context);
    for (const Verdict& verdict : list.unresolved)
      state_.resolved.keep({verdict.reason == kRefNotPermitted ? std::string(kRefNotPermitted)
                                                               : "InvalidListenerFilterRef",
                            verdict.message});
    state_.model.filters = std::move(list.filters);
    const auto note = [](std::vector<std::string>& from, std::vector<std::string>& to) {
      std::move(from.begin(), from.end(), std::back_inserter(to));
    };
    note(dependencies.filters, out_.filters);
    note(dependencies.services, out_.services);
    note(dependencies.namespaces, out_.namespaces);
  }

  // False if a filter of that type cannot stand in a listener, which says so.
  bool supports(const std::string& type, std::size_t index) {
    std::string problem;
    if (type != "ExtensionRef" && type != "ExternalAuth")
      problem = "must be ExternalAuth or ExtensionRef, not " + type;
    else if (type == "ExternalAuth" && !context_.parser.knows(type))
      problem = "no plugin for filter type ExternalAuth is loaded";
    if (problem.empty()) return true;
    refuse(kUnsupportedValue, "/filters/requests/" + std::to_string(index) + "/type",
           std::move(problem));
    return false;
  }

  void judgeKinds() {
    if (spec_.allowed.kinds.empty()) return;
    std::vector<std::string> valid;
    for (std::size_t i = 0; i < spec_.allowed.kinds.size(); ++i) {
      const RouteKind& kind = spec_.allowed.kinds[i];
      const auto& kinds = state_.supported_kinds;
      if (kind.group != kGatewayGroup ||
          std::find(kinds.begin(), kinds.end(), kind.kind) == kinds.end())
        state_.resolved.keep({"InvalidRouteKinds", pointer_ + "/allowedRoutes/kinds/" +
                                                       std::to_string(i) + ": " + kind.kind +
                                                       " cannot attach to a listener of protocol " +
                                                       spec_.protocol + " in this version"});
      else if (std::find(valid.begin(), valid.end(), kind.kind) == valid.end())
        valid.push_back(kind.kind);
    }
    state_.supported_kinds = std::move(valid);
  }

  void judgeTls() {
    const ListenerTls none;
    const ListenerTls& tls = spec_.tls ? *spec_.tls : none;
    const bool is_tls = state_.model.protocol == route::Protocol::Tls;
    state_.model.passthrough = is_tls && tls.mode == "Passthrough";
    if (tls.mode != "Terminate" && !state_.model.passthrough)
      refuse(kUnsupportedValue, "/tls/mode",
             (is_tls ? "must be Terminate or Passthrough, not "
                     : "must be Terminate for protocol HTTPS, not ") +
                 tls.mode);
    if (!tls.options.empty())
      refuse(kUnsupportedValue, "/tls/options", "option " + tls.options.front() + " is unknown");
    // Gateway API, ListenerTLSConfig.certificateRefs: who does not terminate needs none.
    if (state_.model.passthrough) return;
    auto refs = resolveCertificates(
        tls.certificates, {set_ != nullptr ? "ListenerSet" : "Gateway", owner().name_space},
        pointer_ + "/tls/certificateRefs", "InvalidCertificateRef", context_.store,
        context_.certificates, context_.options.check_certificate);
    state_.resolved.keep(std::move(refs.verdict));
    std::move(refs.secrets.begin(), refs.secrets.end(), std::back_inserter(out_.secrets));
    std::move(refs.namespaces.begin(), refs.namespaces.end(), std::back_inserter(out_.namespaces));
    state_.model.certificates = std::move(refs.usable);
    // Gateway API, FrontendTLSConfig: for listeners that handle HTTPS traffic.
    if (!is_tls) judgeValidation();
  }

  void judgeValidation() {
    auto [wanted, place] = validationFor(gateway_, spec_.port);
    if (wanted == nullptr) return;
    if (set_ != nullptr) place = "Gateway " + gateway_.meta.key() + ' ' + place;
    if (wanted->mode != "AllowValidOnly" && wanted->mode != "AllowInsecureFallback")
      state_.accepted.keep(
          {std::string(kUnsupportedValue),
           place + "/mode: must be AllowValidOnly or AllowInsecureFallback, not " + wanted->mode});
    auto refs = resolveAuthorities(
        wanted->authorities, {"Gateway", gateway_.meta.name_space, "InvalidCACertificateKind"},
        place + "/caCertificateRefs", context_.store, context_.authorities,
        context_.options.check_authorities);
    if (wanted->authorities.empty())
      refs.resolved.keep({"InvalidCACertificateRef",
                          place + "/caCertificateRefs: needs at least one trust anchor"});
    if (refs.usable.empty()) state_.accepted.keep({"NoValidCACertificate", refs.resolved.message});
    state_.resolved.keep(std::move(refs.resolved));
    std::move(refs.config_maps.begin(), refs.config_maps.end(),
              std::back_inserter(out_.config_maps));
    std::move(refs.namespaces.begin(), refs.namespaces.end(), std::back_inserter(out_.namespaces));
    route::ClientValidation made;
    made.authorities = std::move(refs.usable);
    made.required = wanted->mode != "AllowInsecureFallback";
    state_.model.validation = std::make_shared<const route::ClientValidation>(std::move(made));
  }

  void fillModel() {
    route::Listener& model = state_.model;
    model.key = gateway_.meta.key() + '/' + (set_ != nullptr ? state_.set + '/' : "") + spec_.name;
    model.hostname = state_.hostname;
    model.backend_certificate = out_.backend_certificate;
    if (!state_.accepted.fine() || !out_.addresses.assigned) return;
    model.port = static_cast<std::uint16_t>(spec_.port);
    if (hasServices(context_.options.gateway_addresses)) return bindToTarget(model);
    model.binds = bindsOf(model.port, out_.addresses.bound, context_.options);
    for (route::Bind& bind : model.binds) bind.udp = model.protocol == route::Protocol::Udp;
    if (model.binds.empty())
      refuse("PortUnavailable", "/port",
             "the configuration binds no address for port " + std::to_string(spec_.port));
  }

  void bindToTarget(route::Listener& model) {
    const bool udp = model.protocol == route::Protocol::Udp;
    const auto found = out_.addresses.targets.find({model.port, udp});
    state_.waiting = found == out_.addresses.targets.end();
    if (state_.waiting) return;
    for (const std::string& address : context_.options.default_addresses)
      model.binds.push_back({address, found->second, udp});
  }

  const Gateway& gateway_;
  const ListenerSet* const set_;  // null: the Gateway's own
  const ListenerSpec& spec_;
  std::string pointer_;
  const GatewayContext& context_;
  GatewayState& out_;
  ListenerState state_;
};

void judgeClientCertificate(const Gateway& gateway, const GatewayContext& context,
                            GatewayState& out) {
  if (!gateway.client_certificate) return;
  auto refs =
      resolveCertificates({*gateway.client_certificate}, {"Gateway", gateway.meta.name_space},
                          "/spec/tls/backend/clientCertificateRef", "InvalidClientCertificateRef",
                          context.store, context.certificates, context.options.check_certificate);
  out.resolved.keep(std::move(refs.verdict));
  if (!refs.usable.empty()) out.backend_certificate = std::move(refs.usable.front());
  std::move(refs.secrets.begin(), refs.secrets.end(), std::back_inserter(out.secrets));
  std::move(refs.namespaces.begin(), refs.namespaces.end(), std::back_inserter(out.namespaces));
}

std::vector<const ListenerSet*> setsByAge(const std::string& gateway, const ObjectStore& store) {
  std::vector<const ListenerSet*> sets;
  if (const auto* keys = store.setsOf(gateway))
    for (const std::string& key : *keys) sets.push_back(store.find<ListenerSet>(key));
  std::sort(sets.begin(), sets.end(), [](const ListenerSet* a, const ListenerSet* b) {
    return std::tie(a->meta.created, a->meta.name_space, a->meta.name) <
           std::tie(b->meta.created, b->meta.name_space, b->meta.name);
  });
  return sets;
}

void takeSets(const Gateway& gateway, const GatewayContext& context, GatewayState& state) {
  const AllowedListeners& allowed = gateway.allowed_listeners;
  for (const ListenerSet* set : setsByAge(gateway.meta.key(), context.store)) {
    SetState& made = state.sets.emplace_back();
    made.key = set->meta.key();
    made.meta = set->meta;
    if (!allowsNamespace(allowed.from, allowed.selector, set->meta.name_space,
                         gateway.meta.name_space, context.store)) {
      made.accepted = {"NotAllowed", "/spec/parentRef: Gateway " + gateway.meta.key() +
                                         " does not take ListenerSets of namespace " +
                                         set->meta.name_space + " (its allowedListeners)"};
      continue;
    }
    made.first = state.listeners.size();
    made.count = set->listeners.size();
    for (std::size_t i = 0; i < set->listeners.size(); ++i)
      state.listeners.push_back(ListenerJudge(gateway, set, i, context, state).judge());
  }
}

// The listeners of one Gateway or ListenerSet.
struct Owner {
  const Gateway* gateway;
  const Meta* meta;
  std::vector<ListenerState*> listeners;

  [[nodiscard]] bool isSet() const { return meta != &gateway->meta; }
};

// Gateways as they come, then all ListenerSets by age.
std::vector<Owner> ownersByAge(const std::vector<GatewayState*>& gateways) {
  std::vector<Owner> owners;
  for (GatewayState* gateway : gateways) {
    Owner& own = owners.emplace_back(Owner{gateway->spec, &gateway->spec->meta, {}});
    for (ListenerState& listener : gateway->listeners)
      if (listener.set.empty()) own.listeners.push_back(&listener);
  }
  const auto first_set = static_cast<std::ptrdiff_t>(owners.size());
  for (GatewayState* gateway : gateways)
    for (const SetState& set : gateway->sets) {
      if (!set.accepted.fine()) continue;
      Owner& owner = owners.emplace_back(Owner{gateway->spec, &set.meta, {}});
      for (std::size_t at = set.first; at < set.first + set.count; ++at)
        owner.listeners.push_back(&gateway->listeners[at]);
    }
  std::sort(owners.begin() + first_set, owners.end(), [](const Owner& a, const Owner& b) {
    return std::tie(a.meta->created, a.meta->name_space, a.meta->name) <
           std::tie(b.meta->created, b.meta->name_space, b.meta->name);
  });
  return owners;
}

// A listener, as its neighbours on an address and port see it.
struct Claim {
  std::size_t age;  // position of its owner
  ListenerState* listener;
};

void conflict(ListenerState& listener, std::string reason, const ListenerState& other) {
  listener.conflicted.keep(
      {std::move(reason), listener.pointer + ": port " + std::to_string(listener.port) +
                              " is also claimed by listener " + other.model.key});
}

void compare(const Claim& older, const Claim& newer) {
  ListenerState& a = *older.listener;
  ListenerState& b = *newer.listener;
  const bool same_owner = older.age == newer.age;
  std::string reason;
  const route::Protocol family = familyOf(a.model.protocol);
  if (family != familyOf(b.model.protocol) || !hasHostname(family))
    reason = "ProtocolConflict";
  else if (a.hostname == b.hostname)
    reason = "HostnameConflict";
  if (!reason.empty()) {
    // An older listener that lost itself is not bound and stands in nobody's way.
    if (!same_owner && !a.conflicted.fine()) return;
    conflict(b, reason, a);
    if (same_owner) conflict(a, reason, b);
    return;
  }
  if (a.model.protocol == route::Protocol::Https && b.model.protocol == route::Protocol::Https &&
      hostnamesMeet(a.hostname, b.hostname))
    a.overlaps = b.overlaps = true;
}

// Compares what the owner of this age claims with what it has beside it (`own`), or with what older
// ones claim. Listeners that are `lost` already are left alone.
void compareFrom(const std::vector<Claim>& claims, std::size_t age, bool own,
                 const std::set<const ListenerState*>& lost) {
  for (std::size_t j = 0; j < claims.size() && claims[j].age <= age; ++j) {
    if (claims[j].age != age || lost.contains(claims[j].listener)) continue;
    for (std::size_t i = 0; i < j; ++i)
      if ((claims[i].age == age) == own && !lost.contains(claims[i].listener))
        compare(claims[i], claims[j]);
  }
}

void settle(ListenerState& listener) {
  listener.served = listener.competes() && !listener.waiting && listener.conflicted.fine() &&
                    listener.hasCertificate();
}

}  // namespace

GatewayState judgeGateway(const Gateway& gateway, const GatewayContext& context) {
  GatewayState state;
  state.spec = &gateway;
  state.is_default = gateway.default_scope;
  const Service* service = context.options.gateway_addresses == AddressSource::Merged
                               ? context.store.find<Service>(context.options.gateway_service)
                               : context.store.serviceOfGateway(gateway.meta.key());
  state.addresses = context.addresses.assign(gateway, context.options, service);
  if (!context.class_accepted)
    state.accepted.keep(
        {"InvalidParameters", "GatewayClass " + gateway.class_name + " is not accepted"});
  // Where they count, the sink that uses them reads them, and reports.
  if (gateway.parameters && context.options.gateway_addresses != AddressSource::Deployed)
    state.accepted.keep(
        {"InvalidParameters", "/spec/infrastructure/parametersRef: hyperway takes no parameters"});
  state.accepted.keep(state.addresses.accepted);
  if (!state.accepted.fine()) state.addresses.assigned = false;
  judgeClientCertificate(gateway, context, state);
  for (std::size_t i = 0; i < gateway.listeners.size(); ++i)
    state.listeners.push_back(ListenerJudge(gateway, nullptr, i, context, state).judge());
  takeSets(gateway, context, state);
  return state;
}

void findConflicts(const std::vector<GatewayState*>& gateways) {
  std::map<route::Bind, std::vector<Claim>> claims;
  const std::vector<Owner> owners = ownersByAge(gateways);
  for (std::size_t age = 0; age < owners.size(); ++age)
    for (ListenerState* listener : owners[age].listeners) {
      listener->conflicted = {};
      listener->overlaps = false;
      if (!listener->competes()) continue;
      for (const route::Bind& bind : listener->model.binds) claims[bind].push_back({age, listener});
      // What is not bound yet will be where no other Gateway is.
      if (listener->waiting)
        claims[{owners[age].gateway->meta.key(), listener->model.port,
                listener->model.protocol == route::Protocol::Udp}]
            .push_back({age, listener});
    }
  // Owner by owner, so that what has fallen out already harms no younger one. What is wrong within
  // a Gateway is so whoever its neighbours are; a set is told first what it can have at all.
  for (std::size_t age = 0; age < owners.size(); ++age) {
    const bool set = owners[age].isSet();
    for (const bool own : {!set, set}) {
      std::set<const ListenerState*> lost;
      for (const ListenerState* listener : owners[age].listeners)
        if (own && !listener->conflicted.fine()) lost.insert(listener);
      for (auto& [bind, list] : claims) compareFrom(list, age, own, lost);
    }
  }
  for (GatewayState* gateway : gateways)
    for (ListenerState& listener : gateway->listeners) settle(listener);
}

bool attachesAlike(const ListenerState& a, const ListenerState& b) {
  return a.name == b.name && a.hostname == b.hostname && a.port == b.port &&
         a.allowed == b.allowed && a.supported_kinds == b.supported_kinds && a.served == b.served;
}

}  // namespace hyperway::gateway
