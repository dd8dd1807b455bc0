// SPDX-License-Identifier: Apache-2.0
#include "proxy/worker.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <new>
#include <utility>

#include "codec/h1_server.hpp"
#include "codec/h2_server.hpp"
#include "proxy/acceptor.hpp"
#include "proxy/callout.hpp"
#include "proxy/handshake.hpp"
#include "proxy/tcp_flow.hpp"
#include "route/host_table.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::size_t kWarmStreams = 256;
constexpr std::chrono::seconds kPinLimit{
    1};  // ARCHITECTURE 4.4: a pin on a whole table lasts a second at most
constexpr std::size_t kSpareDescriptors = 64;

/// Connections that one worker may hold: what the configuration says, else half of the descriptors,
/// since most requests need a second one towards a backend.
std::size_t connectionLimit(const ProxySettings& settings) {
  const std::size_t workers = std::max(1U, settings.workers);
  if (settings.connections != 0) return std::max<std::size_t>(1, settings.connections / workers);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::size_t usable = limit.rlim_cur > 2 * kSpareDescriptors
                                 ? limit.rlim_cur - kSpareDescriptors
                                 : kSpareDescriptors;
  return std::max<std::size_t>(8, usable / 2 / workers);
}

std::uint64_t seed(std::uint32_t index) noexcept {
  std::uint64_t out = 0;
  if (::getrandom(&out, sizeof out, 0) != sizeof out)
    out = static_cast<std::uint64_t>(net::Clock::now().time_since_epoch().count()) + index;
  return out;
}

template <class Node>
void pushFront(Node*& list, Node& node) noexcept {
  node.prev = nullptr;
  node.next = list;
  if (list != nullptr) list->prev = &node;
  list = &node;
}

template <class Node>
void unlink(Node*& list, Node& node) noexcept {
  if (node.prev != nullptr)
    node.prev->next = node.next;
  else
    list = node.next;
  if (node.next != nullptr) node.next->prev = node.prev;
}

}  // namespace

Worker::Worker(const WorkerEnvironment& environment, std::uint32_t index)
    : ServerHost(own_loop, own_pool, own_scratch, environment.settings->limits,
                 environment.settings->client),
      environment_(environment),
      index_(index),
      upstreams_(own_loop, own_pool, own_scratch, environment.settings->limits,
                 environment.settings->upstream, counters_, tls_buffers_),
      current_(std::make_unique<TablePin>()),
      random_state_(seed(index)),
      connection_limit_(connectionLimit(*environment.settings)),
      udp_(*this),
      tick_(*this) {
  upstreams_.warnTo(environment.log);
  current_->table = std::make_shared<const route::RouteTable>();
}

Worker::~Worker() {
  join();
  killAll();
  own_loop.turn(0);  // destroys what was retired while our members still live
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), ("hw-worker-" + std::to_string(index_)).c_str());
}

void Worker::run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  own_loop.run();
  killAll();
  own_loop.turn(0);  // destroys what was retired
}

void Worker::join() {
  if (!thread_.joinable()) return;
  own_loop.stop();
  thread_.join();
}

// ---- configuration ----

void Worker::adoptTable(std::shared_ptr<const route::RouteTable> table) {
  for (Waiting& each : waiting_) each.hosts = nullptr;  // they lie in the table that goes
  auto old = std::exchange(current_, std::make_unique<TablePin>());
  current_->table = std::move(table);
  if (old->streams == 0) {
    environment_.reclaim(std::move(old->table));
  } else {
    old_pins_.push_back(std::move(old));
    if (!tick_.armed()) tick_.set(loop.timers(), loop.now() + kPinLimit);
  }
  // In a drain, what was accepted is served although nothing more is accepted.
  for (std::size_t i = 0; i < groups_.size(); ++i)
    groups_[i] = acceptors_[i].empty() && !udp_.isOpen(static_cast<std::uint32_t>(i)) && !draining_
                     ? nullptr
                     : current_->table->group(binds_[i]);
  udp_.tableChanged();
  for (std::size_t i = 0; i < groups_.size(); ++i)
    for (const auto& acceptor : acceptors_[i])
      if (groups_[i] != nullptr) acceptor->serve(*groups_[i]);
}

void Worker::adoptUpstream(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream,
                           std::shared_ptr<const ContextRow> contexts) {
  upstreams_.adopt(slot, std::move(upstream), std::move(contexts));
}

void Worker::adoptContexts(std::uint32_t slot, std::shared_ptr<const ContextRow> contexts) {
  upstreams_.adoptContexts(slot, std::move(contexts));
}

void Worker::adoptTls(std::uint32_t slot, std::shared_ptr<const tls::Context> context) {
  if (slot >= tls_contexts_.size()) {
    tls_contexts_.resize(slot + 1);
    securities_.resize(slot + 1);
  }
  const auto& known = tls_contexts_[slot];
  if (!known || !context || known->sessionsOf() != context->sessionsOf()) ++securities_[slot];
  if (auto old = std::exchange(tls_contexts_[slot], std::move(context)))
    environment_.reclaim(std::move(old));
}

void Worker::openListener(std::uint32_t bind, const route::Bind& address,
                          const std::vector<ListeningSocket>& sockets) {
  if (bind >= groups_.size()) {
    groups_.resize(bind + 1);
    binds_.resize(bind + 1);
    acceptors_.resize(bind + 1);
  }
  binds_[bind] = address;
  groups_[bind] = current_->table->group(address);
  if (address.udp) {
    if (!udp_.open(bind, sockets) && environment_.log)
      environment_.log("a UDP socket cannot be watched");
    return;
  }
  for (const ListeningSocket& socket : sockets) {
    acceptors_[bind].push_back(std::make_unique<Acceptor>(*this, bind, socket));
    if (groups_[bind] != nullptr) acceptors_[bind].back()->serve(*groups_[bind]);
    if (!acceptors_[bind].back()->start() && environment_.log)
      environment_.log("a listening socket cannot be watched");
  }
}

void Worker::closeListener(std::uint32_t bind) {
  if (udp_.isOpen(bind)) {
    // In an upgrade the next process has the socket too: what this one's backends still answer
    // goes out.
    udp_.close(bind, draining_);
    groups_[bind] = nullptr;
    return;
  }
  if (bind >= acceptors_.size() || acceptors_[bind].empty()) return;
  for (auto& acceptor : acceptors_[bind]) {
    acceptor->stop();
    loop.retire(acceptor.release());
  }
  acceptors_[bind].clear();
  for (auto* each = connections_; each != nullptr; each = each->next)
    if (each->connection().bind == bind) each->closeWhenIdle();
  // In a drain connections live on, and are served as before, until their next answer.
  if (!draining_) groups_[bind] = nullptr;
}

void Worker::drain() {
  draining_ = true;
  for (auto* each = connections_; each != nullptr; each = each->next) each->closeWhenIdle();
}

void Worker::killAll() {
  for (std::uint32_t bind = 0; bind < acceptors_.size(); ++bind) closeListener(bind);
  udp_.killAll();
  while (handshakes_ != nullptr) handshakes_->closeNow();
  while (flows_ != nullptr) flows_->kill();
  while (connections_ != nullptr) connections_->closeNow();
  while (streams_ != nullptr) streams_->kill();
  upstreams_.closeAll();
}

// ---- tables ----

void Worker::unpin(TablePin* pin) noexcept {
  if (--pin->streams == 0 && pin != current_.get()) retire(pin);
}

void Worker::retire(TablePin* pin) noexcept {
  const auto it = std::find_if(old_pins_.begin(), old_pins_.end(),
                               [&](const auto& old) { return old.get() == pin; });
  environment_.reclaim(std::move(pin->table));
  old_pins_.erase(it);
}

void Worker::tick() noexcept {
  for (Stream* stream = streams_; stream != nullptr; stream = stream->next)
    if (stream->pin() != nullptr && stream->pin() != current_.get()) stream->unpin();
  for (TcpFlow* flow = flows_; flow != nullptr; flow = flow->next)
    if (flow->pin() != nullptr && flow->pin() != current_.get()) flow->unpin();
  if (!old_pins_.empty()) tick_.set(loop.timers(), loop.now() + kPinLimit);
}

// ---- connections and streams ----

bool Worker::mayAccept() const noexcept { return counters_.connections.get() < connection_limit_; }

void Worker::serve(codec::Transport transport, const codec::ConnectionInfo& info, bool readable,
                   bool registered) {
  const int fd = transport.fd();
  const bool http2 = transport.tls() != nullptr && transport.tls()->alpn() == "h2";
  if (!registered) counters_.connections.add();
  const auto begin = [&](auto* connection, auto&&... arguments) {
    pushFront<codec::ServerConnection>(connections_, *connection);
    const bool watched = registered ? loop.modify(fd, net::kConnectionEvents, *connection)
                                    : loop.add(fd, net::kConnectionEvents, *connection);
    if (!watched) return connection->closeNow();
    connection->start(arguments..., readable);
  };
  if (http2)
    begin(new codec::H2ServerConnection(*this, std::move(transport), info), std::span<char>{});
  else
    begin(new codec::H1ServerConnection(*this, std::move(transport), info));
}

void Worker::onPreface(const codec::ServerConnection& from, codec::Transport transport,
                       std::span<char> read, bool readable) noexcept {
  const int fd = transport.fd();
  auto* const connection =
      new codec::H2ServerConnection(*this, std::move(transport), from.connection());
  pushFront<codec::ServerConnection>(connections_, *connection);
  counters_.connections.add();
  if (!loop.modify(fd, net::kConnectionEvents, *connection)) return connection->closeNow();
  connection->start(read, readable);
}

void Worker::onMalformed() noexcept { counters_.bad_requests.add(); }

void Worker::onFlood(codec::Flood kind) noexcept {
  counters_.floods[static_cast<std::size_t>(kind)].add();
}

void Worker::handshakeBegun(Handshake& handshake) noexcept {
  counters_.connections.add();
  pushFront(handshakes_, handshake);
}

void Worker::handshakeDone(Handshake& handshake) noexcept {
  unlink(handshakes_, handshake);
  if (handshake.failed()) counters_.connections.subtract();
  loop.retire(&handshake);
}

void Worker::flowBegun(TcpFlow& flow, bool counted) noexcept {
  if (!counted) counters_.connections.add();
  counters_.flows.add();
  pushFront(flows_, flow);
}

void Worker::flowDone(TcpFlow& flow) noexcept {
  unlink(flows_, flow);
  counters_.connections.subtract();
  counters_.flows.subtract();
  loop.retire(&flow);
}

void Worker::onServerConnectionClosed(codec::ServerConnection& connection) noexcept {
  unlink(connections_, connection);
  counters_.connections.subtract();
  loop.retire(&connection);
}

bool Worker::closing(const codec::ConnectionInfo& connection) noexcept {
  return draining_ || group(connection.bind) == nullptr ||
         (connection.secure && connection.security != security(connection.tls_slot));
}

codec::RequestEvents* Worker::openStream(codec::ServerLink& link) noexcept {
  std::unique_ptr<std::byte[]> block;
  if (free_blocks_.empty()) {
    block = std::make_unique_for_overwrite<std::byte[]>(kStreamBlockBytes);
  } else {
    block = std::move(free_blocks_.back());
    free_blocks_.pop_back();
  }
  std::byte* const bytes = block.release();
  static_assert(sizeof(Stream) % 16 == 0 || sizeof(Stream) < kStreamBlockBytes / 2);
  const std::span<std::byte> room(bytes + sizeof(Stream), kStreamBlockBytes - sizeof(Stream));
  auto* const stream = new (bytes) Stream(*this, link, room);
  pushFront(streams_, *stream);
  counters_.active.add();
  return stream;
}

void Worker::dropStream(codec::RequestEvents& stream) noexcept {
  destroyStream(static_cast<Stream&>(stream));
}

// Requests that came in one turn are routed together. Among thousands of routes in use each look-up
// is a row of cache misses, which wait for one another; those of several requests can overlap. So
// each request that comes moves those before it one step ahead, and reading the next one from its
// socket is the time that the memory has.
void Worker::routeLater(Stream& stream) {
  if (waiting_.empty())
    loop.atEndOfTurn([](void* self) { static_cast<Worker*>(self)->routeWaiting(); }, this);
  waiting_.push_back({&stream, nullptr, 0});
  const std::size_t last = waiting_.size() - 1;
  if (last == 0) return;  // one that is alone has nothing to overlap with
  if (last == 1) locate(waiting_[0]);
  locate(waiting_[last]);
  for (std::size_t step = 0; step <= last && step < route::HostTable::kPrefetchSteps; ++step)
    prefetch(waiting_[last - step], step);
}

void Worker::calloutOver(Callout& callout) {
  if (callouts_over_.empty())
    loop.atEndOfTurn([](void* self) { static_cast<Worker*>(self)->tellCallouts(); }, this);
  callouts_over_.push_back(&callout);
}

void Worker::forgetCallout(const Callout& callout) noexcept {
  for (Callout*& each : callouts_over_)
    if (each == &callout) each = nullptr;
}

void Worker::tellCallouts() noexcept {
  // By index: who is told may begin others, which may be over at once.
  for (std::size_t i = 0; i < callouts_over_.size(); ++i)
    if (Callout* const callout = std::exchange(callouts_over_[i], nullptr)) callout->tell();
  callouts_over_.clear();
}

void Worker::locate(Waiting& request) noexcept {
  if (request.stream == nullptr) return;
  request.hosts = request.stream->hostTable();
  request.hash = route::hashText(request.stream->requestHead().host);
}

void Worker::prefetch(const Waiting& request, std::size_t step) noexcept {
  if (request.stream != nullptr && request.hosts != nullptr)
    request.hosts->prefetch(request.hash, step);
}

void Worker::routeWaiting() noexcept {
  routing_.swap(waiting_);
  const std::size_t count = routing_.size();
  // By index: routing one may end another, and an answer lets the next request of its connection
  // in.
  for (std::size_t i = 0; i < count; ++i) {
    // The steps that the last ones have not had yet, one before each that is routed.
    for (std::size_t back = 1; back <= count && back + i < route::HostTable::kPrefetchSteps; ++back)
      prefetch(routing_[count - back], back + i);
    if (routing_[i].stream != nullptr) routing_[i].stream->routeNow();
  }
  routing_.clear();
}

void Worker::forgetWaiting(const Stream& stream) noexcept {
  for (std::vector<Waiting>* list : {&waiting_, &routing_})
    for (Waiting& each : *list)
      if (each.stream == &stream) each.stream = nullptr;
}

void Worker::destroyStream(Stream& stream) noexcept {
  unlink(streams_, stream);
  counters_.active.subtract();
  auto* const bytes = reinterpret_cast<std::byte*>(&stream);
  stream.~Stream();
  std::unique_ptr<std::byte[]> block(bytes);
  if (free_blocks_.size() < kWarmStreams) free_blocks_.push_back(std::move(block));
}

void Worker::wake(Waker waker, std::uint64_t token) noexcept {
  const WakeTable::Target* const target = wakers_.find(waker);
  if (target != nullptr) target->stream->wake(*target->chain, target->filter, token);
}

// ---- small services ----

std::uint64_t Worker::random() noexcept {
  random_state_ += 0x9e3779b97f4a7c15ULL;  // splitmix64
  std::uint64_t z = random_state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::int64_t Worker::wallUs() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::string_view Worker::httpDate() noexcept {
  const std::int64_t second = wallUs() / 1000000;
  if (second != date_second_) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    date_second_ = second;
    const std::time_t at = second;
    std::tm parts{};
    ::gmtime_r(&at, &parts);
    date_size_ = static_cast<std::size_t>(
        std::snprintf(date_, sizeof date_, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                      kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                      parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec));
  }
  return {date_, std::min(date_size_, sizeof date_ - 1)};
}

}  // namespace hyperway::proxy
