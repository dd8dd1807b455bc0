// SPDX-License-Identifier: Apache-2.0
// Stream: the response, from a backend, a filter or ourselves, on its way to the client.
#include <algorithm>
#include <limits>

#include "http/grpc.hpp"
#include "proxy/stream.hpp"
#include "proxy/stream_guard.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {

http::ResponseHead& Stream::responseHead() noexcept { return response_; }

void Stream::onInterimResponse() noexcept {
  const Guard guard(*this);
  if (response_.status == 100 && std::exchange(expect_forwarded_, false)) {
    request_.expect_continue = false;
    down_->sendContinue();
  } else if (response_.status != 100 && !finished_ && !response_begun_) {
    down_->sendInterim(response_);
  }
}

void Stream::onResponseHead(bool end) noexcept {
  const Guard guard(*this);
  if (end) up_ = nullptr;
  if (finished_ || response_begun_) return;
  if (may_retry_ && retryStatus(response_.status)) return;
  response_begun_ = true;
  replay_.clear(worker_.pool);
  keep_replay_ = false;
  tunnel_ = response_.framing.kind == http::BodyKind::Tunnel;
  if (tunnel_) request_ended_ = request_through_ = false;
  std::uint32_t interest = 0;
  if (rule_chain_) interest |= rule_chain_->interest();
  if (backend_chain_) interest |= backend_chain_->interest();
  if ((interest & kResponseResize) != 0 && response_.framing.kind == http::BodyKind::Length &&
      request_.method_id != http::Method::Head)
    response_.framing = {http::BodyKind::Chunked, 0};
  if (backend_chain_)
    backend_chain_->responseHead(end);
  else if (rule_chain_)
    rule_chain_->responseHead(end);
  else
    clientHead(end);
}

void Stream::onResponseBody(std::span<char> data, bool end) noexcept {
  const Guard guard(*this);
  if (end && !tunnel_) up_ = nullptr;
  if (finished_ || local_) return;
  if (tunnel_)
    clientBody(data, end);
  else if (backend_chain_)
    backend_chain_->responseBody(data, end);
  else if (rule_chain_)
    rule_chain_->responseBody(data, end);
  else
    clientBody(data, end);
}

void Stream::onResponseTrailers(http::HeaderMap& trailers) noexcept {
  const Guard guard(*this);
  up_ = nullptr;
  if (finished_ || local_) return;
  if (backend_chain_)
    backend_chain_->responseTrailers(trailers);
  else if (rule_chain_)
    rule_chain_->responseTrailers(trailers);
  else {
    down_->sendTrailers(trailers);
    responseEnded();
  }
}

void Stream::onResponseFlush() noexcept {
  const Guard guard(*this);
  if (finished_ || client_gone_ || !response_sent_) return;
  // A body that is spliced is not gathered: onClientDrained() goes on with it, of which the codec
  // would know no more.
  if (!response_pipe_) down_->flush();
  updateReading();
  if (up_ != nullptr && !response_pipe_) trySpliceResponse();
}

void Stream::onResponseBroken(codec::Broken how, http::HttpError error) noexcept {
  const Guard guard(*this);
  up_ = nullptr;
  if (finished_) return;
  worker_.counters().upstream_broken.add();
  const std::string_view why = how == codec::Broken::Protocol      ? http::nameOf(error)
                               : how == codec::Broken::Timeout     ? "backend_timeout"
                               : how == codec::Broken::Refused     ? "connect_failed"
                               : how == codec::Broken::Unreachable ? "connect_timeout"
                               : how == codec::Broken::Handshake   ? "backend_tls"
                               : how == codec::Broken::Untrusted   ? "backend_certificate"
                               : how == codec::Broken::Unprocessed ? "backend_refused"
                                                                   : "backend_closed";
  if (response_sent_) return failResponse(why);
  if (!response_begun_ && retryAfter(how)) return;
  const bool late = how == codec::Broken::Timeout || how == codec::Broken::Unreachable;
  respondLocal(late ? 504 : 502, why);
}

void Stream::responseHeadThrough(FilterChain& chain, bool end) noexcept {
  if (finished_) return;
  if (backend_chain_ && &chain == &*backend_chain_ && rule_chain_ && !bypass_filters_)
    rule_chain_->responseHead(end);
  else
    clientHead(end);
}

void Stream::responseBodyThrough(FilterChain& chain, std::span<char> data, bool end) noexcept {
  if (finished_) return;
  if (backend_chain_ && &chain == &*backend_chain_ && rule_chain_ && !bypass_filters_)
    rule_chain_->responseBody(data, end);
  else
    clientBody(data, end);
}

void Stream::responseTrailersThrough(FilterChain& chain, http::HeaderMap& trailers) noexcept {
  if (finished_) return;
  if (backend_chain_ && &chain == &*backend_chain_ && rule_chain_ && !bypass_filters_)
    return rule_chain_->responseTrailers(trailers);
  down_->sendTrailers(trailers);
  responseEnded();
}

void Stream::answered(FilterChain& chain, std::size_t index) noexcept {
  if (finished_) return;
  dropAttempt();
  closeTunnel();
  local_ = response_begun_ = true;
  why_ = "filter_answer";
  sendStored(&chain, index);
}

void Stream::filterFailed(FilterChain&, std::uint16_t status, std::string_view plugin) noexcept {
  if (finished_) return;
  worker_.counters().filter_faults.add();
  if (worker_.environment().log) {
    std::string message = "filter of plugin ";
    message.append(plugin).append(" failed on a request of ");
    if (rule_ != nullptr)
      message.append("rule ").append(rule_->rule->id);
    else
      message.append("listener ").append(listener_key_);
    worker_.environment().log(message);
  }
  if (response_sent_) return failResponse("filter_fault");
  bypass_filters_ = true;  // the chain that holds it is not to be trusted with the answer
  respondLocal(status, status == 500 ? "filter_fault" : "filter_buffer");
}

/// Answers for the gateway itself, through the response side of the filters that saw the request.
void Stream::respondLocal(std::uint16_t status, std::string_view why) noexcept {
  if (finished_) return;
  if (response_sent_) return failResponse(why);
  dropAttempt();
  closeTunnel();
  backoff_ = false;
  why_ = why;
  local_ = response_begun_ = true;
  const std::string_view reason = http::reasonPhrase(status);
  auto* const body = static_cast<char*>(arena_.allocate(reason.size() + 5, 1));
  body[0] = static_cast<char>('0' + status / 100);
  body[1] = static_cast<char>('0' + status / 10 % 10);
  body[2] = static_cast<char>('0' + status % 10);
  body[3] = ' ';
  std::copy(reason.begin(), reason.end(), body + 4);
  body[reason.size() + 4] = '\n';
  if (isGrpc()) {
    storeGrpcAnswer(status, {body, reason.size() + 4});
  } else {
    const AnswerField type{"content-type", "text/plain; charset=utf-8"};
    (void)storeAnswer(status, {&type, 1}, {body, reason.size() + 5});
  }
  sendStored(rule_chain_ && !bypass_filters_ ? &*rule_chain_ : nullptr, std::nullopt);
}

/// The backend's 101 does not reach the client, who goes on with HTTP.
void Stream::closeTunnel() noexcept {
  if (!tunnel_) return;
  tunnel_ = false;
  request_ended_ = request_through_ = true;
}

/// True if the client speaks gRPC: what the gateway itself has to say, it says so too.
bool Stream::isGrpc() const noexcept {
  if (!request_.fields.mayHave(http::FieldId::ContentType)) return false;
  const http::Field* const type = request_.fields.find(http::FieldId::ContentType);
  return type != nullptr && http::isGrpcType(type->value());
}

/// A trailers-only answer of gRPC, in whose head everything is: HTTP says 200.
void Stream::storeGrpcAnswer(std::uint16_t status, std::string_view message) noexcept {
  const std::uint8_t code = http::grpcStatusOf(status);
  const char digits[] = {static_cast<char>('0' + code / 10), static_cast<char>('0' + code % 10)};
  const AnswerField fields[] = {
      {"content-type", "application/grpc"},
      {"grpc-status", code < 10 ? std::string_view(digits + 1, 1) : std::string_view(digits, 2)},
      {"grpc-message", http::grpcMessage(message, arena_)}};
  (void)storeAnswer(200, fields, {});
}

/// Sends the stored answer into `chain` (behind filter `index`, or behind all that saw the
/// request), or straight out.
void Stream::sendStored(FilterChain* chain, std::optional<std::size_t> index) noexcept {
  const bool end = answer_body_.empty() || request_.method_id == http::Method::Head ||
                   response_.framing.kind == http::BodyKind::None;
  if (request_.method_id == http::Method::Head && response_.framing.kind == http::BodyKind::Length)
    response_.framing = {http::BodyKind::None,
                         response_.framing.length + 1};  // see writeResponseHead()
  std::uint32_t interest = chain != nullptr ? chain->interest() : 0;
  // The answer of a backend's filter goes on through those of the rule.
  if (chain != nullptr && rule_chain_ && !bypass_filters_) interest |= rule_chain_->interest();
  if (!end && (interest & kResponseResize) != 0) response_.framing = {http::BodyKind::Chunked, 0};
  if (backend_chain_ && chain != &*backend_chain_) backend_chain_->forgetResponse();
  const std::uint16_t answer = ++answers_;
  if (chain == nullptr)
    clientHead(end);
  else
    chain->answerFrom(index.value_or(std::numeric_limits<std::size_t>::max()), end);
  if (end || finished_ || answer != answers_) return;  // answered again, on the head's way
  const std::span<char> body(const_cast<char*>(answer_body_.data()), answer_body_.size());
  if (chain == nullptr)
    clientBody(body, true);
  else
    chain->responseBody(body, true);
}

void Stream::clientHead(bool end) noexcept {
  if (finished_ || client_gone_) return;
  response_sent_ = true;
  status_ = response_.status;
  if (tunnel_) {  // it may take as long as it likes from here
    request_timer_.cancel();
    attempt_timer_.cancel();
  }
  if (session_ != nullptr && !local_) offerSession();
  down_->sendHead(response_, end);
  if (client_gone_ || finished_) return;
  if (end) return responseEnded();
  if (tunnel_) down_->flush();
}

void Stream::clientBody(std::span<char> data, bool end) noexcept {
  if (finished_ || client_gone_) return;
  response_bytes_ += data.size();
  down_->sendBody({data.data(), data.size()}, end);
  if (end && !client_gone_) responseEnded();
}

}  // namespace hyperway::proxy
