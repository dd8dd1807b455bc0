// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/upstream_set.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "codec/h1_client.hpp"
#include "codec/h2_client.hpp"
#include "net/socket.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint32_t kMaxIdle = 1024;  // per endpoint and worker
constexpr std::chrono::milliseconds kFirstEjection{1000};
constexpr std::uint32_t kMaxEjectionDoublings = 5;
constexpr std::chrono::seconds kSameFailure{60};  // is not logged again for so long
// Lists that a connection may be in (ClientConnection::place).
constexpr std::uint8_t kNowhere = 0;
constexpr std::uint8_t kIdle = 1;
constexpr std::uint8_t kBusy = 2;

/// Connections without an exchange.
std::uint32_t idleOf(const EndpointState& endpoint) noexcept {
  if (!endpoint.key->http2) return endpoint.idle_count;
  std::uint32_t count = 0;
  for (const auto* idle = endpoint.idle; idle != nullptr; idle = idle->next)
    if (static_cast<const codec::H2ClientConnection*>(idle)->exchanges() == 0) ++count;
  return count;
}

std::shared_ptr<const codec::ClientSecurity> securityOf(
    const route::UpstreamTls& tls, const std::shared_ptr<const tls::ClientContext>& context) {
  return std::make_shared<const codec::ClientSecurity>(
      codec::ClientSecurity{context, {tls.hostname, tls.dns_names, tls.uris}});
}

}  // namespace

UpstreamSet::UpstreamSet(net::EventLoop& the_loop, codec::BlockPool& the_pool,
                         std::span<char> the_scratch, const http::H1Limits& the_limits,
                         const codec::ClientTimeouts& the_timeouts,
                         observe::WorkerCounters& counters, tls::SharedBuffers& the_tls)
    : ClientHost(the_loop, the_pool, the_scratch, the_limits, the_timeouts, &the_tls),
      counters_(counters) {}

UpstreamSet::~UpstreamSet() { closeAll(); }

void UpstreamSet::adopt(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream,
                        std::shared_ptr<const ContextRow> contexts) {
  if (slot >= groups_.size()) groups_.resize(slot + 1);
  Group& group = groups_[slot];
  // What is in use is made anew before the old goes, so that pools of endpoints that stay, stay.
  std::vector<EndpointState*> fresh;
  std::vector<Secured> secured;
  if (upstream && !upstream->tls) fresh = acquireAll(*upstream, nullptr);
  if (upstream && upstream->tls && contexts)
    for (const Secured& old : group.secured)
      if (old.identity < contexts->size() && (*contexts)[old.identity])
        secured.push_back({old.identity, acquireAll(*upstream, (*contexts)[old.identity])});
  for (EndpointState* old : group.endpoints) release(old);
  for (EndpointState* old : group.draining) release(old);
  group.draining.clear();
  for (const Secured& old : group.secured)
    for (EndpointState* endpoint : old.endpoints) release(endpoint);
  group.endpoints = std::move(fresh);
  group.secured = std::move(secured);
  group.model = std::move(upstream);
  group.is_secure = group.model && group.model->tls;
  group.proxy_header = group.model ? group.model->proxy_header : route::ProxyHeader::None;
  group.contexts = std::move(contexts);
  ++group.version;
  forgetLeft();
}

void UpstreamSet::adoptContexts(std::uint32_t slot, std::shared_ptr<const ContextRow> contexts) {
  if (slot < groups_.size()) adopt(slot, groups_[slot].model, std::move(contexts));
}

std::vector<EndpointState*> UpstreamSet::acquireAll(
    const route::Upstream& upstream, const std::shared_ptr<const tls::ClientContext>& context) {
  std::vector<EndpointState*> made;
  made.reserve(upstream.endpoints.size());
  const auto security = context ? securityOf(*upstream.tls, context) : nullptr;
  const bool http2 = upstream.protocol == route::UpstreamProtocol::Http2;
  for (const route::Endpoint& endpoint : upstream.endpoints)
    if (EndpointState* state = acquire({endpoint, security, http2})) made.push_back(state);
  return made;
}

const std::vector<EndpointState*>& UpstreamSet::endpointsFor(Group& group, std::uint32_t identity) {
  if (!group.is_secure) return group.endpoints;
  for (const Secured& known : group.secured)
    if (known.identity == identity) return known.endpoints;
  const bool possible =
      group.contexts && identity < group.contexts->size() && (*group.contexts)[identity];
  if (!possible) return group.endpoints;  // none
  group.secured.push_back({identity, acquireAll(*group.model, (*group.contexts)[identity])});
  return group.secured.back().endpoints;
}

bool UpstreamSet::refused(std::uint32_t slot, std::uint32_t identity) const noexcept {
  const route::Upstream* const upstream = model(slot);
  if (upstream == nullptr || !upstream->tls) return false;
  const auto& contexts = groups_[slot].contexts;
  return !upstream->tls->refused.empty() || !contexts || identity >= contexts->size() ||
         !(*contexts)[identity];
}

const route::Upstream* UpstreamSet::model(std::uint32_t slot) const noexcept {
  return slot < groups_.size() ? groups_[slot].model.get() : nullptr;
}

EndpointState* UpstreamSet::acquire(PoolKey key) {
  auto [it, added] = endpoints_.try_emplace(std::move(key));
  if (added) {
    const route::Endpoint& endpoint = it->first.endpoint;
    const auto address = net::SocketAddress::parse(endpoint.address, endpoint.port);
    if (!address) {  // the translator checks addresses; a hand-written snapshot may not
      endpoints_.erase(it);
      return nullptr;
    }
    it->second = std::make_unique<EndpointState>();
    it->second->key = &it->first;
    it->second->address = *address;
    it->second->text = address->text();
  }
  ++it->second->users;
  return it->second.get();
}

void UpstreamSet::release(EndpointState* endpoint) noexcept {
  if (--endpoint->users != 0) return;
  // A session may have brought it back since it was listed, and nobody has looked at the list.
  if (!std::exchange(endpoint->leaving, true)) leaving_.push_back(endpoint);
  for (codec::ClientConnection *next = nullptr, *idle = endpoint->idle; idle != nullptr;
       idle = next) {
    next = idle->next;
    if (!endpoint->key->http2 || static_cast<codec::H2ClientConnection*>(idle)->exchanges() == 0)
      idle->closeNow();
  }
  // Busy connections end with their exchanges; the state stays for them and is found again if the
  // endpoint returns.
}

void UpstreamSet::forgetLeft() {
  std::erase_if(leaving_, [this](EndpointState* endpoint) {
    if (endpoint->users != 0) {  // it came back
      endpoint->leaving = false;
      return true;
    }
    if (endpoint->idle != nullptr || endpoint->busy != nullptr || endpoint->raw != 0) return false;
    endpoints_.erase(endpoints_.find(*endpoint->key));
    return true;
  });
}

bool UpstreamSet::usable(const EndpointState& endpoint) const noexcept {
  return endpoint.ejected_until <= loop.now();
}

EndpointState* UpstreamSet::choose(std::uint32_t slot, std::uint32_t identity,
                                   const EndpointState* avoid) noexcept {
  if (slot >= groups_.size()) return nullptr;
  Group& group = groups_[slot];
  const std::vector<EndpointState*>& endpoints = endpointsFor(group, identity);
  const std::size_t count = endpoints.size();
  if (count == 0) return nullptr;
  if (count == 1) return endpoints[0];
  const std::size_t first = group.cursor++ % count;
  EndpointState* best = nullptr;
  EndpointState* any = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    EndpointState* const candidate = endpoints[(first + i) % count];
    if (candidate == avoid) continue;
    if (any == nullptr) any = candidate;
    if (!usable(*candidate)) continue;
    if (group.model->balance == route::Balance::RoundRobin) return candidate;
    if (best == nullptr || candidate->active < best->active) best = candidate;
  }
  if (best != nullptr) return best;
  // All are ejected: trying one beats refusing for sure.
  return any != nullptr ? any : endpoints[first];
}

EndpointState* UpstreamSet::find(std::uint32_t slot, std::uint32_t identity,
                                 const net::SocketAddress& address) noexcept {
  if (slot >= groups_.size()) return nullptr;
  const std::vector<EndpointState*>& endpoints = endpointsFor(groups_[slot], identity);
  char text[46];
  const std::string_view ip(text, address.writeIp(text));
  const std::uint16_t port = address.port();
  const auto before = [port](const EndpointState* state, std::string_view key) {
    const int order = std::string_view(state->key->endpoint.address).compare(key);
    return order < 0 || (order == 0 && state->key->endpoint.port < port);
  };
  const auto found = std::lower_bound(endpoints.begin(), endpoints.end(), ip, before);
  EndpointState* state =
      found != endpoints.end() && (*found)->address == address ? *found : nullptr;
  Group& group = groups_[slot];
  if (state == nullptr && group.model && !group.model->draining.empty())
    state = drainingEndpoint(group, identity, {std::string(ip), port});
  return state != nullptr && usable(*state) ? state : nullptr;
}

/// Made when a session asks for it: nobody else does.
EndpointState* UpstreamSet::drainingEndpoint(Group& group, std::uint32_t identity,
                                             const route::Endpoint& endpoint) {
  const auto& draining = group.model->draining;
  if (!std::binary_search(draining.begin(), draining.end(), endpoint)) return nullptr;
  std::shared_ptr<const codec::ClientSecurity> security;
  if (group.is_secure) {
    if (!group.contexts || identity >= group.contexts->size() || !(*group.contexts)[identity])
      return nullptr;
    security = securityOf(*group.model->tls, (*group.contexts)[identity]);
  }
  EndpointState* const state =
      acquire({endpoint, security, group.model->protocol == route::UpstreamProtocol::Http2});
  if (state == nullptr) return nullptr;
  if (std::find(group.draining.begin(), group.draining.end(), state) == group.draining.end())
    group.draining.push_back(state);
  else
    --state->users;  // counted once
  return state;
}

template <class Connection>
Connection* UpstreamSet::open(EndpointState& endpoint) noexcept {
  auto socket = net::connectTcp(endpoint.address);
  counters_.upstream_connects.add();
  if (!socket) {
    counters_.upstream_failures.add();
    return nullptr;
  }
  auto* const connection =
      new Connection(*this, std::move(*socket), &endpoint, endpoint.key->security.get());
  if (!connection->start()) {
    delete connection;
    return nullptr;
  }
  counters_.upstream_connections.add();
  return connection;
}

codec::ClientLink* UpstreamSet::connect(EndpointState& endpoint, codec::ResponseEvents& events,
                                        bool fresh, std::string_view preface) noexcept {
  if (endpoint.key->http2) return connectHttp2(endpoint, events, preface);
  codec::H1ClientConnection* connection = nullptr;
  if (!fresh && preface.empty() && endpoint.idle != nullptr) {
    connection = static_cast<codec::H1ClientConnection*>(endpoint.idle);
    unplace(endpoint, *connection);
    --endpoint.idle_count;
  } else {
    connection = open<codec::H1ClientConnection>(endpoint);
    if (connection == nullptr) return nullptr;
    connection->preface = preface;
  }
  place(endpoint, *connection, false);
  ++endpoint.active;
  connection->begin(events);
  return connection;
}

/// The first that has room takes it, so that connections which are not needed get idle and go.
codec::ClientLink* UpstreamSet::connectHttp2(EndpointState& endpoint, codec::ResponseEvents& events,
                                             std::string_view preface) noexcept {
  const auto first = [&endpoint] { return static_cast<codec::H2ClientConnection*>(endpoint.idle); };
  // One that is about to end has not always said so yet.
  while (first() != nullptr && !first()->hasRoom()) place(endpoint, *first(), false);
  codec::H2ClientConnection* connection = preface.empty() ? first() : nullptr;
  if (connection == nullptr) {
    connection = open<codec::H2ClientConnection>(endpoint);
    if (connection == nullptr) return nullptr;
    connection->preface = preface;
    // Else a burst on new connections is refused again and again where the backend allows few.
    if (endpoint.allowed != 0) connection->expect(endpoint.allowed);
    place(endpoint, *connection, preface.empty());
  }
  ++endpoint.active;
  codec::ClientLink& link = connection->begin(events);
  if (!connection->hasRoom()) place(endpoint, *connection, false);
  return &link;
}

void UpstreamSet::report(std::uint32_t slot, std::size_t most,
                         std::vector<EndpointReport>& out) const {
  if (slot >= groups_.size()) return;
  const auto add = [&](const std::vector<EndpointState*>& endpoints) {
    for (const EndpointState* state : endpoints) {
      if (out.size() >= most) return;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(state->ejected_until - loop.now());
      out.push_back({slot, state->key->endpoint, state->active, idleOf(*state), state->failures,
                     std::max(left, std::chrono::milliseconds(0)), state->tls_failure});
    }
  };
  add(groups_[slot].endpoints);
  for (const Secured& secured : groups_[slot].secured) add(secured.endpoints);
}

void UpstreamSet::closeAll() noexcept {
  for (auto& [key, endpoint] : endpoints_) {
    while (endpoint->idle != nullptr) endpoint->idle->fail();
    while (endpoint->busy != nullptr) endpoint->busy->fail();
  }
}

void UpstreamSet::onClientConnectionIdle(codec::ClientConnection& connection) noexcept {
  auto& endpoint = *static_cast<EndpointState*>(connection.owner());
  --endpoint.active;
  endpoint.failures = 0;
  place(endpoint, connection, true);
  ++endpoint.idle_count;
  if (endpoint.users == 0 || endpoint.idle_count > kMaxIdle || !connection.preface.empty())
    connection.closeNow();
}

void UpstreamSet::onClientConnectionRoom(codec::ClientConnection& connection,
                                         bool exchange_over) noexcept {
  auto& endpoint = *static_cast<EndpointState*>(connection.owner());
  auto& shared = static_cast<codec::H2ClientConnection&>(connection);
  if (exchange_over) {
    --endpoint.active;
    if (shared.isUp()) endpoint.failures = 0;
  } else if (const std::uint32_t allowed = shared.allowed(); allowed != 0) {
    endpoint.allowed = allowed;
  }
  place(endpoint, connection, shared.hasRoom() && connection.preface.empty());
  const bool unwanted = endpoint.users == 0 || !connection.preface.empty();
  if (unwanted && shared.exchanges() == 0) connection.closeNow();
}

void UpstreamSet::onClientConnectionClosed(codec::ClientConnection& connection,
                                           bool connected) noexcept {
  auto& endpoint = *static_cast<EndpointState*>(connection.owner());
  if (endpoint.key->http2)
    endpoint.active -= static_cast<codec::H2ClientConnection&>(connection).exchanges();
  else if (connection.place == kIdle)
    --endpoint.idle_count;
  else
    --endpoint.active;
  unplace(endpoint, connection);
  counters_.upstream_connections.subtract();
  if (connected) {
    endpoint.failures = 0;
  } else if (!connection.given_up) {
    eject(endpoint);
  }
  loop.retire(&connection);
}

void UpstreamSet::eject(EndpointState& endpoint) noexcept {
  counters_.upstream_failures.add();
  const std::uint32_t doublings = std::min(endpoint.failures++, kMaxEjectionDoublings);
  endpoint.ejected_until = loop.now() + kFirstEjection * (1U << doublings);
  counters_.ejections.add();
}

net::Fd UpstreamSet::connectRaw(EndpointState& endpoint) noexcept {
  counters_.upstream_connects.add();
  auto socket = net::connectTcp(endpoint.address);
  if (!socket) {
    // Refused or unreachable, which the kernel may know at once; else it is we who lack something.
    const int error = socket.error();
    if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH)
      eject(endpoint);
    else
      counters_.upstream_failures.add();
    return {};
  }
  counters_.upstream_connections.add();
  ++endpoint.active;
  ++endpoint.raw;
  return std::move(*socket);
}

void UpstreamSet::rawDone(EndpointState& endpoint, bool failed) noexcept {
  --endpoint.active;
  --endpoint.raw;
  counters_.upstream_connections.subtract();
  if (failed) eject(endpoint);
}

bool UpstreamSet::lists(std::uint32_t slot, const EndpointState& endpoint) const noexcept {
  if (slot >= groups_.size()) return false;
  const auto in = [&](const std::vector<EndpointState*>& list) {
    return std::find(list.begin(), list.end(), &endpoint) != list.end();
  };
  return in(groups_[slot].endpoints) ||
         std::any_of(groups_[slot].secured.begin(), groups_[slot].secured.end(),
                     [&](const Secured& each) { return in(each.endpoints); });
}

void UpstreamSet::onClientTlsFailed(codec::ClientConnection& connection,
                                    std::string_view reason) noexcept {
  rawTlsFailed(*static_cast<EndpointState*>(connection.owner()), reason);
}

void UpstreamSet::rawTlsFailed(EndpointState& endpoint, std::string_view reason) noexcept {
  counters_.upstream_tls_failures.add();
  endpoint.tls_failure = reason;
  warnOf(endpoint, "TLS", reason);
}

void UpstreamSet::onClientHttp2Failed(codec::ClientConnection& connection,
                                      std::string_view reason) noexcept {
  warnOf(*static_cast<EndpointState*>(connection.owner()), "HTTP/2", reason);
}

/// Once for each reason, then once in a while: a backend that is set up wrongly fails each time.
void UpstreamSet::warnOf(EndpointState& endpoint, std::string_view what, std::string_view reason) {
  if (reason == endpoint.failure && loop.now() < endpoint.logged + kSameFailure) return;
  endpoint.failure = reason;
  endpoint.logged = loop.now();
  if (!log_) return;
  std::string message(what);
  message.append(" to backend ").append(endpoint.text);
  if (endpoint.key->security)
    message.append(" (").append(endpoint.key->security->peer.hostname).append(")");
  log_(message.append(" failed: ").append(reason));
}

void UpstreamSet::place(EndpointState& endpoint, codec::ClientConnection& connection,
                        bool idle) noexcept {
  if (connection.place == (idle ? kIdle : kBusy)) return;
  unplace(endpoint, connection);
  codec::ClientConnection*& list = idle ? endpoint.idle : endpoint.busy;
  connection.place = idle ? kIdle : kBusy;
  connection.next = list;
  if (list != nullptr) list->prev = &connection;
  list = &connection;
}

void UpstreamSet::unplace(EndpointState& endpoint, codec::ClientConnection& connection) noexcept {
  if (connection.place == kNowhere) return;
  if (connection.prev != nullptr)
    connection.prev->next = connection.next;
  else
    (connection.place == kIdle ? endpoint.idle : endpoint.busy) = connection.next;
  if (connection.next != nullptr) connection.next->prev = connection.prev;
  connection.prev = connection.next = nullptr;
  connection.place = kNowhere;
}

}  // namespace hyperway::proxy
