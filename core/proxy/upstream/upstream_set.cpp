// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/upstream_set.hpp"

#include <algorithm>
#include <cerrno>

#include "net/socket.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint32_t kMaxIdle = 1024;  // per endpoint and worker
constexpr std::chrono::milliseconds kFirstEjection{1000};
constexpr std::uint32_t kMaxEjectionDoublings = 5;
constexpr std::chrono::seconds kSameFailure{60};  // is not logged again for so long

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
  for (const Secured& old : group.secured)
    for (EndpointState* endpoint : old.endpoints) release(endpoint);
  group.endpoints = std::move(fresh);
  group.secured = std::move(secured);
  group.model = std::move(upstream);
  group.is_secure = group.model && group.model->tls;
  group.contexts = std::move(contexts);
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
  for (const route::Endpoint& endpoint : upstream.endpoints)
    if (EndpointState* state = acquire({endpoint, security})) made.push_back(state);
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
  leaving_.push_back(endpoint);
  while (endpoint->idle != nullptr) endpoint->idle->closeNow();
  // Busy connections end with their exchange; the state stays for them and is found again if the
  // endpoint returns.
}

void UpstreamSet::forgetLeft() {
  std::erase_if(leaving_, [this](EndpointState* endpoint) {
    if (endpoint->users != 0) return true;  // it came back
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

codec::H1ClientConnection* UpstreamSet::connect(EndpointState& endpoint,
                                                codec::ResponseEvents& events,
                                                bool fresh) noexcept {
  codec::H1ClientConnection* connection = fresh ? nullptr : endpoint.idle;
  if (connection != nullptr) {
    take(endpoint.idle, *connection);
    --endpoint.idle_count;
    connection->pooled = false;
  } else {
    auto socket = net::connectTcp(endpoint.address);
    counters_.upstream_connects.add();
    if (!socket) {
      counters_.upstream_failures.add();
      return nullptr;
    }
    connection = new codec::H1ClientConnection(*this, std::move(*socket), &endpoint,
                                               endpoint.key->security.get());
    if (!connection->start()) {
      delete connection;
      return nullptr;
    }
    counters_.upstream_connections.add();
  }
  push(endpoint.busy, *connection);
  ++endpoint.active;
  connection->begin(events);
  return connection;
}

void UpstreamSet::report(std::uint32_t slot, std::size_t most,
                         std::vector<EndpointReport>& out) const {
  if (slot >= groups_.size()) return;
  const auto add = [&](const std::vector<EndpointState*>& endpoints) {
    for (const EndpointState* state : endpoints) {
      if (out.size() >= most) return;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(state->ejected_until - loop.now());
      out.push_back({slot, state->key->endpoint, state->active, state->idle_count, state->failures,
                     std::max(left, std::chrono::milliseconds(0)), state->tls_failure});
    }
  };
  add(groups_[slot].endpoints);
  for (const Secured& secured : groups_[slot].secured) add(secured.endpoints);
}

void UpstreamSet::closeAll() noexcept {
  for (auto& [key, endpoint] : endpoints_) {
    while (endpoint->idle != nullptr) endpoint->idle->closeNow();
    while (endpoint->busy != nullptr) endpoint->busy->fail();
  }
}

void UpstreamSet::onClientConnectionIdle(codec::H1ClientConnection& connection) noexcept {
  auto& endpoint = *static_cast<EndpointState*>(connection.owner());
  take(endpoint.busy, connection);
  --endpoint.active;
  endpoint.failures = 0;
  push(endpoint.idle, connection);
  ++endpoint.idle_count;
  connection.pooled = true;
  if (endpoint.users == 0 || endpoint.idle_count > kMaxIdle) connection.closeNow();
}

void UpstreamSet::onClientConnectionClosed(codec::H1ClientConnection& connection,
                                           bool connected) noexcept {
  auto& endpoint = *static_cast<EndpointState*>(connection.owner());
  unlink(endpoint, connection);
  counters_.upstream_connections.subtract();
  if (connected) {
    endpoint.failures = 0;
  } else {
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

void UpstreamSet::onClientTlsFailed(codec::H1ClientConnection& connection,
                                    std::string_view reason) noexcept {
  rawTlsFailed(*static_cast<EndpointState*>(connection.owner()), reason);
}

void UpstreamSet::rawTlsFailed(EndpointState& endpoint, std::string_view reason) noexcept {
  counters_.upstream_tls_failures.add();
  // Once for each reason, then once in a while: a backend that is set up wrongly fails each time.
  if (reason == endpoint.tls_failure && loop.now() < endpoint.tls_logged + kSameFailure) return;
  endpoint.tls_failure = reason;
  endpoint.tls_logged = loop.now();
  if (!log_) return;
  std::string message =
      "TLS to backend " + endpoint.text + " (" + endpoint.key->security->peer.hostname;
  log_(message.append(") failed: ").append(reason));
}

void UpstreamSet::unlink(EndpointState& endpoint, codec::H1ClientConnection& connection) noexcept {
  if (connection.pooled) {
    take(endpoint.idle, connection);
    --endpoint.idle_count;
  } else {
    take(endpoint.busy, connection);
    --endpoint.active;
  }
}

void UpstreamSet::push(codec::H1ClientConnection*& list,
                       codec::H1ClientConnection& connection) noexcept {
  connection.prev = nullptr;
  connection.next = list;
  if (list != nullptr) list->prev = &connection;
  list = &connection;
}

void UpstreamSet::take(codec::H1ClientConnection*& list,
                       codec::H1ClientConnection& connection) noexcept {
  if (connection.prev != nullptr)
    connection.prev->next = connection.next;
  else
    list = connection.next;
  if (connection.next != nullptr) connection.next->prev = connection.prev;
  connection.prev = connection.next = nullptr;
}

}  // namespace hyperway::proxy
