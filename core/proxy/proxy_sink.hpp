// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/settings.hpp"
#include "proxy/upstream/backend_contexts.hpp"
#include "proxy/worker.hpp"
#include "route/compile.hpp"
#include "tls/context.hpp"

namespace hyperway::proxy {

/// What became of one listener.
struct ListenerOutcome {
  std::string listener;    ///< route::Listener::key.
  bool programmed = true;  ///< It accepts traffic with a usable certificate.
  std::string reason;      ///< Why not, in the user's words.
};

/// What the sink reports once all workers have a generation.
struct ProxyReport {
  std::uint64_t generation = 0;            ///< As given to apply().
  std::vector<ListenerOutcome> listeners;  ///< Listeners whose state changed.
  std::vector<std::pair<std::string, std::string>>
      rules;  ///< Rules that could not be compiled, with the reason.
};

/// A certificate that we show, for metrics.
struct CertificateExpiry {
  std::string listener;        ///< route::Listener::key; empty: it is shown to backends.
  std::string key;             ///< route::Certificate::key.
  std::string name;            ///< Subject.
  std::int64_t not_after = 0;  ///< Seconds since the epoch.
};

/// The listening sockets of one address.
struct HandedListener {
  route::Bind bind;              ///< Where they listen.
  std::vector<net::Fd> sockets;  ///< All of them: what is closed loses connections.
};

/// The built-in sink: compiles models, opens and closes listening sockets, hands tables, endpoints
/// and certificates to the workers, and reports when all of them have it. Everything but the
/// functions marked [any] is [control].
class ProxySink final : public WakeSink {
 public:
  /// What the sink needs from its process.
  struct Environment {
    ProxySettings settings;                          ///< Constant from here on.
    observe::AccessLogWriter* access_log = nullptr;  ///< Outlives the sink; null: off.
    DataPortAnswer data_port_answer;                 ///< May be empty.
    std::function<void(std::string_view)> log;       ///< Warnings; any thread.
    /// Runs a task on the control thread; any thread. After stop() it may drop tasks.
    std::function<void(std::function<void()>)> post_control;
    /// Receives reports, on the control thread.
    std::function<void(ProxyReport)> acknowledge;
    /// Accept only after beginAccepting(): another process still serves.
    bool waits = false;
    /// Sockets of that process, taken in place of opening them anew.
    std::vector<HandedListener> inherited;
  };

  /// Makes the workers; none runs yet.
  explicit ProxySink(Environment environment);
  ProxySink(const ProxySink&) = delete;
  ProxySink& operator=(const ProxySink&) = delete;
  /// stop()s.
  ~ProxySink() override;

  /// Starts the workers' threads.
  void start();
  /// Takes a change of the model. Certificates that do not work and ports that cannot be bound stay
  /// alone: everything else is put in force, and what was good before stays.
  void apply(std::uint64_t generation, const route::ModelBatch& batch);
  /// Tries again to bind what could not be bound; call every few seconds.
  void retryBinds();
  /// Reads again what the machine trusts, if that has changed; call every few seconds.
  void rereadAuthorities();
  /// Begins to accept, if Environment::waits said not to. Inherited sockets of addresses that are
  /// not wanted are closed; `late` ones, which the other process has opened since, a while later.
  void beginAccepting(std::vector<HandedListener> late = {});
  /// Duplicates of all listening sockets, for a successor. Error: no descriptor is left.
  [[nodiscard]] Result<std::vector<HandedListener>, std::string> duplicateSockets() const;
  /// False: opens no address that is new, until it is told otherwise; a successor is about to.
  void openNew(bool opens);
  /// Runs `task` while no worker does anything, so that no descriptor of theirs is opened or
  /// closed meanwhile. False, without running it, if a worker does not come to a stop within a
  /// second. Not on a worker's thread. [any]
  [[nodiscard]] bool whileWorkersStand(const std::function<void()>& task) const;
  /// Connections end after their current answer from now on; accepting goes on.
  void beginDrain();
  /// Accepts no more.
  void stopAccepting();
  /// True once no worker accepts any more, after stopAccepting(). [any]
  [[nodiscard]] bool stoppedAccepting() const noexcept { return closing_.load() == 0; }
  /// True once no connection is left. [any]
  [[nodiscard]] bool idle() const noexcept;
  /// Cuts what is left and ends the threads. Idempotent.
  void stop();

  void wake(Waker waker, std::uint64_t token) noexcept override;
  /// Counters of one worker. [any]
  [[nodiscard]] const observe::WorkerCounters& counters(std::size_t worker) const {
    return workers_.at(worker)->counters();
  }
  /// Number of workers. [any]
  [[nodiscard]] std::size_t workers() const noexcept { return workers_.size(); }
  /// The table in force, with its parts.
  [[nodiscard]] const route::Compiler& compiler() const noexcept { return compiler_; }
  /// Certificates in force.
  [[nodiscard]] std::vector<CertificateExpiry> certificates() const;
  /// Asks all workers how the endpoints of these upstreams (compiler().upstreamSlots()) are doing.
  /// Each lists kMaxReported at most, in its own time; `done` gets all lists on the thread of the
  /// last one, which it must not hold up.
  void reportEndpoints(std::vector<std::uint32_t> slots,
                       std::function<void(std::vector<EndpointReport>)> done);
  /// Endpoints in the report of one worker.
  static constexpr std::size_t kMaxReported = 1000;
  /// Addresses that are bound.
  [[nodiscard]] std::vector<route::Bind> boundAddresses() const;

 private:
  struct Socket {
    route::Bind bind;
    bool open = false;
    std::string problem;  // why it is not
    std::vector<ListeningSocket> sockets;
  };
  struct ListenerState {
    std::shared_ptr<const tls::Context> context;
    std::shared_ptr<const route::ClientValidation> validation;  // of the context
    std::vector<std::string> certificates;  // keys, in the order of the context's
    std::string problem;
    route::SlotMap::SlotPtr slot;
  };

  void buildContexts(const std::vector<std::string>& listeners);
  [[nodiscard]] Result<std::shared_ptr<const tls::Context>, std::string> makeContext(
      const route::Listener& model, std::vector<std::string>& names) const;
  void refuseContext(const route::Listener& model, ListenerState& state, const std::string& reason);
  void postIdentities();
  void postUpstreams(const route::Compiler::Outcome& outcome);
  void postContexts(BackendContexts::Rows rows);
  void openSockets();
  [[nodiscard]] std::string openSocket(std::uint32_t number, const route::Bind& bind);
  [[nodiscard]] std::vector<ListeningSocket> takeInherited(const route::Bind& bind);
  void addMissing(Socket& socket) const;
  void spread(std::uint32_t number);
  void closeSockets();
  void collectOutcomes(std::vector<ListenerOutcome>& changed);
  void reportOutcomes();
  void acknowledgeWhenAdopted(ProxyReport report);
  /// Runs a copy of `task` on each worker.
  template <class Task>
  void toAll(Task task) {
    for (const auto& worker : workers_)
      worker->post([task, at = worker.get()]() mutable { task(*at); });
  }

  Environment environment_;
  WorkerEnvironment worker_environment_;
  route::Compiler compiler_;
  BackendContexts backend_contexts_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Socket> sockets_;  // index: the workers' number of the address
  std::map<std::string, ListenerState> listeners_;
  std::map<std::string, std::string>
      reported_;  // listener -> problem last reported, empty: programmed
  std::uint64_t generation_ = 0;
  bool accepting_ = true;
  bool opens_ = true;                                      // see openNew()
  bool waits_;                                             // for beginAccepting()
  std::chrono::steady_clock::time_point inherited_until_;  // after beginAccepting()
  std::atomic<std::size_t> closing_{0};  // workers that have not stopped accepting yet
  bool stopped_ = false;
};

}  // namespace hyperway::proxy
