// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_sink.hpp"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <set>
#include <utility>

#include "net/socket.hpp"
#include "net/udp_socket.hpp"

namespace hyperway::proxy {
namespace {

constexpr int kBacklog = 4096;
constexpr std::chrono::seconds kLateLimit{5};  // for a late socket to be wanted

Result<net::Fd, std::string> openAt(const net::SocketAddress& address, const route::Bind& bind) {
  return bind.udp ? net::bindUdp(address, true) : net::listenTcp(address, true, kBacklog);
}

}  // namespace

ProxySink::ProxySink(Environment environment)
    : environment_(std::move(environment)),
      backend_contexts_(environment_.log),
      waits_(environment_.waits) {
  worker_environment_.settings = &environment_.settings;
  worker_environment_.access_log = environment_.access_log;
  worker_environment_.data_port_answer = environment_.data_port_answer;
  worker_environment_.log = environment_.log;
  worker_environment_.reclaim = [post =
                                     environment_.post_control](std::shared_ptr<const void> dead) {
    post([owned = std::move(dead)] {});  // dies with the task
  };
  for (unsigned i = 0; i < std::max(1U, environment_.settings.workers); ++i)
    workers_.push_back(std::make_unique<Worker>(worker_environment_, i));
  compiler_.statsSlots().onReuse([this](std::uint32_t number) {
    for (const auto& worker : workers_) worker->counters().forget(number);
  });
  // Until then a request under an older table may still choose among its endpoints.
  compiler_.upstreamSlots().onFree([this](std::uint32_t number) {
    toAll([number](Worker& worker) { worker.adoptUpstream(number, nullptr, nullptr); });
  });
  compiler_.identitySlots().onFree([this](std::uint32_t) { postIdentities(); });
}

ProxySink::~ProxySink() { stop(); }

void ProxySink::start() {
  for (const auto& worker : workers_) worker->start();
}

void ProxySink::apply(std::uint64_t generation, const route::ModelBatch& batch) {
  generation_ = generation;
  route::Compiler::Outcome outcome = compiler_.apply(batch);
  // Endpoints and certificates first: a worker never has a rule whose endpoints it does not know.
  postUpstreams(outcome);
  if (outcome.table)
    toAll([table = outcome.table](Worker& worker) mutable {
      // Moved on, so that no copy is left to die on the worker's thread.
      worker.adoptTable(std::move(table));
    });
  buildContexts(outcome.tls_listeners);
  if (outcome.table) {
    openSockets();
    closeSockets();
  }
  // Whoever handed a listener over waits for what becomes of it, even if that is what it was
  // before.
  for (const route::Listener& listener : batch.listeners) reported_.erase(listener.key);
  ProxyReport report;
  report.generation = generation;
  report.rules = std::move(outcome.problems);
  collectOutcomes(report.listeners);
  acknowledgeWhenAdopted(std::move(report));
}

void ProxySink::buildContexts(const std::vector<std::string>& keys) {
  std::map<std::string, const route::CompiledListener*> current;
  for (const auto& group : compiler_.current()->groups())
    for (const auto& listener : group->listeners())
      current.emplace(listener->model().key, listener.get());
  std::erase_if(listeners_, [&](const auto& entry) { return !current.contains(entry.first); });
  for (const std::string& key : keys) {
    const auto found = current.find(key);
    if (found == current.end() || !found->second->tlsSlot()) continue;
    const route::Listener& model = found->second->model();
    ListenerState& state = listeners_[key];
    state.slot = found->second->tlsSlot();
    std::vector<std::string> names;
    auto context = makeContext(model, names);
    if (!context) {
      refuseContext(model, state, context.error());
      continue;
    }
    state.context = *context;
    state.validation = model.validation;
    state.certificates = std::move(names);
    state.problem.clear();
    toAll([number = state.slot->number(), made = state.context](Worker& worker) {
      worker.adoptTls(number, made);
    });
  }
}

Result<std::shared_ptr<const tls::Context>, std::string> ProxySink::makeContext(
    const route::Listener& model, std::vector<std::string>& names) const {
  std::vector<std::shared_ptr<const route::Certificate>> owned;
  std::vector<tls::KeyPair> pairs;
  for (const std::string& name : model.certificates) {
    auto certificate = compiler_.certificate(name);
    if (!certificate) continue;
    pairs.push_back({certificate->chain_pem, certificate->private_pem});
    owned.push_back(std::move(certificate));
    names.push_back(name);
  }
  tls::ContextOptions options;
  options.session_id_context = model.key;
  // What is spoken inside is the backend's matter: no protocol is chosen, and none is refused.
  if (model.protocol == route::Protocol::Tls) options.alpn.clear();
  if (model.validation) {
    std::vector<std::string_view> bundles;
    for (const auto& bundle : model.validation->authorities) {
      bundles.emplace_back(*bundle);
      options.session_id_context.append("\n").append(*bundle);
    }
    options.session_id_context += model.validation->required ? "\nrequired" : "\nany";
    auto trust = tls::TrustStore::create(bundles);
    if (!trust) return fail("trust anchors for clients: " + trust.error());
    options.client_trust = *trust;
    options.client_required = model.validation->required;
  }
  return tls::Context::create(pairs, options);
}

/// The last good certificate goes on serving: a bad Secret must not take a listener down. But what
/// is asked of clients now must not be done by halves.
void ProxySink::refuseContext(const route::Listener& model, ListenerState& state,
                              const std::string& reason) {
  if (state.context && !route::sameIn(state.validation, model.validation)) {
    state.context.reset();
    toAll([number = state.slot->number()](Worker& worker) { worker.adoptTls(number, nullptr); });
  }
  state.problem = state.context ? std::string{} : reason;
  if (environment_.log)
    environment_.log("listener " + model.key + ": certificate refused: " + reason);
}

/// What listeners show to backends, under the numbers that tables know.
void ProxySink::postIdentities() {
  BackendContexts::Identities identities{nullptr};
  for (const auto& slot : compiler_.identitySlots().list()) {
    const std::size_t number = slot->number() + 1;
    if (number >= identities.size()) identities.resize(number + 1);
    identities[number] = compiler_.certificate(slot->key());
    // One that is gone is still shown by whoever is under an older table.
    if (!identities[number]) identities[number] = backend_contexts_.identity(number, slot->key());
  }
  postContexts(backend_contexts_.setIdentities(std::move(identities)));
}

/// With the contexts that they need, and those of others that need other ones.
void ProxySink::postUpstreams(const route::Compiler::Outcome& outcome) {
  if (outcome.table || !outcome.certificates.empty()) postIdentities();
  for (const auto& [slot, upstream] : outcome.upstreams)
    toAll([number = slot->number(), model = upstream,
           row = backend_contexts_.rowOf(slot, upstream.get())](Worker& worker) {
      worker.adoptUpstream(number, model, row);
    });
}

void ProxySink::postContexts(BackendContexts::Rows rows) {
  if (rows.empty()) return;
  toAll([rows = std::move(rows)](Worker& worker) {
    for (const auto& [number, row] : rows) worker.adoptContexts(number, row);
  });
}

void ProxySink::rereadAuthorities() { postContexts(backend_contexts_.rereadSystem()); }

void ProxySink::openSockets() {
  if (!accepting_ || !opens_) return;
  for (const auto& group : compiler_.current()->groups()) {
    const route::Bind& bind = group->bind();
    auto socket = std::find_if(sockets_.begin(), sockets_.end(),
                               [&](const Socket& s) { return s.bind == bind; });
    if (socket == sockets_.end()) socket = sockets_.insert(sockets_.end(), {bind, false, {}, {}});
    if (socket->open) continue;
    const auto number = static_cast<std::uint32_t>(socket - sockets_.begin());
    socket->problem = openSocket(number, bind);
    socket->open = socket->problem.empty();
    // Who waits tries again: the other process may have it, and hand it over.
    if (!socket->open && environment_.log && !waits_) environment_.log(socket->problem);
  }
}

/// Binds one address for all workers; empty if that worked, else why not.
std::string ProxySink::openSocket(std::uint32_t number, const route::Bind& bind) {
  const auto address = net::SocketAddress::parse(bind.address, bind.port);
  if (!address) return "\"" + bind.address + "\" is no IP address";
  std::vector<ListeningSocket> made = takeInherited(bind);
  if (made.empty()) {
    // Once without SO_REUSEPORT: with it, a second process of the same user would share a busy port
    // unnoticed.
    if (auto free = bind.udp ? net::probeUdp(*address) : net::probeBind(*address); !free)
      return free.error();
    // With it even for one worker: after an upgrade there may be more.
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      auto socket = openAt(*address, bind);
      if (!socket) return socket.error();
      made.push_back(std::make_shared<const net::Fd>(std::move(*socket)));
    }
  }
  sockets_[number].sockets = std::move(made);
  if (waits_) return {};
  addMissing(sockets_[number]);
  spread(number);
  return {};
}

std::vector<ListeningSocket> ProxySink::takeInherited(const route::Bind& bind) {
  std::vector<ListeningSocket> out;
  for (HandedListener& each : environment_.inherited) {
    if (each.bind != bind) continue;
    for (net::Fd& socket : each.sockets)
      out.push_back(std::make_shared<const net::Fd>(std::move(socket)));
    each.sockets.clear();
  }
  return out;
}

/// Inherited sockets may be fewer than workers. More of them only now: what the kernel puts into
/// the queue of a socket is lost if that socket is closed again.
void ProxySink::addMissing(Socket& socket) const {
  const auto address = net::SocketAddress::parse(socket.bind.address, socket.bind.port);
  while (socket.sockets.size() < workers_.size()) {
    auto more = openAt(*address, socket.bind);
    if (!more) return;  // a privileged port, perhaps: workers share what there is
    socket.sockets.push_back(std::make_shared<const net::Fd>(std::move(*more)));
  }
}

/// Each worker gets one of an address's sockets, or several where there are more of them.
void ProxySink::spread(std::uint32_t number) {
  const Socket& socket = sockets_[number];
  const std::size_t count = socket.sockets.size();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    std::vector<ListeningSocket> own;
    for (std::size_t each = i; each < count; each += workers_.size())
      own.push_back(socket.sockets[each]);
    if (own.empty()) own.push_back(socket.sockets[i % count]);
    workers_[i]->post([worker = workers_[i].get(), number, bind = socket.bind, own] {
      worker->openListener(number, bind, own);
    });
  }
}

void ProxySink::beginAccepting(std::vector<HandedListener> late) {
  if (!std::exchange(waits_, false)) return;
  for (std::uint32_t number = 0; number < sockets_.size(); ++number) {
    if (!sockets_[number].open) continue;
    addMissing(sockets_[number]);
    spread(number);
  }
  // The edit that asks for a late one may be on its way to us.
  environment_.inherited = std::move(late);
  inherited_until_ = std::chrono::steady_clock::now() + kLateLimit;
  openSockets();
  reportOutcomes();
}

void ProxySink::openNew(bool opens) {
  if (std::exchange(opens_, opens) || !opens) return;
  openSockets();
  reportOutcomes();
}

Result<std::vector<HandedListener>, std::string> ProxySink::duplicateSockets() const {
  std::vector<HandedListener> out;
  for (const Socket& socket : sockets_) {
    if (!socket.open) continue;
    HandedListener listener{socket.bind, {}};
    for (const ListeningSocket& each : socket.sockets) {
      net::Fd copy{::fcntl(each->get(), F_DUPFD_CLOEXEC, 0)};
      if (!copy) return fail(std::string("no descriptor is left to hand sockets over with"));
      listener.sockets.push_back(std::move(copy));
    }
    out.push_back(std::move(listener));
  }
  return out;
}

bool ProxySink::whileWorkersStand(const std::function<void()>& task) const {
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t standing = 0;
    bool open = false;
  };
  const auto gate = std::make_shared<Gate>();
  for (const auto& worker : workers_)
    worker->post([gate] {
      std::unique_lock lock(gate->mutex);
      ++gate->standing;
      gate->changed.notify_all();
      gate->changed.wait(lock, [&] { return gate->open; });
    });
  std::unique_lock lock(gate->mutex);
  const bool all = gate->changed.wait_for(lock, std::chrono::seconds(1),
                                          [&] { return gate->standing == workers_.size(); });
  if (all) task();
  gate->open = true;
  gate->changed.notify_all();
  return all;
}

void ProxySink::closeSockets() {
  for (std::uint32_t number = 0; number < sockets_.size(); ++number) {
    Socket& socket = sockets_[number];
    if (compiler_.current()->group(socket.bind) != nullptr) continue;
    socket.problem.clear();
    socket.sockets.clear();
    if (!std::exchange(socket.open, false)) continue;
    toAll([number](Worker& worker) { worker.closeListener(number); });
  }
}

void ProxySink::retryBinds() {
  if (!waits_ && std::chrono::steady_clock::now() > inherited_until_)
    environment_.inherited.clear();
  const bool waiting = std::any_of(sockets_.begin(), sockets_.end(),
                                   [](const Socket& s) { return !s.problem.empty(); });
  if (!waiting || !accepting_) return;
  openSockets();
  reportOutcomes();
}

void ProxySink::reportOutcomes() {
  ProxyReport report;
  report.generation = generation_;
  collectOutcomes(report.listeners);
  if (!report.listeners.empty()) acknowledgeWhenAdopted(std::move(report));
}

void ProxySink::collectOutcomes(std::vector<ListenerOutcome>& changed) {
  std::map<std::string, std::string> now;
  for (const auto& group : compiler_.current()->groups()) {
    const auto socket = std::find_if(sockets_.begin(), sockets_.end(),
                                     [&](const Socket& s) { return s.bind == group->bind(); });
    for (const auto& listener : group->listeners()) {
      const std::string& key = listener->model().key;
      std::string problem;
      if (socket != sockets_.end()) problem = socket->problem;
      if (const auto state = listeners_.find(key); problem.empty() && state != listeners_.end())
        problem = state->second.problem;
      // A listener on several addresses is as bad as its worst one.
      std::string& known = now[key];
      if (known.empty()) known = problem;
    }
  }
  for (const auto& [key, problem] : now) {
    const auto before = reported_.find(key);
    if (before == reported_.end() || before->second != problem)
      changed.push_back({key, problem.empty(), problem});
  }
  reported_ = std::move(now);
}

/// Workers take their tasks in order, so a task behind the table says that it is in force.
void ProxySink::acknowledgeWhenAdopted(ProxyReport report) {
  if (!environment_.acknowledge) return;
  struct Pending {
    std::atomic<std::size_t> left;
    ProxyReport report;
  };
  auto pending = std::make_shared<Pending>();
  pending->left = workers_.size();
  pending->report = std::move(report);
  toAll(
      [pending, post = environment_.post_control, acknowledge = environment_.acknowledge](Worker&) {
        if (--pending->left == 0)
          post([pending, acknowledge] { acknowledge(std::move(pending->report)); });
      });
}

void ProxySink::beginDrain() {
  toAll([](Worker& worker) { worker.drain(); });
}

void ProxySink::stopAccepting() {
  accepting_ = false;
  for (std::uint32_t number = 0; number < sockets_.size(); ++number) {
    sockets_[number].sockets.clear();
    if (std::exchange(sockets_[number].open, false))
      toAll([number](Worker& worker) { worker.closeListener(number); });
  }
  closing_.fetch_add(workers_.size());
  toAll([this](Worker&) { closing_.fetch_sub(1); });
}

bool ProxySink::idle() const noexcept {
  // A worker that still accepts is idle only by chance.
  return closing_.load() == 0 &&
         std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->busy() == 0; });
}

void ProxySink::stop() {
  if (std::exchange(stopped_, true)) return;
  compiler_.upstreamSlots().onFree({});
  compiler_.identitySlots().onFree({});
  for (const auto& worker : workers_) worker->join();
}

void ProxySink::wake(Waker waker, std::uint64_t token) noexcept {
  const std::uint64_t index = waker.where >> 32;
  if (waker.serial == 0 || index >= workers_.size()) return;
  Worker* const worker = workers_[index].get();
  worker->post([worker, waker, token] { worker->wake(waker, token); });
}

std::vector<CertificateExpiry> ProxySink::certificates() const {
  std::vector<CertificateExpiry> all;
  for (const auto& [key, state] : listeners_)
    for (std::size_t i = 0; state.context && i < state.certificates.size(); ++i) {
      const tls::CertificateInfo& info = state.context->certificates()[i];
      all.push_back({key, state.certificates[i], info.subject, info.not_after});
    }
  for (const auto& [key, info] : backend_contexts_.shown())
    all.push_back({{}, key, info.subject, info.not_after});
  return all;
}

void ProxySink::reportEndpoints(std::vector<std::uint32_t> slots,
                                std::function<void(std::vector<EndpointReport>)> done) {
  struct Pending {
    std::vector<std::uint32_t> slots;
    std::function<void(std::vector<EndpointReport>)> done;
    std::vector<std::vector<EndpointReport>> by_worker;
    std::atomic<std::size_t> left;
  };
  auto pending = std::make_shared<Pending>();
  pending->slots = std::move(slots);
  pending->done = std::move(done);
  pending->by_worker.resize(workers_.size());
  pending->left = workers_.size();
  toAll([pending](Worker& worker) {
    auto& own = pending->by_worker[worker.index()];
    for (const std::uint32_t slot : pending->slots)
      worker.upstreams().report(slot, kMaxReported, own);
    if (--pending->left != 0) return;
    std::vector<EndpointReport> all;
    for (auto& list : pending->by_worker)
      std::move(list.begin(), list.end(), std::back_inserter(all));
    pending->done(std::move(all));
  });
}

std::vector<route::Bind> ProxySink::boundAddresses() const {
  std::vector<route::Bind> all;
  for (const Socket& socket : sockets_)
    if (socket.open) all.push_back(socket.bind);
  return all;
}

}  // namespace hyperway::proxy
