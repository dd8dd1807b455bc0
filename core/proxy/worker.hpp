// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "codec/server_host.hpp"
#include "net/event_loop.hpp"
#include "observe/access_log.hpp"
#include "observe/worker_counters.hpp"
#include "proxy/acceptor.hpp"
#include "proxy/settings.hpp"
#include "proxy/splice_pipe.hpp"
#include "proxy/stream.hpp"
#include "proxy/table_pin.hpp"
#include "proxy/udp_flows.hpp"
#include "proxy/upstream/upstream_set.hpp"
#include "proxy/wake_table.hpp"
#include "route/table.hpp"
#include "tls/context.hpp"
#include "tls/session.hpp"
#include "tls/token_cipher.hpp"

namespace hyperway::proxy {

class Callout;
class Handshake;
class TcpFlow;

/// Takes what must die on the control thread: tables, rules, filter configurations. [any]
using Reclaim = std::function<void(std::shared_ptr<const void>)>;

/// What all workers share, made before the first and destroyed after the last.
struct WorkerEnvironment {
  const ProxySettings* settings = nullptr;         ///< Never null.
  observe::AccessLogWriter* access_log = nullptr;  ///< Null: off.
  Reclaim reclaim;                                 ///< Never empty.
  DataPortAnswer data_port_answer;                 ///< May be empty.
  std::function<void(std::string_view message)>
      log;  ///< Warnings, rate-limited by the receiver; may be empty.
};

/// What the base of Worker needs before Worker's own members exist.
struct WorkerParts {
  net::EventLoop own_loop;                                       ///< The loop.
  codec::BlockPool own_pool;                                     ///< Blocks.
  std::vector<char> own_scratch = std::vector<char>(64 * 1024);  ///< Read buffer.
};

/// One thread, one loop: accepts, serves and forwards without a lock or a call to another thread on
/// the request path.
class Worker final : private WorkerParts, public codec::ServerHost {
 public:
  /// `environment` outlives the worker. Throws std::system_error if the loop cannot be made.
  Worker(const WorkerEnvironment& environment, std::uint32_t index);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  /// Starts the thread.
  void start();
  /// Ends the thread and waits for it. [control]
  void join();
  /// Runs `task` on the worker's thread. [any]
  void post(std::function<void()> task) { own_loop.post(std::move(task)); }

  // What follows runs on the worker's thread.

  /// Makes `table` the current one; streams keep the one they pinned.
  void adoptTable(std::shared_ptr<const route::RouteTable> table);
  /// Takes an upstream's new version.
  void adoptUpstream(std::uint32_t slot, std::shared_ptr<const route::Upstream> upstream,
                     std::shared_ptr<const ContextRow> contexts);
  /// Takes new contexts of an upstream that is reached by TLS.
  void adoptContexts(std::uint32_t slot, std::shared_ptr<const ContextRow> contexts);
  /// Takes a listener's TLS context; live connections keep theirs. Null: it has none any more.
  void adoptTls(std::uint32_t slot, std::shared_ptr<const tls::Context> context);
  /// Begins to accept on listening sockets of an address, or to take datagrams; `bind` is the
  /// proxy's number of it.
  void openListener(std::uint32_t bind, const route::Bind& address,
                    const std::vector<ListeningSocket>& sockets);
  /// Accepts no more on that address; its connections end after their current answer.
  void closeListener(std::uint32_t bind);
  /// Ends connections after their current answer; `accepting` goes on until closeListeners.
  void drain();
  /// Cuts what is left.
  void killAll();
  /// Streams, connections and UDP sessions that are left. [any]
  [[nodiscard]] std::size_t busy() const noexcept {
    return counters_.active.get() + counters_.connections.get() + counters_.udp_sessions.get();
  }

  /// Pins the current table, for a stream.
  [[nodiscard]] TablePin* pin() noexcept {
    ++current_->streams;
    return current_.get();
  }
  /// Lets go of a pin.
  void unpin(TablePin* pin) noexcept;
  /// The listeners of an accepted connection's address, in the current table; null if it has gone.
  [[nodiscard]] const route::BindGroup* group(std::uint32_t bind) const noexcept {
    return bind < groups_.size() ? groups_[bind] : nullptr;
  }
  /// The context of a TLS slot; null if there is none yet.
  [[nodiscard]] const tls::Context* tlsContext(std::uint32_t slot) const noexcept {
    return slot < tls_contexts_.size() ? tls_contexts_[slot].get() : nullptr;
  }
  /// Changes with what a TLS slot's listener asks of clients; a connection remembers it
  /// (ConnectionInfo::security).
  [[nodiscard]] std::uint32_t security(std::uint32_t slot) const noexcept {
    return slot < securities_.size() ? securities_[slot] : 0;
  }
  /// Routes the stream's request at the end of this turn, together with those that came in it.
  void routeLater(Stream& stream);
  /// A stream that waits for that is gone.
  void forgetWaiting(const Stream& stream) noexcept;
  /// A callout is over: its filter is told at the end of this turn.
  void calloutOver(Callout& callout);
  /// A callout is gone: nobody is told.
  void forgetCallout(const Callout& callout) noexcept;
  /// Destroys a stream and takes its block back.
  void destroyStream(Stream& stream) noexcept;
  /// A pseudo-random number; good for shares and ids, not for secrets.
  [[nodiscard]] std::uint64_t random() noexcept;
  /// Now as "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7).
  [[nodiscard]] std::string_view httpDate() noexcept;
  /// Wall clock, microseconds since the epoch, of this turn.
  [[nodiscard]] std::int64_t wallUs() noexcept;
  /// A fresh connection, plain or after its handshake.
  void serve(codec::Transport transport, const codec::ConnectionInfo& info, bool readable,
             bool registered);
  /// A handshake has begun.
  void handshakeBegun(Handshake& handshake) noexcept;
  /// The handshake is over, either way.
  void handshakeDone(Handshake& handshake) noexcept;
  /// A flow has begun. `counted`: its connection is, already.
  void flowBegun(TcpFlow& flow, bool counted) noexcept;
  /// The flow is over.
  void flowDone(TcpFlow& flow) noexcept;
  /// True if another client connection may be accepted.
  [[nodiscard]] bool mayAccept() const noexcept;
  /// Wakes a filter, from the mailbox.
  void wake(Waker waker, std::uint64_t token) noexcept;

  codec::RequestEvents* openStream(codec::ServerLink& link) noexcept override;
  void dropStream(codec::RequestEvents& stream) noexcept override;
  void onServerConnectionClosed(codec::ServerConnection& connection) noexcept override;
  void onPreface(const codec::ServerConnection& from, codec::Transport transport,
                 std::span<char> read, bool readable) noexcept override;
  void onMalformed() noexcept override;
  void onFlood(codec::Flood kind) noexcept override;
  bool closing(const codec::ConnectionInfo& connection) noexcept override;

  /// The worker's parts, for streams.
  [[nodiscard]] const ProxySettings& settings() const noexcept { return *environment_.settings; }
  /// What all workers share.
  [[nodiscard]] const WorkerEnvironment& environment() const noexcept { return environment_; }
  /// Counters; readable from any thread.
  [[nodiscard]] observe::WorkerCounters& counters() noexcept { return counters_; }
  /// Endpoints and pools.
  [[nodiscard]] UpstreamSet& upstreams() noexcept { return upstreams_; }
  /// UDP sessions.
  [[nodiscard]] UdpFlows& udp() noexcept { return udp_; }
  /// Pipes for bodies that are spliced.
  [[nodiscard]] PipePool& pipes() noexcept { return pipes_; }
  /// Wakers.
  [[nodiscard]] WakeTable& wakers() noexcept { return wakers_; }
  /// Seals the tokens of sessions.
  [[nodiscard]] tls::TokenCipher& tokens() noexcept { return tokens_; }
  /// TLS buffers.
  [[nodiscard]] tls::SharedBuffers& tlsBuffers() noexcept { return tls_buffers_; }
  /// Which worker this is, from 0.
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  /// Reused for log lines.
  [[nodiscard]] std::string& logLine() noexcept { return log_line_; }
  /// Next stream id, unique in the process.
  [[nodiscard]] std::uint64_t nextStreamId() noexcept { return ++stream_ids_ * 64 + index_ % 64; }

 private:
  /// A request that waits for the end of the turn.
  struct Waiting {
    Stream* stream;                 // null: gone
    const route::HostTable* hosts;  // where it will be looked up; null: nowhere, or not known yet
    std::uint64_t hash;             // of its host
  };
  static void locate(Waiting& request) noexcept;
  static void prefetch(const Waiting& request, std::size_t step) noexcept;
  void routeWaiting() noexcept;
  void tellCallouts() noexcept;

  static constexpr std::size_t kStreamBlockBytes = 12 * 1024;

  void run();
  void tick() noexcept;
  void retire(TablePin* pin) noexcept;

  const WorkerEnvironment& environment_;
  std::uint32_t index_;
  observe::WorkerCounters counters_;
  tls::SharedBuffers tls_buffers_;
  UpstreamSet upstreams_;
  WakeTable wakers_;
  PipePool pipes_;
  tls::TokenCipher tokens_;
  std::unique_ptr<TablePin> current_;
  std::vector<std::unique_ptr<TablePin>> old_pins_;
  std::vector<const route::BindGroup*> groups_;
  std::vector<route::Bind> binds_;
  std::vector<std::vector<std::unique_ptr<Acceptor>>> acceptors_;  // empty: closed
  std::vector<std::shared_ptr<const tls::Context>> tls_contexts_;
  std::vector<std::uint32_t> securities_;
  std::vector<std::unique_ptr<std::byte[]>> free_blocks_;
  Stream* streams_ = nullptr;
  std::vector<Waiting> waiting_;
  std::vector<Waiting> routing_;         // those of this turn, while they are routed
  std::vector<Callout*> callouts_over_;  // null: gone
  codec::ServerConnection* connections_ = nullptr;
  Handshake* handshakes_ = nullptr;
  TcpFlow* flows_ = nullptr;
  std::uint64_t random_state_;
  std::uint64_t stream_ids_ = 0;
  std::string log_line_;
  char date_[40] = {};
  std::size_t date_size_ = 0;
  std::size_t connection_limit_;
  std::int64_t date_second_ = -1;
  bool draining_ = false;
  UdpFlows udp_;
  MemberTimer<Worker, &Worker::tick> tick_;
  std::thread thread_;
};

}  // namespace hyperway::proxy
