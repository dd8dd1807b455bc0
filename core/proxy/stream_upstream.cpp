// SPDX-License-Identifier: Apache-2.0
// Stream: the draw of a backend, attempts, retries, and the request on its way to the backend.
#include <algorithm>
#include <new>
#include <utility>

#include "proxy/mirror.hpp"
#include "proxy/proxy_header.hpp"
#include "proxy/stream.hpp"
#include "proxy/stream_guard.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint32_t kConnectRetries =
    2;  // where the rule says nothing: safe, nothing was delivered
constexpr std::uint32_t kBrokenRetries =
    1;  // where the rule says nothing: idempotent requests only
constexpr std::uint16_t kFreeRetries = 3;
// More than can be configured, and no more than a clock of nanoseconds has room for.
constexpr std::chrono::milliseconds kLongestBackoff = std::chrono::hours{400'000};

/// A head of its own for one attempt's backend filters.
http::RequestHead* copyHead(const http::RequestHead& head, Arena& arena) {
  auto* const copy = new (arena.allocate(sizeof(http::RequestHead), alignof(http::RequestHead)))
      http::RequestHead(head);
  copy->fields = http::HeaderMap(arena);
  for (const http::Field& line : head.fields.lines())
    if (!line.removed) copy->fields.appendView(line.id, line.name(), line.value());
  return copy;
}

}  // namespace

void Stream::draw() noexcept {
  // Gateway API, GRPCRouteRule.backendRefs: UNAVAILABLE; of HTTPRoutes it is 500.
  const auto nobody = [&](std::string_view why) {
    respondLocal(rule_->route_key.starts_with("GRPCRoute/") ? 503 : 500, why);
  };
  if (session_ != nullptr && drawSession()) return startAttempt();
  if (rule_->backends.empty()) return nobody("no_backend");
  backend_ = &rule_->backends.front();
  if (rule_->backends.size() > 1) {
    const std::uint64_t ticket = worker_.random() % rule_->totalWeight();
    for (const route::CompiledBackend& candidate : rule_->backends) {
      backend_ = &candidate;
      if (ticket < candidate.weight_end) break;
    }
  }
  if (backend_->refused) return respondLocal(500, "filter_refused");
  if (backend_->upstream_number == route::CompiledBackend::kUnresolved)
    return nobody("backend_unresolved");
  startAttempt();
}

void Stream::startAttempt() noexcept {
  backoff_ = false;
  if (session_ != nullptr && leavesParked()) return draw();
  ++attempts_;
  body_fed_ = false;
  attempt_head_ = &request_;
  if (backend_->filters.empty()) return sendAttempt();
  attempt_head_ = copyHead(request_, arena_);
  endBackendChain();
  backend_chain_.emplace(*this, backend_->filters);
  frame(*backend_chain_, *attempt_head_);
  const std::uint16_t attempt = attempts_;
  keep_replay_ = replayable_;  // until a connection says otherwise
  backend_chain_->requestHead(request_.framing.kind == http::BodyKind::None);
  const bool waits =
      up_ == nullptr && !finished_ && !response_begun_ && !backoff_ && attempt == attempts_;
  if (!waits || request_.framing.kind == http::BodyKind::None) return;
  // A filter holds or paused the head: what came of the body goes into the chain, in front of the
  // head's way out.
  const bool complete = request_through_ && !pending_trailers_;
  if (replay_.empty() && !complete && !pending_trailers_) return;
  body_fed_ = true;
  std::string copy(replay_.view());
  backend_chain_->requestBody({copy.data(), copy.size()}, complete);
  if (pending_trailers_ && !finished_ && backend_chain_)
    backend_chain_->requestTrailers(*pending_trailers_);
}

/// The head is ready for the backend: sends it, and what came of the body before.
void Stream::sendAttempt() noexcept {
  // Chosen only now: a filter may have paused for long, and endpoints come and go.
  EndpointState* const kept = session_ != nullptr ? sessionEndpoint() : nullptr;
  endpoint_ = kept != nullptr
                  ? kept
                  : worker_.upstreams().choose(backend_->upstream_number, identity_, endpoint_);
  if (endpoint_ == nullptr) {
    if (worker_.upstreams().refused(backend_->upstream_number, identity_))
      return respondLocal(500, "backend_tls_refused");
    return respondLocal(503, "no_endpoint");
  }
  if (session_ != nullptr) noteSession();
  char header[kMaxProxyHeaderOut];
  const std::size_t header_size = writeProxyHeader(
      worker_.upstreams().proxyHeader(backend_->upstream_number), down_->connection(), header);
  up_ = worker_.upstreams().connect(*endpoint_, *this, free_retries_ != 0, {header, header_size});
  if (up_ == nullptr) {
    // Not now: a retry ends the chain of backend filters, which may be our caller.
    backoff_ = connect_failed_ = true;
    attempt_timer_.set(worker_.loop.timers(), worker_.loop.now());
    return;
  }
  if (worker_.environment().access_log != nullptr) endpoint_text_ = arena_.copy(endpoint_->text);
  const std::chrono::milliseconds limit = rule_->backend_timeout;
  if (limit.count() > 0) attempt_timer_.set(worker_.loop.timers(), worker_.loop.now() + limit);
  http::H1RequestOut options;
  options.authority = attempt_head_->authority;
  options.upgrade = upgrade_;
  options.expect_continue = request_.expect_continue && request_bytes_ == 0;
  expect_forwarded_ = options.expect_continue;
  const bool end = attempt_head_->framing.kind == http::BodyKind::None;
  up_->sendHead(*attempt_head_, options, end);
  if (!end) {
    // A body is kept for another attempt where one may come: nothing was delivered yet on a new
    // connection, the rule asks for retries, or repeating does no harm.
    keep_replay_ = replayable_ && (!up_->reused() || rule_->retry.has_value() ||
                                   http::isIdempotent(request_.method_id));
    if (body_fed_) {
      // the chain has it and sends it on behind the head
    } else if (!replay_.empty()) {
      if (backend_chain_) {
        const std::string copy(replay_.view());
        backend_chain_->requestBody({const_cast<char*>(copy.data()), copy.size()},
                                    request_through_ && !pending_trailers_);
      } else {
        upstreamBody(replay_.view(), request_through_ && !pending_trailers_);
      }
    } else if (request_through_ && !pending_trailers_) {
      if (backend_chain_)
        backend_chain_->requestBody({}, true);
      else
        upstreamBody({}, true);
    }
    if (!body_fed_ && pending_trailers_ && up_ != nullptr) {
      if (backend_chain_)
        backend_chain_->requestTrailers(*pending_trailers_);
      else
        up_->sendTrailers(*pending_trailers_);
    }
    if (!keep_replay_) replay_.clear(worker_.pool);
  }
  if (!defer_flush_ && up_ != nullptr) up_->flush();
}

void Stream::keepForReplay(std::string_view data) noexcept {
  if (!replayable_ || data.empty()) return;
  if (replay_.size() + data.size() <= worker_.settings().replay_bytes)
    return replay_.append(worker_.pool, data);
  replayable_ = keep_replay_ = false;
  if (up_ != nullptr) replay_.clear(worker_.pool);
}

/// Body behind the rule's filters: to the mirrors, and to the attempt, or kept until there is one.
void Stream::attemptBody(std::span<char> data, bool end) noexcept {
  const std::string_view bytes(data.data(), data.size());
  request_through_ = end;
  if (mirrors_ != nullptr && !tunnel_) Mirror::body(mirrors_, bytes, end);
  if (up_ == nullptr && !backend_chain_) {  // between two attempts
    if (response_begun_) return;            // answered: nobody wants the rest
    if (!bytes.empty()) replay_.append(worker_.pool, bytes);
    if (replay_.size() > worker_.settings().replay_bytes) {
      replayable_ = false;
      updateReading();
    }
    return;
  }
  if (keep_replay_) keepForReplay(bytes);
  if (backend_chain_ && !tunnel_) {
    if (up_ == nullptr) body_fed_ = true;
    backend_chain_->requestBody(data, end);
  } else {
    upstreamBody(bytes, end);
  }
}

void Stream::attemptTrailers(http::HeaderMap& trailers) noexcept {
  request_through_ = true;
  pending_trailers_ = trailers;
  if (mirrors_ != nullptr) Mirror::body(mirrors_, {}, true);
  if (backend_chain_) {
    if (up_ == nullptr) body_fed_ = true;
    backend_chain_->requestTrailers(trailers);
  } else if (up_ != nullptr)
    up_->sendTrailers(trailers);
}

void Stream::upstreamBody(std::string_view data, bool end) noexcept {
  if (up_ == nullptr) return;
  up_->sendBody(data, end);
}

void Stream::onUpstreamDrained() noexcept {
  const Guard guard(*this);
  if (request_pipe_) return pumpRequest();
  updateReading();
  if (up_ != nullptr && !finished_ && !request_ended_) trySpliceRequest();
}

void Stream::dropAttempt() noexcept {
  attempt_timer_.cancel();
  if (up_ != nullptr) std::exchange(up_, nullptr)->cancel();
}

/// The filters of an attempt that failed end with it, and so does what they paused or wait for.
void Stream::endBackendChain() noexcept {
  if (!backend_chain_) return;
  backend_chain_->end(StreamEnd::Aborted);
  endCallouts(&*backend_chain_);
  worker_.wakers().forget(wakers_, *backend_chain_);
  request_pauses_ = static_cast<std::uint8_t>(request_pauses_ - backend_chain_->requestPauses());
  backend_chain_.reset();
}

/// An attempt ended without an answer: true if another one is under way or waits for its time.
bool Stream::retryAfter(codec::Broken how) noexcept {
  if (finished_ || response_begun_ || !replayable_ || tunnel_) return false;
  const bool unprocessed = how == codec::Broken::Unprocessed;
  const bool stale = how == codec::Broken::Stale && http::isIdempotent(request_.method_id);
  if ((stale || unprocessed) && free_retries_ < kFreeRetries) {
    // The backend closed a kept connection just then, or goes away: no fault of the request's.
    ++free_retries_;
    dropAttempt();
    --attempts_;
    startAttempt();
    updateReading();
    return true;
  }
  const bool undelivered = unprocessed || how == codec::Broken::Refused ||
                           how == codec::Broken::Unreachable || how == codec::Broken::Handshake ||
                           how == codec::Broken::Untrusted;
  if (!undelivered && !http::isIdempotent(request_.method_id)) return false;
  const auto& retry = rule_->retry;
  std::uint32_t most = undelivered ? kConnectRetries : kBrokenRetries;
  if (retry)
    most = retry->attempts;
  else if (how == codec::Broken::Timeout || how == codec::Broken::Protocol)
    return false;
  if (attempts_ > most) return false;
  if (session_ != nullptr) moveSession();
  scheduleRetry();
  return true;
}

bool Stream::retryStatus(std::uint16_t status) noexcept {
  const auto& retry = rule_->retry;
  if (!retry || !replayable_ || attempts_ > retry->attempts || tunnel_) return false;
  if (std::find(retry->codes.begin(), retry->codes.end(), status) == retry->codes.end())
    return false;
  if (!request_through_ && request_.framing.kind != http::BodyKind::None) return false;
  scheduleRetry();
  return true;
}

void Stream::scheduleRetry() noexcept {
  dropAttempt();
  response_.fields.clear();
  backoff_ = true;
  endBackendChain();
  std::chrono::milliseconds wait =
      rule_->retry ? rule_->retry->backoff : std::chrono::milliseconds{0};
  if (wait.count() == 0) {
    startAttempt();
    return updateReading();
  }
  wait *= 1U << std::min<unsigned>(
              attempts_ - 1U, 6);  // the configured time is the least (Gateway API HTTPRouteRetry)
  wait = std::min(wait, kLongestBackoff);
  attempt_timer_.set(worker_.loop.timers(), worker_.loop.now() + wait);
}

void Stream::onAttemptTimer() noexcept {
  const Guard guard(*this);
  if (finished_) return;
  if (std::exchange(connect_failed_, false)) {
    backoff_ = false;
    if (!retryAfter(codec::Broken::Refused)) respondLocal(502, "connect_failed");
    return;
  }
  if (backoff_) {
    startAttempt();
    return updateReading();
  }
  if (response_sent_) return failResponse("backend_timeout");
  if (response_begun_) bypass_filters_ = true;  // one of them waits, perhaps for ever
  // Nothing was delivered where the connection never was up, and the endpoint is to be avoided as
  // after timeouts.connect.
  const bool unreached = up_ != nullptr && !up_->connected();
  if (unreached) worker_.upstreams().late(*endpoint_);
  dropAttempt();
  const auto how = unreached ? codec::Broken::Unreachable : codec::Broken::Timeout;
  if (!retryAfter(how)) respondLocal(504, unreached ? "connect_timeout" : "backend_timeout");
}

void Stream::startMirrors() noexcept {
  for (const route::CompiledMirror& mirror : rule_->mirrors) {
    if (mirror.numerator < mirror.denominator &&
        worker_.random() % mirror.denominator >= mirror.numerator)
      continue;
    mirrors_ = Mirror::begin(worker_, mirror.upstream->number(), identity_, request_,
                             down_->connection(), mirrors_);
  }
}

}  // namespace hyperway::proxy
