// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "k8s_client/api.hpp"

namespace hyperway::k8s_client {

/// An API server whose answers the test writes, and a clock that it moves.
class FakeApi final : public Api {
 public:
  /// A call that waits for its answer.
  struct Call {
    Request request;
    Done done;
  };
  /// A stream that the code under test has begun.
  struct Stream {
    Request request;
    StreamHandler* handler;
  };

  void call(Request request, Done done) override {
    calls.push_back({std::move(request), std::move(done)});
    ++call_count;
  }
  Id stream(Request request, StreamHandler& handler) override {
    streams[++last_id_] = {std::move(request), &handler};
    return last_id_;
  }
  void cancel(Id id) override {
    streams.erase(id);
    timers_.erase(id);
  }
  Id after(Duration delay, std::function<void()> task) override {
    timers_[++last_id_] = {now_ + delay, std::move(task)};
    return last_id_;
  }
  [[nodiscard]] TimePoint now() const override { return now_; }

  /// Moves the clock, and runs what falls due, in order.
  void pass(Duration time) {
    const TimePoint end = now_ + time;
    for (;;) {
      auto next = timers_.end();
      for (auto at = timers_.begin(); at != timers_.end(); ++at)
        if (at->second.first <= end &&
            (next == timers_.end() || at->second.first < next->second.first))
          next = at;
      if (next == timers_.end()) break;
      now_ = std::max(now_, next->second.first);
      const auto task = std::move(next->second.second);
      timers_.erase(next);
      task();
    }
    now_ = end;
  }

  /// Answers the oldest call with a body and status 200.
  void answer(std::string body) {
    Reply reply;
    reply.status = 200;
    reply.body = std::move(body);
    reply_(std::move(reply));
  }
  /// Answers the oldest call with an error of the server.
  void refuse(int status, std::string_view body = "", std::string_view retry_after = "") {
    Reply reply;
    reply.status = status;
    reply.error = errorOf(status, retry_after, body);
    reply_(std::move(reply));
  }
  /// The oldest call finds no server.
  void fail(Error::Kind kind = Error::Kind::Connect) {
    Reply reply;
    reply.error.kind = kind;
    reply.error.message = "nobody there";
    reply_(std::move(reply));
  }

  /// The one stream that is open.
  Stream& onlyStream() { return streams.begin()->second; }
  /// Ends the one stream that is open.
  void endStream(Error error = {}) {
    StreamHandler* handler = onlyStream().handler;
    streams.clear();
    handler->onEnd(std::move(error));
  }
  /// An error of the server.
  static Error status(int code) { return errorOf(code, "", ""); }

  std::deque<Call> calls;        ///< Waiting for an answer, oldest first.
  std::map<Id, Stream> streams;  ///< Open.
  int call_count = 0;            ///< Calls that were made.

 private:
  void reply_(Reply reply) {
    const Call call = std::move(calls.front());
    calls.pop_front();
    call.done(std::move(reply));
  }

  TimePoint now_{std::chrono::hours(1)};
  Id last_id_ = 0;
  std::map<Id, std::pair<TimePoint, std::function<void()>>> timers_;
};

}  // namespace hyperway::k8s_client
