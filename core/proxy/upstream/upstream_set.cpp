// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream/upstream_set.hpp"

#include <algorithm>

#include "net/socket.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint32_t kMaxIdle = 1024;  // per endpoint and worker
constexpr std::chrono::milliseconds kFirstEjection{1000};
constexpr std::uint32_t kMaxEjectionDoublings = 5;

}  // namespace

UpstreamSet::UpstreamSet(net::EventLoop& the_loop, codec::BlockPool& the_pool,
                         std::span<char> the_scratch, const http::H1Limits& the_limits,
                         const codec::ClientTimeouts& the_timeouts,
                         observe::WorkerCounters& counters)
    : ClientHost(the_loop, the_pool, the_scratch, the_limits, the_timeouts), counters_(counters) {}

UpstreamSet::~UpstreamSet() { closeAll(); }

void UpstreamSet::adopt(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream) {
  if (slot >= groups_.size()) groups_.resize(slot + 1);
  Group& group = groups_[slot];
  std::vector<EndpointState*> fresh;
  if (upstream)
    for (const route::Endpoint& endpoint : upstream->endpoints)
      if (EndpointState* state = acquire(endpoint)) fresh.push_back(state);
  for (EndpointState* old : group.endpoints) release(old);
  group.endpoints = std::move(fresh);
  group.model = std::move(upstream);
  forgetLeft();
}

const route::Upstream* UpstreamSet::model(std::uint32_t slot) const noexcept {
  return slot < groups_.size() ? groups_[slot].model.get() : nullptr;
}

EndpointState* UpstreamSet::acquire(const route::Endpoint& endpoint) {
  auto [it, added] = endpoints_.try_emplace(endpoint);
  if (added) {
    const auto address = net::SocketAddress::parse(endpoint.address, endpoint.port);
    if (!address) {  // the translator checks addresses; a hand-written snapshot may not
      endpoints_.erase(it);
      return nullptr;
    }
    it->second = std::make_unique<EndpointState>();
    it->second->key = endpoint;
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
    if (endpoint->idle != nullptr || endpoint->busy != nullptr) return false;
    endpoints_.erase(route::Endpoint(endpoint->key));
    return true;
  });
}

bool UpstreamSet::usable(const EndpointState& endpoint) const noexcept {
  return endpoint.ejected_until <= loop.now();
}

EndpointState* UpstreamSet::choose(std::uint32_t slot, const EndpointState* avoid) noexcept {
  if (slot >= groups_.size() || groups_[slot].endpoints.empty()) return nullptr;
  Group& group = groups_[slot];
  const std::size_t count = group.endpoints.size();
  if (count == 1) return group.endpoints[0];
  const std::size_t first = group.cursor++ % count;
  EndpointState* best = nullptr;
  EndpointState* any = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    EndpointState* const candidate = group.endpoints[(first + i) % count];
    if (candidate == avoid) continue;
    if (any == nullptr) any = candidate;
    if (!usable(*candidate)) continue;
    if (group.model->balance == route::Balance::RoundRobin) return candidate;
    if (best == nullptr || candidate->active < best->active) best = candidate;
  }
  if (best != nullptr) return best;
  // All are ejected: trying one beats refusing for sure.
  return any != nullptr ? any : group.endpoints[first];
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
    connection = new codec::H1ClientConnection(*this, std::move(*socket), &endpoint);
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
    counters_.upstream_failures.add();
    const std::uint32_t doublings = std::min(endpoint.failures++, kMaxEjectionDoublings);
    endpoint.ejected_until = loop.now() + kFirstEjection * (1U << doublings);
    counters_.ejections.add();
  }
  loop.retire(&connection);
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
