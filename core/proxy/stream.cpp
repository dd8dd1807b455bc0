// SPDX-License-Identifier: Apache-2.0
#include "proxy/stream.hpp"

#include <algorithm>
#include <new>

#include "proxy/mirror.hpp"
#include "proxy/stream_guard.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

std::string_view nameOf(http::Version version, std::string_view http2) noexcept {
  if (version == http::Version::Http2) return http2;
  return version == http::Version::Http10 ? "HTTP/1.0" : "HTTP/1.1";
}

}  // namespace

Stream::Stream(Worker& worker, codec::ServerLink& link, std::span<std::byte> room) noexcept
    : worker_(worker),
      down_(&link),
      arena_(room),
      request_(arena_),
      response_(arena_),
      request_trailers_(arena_),
      response_trailers_(arena_),
      request_timer_(*this),
      attempt_timer_(*this),
      begun_(worker.loop.now()),
      id_(worker.nextStreamId()) {}

Stream::~Stream() {
  endCallouts(nullptr);
  backend_chain_.reset();  // before the table goes, which holds what the filters are bound to
  rule_chain_.reset();
  replay_.clear(worker_.pool);
  if (pin_ != nullptr) worker_.unpin(pin_);
  if (waits_) worker_.forgetWaiting(*this);
  if (rule_ref_) worker_.environment().reclaim(std::move(rule_ref_));
  if (listener_filters_) worker_.environment().reclaim(std::move(listener_filters_));
  if (listener_ref_) worker_.environment().reclaim(std::move(listener_ref_));
}

void Stream::unpin() noexcept {
  if (pin_ == nullptr || finished_) return;
  listener_key_ = arena_.copy(listener_key_);
  if (info_ != nullptr) info_->listener = listener_key_;
  if (listener_ != nullptr && rule_chain_) listener_filters_ = listener_->filters();
  if (rule_ == nullptr && listener_filters_)
    // Its filters take their time: what the request is matched against is kept for so long.
    listener_ref_ = pin_->table;
  else
    listener_ = nullptr;
  if (rule_slot_ != nullptr) rule_ref_ = *rule_slot_;
  rule_slot_ = nullptr;
  worker_.unpin(pin_);
  pin_ = nullptr;
}

void Stream::kill() noexcept {
  const Guard guard(*this);
  why_ = "drained";
  failResponse("drain deadline");
}

void Stream::wake(FilterChain& chain, std::size_t index, std::uint64_t token) noexcept {
  const Guard guard(*this);
  chain.wake(index, token);
  onRequestFlush();
  onResponseFlush();
}

// ---- what the client's codec tells ----

void Stream::onRequestHead(bool end) noexcept {
  const Guard guard(*this);
  worker_.counters().requests.add();
  request_ended_ = end;
  if (end) {  // nothing more comes: it can wait for those that came with it
    waits_ = true;
    return worker_.routeLater(*this);
  }
  defer_flush_ = true;
  route(end);
  defer_flush_ = false;
}

void Stream::routeNow() noexcept {
  const Guard guard(*this);
  waits_ = false;
  if (finished_) return;
  defer_flush_ = true;
  route(true);
  defer_flush_ = false;
  if (!finished_) onRequestFlush();
}

const route::HostTable* Stream::hostTable() const noexcept {
  const route::BindGroup* const group = worker_.group(down_->connection().bind);
  const route::CompiledListener* const listener =
      group != nullptr ? group->listenerFor(request_.host) : nullptr;
  return listener != nullptr ? &listener->hosts() : nullptr;
}

void Stream::onRequestBody(std::span<char> data, bool end) noexcept {
  const Guard guard(*this);
  request_bytes_ += data.size();
  request_ended_ = end;
  if (tunnel_ && end && response_ended_) return finish(StreamEnd::Complete);
  if (finished_ || (local_ && response_begun_)) return;  // nobody wants it any more
  const std::uint64_t limit = worker_.settings().body_bytes;
  if (limit != 0 && request_bytes_ > limit && !tunnel_) return respondLocal(413, "body_too_large");
  defer_flush_ = true;
  if (rule_chain_ && !tunnel_ &&
      (!head_through_ || (rule_chain_->interest() & (kRequestBody | kRequestHead)) != 0))
    rule_chain_->requestBody(data, end);
  else
    attemptBody(data, end);
  defer_flush_ = false;
}

void Stream::onRequestTrailers(http::HeaderMap& trailers) noexcept {
  const Guard guard(*this);
  request_ended_ = true;
  if (finished_ || (local_ && response_begun_)) return;
  defer_flush_ = true;
  if (rule_chain_)
    rule_chain_->requestTrailers(trailers);
  else
    attemptTrailers(trailers);
  defer_flush_ = false;
}

void Stream::onRequestFlush() noexcept {
  const Guard guard(*this);
  if (up_ != nullptr) {
    if (!request_pipe_) up_->flush();  // as in onResponseFlush()
    updateReading();
    if (!request_ended_ && !request_pipe_) trySpliceRequest();
  }
}

void Stream::onRequestBroken(codec::Broken how, http::HttpError error) noexcept {
  const Guard guard(*this);
  if (finished_) return;
  worker_.counters().bad_requests.add();
  request_ended_ = true;  // nothing more comes
  if (how == codec::Broken::Timeout) return respondLocal(408, "request_timeout");
  const std::uint16_t status = how == codec::Broken::Protocol ? http::statusOf(error) : 400;
  // What was parsed before the fault names nothing that can be trusted.
  bypass_filters_ = true;
  respondLocal(status, http::nameOf(error));
}

void Stream::onRequestRefused(codec::Broken how, http::HttpError error) noexcept {
  const Guard guard(*this);
  client_gone_ = true;
  if (finished_) return;
  worker_.counters().bad_requests.add();
  const bool late = how == codec::Broken::Timeout;
  why_ = late ? std::string_view("request_timeout") : http::nameOf(error);
  // What would have been answered: nobody hears it, but metrics and log tell it as for HTTP/1.
  if (!response_sent_) status_ = late ? 408 : http::statusOf(error);
  finish(StreamEnd::ClientGone);
}

void Stream::onClientDrained() noexcept {
  const Guard guard(*this);
  if (response_pipe_) return pumpResponse();
  updateReading();
}

void Stream::onClientGone() noexcept {
  const Guard guard(*this);
  client_gone_ = true;
  finish(StreamEnd::ClientGone);
}

/// Reads from each side only while the other can take what comes.
void Stream::updateReading() noexcept {
  if (finished_) return;
  const bool up_busy = up_ != nullptr && up_->queued() != 0;
  const bool request = request_pauses_ == 0 && !up_busy && !(backoff_ && !replayable_);
  if (!client_gone_ && !request_ended_ && !request_pipe_) down_->setReading(request);
  if (finished_ || up_ == nullptr || response_pipe_) return;
  const bool down_busy = !client_gone_ && down_->queued() != 0;
  up_->setReading(response_pauses_ == 0 && !down_busy);
}

// ---- the end ----

void Stream::onRequestTimer() noexcept {
  const Guard guard(*this);
  if (finished_) return;
  if (response_sent_) return failResponse("request_timeout");
  if (response_begun_) bypass_filters_ = true;  // one of them waits, perhaps for ever
  respondLocal(504, "request_timeout");
}

void Stream::failResponse(std::string_view why) noexcept {
  if (finished_) return;
  why_ = why;
  if (!client_gone_) {
    down_->abort();
    client_gone_ = true;
  }
  finish(StreamEnd::UpstreamLost);
}

void Stream::responseEnded() noexcept {
  response_ended_ = true;
  if (tunnel_ && !request_ended_) {
    down_->flush();  // the client may still have something to say
    return;
  }
  finish(StreamEnd::Complete);
}

void Stream::finish(StreamEnd reason) noexcept {
  if (finished_) return;
  finished_ = true;
  request_timer_.cancel();
  attempt_timer_.cancel();
  if (up_ != nullptr) std::exchange(up_, nullptr)->cancel();
  endCallouts(nullptr);
  Mirror::detach(mirrors_);
  account(reason);
  worker_.pipes().give(std::move(request_pipe_));
  worker_.pipes().give(std::move(response_pipe_));
  if (backend_chain_) backend_chain_->end(reason);
  if (rule_chain_) rule_chain_->end(reason);
  worker_.wakers().drop(wakers_);
  if (!client_gone_) down_->streamDone();
}

void Stream::account(StreamEnd reason) noexcept {
  const net::TimePoint now = worker_.loop.now();
  const auto latency = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now - begun_).count());
  observe::WorkerCounters& counters = worker_.counters();
  observe::RuleCounters& rule =
      rule_ != nullptr ? counters.rule(rule_->stats_number) : counters.other();
  rule.record(status_, latency, response_bytes_);
  if (attempts_ > 1) rule.retries.add(attempts_ - 1U);
  observe::AccessLogWriter* const log = worker_.environment().access_log;
  if (log == nullptr || log->format() == observe::AccessLogFormat::Off) return;
  observe::AccessLogEntry entry;
  entry.wall_us = worker_.wallUs();
  entry.latency_us = latency;
  entry.bytes_received = request_bytes_;
  entry.bytes_sent = response_bytes_;
  entry.status = status_;
  entry.attempts = attempts_;
  const codec::ConnectionInfo& peer = down_->connection();
  entry.client = {peer.peer_text, peer.peer_text_size};
  entry.method = request_.method;
  entry.host = client_authority_.empty() ? request_.authority : client_authority_;
  std::string target(client_path_.empty() ? request_.path : client_path_);
  if (request_.has_query) target.append("?").append(client_query_);
  entry.path = target;
  entry.protocol = nameOf(request_.version, "HTTP/2.0");  // as other servers log it
  entry.listener = listener_key_;
  if (rule_ != nullptr) {
    entry.route = rule_->route_key;
    entry.route.remove_prefix(entry.route.find('/') + 1);  // as metrics and status name it
    entry.rule = rule_->rule->id;
  }
  entry.upstream = endpoint_text_;
  entry.request_id = request_id_;
  if (const http::Field* agent = request_.fields.find("user-agent"))
    entry.user_agent = agent->value();
  if (isGrpc()) {  // in the trailers, or in the head of an answer that is nothing else
    const http::Field* status = response_trailers_.find("grpc-status");
    if (status == nullptr) status = response_.fields.find("grpc-status");
    if (status != nullptr) entry.grpc_status = status->value();
  }
  entry.why = !why_.empty()                     ? why_
              : reason == StreamEnd::ClientGone ? "client_gone"
                                                : std::string_view{};
  observe::formatAccessLog(log->format(), entry, worker_.logLine());
  log->ring(worker_.index()).push(worker_.logLine());
}

// ---- for filters ----

http::RequestHead& Stream::filterRequestHead(FilterChain& chain) noexcept {
  return backend_chain_ && &chain == &*backend_chain_ ? *attempt_head_ : request_;
}

bool Stream::requestHeadEditable(FilterChain& chain) noexcept {
  if (backend_chain_ && &chain == &*backend_chain_) return up_ == nullptr;
  return !head_through_;
}

http::ResponseHead* Stream::filterResponseHead() noexcept {
  return response_begun_ ? &response_ : nullptr;
}

bool Stream::responseHeadEditable() noexcept { return response_begun_ && !response_sent_; }

const StreamInfo& Stream::filterInfo() noexcept {
  if (info_ == nullptr) {
    info_ = new (arena_.allocate(sizeof(StreamInfo), alignof(StreamInfo))) StreamInfo;
    const codec::ConnectionInfo& peer = down_->connection();
    const http::Field* const proto = request_.fields.find(http::FieldId::XForwardedProto);
    info_->scheme = proto != nullptr && proto->value() == "https" ? "https"
                    : peer.secure                                 ? "https"
                                                                  : "http";
    info_->client_authority = client_authority_;
    info_->client_host = request_.host;
    info_->protocol = nameOf(request_.version, "HTTP/2");  // HW_TEXT_PROTOCOL
    info_->peer_address = {peer.peer_text, peer.peer_text_size};
    info_->peer_port = peer.peer.port();
    info_->request_id = request_id_;
    info_->listener = listener_key_;
    info_->client_port = listener_ != nullptr ? listener_->model().port : 0;
    info_->stream_id = id_;
    info_->worker_index = worker_.index();
    if (rule_ != nullptr) noteRule(*info_);
  }
  return *info_;
}

void Stream::noteRule(StreamInfo& info) const noexcept {
  std::string_view key = rule_->route_key;
  if (const auto slash = key.find('/'); slash != std::string_view::npos)
    key.remove_prefix(slash + 1);
  info.route = key;
  const std::string_view id = rule_->rule->id;
  info.rule = !rule_->rule->name.empty() ? std::string_view(rule_->rule->name)
                                         : id.substr(id.rfind('/') + 1);
  info.prefix_size = prefix_size_;
}

bool Stream::storeAnswer(std::uint16_t status, std::span<const AnswerField> fields,
                         std::string_view body) noexcept {
  if (response_sent_ || finished_) return false;
  response_.fields.clear();
  response_.status = status;
  response_.reason = {};
  for (const AnswerField& field : fields) response_.fields.add(field.name, field.value);
  if (response_.fields.find(http::FieldId::Date) == nullptr)
    response_.fields.add("date", worker_.httpDate());
  answer_body_ = arena_.copy(body);
  const bool bodyless = status == 204 || status == 304;
  response_.framing =
      bodyless ? http::Framing{} : http::Framing{http::BodyKind::Length, body.size()};
  return true;
}

Waker Stream::makeWaker(FilterChain& chain, std::size_t index) noexcept {
  return worker_.wakers().add(*this, chain, static_cast<std::uint32_t>(index), worker_.index(),
                              wakers_);
}

std::size_t Stream::holdLimit() noexcept { return worker_.settings().hold_bytes; }

void Stream::pauseRequest(bool paused) noexcept {
  request_pauses_ = static_cast<std::uint8_t>(request_pauses_ + (paused ? 1 : -1));
  updateReading();
}

void Stream::pauseResponse(bool paused) noexcept {
  response_pauses_ = static_cast<std::uint8_t>(response_pauses_ + (paused ? 1 : -1));
  updateReading();
}

void Stream::requestHeadHeld() noexcept {
  if (!std::exchange(request_.expect_continue, false)) return;
  down_->sendContinue();  // the filter waits for the body, and the client for us
}

}  // namespace hyperway::proxy
