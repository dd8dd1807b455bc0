// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/client.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include "k8s_client/http2.hpp"
#include "k8s_client/list_page.hpp"

namespace hyperway::k8s_client {
namespace {

using namespace std::chrono_literals;

// Streams of one connection, if the server allows as many: API servers allow 100 to 250. More
// connections than one let one that is slow hold up no more than its own share.
constexpr std::size_t kStreamsPerConnection = 90;
// A wait that nothing else bounds.
constexpr auto kLongestWait = 60s;
// How long a connection for streams that has none any more is kept.
constexpr auto kIdleLimit = 60s;
// The server is looked for at least this often, so that traffic's truth is not older than it must.
constexpr auto kFirstBackOff = 50ms, kMostBackOff = 2000ms;

}  // namespace

struct Client::State final : Http2Connection::Owner {
  // A request with its answer, or a stream.
  struct Exchange {
    Id id = 0;
    Request request;
    Done done;                         // of a call
    StreamHandler* handler = nullptr;  // of a stream
    std::size_t lane = 0;
    Id timer = 0;
    int status = 0;
    std::string retry_after, body;
    unsigned attempts = 0;
    const Http2Connection* connection = nullptr;  // where it is under way
  };
  // Where exchanges of one sort go: the connection of now, and the way to the next.
  struct Lane {
    std::unique_ptr<Http2Connection> connection;
    std::vector<std::unique_ptr<Http2Connection>> draining;
    std::vector<Id> waiting;                   // for the connection
    std::size_t streams = 0;                   // exchanges that belong here
    std::size_t most = kStreamsPerConnection;  // streams that may
    unsigned failures = 0;
    TimePoint next_attempt{};
  };

  State(ClusterConfig cluster, std::string agent, Resolve resolve)
      : config(std::move(cluster)),
        user_agent(std::move(agent)),
        authority(config.authority()),
        resolver(std::move(resolve)) {
    wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lanes.emplace_back();  // calls
  }
  ~State() override {
    if (wake_fd >= 0) ::close(wake_fd);
  }

  const ClusterConfig config;
  const std::string user_agent, authority;
  std::function<void()> after_turn;
  int wake_fd = -1;
  std::thread thread;

  std::mutex mutex;
  std::vector<std::function<void()>> posted;
  bool stopping = false;  // guarded, as is
  bool ended = false;     // nothing is run any more

  // Everything below: the loop's thread.
  Resolver resolver;
  Id last_id = 0;
  std::map<Id, std::unique_ptr<Exchange>> exchanges;
  std::map<Id, std::unique_ptr<Exchange>> ending;  // over, and not told yet
  std::deque<Lane> lanes;  // the first one for calls, the others for streams
  std::size_t most_streams = kStreamsPerConnection;  // as a connection was last allowed
  std::map<std::pair<TimePoint, Id>, std::function<void()>> timers;
  std::unordered_map<Id, TimePoint> timer_of;
  std::vector<std::function<void()>> ready;  // answers, run when no connection is being read
  std::string token;
  TimePoint token_read{};
  std::minstd_rand random{std::random_device{}()};
  bool arrived = false;
  bool closing = false;

  // ---- loop -------------------------------------------------------------------------------------

  static TimePoint clock() { return std::chrono::steady_clock::now(); }

  void wake() const {
    const std::uint64_t one = 1;
    if (::write(wake_fd, &one, sizeof one) < 0) return;  // Full: readable already.
  }

  void run() {
    while (true) {
      const bool end = runPosted();
      runTimers();
      runReady();
      if (end) break;
      for (std::size_t i = 0; i < lanes.size(); ++i) flushLane(i);
      runReady();
      if (std::exchange(arrived, false) && after_turn) after_turn();
      waitAndRead();
    }
  }

  bool runPosted() {
    std::vector<std::function<void()>> tasks;
    bool end = false;
    {
      const std::lock_guard lock(mutex);
      tasks.swap(posted);
      end = stopping;
    }
    for (auto& task : tasks) task();
    return end;
  }

  void runTimers() {
    const TimePoint now = clock();
    while (!timers.empty() && timers.begin()->first.first <= now) {
      auto task = std::move(timers.begin()->second);
      timer_of.erase(timers.begin()->first.second);
      timers.erase(timers.begin());
      arrived = true;
      task();
    }
  }

  void runReady() {
    while (!ready.empty()) {
      auto tasks = std::exchange(ready, {});
      arrived = true;
      for (auto& task : tasks) task();
    }
  }

  void waitAndRead() {
    std::vector<pollfd> fds{{wake_fd, POLLIN, 0}};
    TimePoint until = clock() + (ready.empty() ? kLongestWait : 0s);
    if (!timers.empty()) until = std::min(until, timers.begin()->first.first);
    for (const Lane& lane : lanes)
      eachConnection(lane, [&](const Http2Connection& connection) {
        fds.push_back({connection.fd(), connection.events(), 0});
        until = std::min(until, connection.due());
      });
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock());
    const int limit = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    if (::poll(fds.data(), fds.size(), limit) < 0) return;  // A signal; everything stays due.
    if (fds[0].revents != 0) {
      std::uint64_t count = 0;
      if (::read(wake_fd, &count, sizeof count) < 0) count = 0;  // Nothing to undo.
    }
    // Which connection a descriptor belongs to may have changed only by our own hand since.
    const TimePoint now = clock();
    std::size_t at = 1;
    std::vector<std::size_t> due;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      bool any = false;
      eachConnection(lanes[i], [&](const Http2Connection& connection) {
        any |= fds[at++].revents != 0 || connection.due() <= now;
      });
      if (any) due.push_back(i);
    }
    for (const std::size_t i : due) serveLane(i);
  }

  template <class Each>
  static void eachConnection(const Lane& lane, Each&& each) {
    if (lane.connection) each(*lane.connection);
    for (const auto& old : lane.draining) each(*old);
  }

  // ---- connections ------------------------------------------------------------------------------

  void serveLane(std::size_t index) {
    const TimePoint now = clock();
    auto& old = lanes[index].draining;
    for (std::size_t k = 0; k < old.size();) {
      const bool lives = old[k]->onReady(now) && old[k]->streams() > 0;
      if (lives) {
        ++k;
        continue;
      }
      auto over = std::move(old[k]);
      old.erase(old.begin() + static_cast<std::ptrdiff_t>(k));
      failAll(*over, Error::Kind::Broken);
    }
    auto& connection = lanes[index].connection;
    if (!connection) return;
    const bool was_open = connection->open();
    if (!connection->onReady(now)) return drop(index, was_open);
    if (connection->open())
      lanes[index].most = most_streams =
          std::clamp<std::size_t>(connection->mostStreams(), 1, kStreamsPerConnection);
    if (!was_open && connection->open()) {
      lanes[index].failures = 0;
      submitWaiting(index);
    }
    if (connection && connection->draining()) retire(index);
  }

  void flushLane(std::size_t index) {
    auto& connection = lanes[index].connection;
    if (connection && connection->open() && !connection->flush()) drop(index, true);
  }

  // The server asked for a new connection; what is under way goes on over the old one.
  void retire(std::size_t index) {
    Lane& lane = lanes[index];
    if (lane.connection->streams() > 0) lane.draining.push_back(std::move(lane.connection));
    lane.connection.reset();
    if (!lane.waiting.empty()) attempt(index);
  }

  void drop(std::size_t index, bool was_open) {
    Lane& lane = lanes[index];
    const auto over = std::move(lane.connection);
    ++lane.failures;
    // An open connection that ends is made again at once; the server is asked more seldom only if
    // it cannot be reached.
    const double share = std::uniform_real_distribution<>(0, 1)(random);
    lane.next_attempt =
        was_open ? clock() : clock() + backOff(lane.failures, kFirstBackOff, kMostBackOff, share);
    failAll(*over, was_open ? Error::Kind::Broken : Error::Kind::Connect);
    if (was_open) {
      if (!lane.waiting.empty()) attempt(index);
      return;
    }
    for (const Id id : std::exchange(lane.waiting, {}))
      finish(id, failure(Error::Kind::Connect, over->error()));
  }

  void failAll(Http2Connection& connection, Error::Kind kind) {
    std::vector<Id> lost;
    for (const auto& [id, exchange] : exchanges)
      if (exchange->connection == &connection) lost.push_back(id);
    for (const Id id : lost) {
      // A request that changes nothing is simply asked again, once.
      Exchange& exchange = *exchanges.at(id);
      if (exchange.done && exchange.request.method == "GET" && exchange.attempts < 2)
        resubmit(exchange);
      else
        finish(id, failure(kind, connection.error()));
    }
  }

  void attempt(std::size_t index) {
    Lane& lane = lanes[index];
    if (lane.connection) return;
    const TimePoint now = clock();
    if (now < lane.next_attempt) {
      after(lane.next_attempt - now, [this, index] {
        if (!lanes[index].waiting.empty()) attempt(index);
      });
      return;
    }
    lane.connection = std::make_unique<Http2Connection>(*this);
    // Told by the next turn: nobody expects an answer from within a call.
    if (!lane.connection->begin(config, resolver, now))
      ready.emplace_back([this, index] {
        if (lanes[index].connection && !lanes[index].connection->open()) drop(index, false);
      });
  }

  void submitWaiting(std::size_t index) {
    for (const Id id : std::exchange(lanes[index].waiting, {})) {
      const auto found = exchanges.find(id);
      if (found != exchanges.end()) submit(*found->second);
    }
  }

  void submit(Exchange& exchange) {
    Lane& lane = lanes[exchange.lane];
    if (!lane.connection || !lane.connection->open() || lane.connection->draining()) {
      lane.waiting.push_back(exchange.id);
      attempt(exchange.lane);
      return;
    }
    // Others do not end so that this one could begin, so it goes where there is room.
    if (exchange.handler != nullptr && lane.connection->streams() >= lane.most) {
      --lane.streams;
      exchange.lane = streamLane();
      ++lanes[exchange.lane].streams;
      return submit(exchange);
    }
    const std::string url = config.prefix + exchange.request.path;
    const std::string bearer = bearerToken();
    Http2Connection::Fields fields = {{":method", exchange.request.method},
                                      {":scheme", "https"},
                                      {":authority", authority},
                                      {":path", url},
                                      {"user-agent", user_agent},
                                      {"accept", exchange.request.accept}};
    if (!bearer.empty()) fields.emplace_back("authorization", bearer);
    if (!exchange.request.body.empty())
      fields.emplace_back("content-type", exchange.request.content_type);
    ++exchange.attempts;
    exchange.connection = lane.connection.get();
    if (!lane.connection->submit(exchange.id, fields, exchange.request.body))
      finish(exchange.id, failure(Error::Kind::Broken, lane.connection->error()));
  }

  void resubmit(Exchange& exchange) {
    exchange.connection = nullptr;
    exchange.status = 0;
    exchange.body.clear();
    lanes[exchange.lane].waiting.push_back(exchange.id);
    ready.emplace_back([this, lane = exchange.lane] {
      if (lanes[lane].connection && lanes[lane].connection->open() &&
          !lanes[lane].connection->draining())
        submitWaiting(lane);
      else if (!lanes[lane].waiting.empty())
        attempt(lane);
    });
  }

  std::string bearerToken() {
    if (config.token.absent()) return {};
    const TimePoint now = clock();
    if (token.empty() || now - token_read >= 1s) {
      std::string error;
      // A file that is away for a moment while it rotates: the old token may still be good.
      if (auto fresh = config.token.read(error)) {
        token = std::move(*fresh);
        while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
      }
      token_read = now;
    }
    return "Bearer " + token;
  }

  // ---- exchanges --------------------------------------------------------------------------------

  void begin(std::unique_ptr<Exchange> exchange) {
    Exchange& it = *exchange;
    const Id id = it.id;
    exchanges.emplace(id, std::move(exchange));
    ++lanes[it.lane].streams;
    if (closing) return;
    it.timer = after(it.request.timeout, [this, id] {
      finish(id, failure(Error::Kind::Timeout, "no answer in time"));
    });
    submit(it);
  }

  std::size_t streamLane() {
    for (std::size_t i = 1; i < lanes.size(); ++i)
      if (lanes[i].streams < lanes[i].most) return i;
    lanes.emplace_back().most = most_streams;
    return lanes.size() - 1;
  }

  void closeIfIdle(std::size_t index) {
    after(kIdleLimit, [this, index] {
      if (lanes[index].streams == 0) lanes[index].connection.reset();
    });
  }

  static Reply failure(Error::Kind kind, std::string message) {
    Reply reply;
    reply.error.kind = kind;
    reply.error.message = std::move(message);
    return reply;
  }

  std::unique_ptr<Exchange> remove(Id id) {
    const auto found = exchanges.find(id);
    if (found == exchanges.end()) return nullptr;
    auto exchange = std::move(found->second);
    exchanges.erase(found);
    forget(exchange->timer);
    Lane& lane = lanes[exchange->lane];
    if (--lane.streams == 0 && exchange->lane > 0) closeIfIdle(exchange->lane);
    std::erase(lane.waiting, id);
    if (lane.connection) lane.connection->reset(id);
    for (auto& old : lane.draining) old->reset(id);
    return exchange;
  }

  // Ends an exchange. Who waits for it is told when no connection is being read, since it may begin
  // or end others.
  void finish(Id id, Reply reply) {
    auto exchange = remove(id);
    if (!exchange) return;
    ending.emplace(id, std::move(exchange));
    ready.emplace_back([this, id, answer = std::make_shared<Reply>(std::move(reply))] {
      const auto found = ending.find(id);
      if (found == ending.end()) return;  // cancelled in the meantime
      const auto over = std::move(found->second);
      ending.erase(found);
      if (over->done)
        over->done(std::move(*answer));
      else
        over->handler->onEnd(std::move(answer->error));
    });
  }

  void onHead(std::uint64_t id, int status, std::string retry_after) override {
    const auto found = exchanges.find(id);
    if (found == exchanges.end()) return;
    arrived = true;
    Exchange& exchange = *found->second;
    exchange.status = status;
    exchange.retry_after = std::move(retry_after);
    if (exchange.handler == nullptr || status != 200) return;
    forget(std::exchange(exchange.timer, 0));
    exchange.handler->onOpen();
  }

  void onData(std::uint64_t id, std::string_view bytes) override {
    const auto found = exchanges.find(id);
    if (found == exchanges.end()) return;
    arrived = true;
    Exchange& exchange = *found->second;
    if (exchange.handler != nullptr && exchange.status == 200)
      return exchange.handler->onData(bytes);
    const std::size_t most = exchange.handler != nullptr ? 65536 : exchange.request.most_bytes;
    if (exchange.body.size() + bytes.size() > most)
      return finish(id, failure(Error::Kind::TooLarge, "the answer is too large"));
    exchange.body += bytes;
  }

  void onClose(std::uint64_t id, bool whole, bool refused) override {
    const auto found = exchanges.find(id);
    if (found == exchanges.end()) return;
    arrived = true;
    Exchange& exchange = *found->second;
    if (refused && exchange.attempts < 3) return resubmit(exchange);
    if (exchange.status == 401 && exchange.attempts < 2 && !config.token.file.empty()) {
      token.clear();  // It may have rotated within the last second.
      return resubmit(exchange);
    }
    Reply reply;
    reply.status = exchange.status;
    if (!whole || exchange.status == 0) {
      reply = failure(Error::Kind::Broken, "the answer ended early");
      reply.status = exchange.status;
    } else {
      reply.error = errorOf(exchange.status, exchange.retry_after, exchange.body);
      reply.body = std::move(exchange.body);
    }
    finish(id, std::move(reply));
  }

  // ---- timers -----------------------------------------------------------------------------------

  Id after(Duration delay, std::function<void()> task) {
    const Id id = ++last_id;
    const TimePoint at = clock() + delay;
    timers.emplace(std::pair(at, id), std::move(task));
    timer_of.emplace(id, at);
    return id;
  }

  void forget(Id id) {
    const auto found = timer_of.find(id);
    if (found == timer_of.end()) return;
    timers.erase({found->second, id});
    timer_of.erase(found);
  }

  // After the thread has ended: everybody who waits is told.
  void abandon() {
    closing = true;
    (void)runPosted();
    for (Lane& lane : lanes) {
      lane.connection.reset();
      lane.draining.clear();
      lane.waiting.clear();
    }
    while (!exchanges.empty()) {
      const auto exchange = std::move(exchanges.begin()->second);
      exchanges.erase(exchanges.begin());
      if (exchange->done) exchange->done(failure(Error::Kind::Stopped, "the client was stopped"));
    }
    ending.clear();
    ready.clear();
    timers.clear();
    timer_of.clear();
  }

  // False if nothing is run any more.
  bool add(std::function<void()> task) {
    const std::lock_guard lock(mutex);
    if (ended) return false;
    posted.push_back(std::move(task));
    wake();
    return true;
  }
};

Client::Client(ClusterConfig config, std::string user_agent, Resolve resolve)
    : state_(
          std::make_unique<State>(std::move(config), std::move(user_agent), std::move(resolve))) {}

Client::~Client() { stop(); }

void Client::start() {
  // Signals belong to the process, not to this thread; SIGPIPE is an error of write() here.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Client::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->ended) return;
    state_->stopping = true;
    state_->wake();
  }
  if (state_->thread.joinable()) state_->thread.join();
  {
    // What comes in from here on has nobody to run it.
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
  }
  state_->abandon();
}

void Client::post(std::function<void()> task) { (void)state_->add(std::move(task)); }

void Client::afterTurn(std::function<void()> task) { state_->after_turn = std::move(task); }

void Client::call(Request request, Done done) {
  post([state = state_.get(), request = std::move(request), done = std::move(done)]() mutable {
    auto exchange = std::make_unique<State::Exchange>();
    exchange->id = ++state->last_id;
    exchange->request = std::move(request);
    exchange->done = std::move(done);
    state->begin(std::move(exchange));
  });
}

Api::Id Client::stream(Request request, StreamHandler& handler) {
  auto exchange = std::make_unique<State::Exchange>();
  const Id id = exchange->id = ++state_->last_id;
  exchange->request = std::move(request);
  exchange->handler = &handler;
  exchange->lane = state_->streamLane();
  state_->begin(std::move(exchange));
  return id;
}

void Client::cancel(Id id) {
  state_->forget(id);
  (void)state_->remove(id);
  state_->ending.erase(id);
}

Api::Id Client::after(Duration delay, std::function<void()> task) {
  return state_->after(delay, std::move(task));
}

TimePoint Client::now() const { return State::clock(); }

Reply Client::wait(Request request) {
  struct Waiting {
    std::mutex mutex;
    std::condition_variable signal;
    std::optional<Reply> reply;
  };
  // Shared, because the answer may come after a stop() that this call did not see.
  const auto waiting = std::make_shared<Waiting>();
  const bool taken =
      state_->add([state = state_.get(), waiting, request = std::move(request)]() mutable {
        auto exchange = std::make_unique<State::Exchange>();
        exchange->id = ++state->last_id;
        exchange->request = std::move(request);
        exchange->done = [waiting](Reply reply) {
          const std::lock_guard lock(waiting->mutex);
          waiting->reply = std::move(reply);
          waiting->signal.notify_all();
        };
        state->begin(std::move(exchange));
      });
  if (!taken) return State::failure(Error::Kind::Stopped, "the client was stopped");
  std::unique_lock lock(waiting->mutex);
  waiting->signal.wait(lock, [&] { return waiting->reply.has_value(); });
  return std::move(*waiting->reply);
}

Reply Client::get(std::string path) {
  Request request;
  request.path = std::move(path);
  return wait(std::move(request));
}

Reply Client::create(std::string path, std::string json) {
  return wait(createRequest(std::move(path), std::move(json)));
}

Reply Client::put(std::string path, std::string json) {
  return wait(putRequest(std::move(path), std::move(json)));
}

Reply Client::mergePatch(std::string path, std::string json) {
  return wait(mergePatchRequest(std::move(path), std::move(json)));
}

Reply Client::apply(std::string path, std::string json, bool force) {
  return wait(applyRequest(std::move(path), std::move(json), force));
}

Reply Client::remove(std::string path) { return wait(removeRequest(std::move(path))); }

Reply Client::list(const std::string& path,
                   const std::function<void(std::string_view object)>& each) {
  ListPageReader reader;
  for (std::string next;;) {
    Reply reply = get(pagePath(path, next));
    if (!reply.ok()) return reply;
    ListPage page;
    if (!reader.read(reply.body, page, each)) {
      reply.error.kind = Error::Kind::Invalid;
      reply.error.message = reader.error();
      return reply;
    }
    reply.body.clear();
    if (page.next.empty()) return reply;
    next = std::move(page.next);
  }
}

}  // namespace hyperway::k8s_client
