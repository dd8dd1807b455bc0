// SPDX-License-Identifier: Apache-2.0
#include "proxy/udp_flows.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

// In a drain, for answers that are on their way.
constexpr std::chrono::milliseconds kLinger{5000};

}  // namespace

// Clients choose their addresses, or invent them: without a seed they could choose such that meet.
std::size_t UdpFlows::Hash::operator()(const UdpKey& key) const noexcept {
  std::uint64_t hash = seed ^ key.bind;
  const auto mix = [&](std::uint64_t value) {
    hash = (hash ^ value) + 0x9e3779b97f4a7c15ULL;  // splitmix64
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
    hash ^= hash >> 31;
  };
  for (const net::SocketAddress* each : {&key.client, &key.asked}) {
    std::uint64_t words[2];
    unsigned char bytes[16];
    each->toBytes(bytes);
    std::memcpy(words, bytes, sizeof words);
    mix(words[0]);
    mix(words[1]);
    mix(each->port());
  }
  return hash;
}

UdpFlows::UdpFlows(Worker& worker)
    : worker_(worker), by_key_(0, Hash{worker.random()}), idle_(*this) {}

UdpFlows::~UdpFlows() { killAll(); }

net::UdpBatch& UdpFlows::batch() {
  if (!batch_) batch_.emplace();
  return *batch_;
}

// ---- listeners ----

bool UdpFlows::open(std::uint32_t bind, std::span<const ListeningSocket> sockets) {
  if (bind >= binds_.size()) binds_.resize(bind + 1);
  bool watched = true;
  for (const ListeningSocket& socket : sockets) {
    auto listener = std::make_unique<UdpListener>(*this, bind, socket);
    watched = worker_.loop.add(socket->get(), EPOLLIN, *listener) && watched;
    binds_[bind].listeners.push_back(std::move(listener));
  }
  resolve(bind);
  return watched;
}

void UdpFlows::close(std::uint32_t bind, bool linger) noexcept {
  if (!isOpen(bind)) return;
  for (auto& listener : binds_[bind].listeners) {
    worker_.loop.remove(listener->socket()->get());
    worker_.loop.retire(listener.release());
  }
  binds_[bind].listeners.clear();
  if (linger) {
    lingering_since_ = worker_.loop.now();
    endIdle();
  } else {
    for (UdpSession* each = newest_; each != nullptr;) {
      UdpSession& session = *std::exchange(each, each->next);
      if (session.parts().key.bind == bind) end(session, FlowOutcome::Cut, "listener is gone");
    }
  }
  if (binds_[bind].rule) dropRule(std::move(binds_[bind].rule));
}

void UdpFlows::tableChanged() {
  for (std::uint32_t bind = 0; bind < binds_.size(); ++bind)
    if (isOpen(bind)) resolve(bind);
}

/// Finds the rule that serves an address now. Sessions keep theirs until their client's next
/// datagram.
void UdpFlows::resolve(std::uint32_t bind) {
  const route::BindGroup* const group = worker_.group(bind);
  const route::CompiledListener* listener = nullptr;
  if (group != nullptr && group->protocol() == route::Protocol::Udp) listener = group->fallback();
  const auto* const holder = listener != nullptr ? listener->flow({}) : nullptr;
  std::unique_ptr<UdpRule>& known = binds_[bind].rule;
  const std::string_view key = listener != nullptr ? std::string_view(listener->model().key) : "";
  if (known && known->listener == key &&
      known->rule.get() == (holder != nullptr ? holder->get() : nullptr))
    return;
  auto fresh = std::make_unique<UdpRule>();
  if (holder != nullptr) fresh->rule = *holder;
  fresh->listener = key;
  if (auto old = std::exchange(known, std::move(fresh))) dropRule(std::move(old));
}

void UdpFlows::dropRule(std::unique_ptr<UdpRule> rule) noexcept {
  if (rule->sessions != 0) {
    old_rules_.push_back(std::move(rule));
  } else if (rule->rule) {
    worker_.environment().reclaim(std::move(rule->rule));
  }
}

void UdpFlows::leaveRule(UdpRule& rule) noexcept {
  if (--rule.sessions != 0) return;
  const auto old = std::find_if(old_rules_.begin(), old_rules_.end(),
                                [&](const auto& each) { return each.get() == &rule; });
  if (old == old_rules_.end()) return;  // it is in force
  worker_.environment().reclaim(std::move((*old)->rule));
  old_rules_.erase(old);
}

// ---- datagrams ----

void UdpFlows::arrived(UdpListener& listener, std::span<const net::Datagram> datagrams) noexcept {
  worker_.counters().udp_received.add(datagrams.size());
  // Of one client there are often several in a row.
  for (std::size_t at = 0; at < datagrams.size();) {
    const net::Datagram& first = datagrams[at];
    std::size_t end = at + 1;
    while (end < datagrams.size() && datagrams[end].peer == first.peer &&
           datagrams[end].asked == first.asked)
      ++end;
    forward(listener, {listener.bind(), first.peer, first.asked}, datagrams.subspan(at, end - at));
    at = end;
  }
}

void UdpFlows::forward(const UdpListener& listener, const UdpKey& key,
                       std::span<const net::Datagram> datagrams) noexcept {
  // There is no way back to port 0.
  if (key.client.port() == 0) return countDropped(datagrams.size());
  UdpSession* session = sessionFor(listener, key, datagrams.size());
  bool again = true;
  while (session != nullptr && !datagrams.empty()) {
    const std::size_t out = session->send(batch(), datagrams);
    const int error = errno;
    datagrams = datagrams.subspan(out);
    if (datagrams.empty()) return;
    if (net::isUnreachable(error)) {
      // What ICMP said of an earlier datagram; this one has not gone out yet.
      const EndpointState* const failed = session->parts().endpoint;
      unreachable(*session);
      if (!std::exchange(again, false)) return countDropped(datagrams.size());
      session = begin(listener, key, failed, datagrams.size());
      continue;
    }
    countDropped(1);  // too long for the way, or the way is full
    datagrams = datagrams.subspan(1);
  }
}

UdpSession* UdpFlows::sessionFor(const UdpListener& listener, const UdpKey& key,
                                 std::size_t datagrams) noexcept {
  const auto known = by_key_.find(key);
  if (known != by_key_.end() && stillGood(*known->second)) {
    used(*known->second);
    return known->second;
  }
  return begin(listener, key, nullptr, datagrams);
}

/// False, and the session is over, if its client is to be served otherwise now.
bool UdpFlows::stillGood(UdpSession& session) noexcept {
  UdpSession::Parts& parts = session.parts();
  UdpRule& now = *binds_[parts.key.bind].rule;
  if (parts.rule != &now) {
    const bool named = now.rule && std::any_of(now.rule->backends.begin(), now.rule->backends.end(),
                                               [&](const route::CompiledBackend& backend) {
                                                 return backend.upstream_number == parts.slot;
                                               });
    if (!named) {
      end(session, FlowOutcome::Cut, "route has changed");
      return false;
    }
    ++now.sessions;
    leaveRule(*std::exchange(parts.rule, &now));
  }
  const std::uint64_t version = worker_.upstreams().version(parts.slot);
  if (parts.version == version) return true;
  if (!worker_.upstreams().lists(parts.slot, *parts.endpoint)) {
    end(session, FlowOutcome::Cut, "endpoint is gone");
    return false;
  }
  parts.version = version;
  return true;
}

UdpSession* UdpFlows::begin(const UdpListener& listener, const UdpKey& key,
                            const EndpointState* avoid, std::size_t datagrams) noexcept {
  UdpRule& rule = *binds_[key.bind].rule;
  const std::uint64_t total = rule.rule && !rule.rule->refused ? rule.rule->totalWeight() : 0;
  if (total == 0) {
    unserved(rule, datagrams);
    return nullptr;
  }
  const std::uint64_t ticket = worker_.random() % total;
  const route::CompiledBackend* drawn = rule.rule->backends.data();
  while (drawn->weight_end <= ticket) ++drawn;
  EndpointState* endpoint = nullptr;
  if (drawn->upstream && !drawn->refused && !worker_.upstreams().refused(drawn->upstream_number, 0))
    endpoint = worker_.upstreams().choose(drawn->upstream_number, 0, avoid);
  net::Fd back;
  if (endpoint != nullptr) {
    while (by_key_.size() >= std::max<std::size_t>(1, worker_.settings().udp_sessions)) endOldest();
    back = connect(*endpoint);
  }
  if (!back) {
    unserved(rule, datagrams);
    return nullptr;
  }
  UdpSession::Parts parts;
  parts.key = key;
  parts.front = listener.socket();
  parts.rule = &rule;
  parts.slot = drawn->upstream_number;
  parts.version = worker_.upstreams().version(parts.slot);
  parts.endpoint = endpoint;
  parts.attempts = avoid == nullptr ? 1 : 2;
  const int fd = back.get();
  parts.back = std::move(back);
  auto session = std::make_unique<UdpSession>(*this, std::move(parts), worker_.loop.now());
  if (!worker_.loop.add(fd, EPOLLIN, *session)) {
    unserved(rule, datagrams);
    return nullptr;
  }
  worker_.upstreams().enter(*endpoint);
  ++rule.sessions;
  worker_.counters().udp_sessions.add();
  worker_.counters().udp_begun.add();
  by_key_.emplace(key, session.get());
  pushFront(*session);
  if (!idle_.armed()) idle_.set(worker_.loop.timers(), endOf(*oldest_));
  return session.release();
}

/// A socket to the endpoint; the oldest sessions make room where descriptors have run out.
net::Fd UdpFlows::connect(EndpointState& endpoint) noexcept {
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    auto made = net::connectUdp(endpoint.address);
    if (made) return std::move(made).value();
    const bool full = made.error() == EMFILE || made.error() == ENFILE;
    if (net::isUnreachable(made.error())) worker_.upstreams().eject(endpoint);
    if (!full || oldest_ == nullptr) break;
    endOldest();
  }
  return {};
}

void UdpFlows::unserved(const UdpRule& rule, std::size_t datagrams) noexcept {
  countDropped(datagrams);
  if (!rule.rule) {
    worker_.counters().no_route.add(datagrams);
    return;
  }
  observe::RuleCounters& counters = worker_.counters().rule(rule.rule->stats_number);
  for (std::size_t i = 0; i < datagrams; ++i) counters.record(503, 0, 0);
}

void UdpFlows::countSent(std::size_t datagrams) noexcept {
  worker_.counters().udp_sent.add(datagrams);
}

void UdpFlows::countDropped(std::size_t datagrams) noexcept {
  worker_.counters().udp_dropped.add(datagrams);
}

// ---- life of sessions ----

void UdpFlows::unreachable(UdpSession& session) noexcept {
  worker_.upstreams().eject(*session.parts().endpoint);
  end(session, session.answered() ? FlowOutcome::Served : FlowOutcome::Unserved,
      "backend is unreachable");
}

void UdpFlows::firstAnswer(UdpSession& session) noexcept {
  worker_.upstreams().well(*session.parts().endpoint);
}

void UdpFlows::used(UdpSession& session) noexcept {
  session.touch(worker_.loop.now());
  if (newest_ == &session) return;
  unlink(session);
  pushFront(session);
}

void UdpFlows::end(UdpSession& session, FlowOutcome outcome, std::string_view why) noexcept {
  if (session.over()) return;
  UdpSession::Parts& parts = session.parts();
  char client[46];
  FlowEnd record;
  record.protocol = "UDP";
  record.client = {client, parts.key.client.writeIp(client)};
  record.listener = parts.rule->listener;
  record.rule = parts.rule->rule.get();
  record.upstream = parts.endpoint->text;
  record.why = why;
  record.begun = session.begun();
  record.received = session.received();
  record.sent = session.sent();
  record.attempts = parts.attempts;
  record.outcome = outcome;
  recordFlow(worker_, record);
  worker_.upstreams().leave(*parts.endpoint);
  leaveRule(*parts.rule);
  worker_.counters().udp_sessions.subtract();
  by_key_.erase(parts.key);
  unlink(session);
  session.close();
  worker_.loop.retire(&session);
}

void UdpFlows::endOldest() noexcept {
  worker_.counters().udp_evicted.add();
  end(*oldest_, FlowOutcome::Cut, "too many sessions");
}

net::TimePoint UdpFlows::endOf(const UdpSession& session) const noexcept {
  const std::chrono::milliseconds idle = worker_.settings().udp_idle;
  if (!lingering_since_) return session.last() + idle;
  return std::max(session.last(), *lingering_since_) + std::min(idle, kLinger);
}

void UdpFlows::endIdle() noexcept {
  while (oldest_ != nullptr && endOf(*oldest_) <= worker_.loop.now())
    end(*oldest_, FlowOutcome::Served, {});
  if (oldest_ != nullptr) idle_.set(worker_.loop.timers(), endOf(*oldest_));
}

void UdpFlows::killAll() noexcept {
  for (std::uint32_t bind = 0; bind < binds_.size(); ++bind) close(bind, false);
  while (oldest_ != nullptr) end(*oldest_, FlowOutcome::Cut, "shutdown");
}

void UdpFlows::pushFront(UdpSession& session) noexcept {
  session.prev = nullptr;
  session.next = newest_;
  if (newest_ != nullptr) newest_->prev = &session;
  newest_ = &session;
  if (oldest_ == nullptr) oldest_ = &session;
}

void UdpFlows::unlink(UdpSession& session) noexcept {
  (session.prev != nullptr ? session.prev->next : newest_) = session.next;
  (session.next != nullptr ? session.next->prev : oldest_) = session.prev;
  session.prev = session.next = nullptr;
}

}  // namespace hyperway::proxy
